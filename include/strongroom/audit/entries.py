"""Reading a log entry strictly: canonical JSON, of the form that `strongroom.audit.events` writes."""

from __future__ import annotations

import json
from decimal import Decimal
from uuid import UUID

from strongroom.audit.errors import EntryError
from strongroom.audit.events import DATA_SCHEMA, MAX_EVENT_BYTES
from strongroom.canonical import JsonObject, canonical_bytes, parse_object
from strongroom.errors import InputError, IntegrityError

_EXACT_DIGITS = 15


def _exact_integer(digits: str) -> int:
    if len(digits) > _EXACT_DIGITS:
        raise ValueError("too long to be exact in every reader")
    return int(digits)


_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False, allow_nan=False
)
# Decimals, which the encoder refuses, send an entry with fractions to the slow reader.
_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=Decimal, parse_int=_exact_integer)


def parse_entry(entry: bytes, what: str) -> tuple[UUID, JsonObject]:
    """The entry's identifier and its content.

    Args:
        what: the entry's name, for the error.

    Raises:
        EntryError: not canonical JSON, or not an event of a form that this version knows.
    """
    if len(entry) > MAX_EVENT_BYTES:
        raise EntryError(f"{what} is longer than an entry may be.")
    document = _canonical_object(entry, what)
    try:
        event_id = UUID(document["id"])
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise EntryError(f"{what} carries no identifier.") from error
    if str(event_id) != document["id"] or document.get("dataschema") != DATA_SCHEMA:
        raise EntryError(f"{what} is no event of the form {DATA_SCHEMA}.")
    return event_id, document


def _canonical_object(entry: bytes, what: str) -> JsonObject:
    """The object, by the C codec where that is exact: ASCII without fractions and long integers."""
    if entry.isascii():
        try:
            document = _DECODER.decode(entry.decode("ascii"))
            if isinstance(document, dict) and _ENCODER.encode(document).encode("ascii") == entry:
                return document
        except (ValueError, TypeError, ArithmeticError, RecursionError):
            pass
    return _canonical_object_slowly(entry, what)


def _canonical_object_slowly(entry: bytes, what: str) -> JsonObject:
    try:
        document = parse_object(entry, what)
        if canonical_bytes(document) == entry:
            return document
    except (InputError, IntegrityError, RecursionError, UnicodeError) as error:
        raise EntryError(f"{what} is not canonical JSON.") from error
    raise EntryError(f"{what} is not canonical JSON.")

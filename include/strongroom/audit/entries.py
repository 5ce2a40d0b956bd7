"""Reading a log entry strictly: canonical JSON, of the form that `strongroom.audit.events` writes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from uuid import UUID

from pydantic_core import from_json, to_json

from strongroom.audit.errors import EntryError
from strongroom.audit.events import DATA_SCHEMA, MAX_EVENT_BYTES
from strongroom.canonical import JsonObject, canonical_bytes, parse_object
from strongroom.errors import InputError, IntegrityError

_EXACT_BELOW = 2**53


def parse_entry(entry: bytes, what: str) -> tuple[UUID, JsonObject]:
    """The entry's identifier and its content.

    Args:
        what: the entry's name, for the error.

    Raises:
        EntryError: not canonical JSON, or not an event of a form that this version knows.
    """
    document = _event(entry, what)
    try:
        event_id = UUID(document.get("id"))
    except (ValueError, TypeError, AttributeError) as error:
        raise EntryError(f"{what} carries no identifier.") from error
    _check_id(document, event_id, what)
    return event_id, document


def check_entry(entry: bytes, event_id: UUID, what: str) -> None:
    """Check an entry of a known identifier.

    Raises:
        EntryError: what `parse_entry` raises, or it carries another identifier.
    """
    _check_id(_event(entry, what), event_id, what)


def _check_id(document: JsonObject, event_id: UUID, what: str) -> None:
    if document.get("id") != str(event_id):
        raise EntryError(f"{what} carries another identifier, or one in another form.")


def _event(entry: bytes, what: str) -> JsonObject:
    if len(entry) > MAX_EVENT_BYTES:
        raise EntryError(f"{what} is longer than an entry may be.")
    document = _canonical_object(entry, what)
    if document.get("dataschema") != DATA_SCHEMA:
        raise EntryError(f"{what} is no event of the form {DATA_SCHEMA}.")
    return document


def _canonical_object(entry: bytes, what: str) -> JsonObject:
    """The object, by the compiled codec where that is exact: ASCII without fractions and long integers."""
    if entry.isascii():
        try:
            document = from_json(entry)
            if to_json(document) == entry and isinstance(document, dict) and _is_ordered(document):
                return document
        except (ValueError, RecursionError):
            pass
    return _canonical_object_slowly(entry, what)


def _is_ordered(document: JsonObject) -> bool:
    """Whether members stand in order, at every depth, and every number is a whole one that stays exact."""
    return _stand_in_order(tuple(document)) and _are_plain(document.values())


@lru_cache(maxsize=1024)
def _stand_in_order(names: tuple[str, ...]) -> bool:
    return list(names) == sorted(names)


def _are_plain(values: Iterable[Any]) -> bool:
    for value in values:
        kind = type(value)
        if kind is str:
            continue
        if kind is dict:
            plain = _is_ordered(value)
        elif kind is int:
            plain = -_EXACT_BELOW < value < _EXACT_BELOW
        elif kind is list:
            plain = _are_plain(value)
        else:
            plain = kind is not float
        if not plain:
            return False
    return True


def _canonical_object_slowly(entry: bytes, what: str) -> JsonObject:
    try:
        document = parse_object(entry, what)
        if canonical_bytes(document) == entry:
            return document
    except (InputError, IntegrityError, RecursionError, UnicodeError) as error:
        raise EntryError(f"{what} is not canonical JSON.") from error
    raise EntryError(f"{what} is not canonical JSON.")

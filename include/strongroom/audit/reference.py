"""What an event may say: numbers, truth values and short references, never free text.

Log entries can never be taken back, so nothing gets in that could carry a person's name, address or words. A
reference is an identifier of ours (a key, a run, a table, a hash): letters, digits and a few marks, without
white space and without `@`, at most 300 characters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from strongroom.audit.errors import EventRefusedError

_REFERENCE = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_.~:/+=#,*\[\]-]{0,299}")
_MEMBER = re.compile(r"[a-z][a-z0-9_]{0,63}")
_HASH = re.compile(r"[0-9a-f]{8,128}")
_MAX_DEPTH = 3
_MAX_INTEGER = 2**53 - 1


def checked_reference(value: object, where: str) -> str:
    """The value, when it is a short reference.

    Raises:
        EventRefusedError: it is not; the message does not repeat it.
    """
    if not isinstance(value, str) or not _REFERENCE.fullmatch(value):
        raise EventRefusedError(
            f"An audit event's {where} is not a short reference.",
            hint="The log keeps identifiers only (letters, digits and _.~:/+=#,*[]- , at most 300 of them): "
            "no free text, no e-mail address, no white space. Refer to anything else by its SHA-256.",
        )
    return str(value)


def checked_hashes(hashes: Mapping[str, str]) -> dict[str, str]:
    """The hashes by name, each lower-case hexadecimal.

    Raises:
        EventRefusedError: a name or a value is something else.
    """
    for name, value in hashes.items():
        checked_member(name, "hashes")
        if not _HASH.fullmatch(str(value)):
            raise EventRefusedError(f"An audit event's hashes.{name} is not lower-case hexadecimal.")
    return dict(hashes)


def checked_counts(counts: Mapping[str, Any]) -> dict[str, int]:
    """The counts by name, each a whole number.

    Raises:
        EventRefusedError: a name or a value is something else.
    """
    for name, value in counts.items():
        checked_member(name, "counts")
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _MAX_INTEGER:
            raise EventRefusedError(f"An audit event's counts.{name} is not a whole number below 2**53.")
    return dict(counts)


def checked_member(name: object, where: str) -> str:
    """A member's name: lower-case letters, digits and underscores.

    Raises:
        EventRefusedError: it is something else, perhaps a value where a name belongs.
    """
    if not isinstance(name, str) or not _MEMBER.fullmatch(name):
        raise EventRefusedError(f"An audit event's {where} has a member whose name is not snake_case.")
    return name


def checked_details(value: Any, where: str = "details", depth: int = 0) -> Any:
    """A value made of numbers, truth values, references, and lists and objects of them.

    Raises:
        EventRefusedError: something else is in it, or it is nested deeper than three levels.
    """
    if depth > _MAX_DEPTH:
        raise EventRefusedError(f"An audit event's {where} is nested too deeply.")
    if isinstance(value, Mapping):
        members = {checked_member(name, where): item for name, item in value.items()}
        return {name: checked_details(item, f"{where}.{name}", depth + 1) for name, item in members.items()}
    if isinstance(value, list | tuple):
        return [checked_details(item, where, depth + 1) for item in value]
    return _checked_scalar(value, where)


def _checked_scalar(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and abs(value) <= _MAX_INTEGER:
        return value  # a larger one has no exact form that every reader of RFC 8785 takes
    return checked_reference(value, where)

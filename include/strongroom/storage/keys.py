"""Which texts can name an object: the rules every store keeps, so that a key works in each of them."""

from __future__ import annotations

from strongroom.storage.errors import InvalidKeyError

MAX_KEY_BYTES = 900
"""S3 allows 1,024 bytes with the prefix; the rest is left to the prefix."""

MAX_SEGMENT_BYTES = 240
"""A segment is a file name in a local directory, where 255 bytes are the limit."""

HIDDEN = ".strongroom"
"""The first segment that stores keep for themselves."""


def check_key(key: str) -> str:
    """The key, if it can name an object.

    Raises:
        InvalidKeyError: it is empty, absolute, has an empty segment, `.` or `..`, a backslash or anything
            but printable ASCII, is too long, or is one of the store's own.
    """
    reason = _fault(key)
    if reason is not None:
        raise InvalidKeyError(f"{key[:100]!r} cannot name an object: {reason}")
    return key


def check_prefix(prefix: str) -> str:
    """The prefix, if keys can start with it; the empty one is every key's.

    Raises:
        InvalidKeyError: no key can start with it.
    """
    text = prefix.removesuffix("/")
    reason = _fault(text) if text else ("it is absolute" if prefix else None)
    if reason is not None and reason != "it is one of the store's own names":
        raise InvalidKeyError(f"{prefix[:100]!r} cannot start a key: {reason}")
    return prefix


def _fault(key: str) -> str | None:
    if not key:
        return "it is empty"
    if key.startswith("/"):
        return "it is absolute"
    if not all(" " <= character <= "~" and character != "\\" for character in key):
        return "it has a backslash or a character outside printable ASCII, which not every store sorts alike"
    if len(key) > MAX_KEY_BYTES:
        return f"it is longer than {MAX_KEY_BYTES} bytes"
    return _segment_fault(key.split("/"))


def _segment_fault(segments: list[str]) -> str | None:
    for segment in segments:
        if segment in ("", ".", ".."):
            return "it has an empty segment, '.' or '..'"
        if len(segment) > MAX_SEGMENT_BYTES:
            return f"a segment is longer than {MAX_SEGMENT_BYTES} bytes"
    if segments[0] == HIDDEN:
        return "it is one of the store's own names"
    return None

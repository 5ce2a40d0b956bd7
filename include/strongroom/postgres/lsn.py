"""Log sequence numbers: positions in the write-ahead log, and the segment files that hold them.

An LSN is a 64-bit byte position, written `X/X` in hexadecimal (high and low half). A segment's file name is
24 hexadecimal digits: timeline, then the segment number split as PostgreSQL's `XLogFileName` does it.
"""

from __future__ import annotations

import re

from strongroom.postgres.errors import InvalidLsnError

_LSN = re.compile(r"^[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}$")
_SEGMENT = re.compile(r"^[0-9A-F]{24}$")


def parse_lsn(text: str) -> int:
    """The byte position of an LSN such as `0/3000060`.

    Raises:
        InvalidLsnError: the text is none.
    """
    if not _LSN.match(text):
        raise InvalidLsnError(f"{text[:40]!r} is no log sequence number.")
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def format_lsn(position: int) -> str:
    """The LSN of a byte position."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def segment_name(timeline: int, position: int, segment_bytes: int) -> str:
    """The file name of the segment that holds the byte at `position`."""
    number = position // segment_bytes
    per_log = 0x100000000 // segment_bytes
    return f"{timeline:08X}{number // per_log:08X}{number % per_log:08X}"


def segment_start(name: str, segment_bytes: int) -> int:
    """The byte position at which a segment file starts.

    Raises:
        InvalidLsnError: the name is no segment's.
    """
    if not _SEGMENT.match(name):
        raise InvalidLsnError(f"{name[:40]!r} is no name of a WAL segment.")
    per_log = 0x100000000 // segment_bytes
    return (int(name[8:16], 16) * per_log + int(name[16:], 16)) * segment_bytes

"""WAL segments: their names and places in the log, and whether a file is the segment that its name says.

A segment is a run of pages. Each page has a header (src/include/access/xlog_internal.h, little-endian), the first
one a longer one:

    0 magic u16 · 2 info u16 · 4 timeline u32 · 8 page address u64 · 16 remaining u32 · 20 padding
    24 system identifier u64 · 32 segment size u32 · 36 page size u32

The magic changes with PostgreSQL's major version. What follows a segment switch is empty: pages of zeros, or pages
with a header and nothing else. A segment that was copied when a standby was promoted keeps the old timeline's
headers before the place of the switch.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from strongroom.backup.continuous.errors import ForeignSegmentError, SegmentError
from strongroom.postgres import segment_name, segment_start
from strongroom.postgres.errors import InvalidLsnError

SMALLEST_SEGMENT, LARGEST_SEGMENT = 1 << 20, 1 << 30
_NAME = re.compile(r"[0-9A-F]{24}")
_LOG_BYTES = 1 << 32
_LONG_HEADER = struct.Struct("<HHIQI4xQII")
_PAGE_HEADER = struct.Struct("<HHIQ")
_LONG_HEADER_FLAG, _ALL_FLAGS = 0x0002, 0x000F
_FEWEST_PAGES_READ = 128


@dataclass(frozen=True)
class Expected:
    """What a segment's file must be."""

    system_identifier: int
    segment_bytes: int
    timelines: frozenset[int]
    """Of its own timeline's and its ancestors' headers, those that may stand in it."""


def check_segment_bytes(segment_bytes: int) -> int:
    """The size, if a cluster's segments can have it: a power of two from 1 MB to 1 GB.

    Raises:
        SegmentError: they cannot.
    """
    if not SMALLEST_SEGMENT <= segment_bytes <= LARGEST_SEGMENT or segment_bytes & (segment_bytes - 1):
        raise SegmentError(f"WAL segments cannot have {segment_bytes} bytes.")
    return segment_bytes


def timeline_of(name: str) -> int:
    """The timeline in a segment's name.

    Raises:
        InvalidLsnError: the name is no segment's.
    """
    if not _NAME.fullmatch(name):
        raise InvalidLsnError(f"{name[:40]!r} is no name of a WAL segment.")
    return int(name[:8], 16)


def start_of(name: str, segment_bytes: int) -> int:
    """The byte position at which a segment starts.

    Raises:
        InvalidLsnError: the name is no segment's of a cluster with segments of that size.
    """
    start = segment_start(name, segment_bytes)
    if segment_name(timeline_of(name), start, segment_bytes) != name:
        raise InvalidLsnError(f"{name} is no name of a WAL segment of {segment_bytes} bytes.")
    return start


def segment_floor(position: int, segment_bytes: int) -> int:
    """The start of the segment that holds the byte at `position`."""
    return position - position % segment_bytes


def segment_ceiling(position: int, segment_bytes: int) -> int:
    """The end of the segment that holds the byte before `position`."""
    return segment_floor(position + segment_bytes - 1, segment_bytes)


def names_between(timeline: int, start: int, end: int, segment_bytes: int) -> list[str]:
    """The names of one timeline's segments that start at `start` or later and before `end`, in order."""
    first = segment_ceiling(start, segment_bytes)
    return [segment_name(timeline, at, segment_bytes) for at in range(first, end, segment_bytes)]


def verify_segment(path: Path, expected: Expected) -> None:
    """Check that a file is the complete segment that its name says: identity, place, and every page's header.

    Raises:
        ForeignSegmentError: it is another cluster's.
        SegmentError: it is damaged, short, or another part of the log.
    """
    size = path.stat().st_size
    if size != expected.segment_bytes:
        raise damaged(path.name, f"has {size} bytes instead of {expected.segment_bytes}")
    page_bytes, magic = _check_first_page(path, expected)
    _check_pages(path, expected, page_bytes, magic)


def _check_first_page(path: Path, expected: Expected) -> tuple[int, int]:
    with path.open("rb") as file:
        magic, info, timeline, address, _, identifier, segment_bytes, page_bytes = _LONG_HEADER.unpack(
            file.read(_LONG_HEADER.size)
        )
    if not info & _LONG_HEADER_FLAG or info & ~_ALL_FLAGS or segment_bytes != expected.segment_bytes:
        raise damaged(path.name, "does not start like a WAL segment of this cluster")
    if identifier != expected.system_identifier:
        raise ForeignSegmentError(
            f"The WAL segment {path.name} belongs to another cluster (system identifier {identifier}).",
            hint="The connection leads to several servers; name one of them.",
        )
    if address != start_of(path.name, segment_bytes):
        raise damaged(path.name, "holds another part of the log than its name says")
    if timeline not in expected.timelines:
        raise damaged(path.name, f"is of the timeline {timeline}")
    if page_bytes not in (1 << power for power in range(10, 17)):
        raise damaged(path.name, f"has pages of {page_bytes} bytes")
    return page_bytes, magic


def _check_pages(path: Path, expected: Expected, page_bytes: int, magic: int) -> None:
    address = start_of(path.name, expected.segment_bytes)
    empty = False
    for block in _blocks(path, page_bytes * _FEWEST_PAGES_READ):
        for offset in range(0, len(block), page_bytes):
            empty = empty or not any(block[offset : offset + _PAGE_HEADER.size])
            if empty:
                if block.count(0, offset) != len(block) - offset:
                    raise damaged(path.name, f"has an empty page before {address + offset:#x} that is in use")
                break
            found, info, timeline, says = _PAGE_HEADER.unpack_from(block, offset)
            right = (found, says) == (magic, address + offset) and not info & ~_ALL_FLAGS
            if not right or timeline not in expected.timelines:
                raise damaged(path.name, f"has a page at {address + offset:#x} that belongs elsewhere")
        address += len(block)


def _blocks(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(size):
            yield block


def damaged(name: str, how: str) -> SegmentError:
    """The error of a segment that cannot be archived."""
    return SegmentError(
        f"The WAL segment {name} {how}.",
        hint="It is not archived. Look at the source's log and disks. If it stays damaged, `strongroom wal ship"
        f" DATABASE --skip-damaged {name}` leaves it out; then take a backup.",
        segment=name,
    )

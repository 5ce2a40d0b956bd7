"""L2: whether the write-ahead log reaches from the backup's start to its restore point without a hole.

Each segment file starts with a long page header (src/include/access/xlog_internal.h, little-endian):

    0 magic u16 · 2 info u16 · 4 timeline u32 · 8 page address u64 · 16 remaining u32 · 20 padding
    24 system identifier u64 · 32 segment size u32 · 36 block size u32
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from strongroom.postgres import segment_name, segment_start

_LONG_HEADER = struct.Struct("<HHIQI4xQII")
_LONG_HEADER_FLAG = 0x0002


@dataclass(frozen=True)
class WalRange:
    """The log that a restore needs.

    Args:
        start: byte position of the backup's start.
        end: byte position at which the restore point's record ends (exclusive).
        segment_bytes: the cluster's segment size.
        system_identifier: the cluster's identity, as in its control file.
    """

    timeline: int
    start: int
    end: int
    segment_bytes: int
    system_identifier: int

    def segments(self) -> list[str]:
        """The names of the segment files, first to last."""
        first = self.start - self.start % self.segment_bytes
        return [
            segment_name(self.timeline, position, self.segment_bytes)
            for position in range(first, max(self.end, self.start + 1), self.segment_bytes)
        ]

    def histories(self) -> list[str]:
        """The timeline history files that recovery reads; the first timeline has none."""
        return [f"{self.timeline:08X}.history"] if self.timeline > 1 else []


def wal_problems(wanted: WalRange, places: list[Path]) -> Iterator[str]:
    """What is missing or wrong, as sentences; nothing when the log is complete.

    Args:
        wanted: the log that the restore needs.
        places: the directories in which segments may lie.
    """
    for name in wanted.segments():
        path = _find(name, places)
        problem = "is missing" if path is None else segment_problem(path, wanted)
        if problem:
            yield f"WAL segment {name} {problem}"
    for name in wanted.histories():
        if _find(name, places) is None:
            yield f"timeline history {name} is missing"


def wal_files(wanted: WalRange, places: list[Path]) -> Iterator[Path]:
    """The segment files of a range, first to last; those that are missing are left out."""
    for name in wanted.segments():
        path = _find(name, places)
        if path is not None:
            yield path


def _find(name: str, places: list[Path]) -> Path | None:
    return next((place / name for place in places if (place / name).is_file()), None)


def segment_problem(path: Path, wanted: WalRange) -> str | None:
    """What is wrong with a segment file, as the end of a sentence; None when nothing is."""
    size = path.stat().st_size
    if size != wanted.segment_bytes:
        return f"has {size} bytes instead of {wanted.segment_bytes}"
    with path.open("rb") as file:
        header = _LONG_HEADER.unpack(file.read(_LONG_HEADER.size))
    _, info, _, address, _, system_identifier, segment_bytes, _ = header
    if not info & _LONG_HEADER_FLAG or segment_bytes != wanted.segment_bytes:
        return "does not start like a WAL segment"
    if system_identifier != wanted.system_identifier:
        return f"belongs to another cluster (system identifier {system_identifier})"
    if address != segment_start(path.name, wanted.segment_bytes):
        return "holds another part of the log than its name says"
    return None

"""The way of the log to a timeline: which segment holds each position, where it comes from, and where it ends.

A backup holds the log from its start to its restore point itself. From there on the archive's segments continue it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from strongroom.backup.continuous import ArchivedSegment, Covered, Leg, TimelineHistory
from strongroom.backup.manifest import BackupManifest
from strongroom.backup.restoring.facts import ClusterLog, StoredManifest
from strongroom.backup.restoring.wal import WalRange
from strongroom.postgres import parse_lsn, segment_name, segment_start


@dataclass(frozen=True)
class Mark:
    """A tie between the source's clock and the log: what was committed before `clock` lies before `position`."""

    position: int
    clock: datetime


@dataclass(frozen=True)
class Reach:
    """How far the log goes from a backup on, without a hole."""

    end: int
    """The byte position at which it ends."""
    missing: str
    """The segment that would come next."""
    broken: bool
    """Whether later segments are there, so that the missing one is a gap and not the end."""


class Way:
    """The log on its way to one timeline.

    Args:
        log: what is archived.
        history: the timeline's past.
        segment_bytes: the cluster's segment size.
    """

    def __init__(self, log: ClusterLog, history: TimelineHistory, segment_bytes: int) -> None:
        self.history = history
        self.segment_bytes = segment_bytes
        self._log = log
        self._legs = history.legs(segment_bytes)
        self._archived = {item.name: item for leg in self._legs for item in self._segments(leg)}

    def leads_from(self, manifest: BackupManifest) -> bool:
        """Whether the backup's end lies on the way: its timeline is on it and had not been left by then."""
        timeline = manifest.server.timeline
        if timeline not in self.history.timelines:
            return False
        left = self.history.end_of(timeline)
        return left is None or parse_lsn(manifest.stop_lsn) <= left

    def segments(self, start: int, end: int) -> list[str]:
        """The names of the segments that hold the bytes from `start` up to `end`."""
        first = start - start % self.segment_bytes
        last = max(end, start + 1)
        return [self.name_at(position) for position in range(first, last, self.segment_bytes)]

    def name_at(self, position: int) -> str:
        """The segment that holds the byte at `position`."""
        for leg in self._legs:
            if leg.end is None or position < leg.end:
                return segment_name(leg.timeline, position, self.segment_bytes)
        return segment_name(self.history.timeline, position, self.segment_bytes)

    def archived(self, name: str) -> ArchivedSegment | None:
        """The archive's copy of a segment on the way."""
        return self._archived.get(name)

    def reach(self, backup: StoredManifest) -> Reach:
        """How far the log goes from a backup on."""
        own = own_segments(backup.manifest)
        position = _floor(parse_lsn(backup.manifest.start_lsn), self.segment_bytes)
        end = position
        while (name := self.name_at(position)) in own or name in self._archived:
            position += self.segment_bytes
            end = position if name in self._archived else _end_in_own(backup.manifest, position)
        return Reach(end, name, self._beyond(position))

    def marks(self) -> list[Mark]:
        """Every tie between clock and log on the way, by position."""
        found = [
            Mark(position, covered.clock)
            for timeline in self.history.timelines
            for covered in self._covered(timeline)
            if self._on_way(timeline, position := parse_lsn(covered.position))
        ]
        return sorted(found, key=lambda mark: (mark.position, mark.clock))

    def covered_until(self, end: int) -> datetime | None:
        """The latest moment whose commits all lie before `end`."""
        return max((mark.clock for mark in self.marks() if mark.position <= end), default=None)

    def _segments(self, leg: Leg) -> Iterable[ArchivedSegment]:
        facts = self._log.timelines.get(leg.timeline)
        return [item for item in facts.segments if self._in(leg, item.name)] if facts else ()

    def _covered(self, timeline: int) -> Iterator[Covered]:
        facts = self._log.timelines.get(timeline)
        return facts.covered() if facts else iter(())

    def _on_way(self, timeline: int, position: int) -> bool:
        left = self.history.end_of(timeline)
        return left is None or position <= left

    def _beyond(self, position: int) -> bool:
        """Whether the archive has, or once had, anything on the way after a position."""
        for leg in self._legs:
            facts = self._log.timelines.get(leg.timeline)
            names = [*(item.name for item in facts.segments), *facts.missing] if facts else []
            if any(self._in(leg, name) and self._start(name) >= position for name in names):
                return True
        return False

    def _in(self, leg: Leg, name: str) -> bool:
        start = self._start(name)
        return leg.start <= start and (leg.end is None or start < leg.end)

    def _start(self, name: str) -> int:
        return segment_start(name, self.segment_bytes)


def own_range(manifest: BackupManifest) -> WalRange:
    """The log that a backup holds itself."""
    return WalRange(
        manifest.server.timeline,
        parse_lsn(manifest.start_lsn),
        parse_lsn(manifest.restore_point.lsn),
        manifest.server.wal_segment_bytes,
        int(manifest.server.system_identifier),
    )


def own_segments(manifest: BackupManifest) -> frozenset[str]:
    """The names of the segments that a backup holds itself."""
    return frozenset(own_range(manifest).segments())


def _end_in_own(manifest: BackupManifest, position: int) -> int:
    """A backup's own log is known to be there up to its restore point."""
    return min(position, parse_lsn(manifest.restore_point.lsn))


def _floor(position: int, segment_bytes: int) -> int:
    return position - position % segment_bytes

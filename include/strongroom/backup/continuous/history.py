"""Timeline histories: which timeline the log was on at each position, and where it switched.

    <parent timeline> <TAB> <LSN of the switch> <TAB> <reason>      one line per ancestor, oldest first

`00000003.history` describes timeline 3: `1 0/5000000 …`, `2 0/9000000 …` means that the log ran on timeline 1 up
to 0/5000000, on 2 up to 0/9000000, and on 3 from there (src/backend/access/transam/timeline.c). The first timeline
has no history.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from strongroom.backup.continuous.errors import HistoryError
from strongroom.backup.continuous.segments import segment_floor
from strongroom.postgres import format_lsn, parse_lsn
from strongroom.postgres.errors import InvalidLsnError

_NAME = re.compile(r"([0-9A-F]{8})\.history")
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class TimelineSwitch:
    """The end of an ancestor."""

    timeline: int
    """The ancestor that ended."""
    position: int
    """Where: the first byte that is its successor's."""


@dataclass(frozen=True)
class Leg:
    """A stretch of the log that lies in one timeline's segment files."""

    timeline: int
    start: int
    """Where its first segment starts."""
    end: int | None
    """Where its last segment ends; None on the last timeline."""


@dataclass(frozen=True)
class TimelineHistory:
    """The way the log took to a timeline."""

    timeline: int
    switches: tuple[TimelineSwitch, ...] = ()
    """Oldest first."""

    @property
    def timelines(self) -> tuple[int, ...]:
        """The ancestors, oldest first, and the timeline itself."""
        return (*(switch.timeline for switch in self.switches), self.timeline)

    def timeline_at(self, position: int) -> int:
        """The timeline on which the byte at `position` was written."""
        return next((item.timeline for item in self.switches if position < item.position), self.timeline)

    def end_of(self, timeline: int) -> int | None:
        """Where an ancestor ended; None for the timeline itself.

        Raises:
            HistoryError: that timeline is none of them.
        """
        for switch in self.switches:
            if switch.timeline == timeline:
                return switch.position
        if timeline == self.timeline:
            return None
        raise HistoryError(f"Timeline {timeline} is no ancestor of timeline {self.timeline}.")

    def extends(self, older: TimelineHistory) -> bool:
        """Whether `older` is this one's timeline or an ancestor's, with the same past."""
        if older.timeline not in self.timelines:
            return False
        count = self.timelines.index(older.timeline)
        return self.switches[:count] == older.switches

    def legs(self, segment_bytes: int) -> list[Leg]:
        """Which timeline's files hold the log, from its beginning on.

        The segment in which a switch lies belongs to the new timeline, whose file holds what came before too.
        """
        begins = [0, *(segment_floor(switch.position, segment_bytes) for switch in self.switches)]
        ends: list[int | None] = [*begins[1:], None]
        legs = [Leg(*leg) for leg in zip(self.timelines, begins, ends, strict=True)]
        return [leg for leg in legs if leg.end is None or leg.start < leg.end]

    def headers_in(self, start: int, segment_bytes: int) -> frozenset[int]:
        """Whose page headers may stand in the segment that starts at `start`."""
        last = start + segment_bytes - 1
        ends = [switch.position for switch in self.switches]
        stretches = zip(self.timelines, [0, *ends], [*ends, None], strict=True)
        return frozenset(
            timeline for timeline, begin, end in stretches if begin <= last and (end is None or end >= start)
        )

    def format(self) -> str:
        """The history as PostgreSQL reads it."""
        return "".join(
            f"{item.timeline}\t{format_lsn(item.position)}\tno reason kept\n" for item in self.switches
        )


def history_name(timeline: int) -> str:
    """The file name of a timeline's history."""
    return f"{timeline:08X}.history"


def timeline_of_history(name: str) -> int | None:
    """The timeline whose history has that file name; None when no history can have it."""
    match = _NAME.fullmatch(name)
    return int(match[1], 16) if match else None


def parse_history(timeline: int, text: str | bytes) -> TimelineHistory:
    """The history in a `.history` file.

    Raises:
        HistoryError: it is no history of that timeline.
    """
    if len(text) > _MOST_BYTES:
        raise HistoryError(f"The history of timeline {timeline} is too long to be one.")
    lines = (text.decode(errors="replace") if isinstance(text, bytes) else text).splitlines()
    switches = tuple(_switches(timeline, lines))
    return checked_history(TimelineHistory(timeline, switches))


def checked_history(history: TimelineHistory) -> TimelineHistory:
    """The history, if there can be such a one: ancestors ascend, and so do the places of the switches.

    Raises:
        HistoryError: there cannot.
    """
    timelines = history.timelines
    positions = [switch.position for switch in history.switches]
    rising = all(old < new for old, new in itertools.pairwise(timelines))
    if timelines[0] < 1 or not rising or positions != sorted(positions):
        raise HistoryError(f"The history of timeline {history.timeline} contradicts itself.")
    if history.timeline > 1 and not history.switches:
        raise HistoryError(f"The history of timeline {history.timeline} names no ancestor.")
    return history


def _switches(timeline: int, lines: list[str]) -> Iterator[TimelineSwitch]:
    for line in lines:
        parts = line.split("#", 1)[0].split(None, 2)
        if not parts:
            continue
        try:
            yield TimelineSwitch(int(parts[0]), parse_lsn(parts[1]))
        except (ValueError, IndexError, InvalidLsnError) as error:
            raise HistoryError(f"The history of timeline {timeline} has a line that is none.") from error

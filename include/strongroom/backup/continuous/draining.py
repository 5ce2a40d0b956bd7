"""Fetching complete segments from the source, a window at a time, and checking each before it goes anywhere.

A window lies within one timeline and is small, so that neither memory nor the private directory fills up, however
much there is to catch up on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from strongroom.backup.continuous.errors import ForeignSegmentError, SegmentError, WalRemovedError
from strongroom.backup.continuous.history import TimelineHistory
from strongroom.backup.continuous.records import verify_records
from strongroom.backup.continuous.segments import Expected, names_between, start_of, verify_segment
from strongroom.backup.continuous.source import WalSource
from strongroom.backup.errors import SourceFailedError
from strongroom.backup.wal import fetch_wal
from strongroom.postgres import segment_name

_WINDOW_BYTES = 128 << 20
_FEWEST = 2
_REMOVED = r'(?<![\w/"]){name}(?![\w."])'
"""Walsender's complaint names the removed segment; the words around it are in the server's own language."""


@dataclass(frozen=True)
class Tools:
    """PostgreSQL's programs on this host."""

    receiver: Path
    """`pg_receivewal`, at least as new as the source."""
    record_reader: Path | None
    """`pg_waldump` of the source's own version; None when this host has none."""


@dataclass(frozen=True)
class Window:
    """Segments of one timeline that follow one another."""

    timeline: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Drained:
    """What a window gave."""

    paths: tuple[Path, ...]
    """The segments that were fetched, checked, in order from the window's first."""
    lost: str | None = None
    """The first segment that cannot be had; None when all are here."""
    damaged: bool = False
    """Whether the lost one is there and damaged, and was to be skipped; else the source has removed it."""


def windows(history: TimelineHistory, start: int, end: int, segment_bytes: int) -> Iterator[Window]:
    """The segments from one position to another, on the way that the history describes."""
    size = max(_FEWEST, _WINDOW_BYTES // segment_bytes)
    for leg in history.legs(segment_bytes):
        stop = end if leg.end is None else min(end, leg.end)
        names = names_between(leg.timeline, max(start, leg.start), stop, segment_bytes)
        for first in range(0, len(names), size):
            yield Window(leg.timeline, tuple(names[first : first + size]))


class Drain:
    """Fetches windows into a directory.

    Args:
        tools: `pg_receivewal`, and what reads records.
        conninfo: the source.
        source: its facts.
        directory: private, emptied by `clear`.
        alive: called while waiting.
        skip_damaged: a segment to leave out if it is damaged.
    """

    def __init__(
        self,
        tools: Tools,
        conninfo: str,
        source: WalSource,
        directory: Path,
        alive: Callable[[], None],
        *,
        skip_damaged: str | None = None,
    ) -> None:
        self._tools = tools
        self._conninfo = conninfo
        self._source = source
        self._directory = directory
        self._alive = alive
        self._skip = skip_damaged

    def fetch(self, window: Window) -> Drained:
        """Fetch the segments of a window and check that they are what their names say.

        Raises:
            SegmentError: one is damaged, or another cluster's.
            SourceFailedError: the connection broke.
        """
        removed = None
        try:
            paths = self._receive(window.names)
        except WalRemovedError:
            paths = self._complete(window.names)
            removed = window.names[len(paths)]
        try:
            self._verify(paths)
        except ForeignSegmentError:
            raise
        except SegmentError as error:
            if error.segment != self._skip:
                raise
            sound = paths[: window.names.index(error.segment)]
            self._verify(sound)
            return Drained(tuple(sound), error.segment, damaged=True)
        return Drained(tuple(paths), removed)

    def clear(self) -> None:
        """Delete what was fetched."""
        for path in self._directory.iterdir():
            path.unlink()

    def _receive(self, names: Sequence[str]) -> list[Path]:
        size = self._source.segment_bytes
        start = start_of(names[0], size)
        try:
            return fetch_wal(
                self._tools.receiver,
                self._conninfo,
                self._directory,
                after_segment=segment_name(int(names[0][:8], 16), start - size, size),
                until=start + len(names) * size,
                segment_bytes=size,
                alive=self._alive,
            )
        except SourceFailedError as error:
            if any(re.search(_REMOVED.format(name=name), error.message) for name in names):
                raise WalRemovedError(error.message, hint=error.hint) from error
            raise

    def _complete(self, names: Sequence[str]) -> list[Path]:
        """The segments from the window's first on that arrived whole."""
        paths: list[Path] = []
        for name in names[:-1]:
            path = self._directory / name
            if not path.is_file() or path.stat().st_size != self._source.segment_bytes:
                break
            paths.append(path)
        return paths

    def _verify(self, paths: Sequence[Path]) -> None:
        for path in paths:
            verify_segment(path, self._expected(path.name))
        if paths and self._tools.record_reader is not None:
            size = self._source.segment_bytes
            verify_records(
                self._tools.record_reader,
                self._directory,
                timeline=int(paths[0].name[:8], 16),
                start=start_of(paths[0].name, size),
                end=start_of(paths[-1].name, size) + size,
                segment_bytes=size,
            )

    def _expected(self, name: str) -> Expected:
        size = self._source.segment_bytes
        return Expected(
            int(self._source.system_identifier),
            size,
            self._source.history.headers_in(start_of(name, size), size),
        )

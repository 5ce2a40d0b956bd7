"""Fetching the log ahead of recovery: several segments at once, decrypted, checked, and no more than fit the spool.

One thread watches what recovery asks for and keeps the fetching threads busy with what comes next. Recovery may go
back (a restarted server begins at its last restart point); what it asks for is then fetched again, at once.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from strongroom.backup.continuous import ArchivedSegment
from strongroom.backup.restoring.errors import ContentSizeError, DiskFullError, WrongSegmentError
from strongroom.backup.restoring.spool import Spool
from strongroom.backup.restoring.wal import WalRange, segment_problem
from strongroom.errors import StrongroomError
from strongroom.vault import StoredObject

Buffer = bytes | bytearray | memoryview
Opener = Callable[[StoredObject], AbstractContextManager[Iterable[Buffer]]]

_POLL_SECONDS = 0.01
_WORKERS = 2


@dataclass(frozen=True)
class LogSource:
    """Where the log comes from.

    Args:
        segments: the archived segments of the plan, in order.
        open: opens a sealed object.
        wanted: what the segments must be.
        last: the plan's last segment: what comes after it is the end.
        check: refuses a segment that must not be replayed, by an exception.
        find_history: the archive's copy of a timeline history by its file name; None where it confirms that
            there is none.
    """

    segments: Sequence[ArchivedSegment]
    open: Opener
    wanted: WalRange
    last: str
    check: Callable[[Path], None]
    find_history: Callable[[str], StoredObject | None]


class Prefetcher:
    """Keeps the spool filled while its block is entered.

    Args:
        spool: made already, with the backup's own log in it.
        source: what to fetch.
        spool_bytes: how much may lie ready.
        progress: told how many archived segments recovery has taken.
    """

    def __init__(
        self,
        spool: Spool,
        source: LogSource,
        spool_bytes: int,
        progress: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._spool = spool
        self._source = source
        self._places = {item.name: number for number, item in enumerate(source.segments)}
        self._capacity = max(2, spool_bytes // source.wanted.segment_bytes)
        self._progress = progress
        self._next = self._asked = 0
        self._running: dict[str, Future[None]] = {}
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="prefetch")
        self._watcher = threading.Thread(target=self._watch, name="prefetch-watch", daemon=True)
        self.error: Exception | None = None

    def __enter__(self) -> Prefetcher:
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._watcher.join()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._spool.give_up()

    def check(self) -> None:
        """Let the caller know what broke.

        Raises:
            StrongroomError: a segment could not be fetched, or was not what the plan names.
        """
        if self.error is not None:
            raise self.error

    @property
    def came_to_the_end(self) -> bool:
        """Whether recovery took the plan's last segment and then asked for more."""
        asked = {name for name in self._spool.asked_ever if len(name) == len(self._source.last)}
        return self._source.last in asked and any(self._beyond(name) for name in asked)

    def _watch(self) -> None:
        try:
            while not self._stop.wait(_POLL_SECONDS):
                self._look()
        except Exception as error:
            self.error = _named(error, self._spool)
            self._spool.give_up()

    def _look(self) -> None:
        for name in [name for name, fetch in self._running.items() if fetch.done()]:
            self._running.pop(name).result()
        for name in self._spool.asked():
            self._answer(name)
        ready = self._kept()
        while self._next < len(self._source.segments) and len(ready) + len(self._running) < self._capacity:
            name = self._source.segments[self._next].name
            self._next += 1
            if name not in ready:
                self._begin(name)

    def _kept(self) -> set[str]:
        """What lies ready and may still be wanted; the rest, fetched twice, makes room."""
        ready = self._spool.ready()
        passed = {name for name in ready if self._passed(name) and self._spool.was_taken(name)}
        for name in passed:
            self._spool.forget(name)
        return ready - passed

    def _passed(self, name: str) -> bool:
        return self._places.get(name, self._asked) < self._asked

    def _answer(self, name: str) -> None:
        if name in self._places:
            self._asked = self._places[name]
            self._progress(self._asked + 1)
        if self._spool.has_own(name) or name in self._running or name in self._spool.ready():
            return
        if name in self._places:
            if not self._spool.was_taken(name):
                self._next = self._asked + 1
                self._begin(name)
        elif name.endswith(".history"):
            self._history(name)
        elif self._beyond(name):
            self._spool.confirm_absent(name)
        else:
            raise WrongSegmentError(
                f"Recovery asked for {name}, which the plan does not hold.",
                hint="The backup and the log do not belong together. Choose another backup.",
            )

    def _beyond(self, name: str) -> bool:
        """Whether a segment lies after the plan's last one, whatever its timeline."""
        return name[8:] > self._source.last[8:]

    def _history(self, name: str) -> None:
        found = self._source.find_history(name)
        if found is None:
            self._spool.confirm_absent(name)
            return
        self._write(name, found)
        self._spool.give(name)

    def _begin(self, name: str) -> None:
        if name not in self._running:
            self._running[name] = self._pool.submit(self._fetch, self._places[name])

    def _fetch(self, place: int) -> None:
        item = self._source.segments[place]
        path = self._write(item.name, item.stored())
        problem = segment_problem(path, self._source.wanted)
        if problem:
            raise WrongSegmentError(
                f"The WAL segment {item.name} of the archive {problem}.",
                hint="Nothing after it can be restored from this archive; choose an earlier target.",
            )
        self._source.check(path)
        self._spool.give(item.name)

    def _write(self, name: str, reference: StoredObject) -> Path:
        path = self._spool.coming(name)
        size = 0
        with path.open("wb") as file, self._source.open(reference) as content:
            for piece in content:
                size += len(piece)
                if size > reference.plaintext_bytes:
                    break
                file.write(piece)
        if size != reference.plaintext_bytes:
            raise ContentSizeError(
                f"{reference.key} opens to another length than the {reference.plaintext_bytes} bytes recorded."
            )
        return path


def _named(error: Exception, spool: Spool) -> Exception:
    """A full disk under its own name; everything else as it is."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(
            f"The disk of {spool.directory.parent} filled up.",
            hint="Free some room, or choose a larger place; then run the same restore again.",
        )
    if isinstance(error, OSError | StrongroomError):
        return error
    return StrongroomError(f"Fetching the log failed: {type(error).__name__}: {error}")

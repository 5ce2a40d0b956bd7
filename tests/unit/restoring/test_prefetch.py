"""The prefetcher stays ahead of recovery, within its room, and confirms nothing that it does not know."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from strongroom.backup.continuous import ArchivedSegment
from strongroom.backup.restoring.errors import ContentSizeError, WrongSegmentError
from strongroom.backup.restoring.prefetch import LogSource, Prefetcher
from strongroom.backup.restoring.spool import Spool
from strongroom.backup.restoring.wal import WalRange
from strongroom.postgres import segment_name, segment_start
from strongroom.storage.errors import StoreUnavailableError
from strongroom.vault import StoredObject

SEGMENT = 1 << 20
WANTED = WalRange(1, 0, SEGMENT, SEGMENT, 42)


def content_of(name: str, identity: int = 42) -> bytes:
    """A segment that holds its long page header and nothing else."""
    address = segment_start(name, SEGMENT)
    return struct.pack("<HHIQI4xQII", 0xD118, 2, 1, address, 0, identity, SEGMENT, 8192).ljust(SEGMENT, b"\0")


def name(number: int) -> str:
    return segment_name(1, number * SEGMENT, SEGMENT)


class Archive:
    """Ten segments, of which it counts what was opened."""

    def __init__(self) -> None:
        self.segments = tuple(
            ArchivedSegment(name(number), f"wal/{name(number)}.zst.age", 9, "0" * 64, SEGMENT, ())
            for number in range(1, 11)
        )
        self.opened: list[str] = []
        self.broken: dict[str, Exception] = {}
        self.content: dict[str, bytes] = {}
        self._lock = threading.Lock()

    @contextmanager
    def open(self, reference: StoredObject) -> Iterator[list[bytes]]:
        found = reference.key.removeprefix("wal/").removesuffix(".zst.age")
        with self._lock:
            self.opened.append(found)
        if found in self.broken:
            raise self.broken[found]
        yield [self.content.get(found) or content_of(found)]


@pytest.fixture
def archive() -> Archive:
    return Archive()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "spool", None)
    made.make()
    return made


def prefetcher(spool: Spool, archive: Archive, room: int = 3) -> Prefetcher:
    source = LogSource(archive.segments, archive.open, WANTED, name(10), lambda path: None, lambda name: None)
    return Prefetcher(spool, source, room * SEGMENT)


def until(condition: object) -> None:
    deadline = time.monotonic() + 10
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.005)


def ask(spool: Spool, wanted: str) -> None:
    (spool.directory / "asked" / wanted).touch()


def take(spool: Spool, wanted: str) -> None:
    """As the restore command does."""
    (spool.directory / "taken" / wanted).unlink(missing_ok=True)
    ask(spool, wanted)
    until(lambda: wanted in spool.ready())
    (spool.directory / "ready" / wanted).unlink()
    (spool.directory / "taken" / wanted).touch()


def test_it_stays_ahead_and_within_its_room(spool: Spool, archive: Archive) -> None:
    with prefetcher(spool, archive):
        until(lambda: len(spool.ready()) == 3)
        time.sleep(0.1)
        assert spool.ready() == {name(1), name(2), name(3)}
        for number in range(1, 11):
            take(spool, name(number))
        assert len(archive.opened) < 13, "hardly any was fetched twice"


def test_what_is_asked_for_again_is_fetched_again(spool: Spool, archive: Archive) -> None:
    with prefetcher(spool, archive):
        for number in (*range(1, 8), 2, 3, 4, 5, 6, 7, 8, 9, 10):
            take(spool, name(number))
        until(lambda: spool.ready() <= {name(10)})


def test_the_end_is_confirmed_only_after_the_last_segment(spool: Spool, archive: Archive) -> None:
    with prefetcher(spool, archive, room=10) as running:
        ask(spool, name(11))
        until(lambda: (spool.directory / "absent" / name(11)).exists())
        assert not running.came_to_the_end, "the last segment was never taken"
        take(spool, name(10))
        until(lambda: running.came_to_the_end)
        ask(spool, "00000002.history")
        until(lambda: (spool.directory / "absent" / "00000002.history").exists())


@pytest.mark.parametrize("kind", ["gone", "short", "foreign", "unknown"])
def test_whatever_goes_wrong_stops_the_server_and_is_told(spool: Spool, archive: Archive, kind: str) -> None:
    expected: type[Exception] = WrongSegmentError
    if kind == "gone":
        archive.broken[name(2)], expected = StoreUnavailableError("gone"), StoreUnavailableError
    elif kind == "short":
        archive.content[name(2)], expected = b"short", ContentSizeError
    elif kind == "foreign":
        archive.content[name(2)] = content_of(name(2), 43)
    with prefetcher(spool, archive) as running:
        if kind == "unknown":
            ask(spool, name(0))
        until(lambda: (spool.directory / "broken").exists())
        assert name(2) not in spool.ready() or kind == "unknown"
        with pytest.raises(expected):
            running.check()

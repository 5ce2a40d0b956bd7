"""Making one step of a run go wrong: a call to the store, or a commit in the control database.

A step fails *before* it acts, in the *middle* of its stream, or *after* it acted, when only the answer is
lost. It fails with an error, or the process is killed there.
"""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, TypeVar

import psycopg
from sqlalchemy import Engine

from strongroom.audit.database import LogDatabase
from strongroom.storage import (
    Buffer,
    Condition,
    ObjectInfo,
    ObjectStore,
    Retention,
    StoreCapabilities,
    StoreUnavailableError,
)

Moment = Literal["before", "middle", "after"]
Harm = Literal["error", "kill"]
Result = TypeVar("Result")
COMMIT = "commit"


@dataclass(frozen=True)
class Step:
    """One thing a run did that can go wrong."""

    name: str
    """The store's method and the key, or `commit`."""
    writes: bool
    streams: bool

    def moments(self, harm: Harm) -> tuple[Moment, ...]:
        """When this step can go wrong in a way that differs from every other.

        Killed before a step is killed after the one before it; a reading step leaves nothing behind at all.
        """
        if harm == "kill":
            middle: tuple[Moment, ...] = ("middle",) if self.streams and self.writes else ()
            return (*middle, "after") if self.writes else ()
        return ("before", *(("middle",) if self.streams else ()), *(("after",) if self.writes else ()))


@dataclass(frozen=True)
class Fault:
    """What goes wrong: the step at a position, counted from 1."""

    position: int
    moment: Moment
    harm: Harm
    lasting: bool = False
    """Whether every later step of the same name goes wrong as well."""


class Faults:
    """Counts the steps of one run, and lets one of them go wrong.

    Args:
        fault: which; None only counts.
    """

    def __init__(self, fault: Fault | None = None) -> None:
        self._fault = fault
        self._lock = threading.Lock()
        self.steps: list[Step] = []
        self.struck = False
        """Whether the run came to where it was to go wrong."""

    def begin(self, name: str, *, writes: bool = False, streams: bool = False) -> Strike:
        """Count a step; the answer makes it go wrong where it should."""
        with self._lock:
            self.steps.append(Step(name, writes, streams))
            here = self._fault is not None and self._is_at(self._fault, name)
        return Strike(self, self._fault if here else None, name)

    def _is_at(self, fault: Fault, name: str) -> bool:
        lasts = fault.lasting and self.struck and self.steps[fault.position - 1].name == name
        return lasts or fault.position == len(self.steps)


@dataclass(frozen=True)
class Strike:
    """One step's fault, if it has one."""

    faults: Faults
    fault: Fault | None
    name: str

    def at(self, moment: Moment, error: Callable[[], Exception] | None = None) -> None:
        """Go wrong, if this is the moment."""
        if not self.is_at(moment):
            return
        self.faults.struck = True
        if self.fault is not None and self.fault.harm == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)
        raise error() if error else StoreUnavailableError(f"The store did not answer at {self.name}.")

    def is_at(self, moment: Moment) -> bool:
        return self.fault is not None and self.fault.moment == moment


class FaultyStore(ObjectStore):
    """A store of which one call goes wrong.

    Args:
        inner: the store that does the work.
        faults: counts the calls, and knows which one.
    """

    def __init__(self, inner: ObjectStore, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults
        self.url = inner.url

    def capabilities(self) -> StoreCapabilities:
        return self._call("capabilities", "", self._inner.capabilities)

    def put_stream(
        self,
        key: str,
        chunks: Iterable[Buffer],
        *,
        condition: Condition = Condition.IF_ABSENT,
        retention: Retention | None = None,
    ) -> ObjectInfo:
        strike = self._faults.begin(f"put_stream {key}", writes=True, streams=True)
        strike.at("before")
        info = self._inner.put_stream(key, _cut(chunks, strike), condition=condition, retention=retention)
        strike.at("after")
        return info

    def put_bytes(
        self,
        key: str,
        data: bytes,
        *,
        condition: Condition = Condition.IF_ABSENT,
        retention: Retention | None = None,
    ) -> ObjectInfo:
        def put() -> ObjectInfo:
            return self._inner.put_bytes(key, data, condition=condition, retention=retention)

        return self._call("put_bytes", key, put, writes=True)

    def open_range(
        self, key: str, start_byte: int = 0, length_bytes: int | None = None, *, version_id: str | None = None
    ) -> BinaryIO:
        strike = self._faults.begin(f"open_range {key}", streams=True)
        strike.at("before")
        opened = self._inner.open_range(key, start_byte, length_bytes, version_id=version_id)
        if not strike.is_at("middle"):
            return opened
        half = self._inner.head(key, version_id=version_id).size_bytes // 2
        return io.BufferedReader(_DyingReader(opened, half, strike))

    def get_bytes(self, key: str, **options: Any) -> bytes:
        return self._call("get_bytes", key, lambda: self._inner.get_bytes(key, **options))

    def head(self, key: str, **options: Any) -> ObjectInfo:
        return self._call("head", key, lambda: self._inner.head(key, **options))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return self._listing("list", prefix, self._inner.list)

    def list_versions(self, prefix: str) -> Iterator[ObjectInfo]:
        return self._listing("list_versions", prefix, self._inner.list_versions)

    def delete_version(self, key: str, version_id: str | None) -> None:
        self._call("delete_version", key, lambda: self._inner.delete_version(key, version_id), writes=True)

    def abort_incomplete_uploads(self, prefix: str) -> int:
        return self._call(
            "abort_incomplete_uploads",
            prefix,
            lambda: self._inner.abort_incomplete_uploads(prefix),
            writes=True,
        )

    def set_hold(self, key: str, held: bool, *, version_id: str | None = None) -> None:
        self._call(
            "set_hold", key, lambda: self._inner.set_hold(key, held, version_id=version_id), writes=True
        )

    def extend_retention(self, key: str, retention: Retention, *, version_id: str | None = None) -> None:
        def extend() -> None:
            self._inner.extend_retention(key, retention, version_id=version_id)

        self._call("extend_retention", key, extend, writes=True)

    def _call(self, method: str, key: str, act: Callable[[], Result], *, writes: bool = False) -> Result:
        strike = self._faults.begin(f"{method} {key}".strip(), writes=writes)
        strike.at("before")
        result = act()
        strike.at("after")
        return result

    def _listing(
        self, method: str, prefix: str, of: Callable[[str], Iterator[ObjectInfo]]
    ) -> Iterator[ObjectInfo]:
        """Counted when the first entry is asked for: that is when a store is called."""
        strike = self._faults.begin(f"{method} {prefix}", streams=True)
        strike.at("before")
        for info in of(prefix):
            yield info
            strike.at("middle")
        strike.at("middle")


def _cut(chunks: Iterable[Buffer], strike: Strike) -> Iterator[Buffer]:
    for chunk in chunks:
        yield chunk
        strike.at("middle")
    strike.at("middle")


class _DyingReader(io.RawIOBase):
    """A stream that goes wrong after its first bytes."""

    def __init__(self, inner: BinaryIO, left: int, strike: Strike) -> None:
        self._inner, self._left, self._strike = inner, left, strike

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")[: self._left]
        if not view:
            self._strike.at("middle")
        data = self._inner.read(len(view))
        view[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def close(self) -> None:
        self._inner.close()
        super().close()


@contextmanager
def watched_commits(engine: Engine, faults: Faults) -> Iterator[None]:
    """Make every commit of the control database a step too, those of the audit log's sealer included."""
    dialect: Any = engine.dialect
    commit, transaction = dialect.do_commit, LogDatabase.transaction

    def do_commit(connection: Any) -> None:
        strike = faults.begin(COMMIT, writes=True)
        strike.at("before", lambda: _cut_off(connection))
        commit(connection)
        strike.at("after", lambda: _cut_off(connection))

    @contextmanager
    def sealing(log: LogDatabase) -> Iterator[None]:
        with transaction(log):
            yield
            strike = faults.begin(COMMIT, writes=True)
            strike.at("before", lambda: _cut_off(log._connection))
        strike.at("after", lambda: _cut_off(log._connection))

    dialect.do_commit = do_commit
    LogDatabase.transaction = sealing  # type: ignore[method-assign]
    try:
        yield
    finally:
        dialect.do_commit = commit
        LogDatabase.transaction = transaction  # type: ignore[method-assign]


def _cut_off(connection: Any) -> Exception:
    """The error of a connection that is gone, which it then is."""
    getattr(connection, "driver_connection", connection).close()
    return psycopg.OperationalError("server closed the connection unexpectedly")

"""A log of our own: a control database, a local store, a key, a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from strongroom.access import Actor, ActorKind, Role
from strongroom.audit import AuditLog, Event, EventType, QueueSink, Target
from strongroom.clock import FixedClock
from strongroom.signing import SignerKey
from strongroom.storage import LocalObjectStore, ObjectStore

TASK = Actor("nightly_backup.shop", ActorKind.TASK, frozenset({Role.OPERATOR}), host="worker-1")


def object_event(number: int, actor: Actor = TASK) -> Event:
    return Event(
        type=EventType.BACKUP_OBJECT_WRITE,
        phase="result",
        outcome="success",
        actor=actor,
        target=Target("object", f"backups/shop/{number}", size_bytes=number),
        database="shop",
    )


@dataclass
class LogUnderTest:
    """Everything around one log."""

    engine: Engine
    directory: Path
    signer: SignerKey
    clock: FixedClock

    @property
    def store(self) -> LocalObjectStore:
        return LocalObjectStore(self.directory)

    def log(self, store: ObjectStore | None = None) -> AuditLog:
        return AuditLog(self.engine, store or self.store, self.signer, self.clock)

    def record(self, count: int) -> list[UUID]:
        sink = QueueSink(self.clock)
        with self.engine.begin() as connection:
            return [sink.emit(connection, object_event(number)) for number in range(count)]

    def scalar(self, statement: str) -> object:
        with self.engine.connect() as connection:
            return connection.execute(text(statement)).scalar()

    def event_ids(self) -> list[UUID]:
        with self.engine.connect() as connection:
            return list(connection.execute(text("SELECT event_id FROM audit_entry ORDER BY seq")).scalars())


@pytest.fixture
def subject(control_database: Engine, tmp_path: Path) -> LogUnderTest:
    """A log with nothing in it."""
    clock = FixedClock(datetime(2026, 11, 24, 3, 0, tzinfo=UTC))
    return LogUnderTest(control_database, tmp_path / "bucket", SignerKey.generate("test.example/log"), clock)


@pytest.fixture
def rewrite(subject: LogUnderTest) -> Callable[[str, Callable[[bytes], bytes]], None]:
    """Change a published object behind the log's back."""
    from strongroom.storage import Condition

    def change(key: str, alter: Callable[[bytes], bytes]) -> None:
        store = subject.store
        store.put_bytes(key, alter(store.get_bytes(key)), condition=Condition.OVERWRITE)

    return change

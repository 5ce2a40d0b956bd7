"""What every kind of run records in the same way: its events, and rows in the same transaction as an event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from strongroom.access import Actor
from strongroom.audit import AuditSink, Event, EventType, PolicyReference, Target
from strongroom.catalog import CatalogUnavailableError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


@dataclass(frozen=True)
class RunLog:
    """The events of one run, over one database or over the installation.

    Args:
        engine: of the control database.
        sink: takes the events.
        actor: who runs it.
        database: what it is about; None for the whole installation.
        target: what its events are about, where they do not say otherwise.
        policy_sha256: of the policy it follows; None where none is involved.
        correlation_id: the same in all its events.
    """

    engine: Engine
    sink: AuditSink
    actor: Actor
    database: str | None
    target: Target
    policy_sha256: str | None
    correlation_id: str

    def emit(self, kind: EventType, phase: Any, outcome: Any = None, **members: Any) -> None:
        """Record one event.

        Raises:
            CatalogUnavailableError: the control database does not answer.
        """
        with self.transaction() as connection:
            self.sink.emit(connection, self.event(kind, phase, outcome, **members))

    def event(
        self,
        kind: EventType,
        phase: Any,
        outcome: Any = None,
        *,
        target: Target | None = None,
        counts: Mapping[str, int] | None = None,
        hashes: Mapping[str, str] | None = None,
        details: Mapping[str, Any] | None = None,
        error: BaseException | None = None,
    ) -> Event:
        """An event of this run; of an error it holds the class alone."""
        return Event(
            type=kind,
            phase=phase,
            outcome=outcome,
            actor=self.actor,
            target=target or self.target,
            database=self.database,
            policy=PolicyReference(self.policy_sha256) if self.policy_sha256 else None,
            counts=counts or {},
            hashes=hashes or {},
            details=details or {},
            correlation_id=self.correlation_id,
            error_class=type(error).__name__ if error else None,
        )

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction of the control database, for an event and what it is about.

        Raises:
            CatalogUnavailableError: the control database does not answer.
        """
        from sqlalchemy.exc import OperationalError

        try:
            with self.engine.begin() as connection:
                yield connection
        except OperationalError as error:
            raise CatalogUnavailableError(
                "The control database does not answer.",
                hint="Is it running, and is `control_database` right?",
            ) from error

"""What a run of the shipper records in the audit log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from strongroom.access import Actor
from strongroom.audit import AuditSink, Event, EventType, PolicyReference, Target
from strongroom.backup.continuous.errors import GapError
from strongroom.backup.continuous.layout import wal_prefix
from strongroom.backup.continuous.plan import WalPlan, WalSummary
from strongroom.catalog import CatalogUnavailableError, ObjectRepository
from strongroom.errors import StrongroomError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


@dataclass(frozen=True)
class WalRecorder:
    """Records one run."""

    engine: Engine
    sink: AuditSink
    actor: Actor
    plan: WalPlan
    correlation_id: str

    def attempt(self) -> None:
        """The run is about to begin."""
        self._emit(EventType.WAL_SEGMENT_SHIP, "attempt")

    def refused(self, error: BaseException) -> None:
        """The actor may not."""
        details = {"permission": "ship_wal"}
        self._emit(EventType.ACCESS_PERMISSION_REFUSE, "result", "denied", error=error, details=details)

    def failure(self, error: BaseException) -> None:
        """The run failed. When even that cannot be recorded, the error says so."""
        try:
            if isinstance(error, GapError):
                details = {"first_missing": error.first_missing}
                self._emit(EventType.WAL_GAP_FIND, "result", "failure", error=error, details=details)
            self._emit(EventType.WAL_SEGMENT_SHIP, "result", "failure", error=error)
        except StrongroomError as unrecorded:
            error.add_note(f"This failure could not be recorded: {unrecorded.message}")

    def success(self, summary: WalSummary) -> None:
        """The run is over."""
        self._emit(
            EventType.WAL_SEGMENT_SHIP,
            "result",
            "partial" if summary.warnings else "success",
            counts={
                "segments": summary.segments,
                "plaintext_bytes": summary.plaintext_bytes,
                "stored_bytes": summary.stored_bytes,
                "lag_bytes_found": summary.lag_bytes_found,
                "lag_bytes_left": summary.lag_bytes_left,
            },
            details={
                "system_identifier": summary.system_identifier,
                "timeline": summary.timeline,
                "position": summary.position,
                "slot_created": summary.slot_created,
            },
        )

    def dropping_slot(self, slot: str) -> None:
        """The slot is about to be dropped."""
        self._emit(EventType.WAL_SLOT_DROP, "attempt", target=Target("slot", slot))

    def dropped_slot(self, slot: str, error: BaseException | None = None) -> None:
        """It is gone, or could not be dropped."""
        outcome = "success" if error is None else "failure"
        self._emit(EventType.WAL_SLOT_DROP, "result", outcome, target=Target("slot", slot), error=error)

    def removing_leftover(self, key: str) -> None:
        """A segment that no receipt names is about to be deleted."""
        self._emit(EventType.WAL_LEFTOVER_REMOVE, "attempt", target=Target("object", key))

    def removed_leftover(self, key: str, *, locked: bool) -> None:
        """It is gone, or a lock keeps it."""
        with self._transaction() as connection:
            if not locked:
                ObjectRepository().remove(connection, key)
            outcome = "partial" if locked else "success"
            event = self._event(
                EventType.WAL_LEFTOVER_REMOVE, "result", outcome, target=Target("object", key)
            )
            self.sink.emit(connection, event)

    def _emit(self, kind: EventType, phase: Any, outcome: Any = None, **members: Any) -> None:
        with self._transaction() as connection:
            self.sink.emit(connection, self._event(kind, phase, outcome, **members))

    def _event(
        self,
        kind: EventType,
        phase: Any,
        outcome: Any = None,
        *,
        target: Target | None = None,
        counts: Mapping[str, int] | None = None,
        details: Mapping[str, Any] | None = None,
        error: BaseException | None = None,
    ) -> Event:
        return Event(
            type=kind,
            phase=phase,
            outcome=outcome,
            actor=self.actor,
            target=target or Target("wal", wal_prefix(self.plan.database)),
            database=self.plan.database,
            policy=PolicyReference(self.plan.policy_sha256),
            counts=counts or {},
            details=details or {},
            correlation_id=self.correlation_id,
            error_class=type(error).__name__ if error else None,
        )

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        from sqlalchemy.exc import OperationalError

        try:
            with self.engine.begin() as connection:
                yield connection
        except OperationalError as error:
            raise CatalogUnavailableError(
                "The control database does not answer.",
                hint="Is it running, and is `control_database` right?",
            ) from error

"""What a run of the shipper records in the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from strongroom.access import Actor
from strongroom.audit import AuditSink, EventType, Target
from strongroom.backup.continuous.errors import GapError
from strongroom.backup.continuous.layout import wal_prefix
from strongroom.backup.continuous.plan import WalPlan, WalSummary
from strongroom.catalog import ObjectRepository
from strongroom.errors import StrongroomError
from strongroom.recording import RunLog

if TYPE_CHECKING:
    from sqlalchemy import Engine


@dataclass(frozen=True)
class WalRecorder:
    """Records one run."""

    log: RunLog
    plan: WalPlan

    @classmethod
    def of(
        cls, engine: Engine, sink: AuditSink, actor: Actor, plan: WalPlan, correlation_id: str
    ) -> WalRecorder:
        """For a run of an actor after a plan."""
        target = Target("wal", wal_prefix(plan.database))
        return cls(
            RunLog(engine, sink, actor, plan.database, target, plan.policy_sha256, correlation_id), plan
        )

    def attempt(self) -> None:
        """The run is about to begin."""
        self.log.emit(EventType.WAL_SEGMENT_SHIP, "attempt")

    def refused(self, error: BaseException) -> None:
        """The actor may not."""
        details = {"permission": "ship_wal"}
        self.log.emit(EventType.ACCESS_PERMISSION_REFUSE, "result", "denied", error=error, details=details)

    def failure(self, error: BaseException) -> None:
        """The run failed. When even that cannot be recorded, the error says so."""
        try:
            if isinstance(error, GapError):
                details = {"first_missing": error.first_missing}
                self.log.emit(EventType.WAL_GAP_FIND, "result", "failure", error=error, details=details)
            self.log.emit(EventType.WAL_SEGMENT_SHIP, "result", "failure", error=error)
        except StrongroomError as unrecorded:
            error.add_note(f"This failure could not be recorded: {unrecorded.message}")

    def success(self, summary: WalSummary) -> None:
        """The run is over."""
        self.log.emit(
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
        self.log.emit(EventType.WAL_SLOT_DROP, "attempt", target=Target("slot", slot))

    def dropped_slot(self, slot: str, error: BaseException | None = None) -> None:
        """It is gone, or could not be dropped."""
        outcome = "success" if error is None else "failure"
        self.log.emit(EventType.WAL_SLOT_DROP, "result", outcome, target=Target("slot", slot), error=error)

    def removing_leftover(self, key: str) -> None:
        """A segment that no receipt names is about to be deleted."""
        self.log.emit(EventType.WAL_LEFTOVER_REMOVE, "attempt", target=Target("object", key))

    def removed_leftover(self, key: str, *, locked: bool) -> None:
        """It is gone, or a lock keeps it."""
        with self.log.transaction() as connection:
            if not locked:
                ObjectRepository().remove(connection, key)
            outcome = "partial" if locked else "success"
            event = self.log.event(
                EventType.WAL_LEFTOVER_REMOVE, "result", outcome, target=Target("object", key)
            )
            self.log.sink.emit(connection, event)

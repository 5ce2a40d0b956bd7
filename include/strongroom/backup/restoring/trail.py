"""What a restore records: the plan, the attempt, the result, and refusals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from strongroom.access import Actor, Permission, require
from strongroom.audit import Event, EventRecorder, EventType, Target
from strongroom.backup.manifest import manifest_key
from strongroom.backup.restoring.copied import copied_counts, copied_details
from strongroom.errors import AccessDeniedError, StrongroomError

if TYPE_CHECKING:
    from strongroom.backup.restoring.plan import RestorePlan
    from strongroom.backup.restoring.report import RestoreReport


@dataclass(frozen=True)
class RestoreTrail:
    """The events of one restore."""

    events: EventRecorder
    actor: Actor
    database: str
    correlation_id: str

    def authorise(self) -> None:
        """Let a permitted actor pass.

        Raises:
            AccessDeniedError: it may not; the refusal is recorded.
        """
        try:
            require(self.actor, Permission.RESTORE_BACKUP)
        except AccessDeniedError as error:
            event = Event(
                type=EventType.ACCESS_PERMISSION_REFUSE,
                phase="result",
                outcome="denied",
                actor=self.actor,
                target=Target("database", self.database),
                database=self.database,
                details={"permission": str(Permission.RESTORE_BACKUP)},
                error_class=type(error).__name__,
            )
            self._emit(event)
            raise

    def planned(self, plan: RestorePlan) -> None:
        """A plan was made."""
        event = self._event(plan, EventType.RESTORE_PLAN_MAKE)
        self._emit(replace(event, phase="result", outcome="success", details=_details(plan)))

    def attempt(self, plan: RestorePlan) -> None:
        """The plan is about to be executed."""
        self._emit(replace(self._event(plan, EventType.RESTORE_RUN_EXECUTE), details=_details(plan)))

    def failure(self, plan: RestorePlan, error: BaseException) -> None:
        """It failed. When even that cannot be recorded, the error says so."""
        event = self._event(plan, EventType.RESTORE_RUN_EXECUTE)
        try:
            self._emit(replace(event, phase="result", outcome="failure", error_class=type(error).__name__))
        except StrongroomError as unrecorded:
            error.add_note(f"This failure could not be recorded: {unrecorded.message}")

    def success(self, plan: RestorePlan, report: RestoreReport) -> None:
        """It succeeded."""
        event = self._event(plan, EventType.RESTORE_RUN_EXECUTE)
        self._emit(
            replace(
                event,
                phase="result",
                outcome="success",
                counts={
                    "restored_bytes": report.restored_bytes,
                    "archived_segments": report.archived_segments,
                    "milliseconds": round(report.seconds * 1000),
                    **copied_counts(report.from_copies),
                },
                details={
                    **_details(plan),
                    "stopped_at_lsn": report.lsn,
                    **copied_details(report.from_copies),
                },
            )
        )

    def _event(self, plan: RestorePlan, kind: EventType) -> Event:
        return Event(
            type=kind,
            phase="attempt",
            actor=self.actor,
            target=Target("backup", manifest_key(plan.database, plan.backup_id)),
            database=plan.database,
            hashes={"plan_sha256": plan.sha256, "manifest_sha256": plan.backups[-1].manifest_sha256},
            correlation_id=self.correlation_id,
        )

    def _emit(self, event: Event) -> None:
        self.events.record(event)


def _details(plan: RestorePlan) -> dict[str, Any]:
    """What the plan does; a restore point's name could be anybody's words, so it stays out."""
    target = plan.target
    return {
        "target_kind": target.kind,
        "target": target.value if target.kind != "name" else "restore-point",
        "timeline": plan.timeline,
        "then": target.action,
    }

"""What a restore from a logical backup records: its attempt before it acts, its result after, and every refusal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from strongroom.access import Actor, Permission, require
from strongroom.audit import Event, EventRecorder, EventType, Target
from strongroom.backup.manifest import manifest_key
from strongroom.backup.restoring.copied import Uses, copied_counts, copied_details
from strongroom.errors import AccessDeniedError

if TYPE_CHECKING:
    from strongroom.backup.restoring.logical.plan import LogicalRestorePlan


@dataclass(frozen=True)
class RestoreTrail:
    """The events of one restore."""

    events: EventRecorder
    actor: Actor
    database: str
    backup_id: str
    plan_sha256: str | None = None
    """The plan that was approved; None where the plan is made in the same breath."""

    def authorise(self) -> None:
        """Pass when the actor may restore and open.

        Raises:
            AccessDeniedError: it may not; the refusal is recorded.
        """
        for permission in (Permission.RESTORE_BACKUP, Permission.OPEN_OBJECT):
            try:
                require(self.actor, permission)
            except AccessDeniedError as error:
                refused = replace(
                    self._event(),
                    type=EventType.ACCESS_PERMISSION_REFUSE,
                    phase="result",
                    outcome="denied",
                    details={"permission": str(permission)},
                    error_class=type(error).__name__,
                )
                self._emit(refused)
                raise

    def _event(self) -> Event:
        return Event(
            type=EventType.RESTORE_RUN_EXECUTE,
            phase="attempt",
            actor=self.actor,
            target=Target("backup", manifest_key(self.database, self.backup_id or "newest")),
            database=self.database,
            correlation_id=self.backup_id or None,
            hashes={"plan_sha256": self.plan_sha256} if self.plan_sha256 else {},
        )

    def planned(self, plan: LogicalRestorePlan) -> None:
        """A plan was made."""
        made = replace(self._event(), type=EventType.RESTORE_PLAN_MAKE, phase="result", outcome="success")
        hashes = {"plan_sha256": plan.sha256, "manifest_sha256": plan.manifest_sha256}
        self._emit(
            replace(made, hashes=hashes, details={"kind": plan.kind}, counts={"tables": plan.table_count})
        )

    def attempt(self) -> None:
        """The restore is about to begin."""
        self._emit(self._event())

    def failure(self, error: BaseException) -> None:
        """It failed, and what it made was dropped."""
        failed = replace(self._event(), phase="result", outcome="failure")
        self._emit(replace(failed, error_class=type(error).__name__))

    def success(self, tables: int, compared: int, left_out: int, from_copies: Uses) -> None:
        """It is done."""
        counts = {"tables": tables, "compared": compared, "left_out": left_out, **copied_counts(from_copies)}
        done = replace(self._event(), phase="result", outcome="success", counts=counts)
        self._emit(replace(done, details=copied_details(from_copies)))

    def _emit(self, event: Event) -> None:
        self.events.record(event)

"""Four eyes on a restore: a second person approves a plan by its hash, for one run; only that plan is executed.

Airflow knows who may answer a task; who may approve a restore is decided by the roles that the settings give people.
The decision is checked and recorded where it arrives; the run that executes the plan asks the control database,
and nothing that was handed from task to task.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from strongroom.access import Actor, Decision, Permission, SamePersonError, require_two_people
from strongroom.audit import AuditSink, Event, EventType, Target
from strongroom.backup.manifest import manifest_key
from strongroom.backup.restoring.errors import PlanChangedError
from strongroom.catalog import ApprovalRecord, ApprovalRepository
from strongroom.errors import AccessDeniedError, RefusedError, StrongroomError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


class NotApprovedError(RefusedError):
    """Nobody has approved this plan for this run."""


class ApprovablePlan(Protocol):
    """A restore's plan, whatever it brings back."""

    @property
    def database(self) -> str:
        """The database's name in its policy."""

    @property
    def backup_id(self) -> str:
        """The backup that is restored."""

    @property
    def sha256(self) -> str:
        """What an approval names."""


class RestoreApprovals:
    """Takes decisions, and remembers the approvals.

    Args:
        engine: the control database.
        sink: takes the events.
        person: gives a person by their account, with the roles that they have.
    """

    def __init__(self, engine: Engine, sink: AuditSink, person: Callable[[str], Actor]) -> None:
        self._engine = engine
        self._sink = sink
        self._person = person
        self._approvals = ApprovalRepository()

    def decide(self, plan: ApprovablePlan, decision: Decision) -> None:
        """Check and record a decision. A rejection withdraws an earlier approval for the same run.

        Raises:
            SamePersonError: the person who asked approved it too; the refusal is recorded.
            AccessDeniedError: the person has no role that may approve restores; that is recorded too.
            PlanChangedError: the approval names another plan's hash; that is recorded too.
        """
        try:
            asked, decided = self._checked(plan, decision)
        except StrongroomError as error:
            with self._engine.begin() as connection:
                self._approvals.remove(connection, decision.run)
                self._emit(connection, plan, decision, "denied", error_class=type(error).__name__)
            raise
        with self._engine.begin() as connection:
            self._approvals.remove(connection, decision.run)
            if decision.approved:
                record = ApprovalRecord(plan.sha256, decision.run, asked, decided, decision.decided_at)
                self._approvals.add(connection, record)
            self._emit(connection, plan, decision, "success" if decision.approved else "denied")

    def require(self, plan: ApprovablePlan, run: str) -> ApprovalRecord:
        """The approval of exactly this plan for this run.

        Raises:
            NotApprovedError: there is none.
            SamePersonError: what is recorded names one person twice.
            AccessDeniedError: who approved it may not any more.
        """
        with self._engine.connect() as connection:
            record = self._approvals.find(connection, plan.sha256, run)
        if record is None:
            raise NotApprovedError(
                f"Nobody has approved the plan {plan.sha256} for this run.",
                hint="Plan again, and let a second person approve the plan by its hash.",
            )
        require_two_people(record.requested_by, record.approved_by, "this restore")
        self._require_permission(record.approved_by)
        return record

    def _checked(self, plan: ApprovablePlan, decision: Decision) -> tuple[str, str]:
        if not decision.approved:
            return decision.requested_by or "", decision.decided_by or ""
        people = require_two_people(decision.requested_by, decision.decided_by, "this restore")
        self._require_permission(people[1])
        if decision.plan_sha256.strip().lower() != plan.sha256:
            raise PlanChangedError(
                "The approval names another plan's hash, or none.",
                hint="Copy the plan hash from the text into the field; if the plan changed meanwhile, read it again.",
            )
        return people

    def _require_permission(self, account: str) -> None:
        """The error names no account: it is shown where names do not belong."""
        if not self._person(account).may(Permission.APPROVE_RESTORE):
            raise AccessDeniedError(
                "The person who approved this restore has no role that may approve restores.",
                hint="Name their Airflow account in the setting `person_roles` (README, section Access), or clear the"
                " approval task and let somebody answer who has such a role.",
            )

    def _emit(
        self, connection: Connection, plan: ApprovablePlan, decision: Decision, outcome: Any, **members: Any
    ) -> None:
        """Who asked, and who decided what. Both appear as commitments."""
        people: tuple[tuple[EventType, str | None, Any, dict[str, Any]], ...] = (
            (EventType.RESTORE_PLAN_REQUEST, decision.requested_by, "success", {}),
            (EventType.RESTORE_PLAN_APPROVE, decision.decided_by, outcome, members),
        )
        for event_type, name, result, further in people:
            if name:
                self._sink.emit(
                    connection, _event(event_type, self._person(name), result, plan, decision, further)
                )


def _event(
    event_type: EventType,
    person: Actor,
    outcome: Any,
    plan: ApprovablePlan,
    decision: Decision,
    members: dict[str, Any],
) -> Event:
    return Event(
        type=event_type,
        phase="result",
        outcome=outcome,
        actor=person,
        target=Target("backup", manifest_key(plan.database, plan.backup_id)),
        database=plan.database,
        hashes={"plan_sha256": plan.sha256},
        details={"approved": decision.approved},
        **members,
    )


__all__ = ["ApprovablePlan", "NotApprovedError", "RestoreApprovals", "SamePersonError"]

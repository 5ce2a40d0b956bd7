"""Four eyes on what cannot be taken back: a second person approves a plan by its hash, for one run.

The decision is checked and recorded where it arrives; whoever executes the plan asks the control database, and
nothing that was handed from task to task. A run is `<DAG id>/<run id>`; at the command line, where one person asks and
another account of the machine approves, it is `command/<what>/<which>`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from strongroom.access import Actor, Decision, Permission, require_two_people
from strongroom.audit import AuditSink, Event, EventType, Target
from strongroom.catalog import ApprovalRecord, ApprovalRepository, ApprovalRequest, RequestRepository
from strongroom.errors import AccessDeniedError, StrongroomError
from strongroom.retention.errors import NotApprovedError, PlanChangedError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


@dataclass(frozen=True)
class Sought:
    """What an approval is sought for.

    Args:
        plan_sha256: the hash of the plan's canonical form.
        what: in words that follow "this": `release`, `purge`.
        target: what the events are about.
        permission: what the second person must be allowed to do.
        request: the type of event that says who asked.
        approve: the type of event that says what was decided, and by whom.
        database: whose data it is about, where it is one's.
    """

    plan_sha256: str
    what: str
    target: Target
    permission: Permission
    request: EventType
    approve: EventType
    database: str | None = None


class PlanApprovals:
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
        self._approvals, self._requests = ApprovalRepository(), RequestRepository()

    def decide(self, sought: Sought, decision: Decision) -> None:
        """Check and record a decision. A rejection withdraws an earlier approval for the same run.

        Raises:
            SamePersonError: the person who asked approved it too; the refusal is recorded.
            AccessDeniedError: the person has no role that may approve it; that is recorded too.
            PlanChangedError: the approval names another plan's hash; that is recorded too.
        """
        try:
            asked, decided = self._checked(sought, decision)
        except StrongroomError as error:
            with self._engine.begin() as connection:
                self._approvals.remove(connection, decision.run)
                self._emit(connection, sought, decision, "denied", error_class=type(error).__name__)
            raise
        with self._engine.begin() as connection:
            self._approvals.remove(connection, decision.run)
            if decision.approved:
                self._approvals.add(
                    connection,
                    ApprovalRecord(sought.plan_sha256, decision.run, asked, decided, decision.decided_at),
                )
            self._requests.remove(connection, decision.run)
            self._emit(connection, sought, decision, "success" if decision.approved else "denied")

    def require(self, sought: Sought, run: str) -> ApprovalRecord:
        """The approval of exactly this plan for this run.

        Raises:
            NotApprovedError: there is none.
            SamePersonError: what is recorded names one person twice.
            AccessDeniedError: who approved it may not any more.
        """
        with self._engine.connect() as connection:
            record = self._approvals.find(connection, sought.plan_sha256, run)
        if record is None:
            raise NotApprovedError(
                f"Nobody has approved this {sought.what} for this run (plan {sought.plan_sha256[:12]}…).",
                hint="Look at the plan again, and let a second person approve it by its hash.",
            )
        require_two_people(record.requested_by, record.approved_by, f"this {sought.what}")
        self._require_permission(sought, record.approved_by)
        return record

    def withdraw(self, run: str) -> None:
        """Forget an approval once it was used: it is good for one execution."""
        with self._engine.begin() as connection:
            self._approvals.remove(connection, run)

    def ask(self, sought: Sought, run: str, requested_by: str, requested_at: datetime) -> None:
        """Record that a person asks, for another one to answer later."""
        with self._engine.begin() as connection:
            request = ApprovalRequest(run, sought.plan_sha256, requested_by, requested_at)
            self._requests.add(connection, request)
            self._sink.emit(
                connection, _event(sought, sought.request, self._person(requested_by), "success", {})
            )

    def asked(self, run: str) -> ApprovalRequest | None:
        """Who asked for a run at the command line; None when nobody did, or it was answered."""
        with self._engine.connect() as connection:
            return self._requests.find(connection, run)

    def _checked(self, sought: Sought, decision: Decision) -> tuple[str, str]:
        if not decision.approved:
            return decision.requested_by or "", decision.decided_by or ""
        people = require_two_people(decision.requested_by, decision.decided_by, f"this {sought.what}")
        self._require_permission(sought, people[1])
        if decision.plan_sha256.strip().lower() != sought.plan_sha256:
            raise PlanChangedError(
                f"The approval of this {sought.what} names another plan's hash, or none.",
                hint="Copy the plan hash from the text; if the plan changed meanwhile, read it again.",
            )
        return people

    def _require_permission(self, sought: Sought, account: str) -> None:
        """The error names no account: it is shown where names do not belong."""
        if not self._person(account).may(sought.permission):
            raise AccessDeniedError(
                f"The person who approved this {sought.what} has no role that may approve it.",
                hint="Name their account in the setting `person_roles` (README, section Access), or let somebody"
                " answer who has such a role.",
            )

    def _emit(
        self, connection: Connection, sought: Sought, decision: Decision, outcome: Any, **members: Any
    ) -> None:
        """Who asked, and who decided what. Both appear as commitments."""
        people: tuple[tuple[EventType, str | None, Any, dict[str, Any]], ...] = (
            (sought.request, decision.requested_by, "success", {}),
            (sought.approve, decision.decided_by, outcome, members),
        )
        for event_type, name, result, further in people:
            if name:
                self._sink.emit(connection, _event(sought, event_type, self._person(name), result, further))


def _event(sought: Sought, kind: EventType, person: Actor, outcome: Any, members: dict[str, Any]) -> Event:
    return Event(
        type=kind,
        phase="result",
        outcome=outcome,
        actor=person,
        target=sought.target,
        database=sought.database,
        hashes={"plan_sha256": sought.plan_sha256},
        **members,
    )

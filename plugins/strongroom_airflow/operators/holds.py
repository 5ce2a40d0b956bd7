"""Legal holds: placed at once, released once a second person has approved it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from strongroom_airflow.hooks import StrongroomHook
from strongroom_airflow.operators.approving import ApprovePlanOperator, refuse_unknown_fields, run_of, starter

if TYPE_CHECKING:
    from airflow.sdk import Context

    from strongroom.access import Decision
    from strongroom.retention.hold_service import ReleasePlan
    from strongroom.services import Services


class PlaceHoldOperator(BaseOperator):
    """Places a hold in the name of the person who started the run; skips when the run is about a release.

    Returns the hold's id.

    Args:
        action: `place` or `release`.
        kind: what it is on: `database`, `table`, `person`, `period` or `backup`.
        database: the database's name in its policy.
        reason: the case's reference.
        scope: the members that its kind needs; empty ones are left out.
    """

    template_fields: Sequence[str] = ("action", "kind", "database", "reason", "scope")

    def __init__(
        self, *, action: str, kind: str, database: str, reason: str, scope: dict[str, str], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.action = action
        self.kind = kind
        self.database = database
        self.reason = reason
        self.scope = scope

    def execute(self, context: Context) -> str:
        """Place it."""
        refuse_unknown_fields(context)
        if self.action != "place":
            raise AirflowSkipException("This run releases a hold.")
        from strongroom.retention.holds import scope_of

        hook = StrongroomHook()
        services = hook.services
        database = services.policy(self.database).database
        scope = scope_of(self.kind, database, **{**self.scope, **_moments(self.scope)})
        services.require_holdable(scope)
        hold = services.holds.place(
            hook.actor(context), scope, self.reason, person=starter(context, services)
        )
        self.log.info("Placed %s on %s.", hold.id, hold.scope.words)
        return hold.id


class PlanReleaseOperator(BaseOperator):
    """Says what a release would do, for a second person to approve; skips when the run places a hold.

    Args:
        action: `place` or `release`.
        hold_id: the hold.
    """

    template_fields: Sequence[str] = ("action", "hold_id")

    def __init__(self, *, action: str, hold_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.action = action
        self.hold_id = hold_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Plan it."""
        if self.action != "release":
            raise AirflowSkipException("This run places a hold.")
        services = StrongroomHook().services
        starter(context, services)
        plan = services.holds.plan_release(self.hold_id)
        for line in plan.lines():
            self.log.info(line)
        return {"hold_id": plan.hold.id, "sha256": plan.sha256, "text": "\n".join(plan.lines())}


class ApproveReleaseOperator(ApprovePlanOperator):
    """Asks a second person whether a hold may be released."""

    def decide(self, services: Services, decision: Decision) -> None:
        """Check and record the answer."""
        services.holds.decide_release(_plan_in(services, self.planned), decision)


class ReleaseHoldOperator(BaseOperator):
    """Releases a hold whose release a second person has approved for this run. Returns the hold's id.

    Args:
        planned: what `PlanReleaseOperator` returned.
    """

    template_fields: Sequence[str] = ("planned",)

    def __init__(self, *, planned: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.planned = planned

    def execute(self, context: Context) -> str:
        """Release it."""
        hook = StrongroomHook()
        services = hook.services
        plan = _plan_in(services, self.planned)
        return services.holds.release(hook.actor(context), plan, run_of(context)).id


class EnforceHoldsOperator(BaseOperator):
    """Locks in the bucket and its copies what the holds reach, and unlocks what none reaches any more.

    Returns how many object versions are locked in each store.
    """

    def execute(self, context: Context) -> dict[str, int]:
        """Enforce them."""
        hook = StrongroomHook()
        reports = hook.services.holds.enforce(hook.actor(context))
        for report in reports:
            if not report.supported:
                self.log.info("%s has no legal holds; Strongroom alone keeps to them.", report.store)
        return {report.store: report.held for report in reports}


def _plan_in(services: Services, planned: Any) -> ReleasePlan:
    """The plan as the hold stands now; the approval tells whether it is still the one that was approved."""
    return services.holds.plan_release(str(planned["hold_id"]))


def _moments(scope: dict[str, str]) -> dict[str, Any]:
    from strongroom.clock import parse_timestamp
    from strongroom.errors import InputError

    try:
        return {name: parse_timestamp(scope[name]) for name in ("since", "until") if scope.get(name)}
    except ValueError as error:
        raise InputError(
            "A moment of the period names no time zone.", hint="Write it as 2026-11-24T22:10:05+01:00."
        ) from error

"""Retention: plan, two people's word where one is needed, execution by the plan's hash, a last look.

This module is imported by the pipeline that purges alone: the approval comes from a provider.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from strongroom_airflow.hooks import StrongroomHook
from strongroom_airflow.operators.approving import ApprovePlanOperator, refuse_unknown_fields, run_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from strongroom.access import Decision
    from strongroom.services import Services

_SHOWN_LINES = 40
"""How many lines a table has on the approval page at most."""


class RetentionPlanOperator(BaseOperator):
    """Decides what a purge would do; nothing is deleted.

    Returns the plan's hash, whether a second person has to look, and its text for people; the plan itself stays in the
    control database.

    Args:
        database: the database's name in its policy.
        only: the database that a run is about; empty for all of them.
    """

    template_fields: Sequence[str] = ("database", "only")

    def __init__(self, *, database: str, only: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.database = database
        self.only = only

    def execute(self, context: Context) -> dict[str, Any]:
        """Make the plan."""
        from strongroom.retention.text import markdown, summary

        refuse_unknown_fields(context)
        if self.only and self.only != self.database:
            raise AirflowSkipException(f"This run is about {self.only}.")
        hook = StrongroomHook()
        services = hook.services
        purge = services.retention.plan(hook.actor(context), services.policy(self.database))
        self.log.info(summary(purge))
        return {
            "database": self.database,
            "sha256": purge.sha256,
            "needs_approval": purge.needs_approval,
            "text": markdown(purge, most=_SHOWN_LINES),
        }


class _PurgeWordOperator(ApprovePlanOperator):
    """Asks a person about a purge that needs one, and lets every other purge pass."""

    def execute(self, context: Context) -> Any:
        """Show the plan and wait, where a person has to look."""
        if not self.planned["needs_approval"]:
            self.log.info("An everyday purge: nobody has to look.")
            return None
        return self.ask(context)

    def ask(self, context: Context) -> Any:
        """Wait for the person's answer."""
        return super().execute(context)


class RequestPurgeOperator(_PurgeWordOperator):
    """Finds the first of two people: the one who started the run, or who answers here when nobody did.

    Args:
        planned: what `RetentionPlanOperator` returned.
    """

    def ask(self, context: Context) -> Any:
        """Record the person who started the run; in a scheduled run, wait for one."""
        starter = context["dag_run"].triggering_user_name
        if starter:
            _record_request(StrongroomHook().services, self.planned, context, starter)
            return None
        return super().ask(context)

    def decide(self, services: Services, decision: Decision) -> None:
        """Record who asks for it; a rejection ends the run."""
        from strongroom.retention.errors import PlanChangedError

        if not decision.approved:
            return
        if decision.plan_sha256.strip().lower() != self.planned["sha256"]:
            raise PlanChangedError(
                "The answer names another plan's hash, or none.",
                hint="Clear this task, and copy the plan hash from the text.",
            )
        run = _run_for(decision.run, self.planned)
        services.plan_approvals.ask(
            _sought(services, self.planned), run, decision.decided_by or "", decision.decided_at
        )


class ApprovePurgeOperator(_PurgeWordOperator):
    """Asks the second person, who is somebody else than the first. The answer is checked and recorded.

    Args:
        planned: what `RetentionPlanOperator` returned.
    """

    def decide(self, services: Services, decision: Decision) -> None:
        """Check and record the answer."""
        run = _run_for(decision.run, self.planned)
        asked = services.plan_approvals.asked(run)
        first = asked.requested_by if asked and asked.plan_sha256 == self.planned["sha256"] else None
        services.plan_approvals.decide(
            _sought(services, self.planned), replace(decision, run=run, requested_by=first)
        )


class PurgeOperator(BaseOperator):
    """Carries out a plan by its hash.

    Returns counts.

    Args:
        planned: what `RetentionPlanOperator` returned.
    """

    template_fields: Sequence[str] = ("planned",)

    def __init__(self, *, planned: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.planned = planned

    def execute(self, context: Context) -> dict[str, int]:
        """Purge."""
        hook = StrongroomHook()
        services = hook.services
        policy = services.policy(self.planned["database"])
        run = _run_for(run_of(context), self.planned)
        report = services.retention.apply(hook.actor(context), policy, self.planned["sha256"], run)
        for line in report.lines():
            self.log.info(line)
        return dict(report.count())


class VerifyPurgeOperator(BaseOperator):
    """Looks anew whether everything that the plan keeps is there, and nothing that it deleted.

    Returns how many things were looked for.

    Args:
        planned: what `RetentionPlanOperator` returned.
    """

    template_fields: Sequence[str] = ("planned",)

    def __init__(self, *, planned: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.planned = planned

    def execute(self, context: Context) -> int:
        """Look."""
        hook = StrongroomHook()
        services = hook.services
        policy = services.policy(self.planned["database"])
        return services.retention.verify(hook.actor(context), policy, self.planned["sha256"])


def _record_request(services: Services, planned: Any, context: Context, name: str) -> None:
    run = _run_for(run_of(context), planned)
    services.plan_approvals.ask(_sought(services, planned), run, name, services.clock.now())


def _sought(services: Services, planned: Any) -> Any:
    from strongroom.retention.service import sought

    return sought(services.retention.find(planned["sha256"]))


def _run_for(run: str, planned: Any) -> str:
    """The run that an approval is for: a run of the pipeline is about several databases."""
    return f"{run}/{planned['database']}"

"""Asking a second person to approve a plan by its hash, whatever the plan is about."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from datetime import datetime
from textwrap import fill
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator

from strongroom_airflow.operators.restore import HASH_FIELD, run_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from strongroom.access import Actor
    from strongroom.retention.approvals import Decision
    from strongroom.services import Services

_COLUMNS = 88


class ApprovePlanOperator(ApprovalOperator):
    """Shows a plan and waits for a second person, who names it by its hash. The answer is checked and recorded here.

    Fails when the person who started the run answers, when the hash is another plan's, and on `Reject`.

    Args:
        planned: the plan's `text` for people, its `sha256`, and what finds it again.
        params: `plan_hash_field()`, which the person fills in.
    """

    template_fields: Collection[str] = ("subject", "planned")

    def __init__(self, *, planned: Any, **kwargs: Any) -> None:
        super().__init__(fail_on_reject=True, **kwargs)
        self.planned = planned

    def execute(self, context: Context) -> Any:
        """Show the plan, and wait."""
        lines = "\n".join(
            fill(line, _COLUMNS, subsequent_indent="    ") for line in self.planned["text"].splitlines()
        )
        self.body = (
            "It is done exactly as this says, once **somebody else than the person who started the run** approves it"
            f" by its hash.\n\n```text\n{lines}\n```\n\nPlan hash: `{self.planned['sha256']}`\n"
        )
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Check and record the answer."""
        if "error" not in event:
            self._answered(context, event)
        return super().execute_complete(context, event)

    def _answered(self, context: Context, event: dict[str, Any]) -> None:
        from strongroom.retention.approvals import Decision
        from strongroom_airflow.hooks import StrongroomHook

        answered_at = event["responded_at"]
        decision = Decision(
            approved=event["chosen_options"] == [self.APPROVE],
            plan_sha256=str((event["params_input"] or {}).get(HASH_FIELD) or ""),
            requested_by=context["dag_run"].triggering_user_name,
            decided_by=(event["responded_by_user"] or {}).get("name"),
            decided_at=datetime.fromisoformat(answered_at) if isinstance(answered_at, str) else answered_at,
            run=run_of(context),
        )
        self.decide(StrongroomHook().services, decision)

    @abstractmethod
    def decide(self, services: Services, decision: Decision) -> None:
        """Hand the answer to the service that the plan is from."""


def starter(context: Context, services: Services) -> Actor:
    """The person who started the run.

    Raises:
        InputError: nobody did, as in a scheduled run.
    """
    from strongroom.errors import InputError

    name = context["dag_run"].triggering_user_name
    if not name:
        raise InputError(
            "Nobody is known to have started this run.",
            hint="Start it as a person: from Airflow's UI or its REST API.",
        )
    return services.person(name)

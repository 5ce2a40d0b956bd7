"""Asking a second person to approve a plan by its hash, whatever the plan is about.

This module is imported by the pipelines that ask alone: the approval comes from a provider, which the others need not
import.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from datetime import datetime
from textwrap import fill
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param

from strongroom_airflow.hooks import StrongroomHook

if TYPE_CHECKING:
    from airflow.sdk import Context

    from strongroom.access import Actor, Decision
    from strongroom.services import Services

HASH_FIELD = "plan_hash"
_COLUMNS = 88


def plan_hash_field() -> dict[str, Param]:
    """The field of the approval in which a person names the plan."""
    field = Param(
        None,
        type=["null", "string"],
        pattern="^[0-9a-f]{64}$",
        title="Plan hash",
        description="To approve, copy the plan's hash from above: it says which plan you read. To reject, leave it.",
    )
    return {HASH_FIELD: field}


class ApprovePlanOperator(ApprovalOperator):
    """Shows a plan and waits for a second person, who names it by its hash. The answer is checked and recorded here.

    Fails when the person who started the run answers, when the hash is another plan's, and on `Reject`.

    Args:
        planned: the plan's `text` for people, its `sha256`, and what finds it again.
        params: `plan_hash_field()`, which the person fills in.
    """

    what_happens = "It is done exactly as this says"
    indent = 4
    """By how much what does not fit on a line is indented: a line that is cut off is not read."""

    template_fields: Collection[str] = ("subject", "planned")

    def __init__(self, *, planned: Any, **kwargs: Any) -> None:
        super().__init__(fail_on_reject=True, **kwargs)
        self.planned = planned

    def execute(self, context: Context) -> Any:
        """Show the plan, and wait."""
        lines = "\n".join(
            fill(line, _COLUMNS, subsequent_indent=" " * self.indent)
            for line in self.planned["text"].splitlines()
        )
        self.body = (
            f"{self.what_happens}, once **somebody else than the person who started the run** approves it by its hash."
            f"\n\n```text\n{lines}\n```\n\nPlan hash: `{self.planned['sha256']}`\n"
        )
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Check and record the answer."""
        if "error" not in event:
            self._answered(context, event)
        return super().execute_complete(context, event)

    def _answered(self, context: Context, event: dict[str, Any]) -> None:
        from strongroom.access import Decision

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


def run_of(context: Context) -> str:
    """The run that approvals are for."""
    instance = context["ti"]
    return f"{instance.dag_id}/{instance.run_id}"


def refuse_unknown_fields(context: Context) -> None:
    """Airflow ignores what a request misspelt; a target that is ignored would restore something else."""
    from strongroom.errors import InputError

    unknown = sorted(set(context["dag_run"].conf or {}) - set(context["params"]))
    if unknown:
        raise InputError(
            f"The request names what this pipeline does not know: {', '.join(name[:40] for name in unknown)}.",
            hint=f"It knows {', '.join(sorted(context['params']))}.",
        )

"""Restoring a cluster: plan, a second person's approval of exactly that plan, execution.

This module is imported by the pipeline that restores alone: the approval comes from a provider, which the other
pipelines need not import.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from textwrap import fill
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import BaseOperator, Param

from strongroom_airflow.hooks import StrongroomHook

if TYPE_CHECKING:
    from airflow.sdk import Context

    from strongroom.backup.restoring.plan import RestorePlan

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


class RestorePlanOperator(BaseOperator):
    """Decides what a restore would do, and writes nothing.

    Returns the plan (references and sizes), its hash, and its text for people.

    Args:
        database: the database's name in its policy.
        target: `backup`, `time`, `lsn`, `point` or `latest`.
        folder: a new directory's name below the settings' `restore_directory`.
        time: the moment, for `time`.
        value: the position or the restore point's name, for `lsn` and `point`.
        backup_id: the backup to begin from; the newest that leads to the target without it.
        start: `True` leaves the server running.
    """

    template_fields: Sequence[str] = ("database", "target", "folder", "time", "value", "backup_id", "start")

    def __init__(
        self,
        *,
        database: str,
        target: str,
        folder: str,
        time: str = "",
        value: str = "",
        backup_id: str = "",
        start: str = "False",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.database = database
        self.target = target
        self.folder = folder
        self.time = time
        self.value = value
        self.backup_id = backup_id
        self.start = start

    def execute(self, context: Context) -> dict[str, Any]:
        """Make the plan."""
        from strongroom.backup.restoring.form import folder_below, target_of
        from strongroom.backup.restoring.request import RestoreRequest

        refuse_unknown_fields(context)
        hook = StrongroomHook()
        services = hook.services
        request = RestoreRequest(
            services.policy(self.database).database,
            target_of(self.target, self.time, self.value),
            folder_below(services.settings.restore_directory, self.folder),
            backup_id=self.backup_id or None,
            start=self.start == "True",
        )
        planned = services.restores.plan(hook.actor(context), request)
        for line in planned.lines():
            self.log.info(line)
        return {
            "plan": planned.plan.document(),
            "sha256": planned.plan.sha256,
            "text": "\n".join(planned.lines()),
        }


class ApproveRestoreOperator(ApprovalOperator):
    """Asks a second person, who approves the plan by its hash. The answer is checked and recorded here.

    Fails when the person who started the run answers, when the hash is another plan's, and on `Reject`.

    Args:
        planned: what `RestorePlanOperator` returned.
        params: `plan_hash_field()`, which the person fills in.
    """

    template_fields: Collection[str] = ("subject", "planned")

    def __init__(self, *, planned: Any, **kwargs: Any) -> None:
        super().__init__(fail_on_reject=True, **kwargs)
        self.planned = planned

    def execute(self, context: Context) -> Any:
        """Show the plan, and wait."""
        self.body = (
            "The restore runs exactly as this plan says, once **somebody else than the person who started the run**"
            f" approves it by its hash.\n\n```text\n{_wrapped(self.planned['text'])}\n```\n\n"
            f"Plan hash: `{self.planned['sha256']}`\n"
        )
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Check and record the answer."""
        if "error" not in event:
            self._decide(context, event)
        return super().execute_complete(context, event)

    def _decide(self, context: Context, event: dict[str, Any]) -> None:
        from strongroom.backup.restoring.approval import Decision

        answered_at = event["responded_at"]
        decision = Decision(
            approved=event["chosen_options"] == [self.APPROVE],
            plan_sha256=str((event["params_input"] or {}).get(HASH_FIELD) or ""),
            requested_by=context["dag_run"].triggering_user_name,
            decided_by=(event["responded_by_user"] or {}).get("name"),
            decided_at=datetime.fromisoformat(answered_at) if isinstance(answered_at, str) else answered_at,
            run=run_of(context),
        )
        StrongroomHook().services.restore_approvals.decide(plan_in(self.planned), decision)


class RestoreOperator(BaseOperator):
    """Executes a plan that a second person has approved for this run, to the letter.

    Returns a reference: where the cluster is, where recovery stopped, how long it took.

    Args:
        planned: what `RestorePlanOperator` returned.
    """

    template_fields: Sequence[str] = ("planned",)

    def __init__(self, *, planned: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.planned = planned

    def execute(self, context: Context) -> dict[str, Any]:
        """Restore."""
        hook = StrongroomHook()
        services = hook.services
        plan = plan_in(self.planned)
        approval = services.restore_approvals.require(plan, run_of(context))
        report = services.restores.run(hook.actor(context), plan, approval.plan_sha256)
        for line in report.lines():
            self.log.info(line)
        return report.document()


def _wrapped(lines: str) -> str:
    """A plan's lines, none wider than the page: what is cut off is not read."""
    return "\n".join(fill(line, _COLUMNS, subsequent_indent=" " * 13) for line in lines.splitlines())


def refuse_unknown_fields(context: Context) -> None:
    """Airflow ignores what a request misspelt; a target that is ignored would restore something else."""
    from strongroom.errors import InputError

    unknown = sorted(set(context["dag_run"].conf or {}) - set(context["params"]))
    if unknown:
        raise InputError(
            f"The request names what this pipeline does not know: {', '.join(name[:40] for name in unknown)}.",
            hint=f"It knows {', '.join(sorted(context['params']))}.",
        )


def plan_in(planned: Any) -> RestorePlan:
    """The plan that the planning task handed over.

    Raises:
        InputError: it is none.
    """
    from strongroom.backup.restoring.plan import parse_plan

    return parse_plan(planned["plan"])


def run_of(context: Context) -> str:
    """The run that approvals are for."""
    instance = context["ti"]
    return f"{instance.dag_id}/{instance.run_id}"

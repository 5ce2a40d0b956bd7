"""Restoring a cluster, a database or tables: plan, a second person's approval of exactly that plan, execution.

This module is imported by the pipeline that restores alone: the approval comes from a provider, which the other
pipelines need not import.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from textwrap import fill
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import BaseOperator, Param

from strongroom_airflow.hooks import StrongroomHook

if TYPE_CHECKING:
    from airflow.sdk import Context

    from strongroom.backup.restoring.either import AnyPlan
    from strongroom.backup.restoring.form import RestoreForm

HASH_FIELD = "plan_hash"
_COLUMNS = 88
_FORM_FIELDS = (
    "database",
    "what",
    "backup_id",
    "target",
    "folder",
    "time",
    "value",
    "start",
    "tables",
    "schemas",
    "table_name",
    "new_name",
    "connection",
    "target_database",
    "owners",
)


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

    Returns the plan (names, references and sizes), its hash, and its text for people. Each field is one of the form;
    what belongs to another kind of restore stays empty.

    Args:
        database: the database's name in its policy.
        what: what comes back: `cluster`, `database` or `tables`.
        backup_id: the backup; without it, the newest that leads to the target.
        target: for a cluster: `backup`, `time`, `lsn`, `point` or `latest`.
        folder: for a cluster: a new directory's name below the settings' `restore_directory`.
        time: for a cluster: the moment, for `time`.
        value: for a cluster: the position or the restore point's name, for `lsn` and `point`.
        start: for a cluster: `True` leaves the server running.
        tables: which tables, as `schema.table`: a list, or one as JSON.
        schemas: whole schemas: a list, or one as JSON.
        table_name: for a single table: its new name.
        new_name: the new schema that tables go into, or the new database.
        connection: the target server: `shop` stands for the connection `db_shop`; the database's own without it.
        target_database: another database of that server than the connection names.
        owners: for a whole database: `False` leaves owners and privileges out.
    """

    template_fields: Sequence[str] = _FORM_FIELDS

    def __init__(
        self,
        *,
        database: str,
        what: str = "cluster",
        backup_id: str = "",
        target: str = "backup",
        folder: str = "",
        time: str = "",
        value: str = "",
        start: str = "False",
        tables: Sequence[str] | str = (),
        schemas: Sequence[str] | str = (),
        table_name: str = "",
        new_name: str = "",
        connection: str = "",
        target_database: str = "",
        owners: str = "True",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.database = database
        self.what = what
        self.backup_id = backup_id
        self.target = target
        self.folder = folder
        self.time = time
        self.value = value
        self.start = start
        self.tables = tables
        self.schemas = schemas
        self.table_name = table_name
        self.new_name = new_name
        self.connection = connection
        self.target_database = target_database
        self.owners = owners

    def execute(self, context: Context) -> dict[str, Any]:
        """Make the plan."""
        refuse_unknown_fields(context)
        hook = StrongroomHook()
        services = hook.services
        services.policy(self.database)
        request = self._form().request(services.settings.restore_directory)
        planned = services.restores.plan(hook.actor(context), request)
        for line in planned.lines():
            self.log.info(line)
        return {
            "plan": planned.plan.document(),
            "sha256": planned.plan.sha256,
            "text": "\n".join(planned.lines()),
        }

    def _form(self) -> RestoreForm:
        from strongroom.backup.restoring.form import RestoreForm

        texts = ("what", "backup_id", "target", "folder", "time", "value", "table_name", "new_name")
        return RestoreForm(
            self.database,
            **{name: getattr(self, name) for name in (*texts, "connection", "target_database")},
            start=self.start == "True",
            tables=_names(self.tables),
            schemas=_names(self.schemas),
            owners=self.owners == "True",
        )


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

    Returns a reference: where the cluster is and where recovery stopped, or under which new name the tables are; and
    how long it took.

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


def _names(given: Sequence[str] | str) -> tuple[str, ...]:
    """Names as a list, or as the JSON of one: a name may hold a line's end or a comma. Empty lines of a form go."""
    from strongroom.errors import InputError

    try:
        names = json.loads(given or "[]") if isinstance(given, str) else given
    except ValueError:
        names = None
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise InputError("The names of tables and schemas must be a list of texts.")
    return tuple(name for name in names if name.strip())


def plan_in(planned: Any) -> AnyPlan:
    """The plan that the planning task handed over.

    Raises:
        InputError: it is none.
    """
    from strongroom.backup.restoring.either import parse_any_plan

    return parse_any_plan(planned["plan"])


def run_of(context: Context) -> str:
    """The run that approvals are for."""
    instance = context["ti"]
    return f"{instance.dag_id}/{instance.run_id}"

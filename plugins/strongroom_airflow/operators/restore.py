"""Restoring a cluster, a database or tables: plan, a second person's approval of exactly that plan, execution."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from strongroom_airflow.hooks import StrongroomHook
from strongroom_airflow.operators.approving import ApprovePlanOperator, refuse_unknown_fields, run_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from strongroom.access import Decision
    from strongroom.backup.restoring.either import AnyPlan
    from strongroom.backup.restoring.form import RestoreForm
    from strongroom.services import Services

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


class ApproveRestoreOperator(ApprovePlanOperator):
    """Asks a second person whether a restore may run."""

    what_happens = "The restore runs exactly as this plan says"
    indent = 13

    def decide(self, services: Services, decision: Decision) -> None:
        """Check and record the answer."""
        services.restore_approvals.decide(plan_in(self.planned), decision)


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

"""Moving rows past their time into sealed files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from strongroom_airflow.hooks import StrongroomHook

if TYPE_CHECKING:
    from airflow.sdk import Context


class ArchivedTablesOperator(BaseOperator):
    """Lists the tables with an archive rule, of all databases.

    Returns one mapping for each, `{"database": …, "table": …}`, to map a `SweepOperator` over. What others belong to
    comes before what belongs to it.
    """

    def execute(self, context: Context) -> list[dict[str, str]]:
        """List them."""
        from strongroom.archive.sweeping import archived_tables
        from strongroom.policy import load_policies

        loaded = load_policies(StrongroomHook().services.settings.policy_directory)
        return [
            {"database": name, "table": table}
            for name in sorted(loaded.policies)
            for table in archived_tables(loaded.policies[name])
        ]


class SweepOperator(BaseOperator):
    """Moves the rows of a table that are older than its archive rule, with the rows that belong to them.

    Needs no private key. Returns a reference: how many rows and parts moved, and how many rows were due and stay,
    since something refers to them; why stands in the task's log.

    Args:
        database: the database's name in its policy; its connection is `db_<database>`.
        table: the table, as the policy names it.
    """

    template_fields: Sequence[str] = ("database", "table")

    def __init__(self, *, database: str, table: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.database = database
        self.table = table

    def execute(self, context: Context) -> dict[str, Any]:
        """Sweep."""
        hook = StrongroomHook()
        services = hook.services
        summary = services.archiver.sweep(
            hook.actor(context), services.policy(self.database), services.conninfo(self.database), self.table
        )
        for held in summary.held:
            self.log.warning("%s rows of %s stay: %s.", held.rows, self.table, held.reason)
        return {
            "database": self.database,
            "table": self.table,
            "cutoff": summary.cutoff,
            "rows": summary.rows,
            "parts": [part.part_id for part in summary.parts],
            "held_rows": sum(held.rows for held in summary.held),
            "stored_bytes": sum(part.stored_bytes for part in summary.parts),
        }

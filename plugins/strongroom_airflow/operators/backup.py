"""Taking a backup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from strongroom_airflow.assets import backup_asset
from strongroom_airflow.hooks import StrongroomHook

if TYPE_CHECKING:
    from airflow.sdk import Context


class BackupOperator(BaseOperator):
    """Backs up a database as its policy says, and updates the database's backup asset.

    Returns a reference: the backup's id, its manifest's key, and sizes in bytes.

    Args:
        database: the database's name in its policy; its connection is `db_<database>`.
    """

    template_fields: Sequence[str] = ("database",)

    def __init__(self, *, database: str, **kwargs: Any) -> None:
        super().__init__(outlets=[backup_asset(database)], **kwargs)
        self.database = database

    def execute(self, context: Context) -> dict[str, Any]:
        """Take the backup."""
        hook = StrongroomHook()
        services = hook.services
        summary = services.backups.run(
            hook.actor(context), services.policy(self.database), services.conninfo(self.database)
        )
        why = f", because {summary.kind_reason}" if summary.kind_reason else ""
        self.log.info("Backup %s is %s%s.", summary.backup_id, summary.kind, why)
        reference = {
            "backup_id": summary.backup_id,
            "database": self.database,
            "manifest_key": summary.manifest_key,
            "kind": summary.kind,
            "stored_bytes": summary.stored_bytes,
        }
        context["outlet_events"][backup_asset(self.database)].extra = reference
        return reference

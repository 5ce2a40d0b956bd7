"""Copying sealed objects to a further store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from strongroom_airflow.hooks import StrongroomHook

if TYPE_CHECKING:
    from airflow.sdk import Context


class CopyOperator(BaseOperator):
    """Brings one copy of a database up to the store, without opening anything.

    Returns a reference: the copy, how many backups it holds, and what was copied in bytes.

    Args:
        database: the database's name in its policy.
        to: the copy's name in the policy and in the settings.
    """

    template_fields: Sequence[str] = ("database", "to")

    def __init__(self, *, database: str, to: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.database = database
        self.to = to

    def execute(self, context: Context) -> dict[str, Any]:
        """Copy what is missing."""
        hook = StrongroomHook()
        services = hook.services
        report = services.replicator.run(hook.actor(context), services.policy(self.database), self.to)
        return {
            "copy": report.copy,
            "backups": len(report.backups),
            "new_backups": list(report.new_backups),
            "copied_bytes": report.copied_bytes,
        }

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


class CopyWalOperator(BaseOperator):
    """Brings one copy up to the log that was just shipped, without opening anything and without listing it all.

    Returns a reference: the copy, and how much was copied in bytes.

    Args:
        database: the database's name in its policy.
        to: the copy's name in the policy and in the settings.
        shipped: what `WalShipOperator` returned.
    """

    template_fields: Sequence[str] = ("database", "to", "shipped")

    def __init__(self, *, database: str, to: str, shipped: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.database = database
        self.to = to
        self.shipped = shipped

    def execute(self, context: Context) -> dict[str, Any]:
        """Copy what is missing."""
        from strongroom.backup.copying import ShippedLog

        hook = StrongroomHook()
        services = hook.services
        log = ShippedLog(str(self.shipped["system_identifier"]), int(self.shipped["timeline"]))
        report = services.replicator.follow(hook.actor(context), services.policy(self.database), self.to, log)
        return {
            "copy": report.copy,
            "compared": report.compared,
            "copied_objects": report.copied_objects,
            "copied_bytes": report.copied_bytes,
        }

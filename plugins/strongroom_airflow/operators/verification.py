"""Proving a backup by restoring it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from strongroom_airflow.assets import backup_asset
from strongroom_airflow.hooks import StrongroomHook

if TYPE_CHECKING:
    from airflow.sdk import Context


class VerifyBackupOperator(BaseOperator):
    """Restores a backup into a scratch server, checks it level by level, and fails unless it is proven.

    Returns a reference: the proof's key, its result, and the measured seconds.

    Args:
        database: the database's name in its policy.
        backup_id: the backup; without it, the one whose asset event started this run, or else the newest.
    """

    template_fields: Sequence[str] = ("database", "backup_id")

    def __init__(self, *, database: str, backup_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.database = database
        self.backup_id = backup_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Restore and prove."""
        from strongroom.backup.verification import NotProvenError

        hook = StrongroomHook()
        services = hook.services
        backup_id = self.backup_id or self._announced(context)
        proof = services.verifier.verify(hook.actor(context), services.policy(self.database), backup_id)
        for line in proof.lines():
            self.log.info(line)
        if not proof.proven:
            raise NotProvenError.of(proof)
        return {
            "backup_id": proof.backup_id,
            "result": proof.result,
            "rto_seconds": proof.rto_seconds,
            "rpo_seconds": proof.rpo_seconds,
        }

    def _announced(self, context: Context) -> str | None:
        events = context["triggering_asset_events"].get(backup_asset(self.database), [])
        announced = [event.extra["backup_id"] for event in events if "backup_id" in event.extra]
        return max(announced, default=None)

"""Sealing the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from strongroom_airflow.hooks import StrongroomHook

if TYPE_CHECKING:
    from airflow.sdk import Context


class SealAuditLogOperator(BaseOperator):
    """Moves recorded events into the published log; does nothing while another process does it.

    Returns the log's size, and how many events this call added.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Seal the log."""
        hook = StrongroomHook()
        report = hook.services.seal_audit_log(hook.actor(context))
        return {"sealed": report.sealed, "entries": report.size}

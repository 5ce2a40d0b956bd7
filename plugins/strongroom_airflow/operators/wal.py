"""Shipping WAL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from strongroom_airflow.hooks import StrongroomHook

if TYPE_CHECKING:
    from airflow.sdk import Context


class WalShipOperator(BaseOperator):
    """Ships a database's WAL into the archive, up to now.

    Fails when WAL is missing, when more waits on the source than the policy allows, or when the source is not the
    one that the archive knows. Returns a reference: cluster, timeline, segments, sizes in bytes, and up to when
    everything is there.

    Args:
        database: the database's name in its policy; its connection is `db_<database>`.
    """

    template_fields: Sequence[str] = ("database",)

    def __init__(self, *, database: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.database = database

    def execute(self, context: Context) -> dict[str, Any]:
        """Ship."""
        from strongroom.clock import timestamp

        hook = StrongroomHook()
        services = hook.services
        summary = services.wal_shipper.ship(
            hook.actor(context), services.policy(self.database), services.conninfo(self.database)
        )
        for warning in summary.warnings:
            self.log.warning(warning)
        return {
            "database": self.database,
            "system_identifier": summary.system_identifier,
            "timeline": summary.timeline,
            "segments": summary.segments,
            "stored_bytes": summary.stored_bytes,
            "covered_until": timestamp(summary.covered_until),
            "lag_bytes": summary.lag_bytes_left,
        }

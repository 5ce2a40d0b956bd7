"""Retention plans in the control database: made here, approved by their hash, carried out once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from strongroom.catalog import tables


@dataclass(frozen=True)
class PlanRecord:
    """A plan that was made. What was carried out lies in the bucket too, signed."""

    plan_sha256: str
    database: str
    made_at: datetime
    needs_approval: bool
    document: bytes
    """Canonical JSON, compressed with zstd."""
    applied_at: datetime | None = None


class PlanRepository:
    """The retention plans."""

    def add(self, connection: Connection, record: PlanRecord) -> None:
        """Keep a plan; again changes nothing."""
        connection.execute(insert(tables.retention_plan).values(asdict(record)).on_conflict_do_nothing())

    def find(self, connection: Connection, plan_sha256: str) -> PlanRecord | None:
        """The plan with that hash, or None."""
        table = tables.retention_plan
        row = (
            connection.execute(select(table).where(table.c.plan_sha256 == plan_sha256))
            .mappings()
            .one_or_none()
        )
        return PlanRecord(**row) if row else None

    def latest(self, connection: Connection, database: str) -> PlanRecord | None:
        """The newest plan of a database, or None."""
        table = tables.retention_plan
        statement = (
            select(table).where(table.c.database == database).order_by(table.c.made_at.desc()).limit(1)
        )
        row = connection.execute(statement).mappings().one_or_none()
        return PlanRecord(**row) if row else None

    def applied(self, connection: Connection, plan_sha256: str, moment: datetime) -> None:
        """Note that a plan was carried out."""
        table = tables.retention_plan
        connection.execute(update(table).where(table.c.plan_sha256 == plan_sha256).values(applied_at=moment))

    def forget(self, connection: Connection, database: str, before: datetime) -> None:
        """Remove a database's plans that are older."""
        table = tables.retention_plan
        connection.execute(delete(table).where(table.c.database == database, table.c.made_at < before))

"""Archives in the control database: the parts that the bucket holds, and each table's last sweep."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert

from strongroom.catalog import tables
from strongroom.catalog.records import ArchivePartRecord, ArchiveSweepRecord


class ArchivePartRepository:
    """Parts whose rows have left the source, oldest first."""

    def add(self, connection: Connection, record: ArchivePartRecord) -> None:
        """Record a part whose receipt is in the bucket; again is harmless."""
        values = asdict(record)
        statement = insert(tables.archive_part).values(values)
        connection.execute(statement.on_conflict_do_update(index_elements=["part_id"], set_=values))

    def find(self, connection: Connection, part_id: str) -> ArchivePartRecord | None:
        """One part, or None where the index does not know it (the bucket may)."""
        table = tables.archive_part
        row = connection.execute(select(table).where(table.c.part_id == part_id)).mappings().one_or_none()
        return ArchivePartRecord(**row) if row else None

    def list(self, connection: Connection, database: str | None = None) -> list[ArchivePartRecord]:
        """The parts of one database or of all."""
        table = tables.archive_part
        statement = select(table).order_by(table.c.database, table.c.table_name, table.c.part_id)
        if database is not None:
            statement = statement.where(table.c.database == database)
        return [ArchivePartRecord(**row) for row in connection.execute(statement).mappings()]

    def remove(self, connection: Connection, part_id: str) -> None:
        """Forget a part that is no longer in the bucket."""
        connection.execute(delete(tables.archive_part).where(tables.archive_part.c.part_id == part_id))


class ArchiveSweepRepository:
    """The last sweep of each table that came to its end."""

    def keep(self, connection: Connection, record: ArchiveSweepRecord) -> None:
        """Record a sweep in place of the one before it."""
        values = asdict(record)
        statement = insert(tables.archive_sweep).values(values)
        connection.execute(
            statement.on_conflict_do_update(index_elements=["database", "table_name"], set_=values)
        )

    def list(self, connection: Connection, database: str | None = None) -> list[ArchiveSweepRecord]:
        """The sweeps of one database or of all."""
        table = tables.archive_sweep
        statement = select(table).order_by(table.c.database, table.c.table_name)
        if database is not None:
            statement = statement.where(table.c.database == database)
        return [ArchiveSweepRecord(**row) for row in connection.execute(statement).mappings()]

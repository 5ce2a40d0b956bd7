"""Copies in the control database: which backups each holds whole, how its last run ended, what was proven of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from strongroom.catalog import tables
from strongroom.catalog.records import ProofRecord


@dataclass(frozen=True)
class CopiedBackup:
    """A backup that a copy holds whole, its manifest included."""

    copy: str
    backup_id: str
    database: str
    copied_at: datetime
    """When a run first found it whole there."""
    locked_until: datetime | None
    """Until when the copy refuses to delete it; None without Object Lock."""


@dataclass(frozen=True)
class CopyRun:
    """How the newest run to a copy ended."""

    copy: str
    database: str
    finished_at: datetime
    outcome: str
    """`success`, `partial` (something is not what was recorded) or `failure`."""
    copied_objects: int
    copied_bytes: int
    problems: int
    """How many things could not be copied."""


@dataclass(frozen=True)
class CopyProof:
    """What a verification of a copy found."""

    proof_key: str
    copy: str
    database: str
    backup_id: str
    result: str
    verified_at: datetime


class CopyRepository:
    """Reads and writes what is known of copies, inside the caller's transaction."""

    def add_backup(self, connection: Connection, record: CopiedBackup) -> None:
        """Record that a copy holds a backup; again is harmless, and keeps the first time."""
        statement = insert(tables.copied_backup).values(asdict(record))
        lock = {"locked_until": record.locked_until}
        connection.execute(
            statement.on_conflict_do_update(index_elements=["copy", "backup_id"], set_=lock)
            if record.locked_until is not None
            else statement.on_conflict_do_nothing()
        )

    def backups(self, connection: Connection, database: str, copy: str) -> list[CopiedBackup]:
        """The backups of a database that a copy holds, oldest first."""
        table = tables.copied_backup
        statement = select(table).where(table.c.database == database, table.c.copy == copy)
        rows = connection.execute(statement.order_by(table.c.backup_id)).mappings()
        return [CopiedBackup(**row) for row in rows]

    def all_backups(self, connection: Connection, copy: str) -> list[CopiedBackup]:
        """The backups of every database that a copy holds."""
        table = tables.copied_backup
        rows = connection.execute(select(table).where(table.c.copy == copy)).mappings()
        return [CopiedBackup(**row) for row in rows]

    def forget_backups(self, connection: Connection, copy: str, backup_ids: set[str]) -> None:
        """Forget backups that a copy no longer holds whole."""
        table = tables.copied_backup
        connection.execute(
            table.delete().where(table.c.copy == copy, table.c.backup_id.in_(sorted(backup_ids)))
        )

    def finish_run(self, connection: Connection, run: CopyRun) -> None:
        """Record how a run ended, in place of the one before."""
        values = asdict(run)
        statement = insert(tables.copy_run).values(values)
        connection.execute(statement.on_conflict_do_update(index_elements=["copy", "database"], set_=values))

    def last_run(self, connection: Connection, database: str, copy: str) -> CopyRun | None:
        """How the newest run ended, if there was one."""
        table = tables.copy_run
        statement = select(table).where(table.c.database == database, table.c.copy == copy)
        row = connection.execute(statement).mappings().one_or_none()
        return CopyRun(**row) if row else None

    def add_proof(self, connection: Connection, copy: str, record: ProofRecord) -> None:
        """Record what a verification of a copy found; again is harmless."""
        proof = CopyProof(
            record.proof_key, copy, record.database, record.backup_id, record.result, record.verified_at
        )
        statement = insert(tables.copy_proof).values(asdict(proof))
        connection.execute(statement.on_conflict_do_nothing())

    def has_proof(self, connection: Connection, proof_key: str) -> bool:
        """Whether the index knows that proof of a copy."""
        table = tables.copy_proof
        statement = select(table.c.proof_key).where(table.c.proof_key == proof_key)
        return connection.execute(statement).first() is not None

    def last_proof(self, connection: Connection, database: str, copy: str) -> CopyProof | None:
        """The newest proof of a copy, if there is one."""
        table = tables.copy_proof
        statement = select(table).where(table.c.database == database, table.c.copy == copy)
        newest = statement.order_by(table.c.verified_at.desc(), table.c.proof_key.desc()).limit(1)
        row = connection.execute(newest).mappings().one_or_none()
        return CopyProof(**row) if row else None

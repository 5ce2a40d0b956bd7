"""Reading and writing the control database, inside the caller's transaction.

The caller's transaction is the point: a record and the audit event about it are written together or not
at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Select, delete, select
from sqlalchemy.dialects.postgresql import array, insert
from sqlalchemy.engine import RowMapping

from strongroom.catalog import tables
from strongroom.catalog.errors import BackupNotFoundError, ProofNotFoundError
from strongroom.catalog.records import ApprovalRecord, BackupRecord, ObjectRecord, ProofRecord


class ObjectRepository:
    """Sealed objects by key."""

    def add(self, connection: Connection, record: ObjectRecord) -> None:
        """Record an object; recording the same key again replaces what was known of it."""
        values = {**asdict(record), "epoch_ids": list(record.epoch_ids)}
        statement = insert(tables.vault_object).values(values)
        connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_=values))

    def find(self, connection: Connection, key: str) -> ObjectRecord | None:
        """The object's record, or None where the index does not know it (the bucket may)."""
        table = tables.vault_object
        row = connection.execute(select(table).where(table.c.key == key)).mappings().one_or_none()
        return ObjectRecord(**{**row, "epoch_ids": tuple(row["epoch_ids"])}) if row else None

    def keys(self, connection: Connection) -> set[str]:
        """The keys of all objects."""
        return set(connection.execute(select(tables.vault_object.c.key)).scalars())

    def sealed_to(
        self, connection: Connection, epoch_ids: Iterable[str], database: str | None = None
    ) -> list[ObjectRecord]:
        """The objects that one of these epochs opens, of one database or of all, sorted by key."""
        table = tables.vault_object
        statement = (
            select(table).where(table.c.epoch_ids.has_any(array(list(epoch_ids)))).order_by(table.c.key)
        )
        if database is not None:
            statement = statement.where(table.c.database == database)
        rows = connection.execute(statement).mappings()
        return [ObjectRecord(**{**row, "epoch_ids": tuple(row["epoch_ids"])}) for row in rows]

    def remove(self, connection: Connection, key: str) -> None:
        """Forget an object that was deleted."""
        connection.execute(delete(tables.vault_object).where(tables.vault_object.c.key == key))


class BackupRepository:
    """Complete backups, newest first."""

    def add(self, connection: Connection, record: BackupRecord) -> None:
        """Record a backup whose manifest is in the bucket; again is harmless."""
        values = asdict(record)
        statement = insert(tables.backup).values(values)
        connection.execute(statement.on_conflict_do_update(index_elements=["backup_id"], set_=values))

    def list(self, connection: Connection, database: str | None = None) -> list[BackupRecord]:
        """All backups, of one database or of all, newest first."""
        statement = _newest_backups()
        if database is not None:
            statement = statement.where(tables.backup.c.database == database)
        return [BackupRecord(**row) for row in connection.execute(statement).mappings()]

    def get(self, connection: Connection, backup_id: str) -> BackupRecord:
        """One backup.

        Raises:
            BackupNotFoundError: none is recorded under that id.
        """
        record = self.find(connection, backup_id)
        if record is None:
            raise BackupNotFoundError(
                f"There is no backup {backup_id}.", hint="`strongroom backup list` shows what there is."
            )
        return record

    def find(self, connection: Connection, backup_id: str) -> BackupRecord | None:
        """One backup, or None where the index does not know it (the bucket may)."""
        statement = select(tables.backup).where(tables.backup.c.backup_id == backup_id)
        row = connection.execute(statement).mappings().one_or_none()
        return BackupRecord(**row) if row else None

    def remove(self, connection: Connection, backup_id: str) -> None:
        """Forget a backup that is no longer in the bucket."""
        connection.execute(delete(tables.backup).where(tables.backup.c.backup_id == backup_id))

    def latest(self, connection: Connection, database: str) -> BackupRecord:
        """The newest backup of a database.

        Raises:
            BackupNotFoundError: the database has none.
        """
        statement = _newest_backups().where(tables.backup.c.database == database).limit(1)
        row = connection.execute(statement).mappings().one_or_none()
        if row is None:
            raise BackupNotFoundError(
                f"The database {database} has no backup yet.",
                hint=f"`strongroom backup run {database}` takes one.",
            )
        return BackupRecord(**row)


class ServerManifestRepository:
    """PostgreSQL's own manifest of the newest backup of each database, compressed and in pieces.

    An incremental backup starts from it, on a host that cannot open the sealed copy.
    """

    def keep(self, connection: Connection, database: str, backup_id: str, pieces: Iterable[bytes]) -> None:
        """Keep a backup's manifest in place of the one before it; without pieces, keep none."""
        table = tables.server_manifest
        connection.execute(delete(table).where(table.c.database == database))
        for number, content in enumerate(pieces):
            row = {"backup_id": backup_id, "database": database, "piece": number, "content": content}
            connection.execute(insert(table).values(row))

    def pieces(self, connection: Connection, backup_id: str) -> Iterator[bytes]:
        """The manifest's pieces, one at a time; none when it is not there."""
        table = tables.server_manifest
        numbers = select(table.c.piece).where(table.c.backup_id == backup_id).order_by(table.c.piece)
        for number in connection.execute(numbers).scalars().all():
            found = (table.c.backup_id == backup_id) & (table.c.piece == number)
            yield bytes(connection.execute(select(table.c.content).where(found)).scalar_one())


class ProofRepository:
    """What verifications found, newest first."""

    def add(self, connection: Connection, record: ProofRecord) -> None:
        """Record a proof that is in the bucket; again is harmless."""
        values = {**asdict(record), "levels": dict(record.levels)}
        statement = insert(tables.proof).values(values)
        connection.execute(statement.on_conflict_do_update(index_elements=["proof_key"], set_=values))

    def find(self, connection: Connection, proof_key: str) -> ProofRecord | None:
        """One proof, or None where the index does not know it (the bucket may)."""
        statement = select(tables.proof).where(tables.proof.c.proof_key == proof_key)
        row = connection.execute(statement).mappings().one_or_none()
        return _proof(row) if row else None

    def remove(self, connection: Connection, proof_key: str) -> None:
        """Forget a proof that is no longer in the bucket."""
        connection.execute(delete(tables.proof).where(tables.proof.c.proof_key == proof_key))

    def list(
        self, connection: Connection, *, database: str | None = None, backup_id: str | None = None
    ) -> list[ProofRecord]:
        """The proofs of a database or of one backup, newest first."""
        table = tables.proof
        statement = select(table).order_by(table.c.verified_at.desc(), table.c.proof_key.desc())
        if database is not None:
            statement = statement.where(table.c.database == database)
        if backup_id is not None:
            statement = statement.where(table.c.backup_id == backup_id)
        return [_proof(row) for row in connection.execute(statement).mappings()]

    def latest(self, connection: Connection, backup_id: str) -> ProofRecord:
        """The newest proof of a backup.

        Raises:
            ProofNotFoundError: the backup was never verified.
        """
        proofs = self.list(connection, backup_id=backup_id)
        if not proofs:
            raise ProofNotFoundError(
                f"The backup {backup_id} was never verified.",
                hint="`strongroom verify run DATABASE --backup ID` restores and proves it.",
            )
        return proofs[0]


class ApprovalRepository:
    """Plans that a second person approved."""

    def add(self, connection: Connection, record: ApprovalRecord) -> None:
        """Record an approval; again replaces what was known of it."""
        values = asdict(record)
        statement = insert(tables.approval).values(values)
        connection.execute(
            statement.on_conflict_do_update(index_elements=["plan_sha256", "run"], set_=values)
        )

    def find(self, connection: Connection, plan_sha256: str, run: str) -> ApprovalRecord | None:
        """The approval of a plan for a run, or None."""
        table = tables.approval
        statement = select(table).where(table.c.plan_sha256 == plan_sha256, table.c.run == run)
        row = connection.execute(statement).mappings().one_or_none()
        return ApprovalRecord(**row) if row else None

    def remove(self, connection: Connection, run: str) -> None:
        """Withdraw whatever was approved for a run."""
        connection.execute(delete(tables.approval).where(tables.approval.c.run == run))


def _newest_backups() -> Select[Any]:
    table = tables.backup
    return select(table).order_by(table.c.started_at.desc(), table.c.backup_id.desc())


def _proof(row: RowMapping) -> ProofRecord:
    return ProofRecord(**row)

"""Legal holds in the control database, which object versions they locked, and requests that wait for an answer.

The holds are an index of `holds/` in the bucket. The locked versions are known here alone: with them gone, nothing
is released that should not be, and the next enforcement finds what is to be locked again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert

from strongroom.catalog import tables


@dataclass(frozen=True)
class HoldRecord:
    """A legal hold; what the members mean stands in `strongroom.retention.holds`."""

    hold_id: str
    kind: str
    database: str
    table: str | None
    person: str | None
    since: datetime | None
    until: datetime | None
    backup_id: str | None
    reason: str
    placed_by: str | None
    """The account of the person; None where the index was made again from the bucket, which names nobody."""
    placed_at: datetime
    released_at: datetime | None = None


class LockState(StrEnum):
    """Whose the legal hold on an object version is."""

    PENDING = "pending"
    """About to be locked; a run that was killed may or may not have come to it."""
    OURS = "ours"
    FOREIGN = "foreign"
    """It was under legal hold before: whoever put it there lifts it."""


@dataclass(frozen=True)
class HeldVersion:
    """An object version that a hold reaches, in a store that has legal holds."""

    store: str
    """`store`, or the name of a copy."""
    key: str
    version_id: str


@dataclass(frozen=True)
class ApprovalRequest:
    """Something that a person asked for at the command line, and a second person has to approve."""

    run: str
    """`command/<what>/<which>`."""
    plan_sha256: str
    requested_by: str
    requested_at: datetime


class HoldRepository:
    """Reads and writes holds, inside the caller's transaction."""

    def add(self, connection: Connection, record: HoldRecord) -> None:
        """Record a hold; again replaces what was known of it, and keeps who placed it."""
        values = asdict(record)
        known = {name: value for name, value in values.items() if name != "placed_by" or value is not None}
        statement = insert(tables.legal_hold).values(values)
        connection.execute(statement.on_conflict_do_update(index_elements=["hold_id"], set_=known))

    def find(self, connection: Connection, hold_id: str) -> HoldRecord | None:
        """One hold, or None where the index does not know it (the bucket may)."""
        statement = select(tables.legal_hold).where(tables.legal_hold.c.hold_id == hold_id)
        row = connection.execute(statement).mappings().one_or_none()
        return HoldRecord(**row) if row else None

    def list(self, connection: Connection, database: str | None = None) -> list[HoldRecord]:
        """All holds, of one database or of all, oldest first."""
        statement = select(tables.legal_hold).order_by(
            tables.legal_hold.c.placed_at, tables.legal_hold.c.hold_id
        )
        if database is not None:
            statement = statement.where(tables.legal_hold.c.database == database)
        return [HoldRecord(**row) for row in connection.execute(statement).mappings()]


class HeldVersionRepository:
    """Which object versions were locked, inside the caller's transaction."""

    def note(self, connection: Connection, version: HeldVersion, state: LockState) -> None:
        """Note a version's state, in place of the one before."""
        statement = insert(tables.held_version).values(**asdict(version), state=state)
        key = ["store", "key", "version_id"]
        connection.execute(statement.on_conflict_do_update(index_elements=key, set_={"state": state}))

    def remove(self, connection: Connection, version: HeldVersion) -> None:
        """Forget a version that no hold reaches any more."""
        table = tables.held_version
        found = (table.c.store == version.store) & (table.c.key == version.key)
        connection.execute(delete(table).where(found, table.c.version_id == version.version_id))

    def of(self, connection: Connection, store: str) -> dict[HeldVersion, LockState]:
        """The versions that are known in a store."""
        table = tables.held_version
        rows = connection.execute(select(table).where(table.c.store == store))
        return {HeldVersion(row.store, row.key, row.version_id): LockState(row.state) for row in rows}


class RequestRepository:
    """What waits for a second person, inside the caller's transaction."""

    def add(self, connection: Connection, request: ApprovalRequest) -> None:
        """Record a request; the newest of a run is the one that counts."""
        values = asdict(request)
        statement = insert(tables.approval_request).values(values)
        connection.execute(statement.on_conflict_do_update(index_elements=["run"], set_=values))

    def find(self, connection: Connection, run: str) -> ApprovalRequest | None:
        """The request of a run, or None."""
        statement = select(tables.approval_request).where(tables.approval_request.c.run == run)
        row = connection.execute(statement).mappings().one_or_none()
        return ApprovalRequest(**row) if row else None

    def remove(self, connection: Connection, run: str) -> None:
        """Forget a request that was answered."""
        connection.execute(delete(tables.approval_request).where(tables.approval_request.c.run == run))

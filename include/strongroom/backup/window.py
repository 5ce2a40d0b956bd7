"""Which tables at the restore point are the same as in the snapshots just before it.

A restored cluster is in the state of the restore point; fingerprints are taken in snapshots a moment earlier.

    p0          position in the WAL, before anything else
    locks       tables that other sessions hold for writing
    snapshots   one per database (a snapshot cannot be shared between databases)
    rp          the restore point

A change that a snapshot does not show and the restore point does was made by a transaction that was still
open at the snapshot. What it wrote before p0 it still held locked when the locks were read; what it wrote
later is in the WAL between p0 and rp. So every table outside these two sets is equal at both moments. A table
that was rewritten or altered in between differs in its file node or its columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from strongroom.backup.manifest import RestorePoint
from strongroom.postgres import (
    Connection,
    Table,
    connect,
    databases,
    exported_snapshot,
    parse_lsn,
    server_errors,
    tables,
    with_database,
)

_APPLICATION = "strongroom backup"
_WRITE_LOCKS = """
SELECT DISTINCT database, relation FROM pg_catalog.pg_locks
 WHERE locktype = 'relation' AND granted AND pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
   AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
"""
_SHAPES = """
SELECT c.oid, pg_catalog.pg_relation_filenode(c.oid), c.relnatts,
       pg_catalog.pg_relation_filenode(nullif(c.reltoastrelid, 0))
  FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'm') AND c.relispopulated
"""

Shapes = dict[int, tuple[int | None, ...]]
"""By table's oid: its file node, its number of columns (dropped ones included), its TOAST table's file node."""


@dataclass(frozen=True)
class SnapshotDatabase:
    """One database of the source, with a snapshot that is held open."""

    name: str
    oid: int
    conninfo: str
    snapshot: str
    tables: tuple[Table, ...]
    shapes: Shapes


@dataclass(frozen=True)
class Window:
    """The moment between the snapshots and the restore point."""

    start: int
    """p0, as a byte position."""
    restore_point: RestorePoint
    locked: frozenset[tuple[int, int]]
    """(database oid, table oid)"""
    databases: tuple[SnapshotDatabase, ...]

    @property
    def end(self) -> int:
        """The restore point's byte position."""
        return parse_lsn(self.restore_point.lsn)


@contextmanager
def restore_window(
    control: Connection, conninfo: str, restore_point: str, *, with_snapshots: bool
) -> Iterator[Window]:
    """Take snapshots, write the restore point at once, and switch to a new segment.

    The snapshots live as long as the block.

    Raises:
        DatabaseUnreachableError: the source went away.
    """
    names = databases(control) if with_snapshots else []
    with ExitStack() as stack:
        sessions = [_open_database(stack, conninfo, name) for name in names]
        start = _position(control, "SELECT pg_catalog.pg_current_wal_insert_lsn()")
        with server_errors("The source"):
            rows = control.execute(_WRITE_LOCKS).fetchall()
        locked = frozenset((int(database or 0), int(relation)) for database, relation in rows)
        snapshots = [exported_snapshot(session.connection) for session in sessions]
        lsn = _text(control, "SELECT pg_catalog.pg_create_restore_point(%s)", (restore_point,))
        _text(control, "SELECT pg_catalog.pg_switch_wal()")
        found = tuple(
            session.described(snapshot) for session, snapshot in zip(sessions, snapshots, strict=True)
        )
        yield Window(start, RestorePoint(restore_point, lsn), locked, found)


@dataclass(frozen=True)
class _Session:
    connection: Connection
    name: str
    oid: int
    conninfo: str
    shapes: Shapes

    def described(self, snapshot: str) -> SnapshotDatabase:
        found = tuple(tables(self.connection))
        return SnapshotDatabase(self.name, self.oid, self.conninfo, snapshot, found, self.shapes)


def _open_database(stack: ExitStack, conninfo: str, name: str) -> _Session:
    own = with_database(conninfo, name)
    connection = stack.enter_context(connect(own, application_name=_APPLICATION))
    oid = _text(connection, "SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()")
    return _Session(connection, name, int(oid), own, _shapes(connection))


def _shapes(connection: Connection) -> Shapes:
    with server_errors("The source"):
        return {row[0]: tuple(row[1:]) for row in connection.execute(_SHAPES).fetchall()}


def incomparable(
    database: SnapshotDatabase, window: Window, written: set[tuple[int, int]] | None
) -> dict[int, str]:
    """The tables that may differ between the snapshot and the restore point, by oid, with the reason.

    Call it after the tables were read: a change of a table's structure since then counts too.

    Args:
        database: one of the window's.
        window: the window.
        written: what the WAL of the window changed; None when it could not be read.
    """
    if written is None:
        return {table.oid: "the WAL of this server version cannot be read here" for table in database.tables}
    with connect(database.conninfo, application_name=_APPLICATION) as connection:
        now = _shapes(connection)
    reasons: dict[int, str] = {}
    for table in database.tables:
        shape = database.shapes.get(table.oid)
        if (database.oid, table.oid) in window.locked:
            reasons[table.oid] = "a transaction was writing to it at the snapshot"
        elif shape is None or now.get(table.oid) != shape:
            reasons[table.oid] = "its structure was changed or its file was rewritten"
        elif _written(database.oid, shape, written):
            reasons[table.oid] = "it was written to between the snapshot and the restore point"
    return reasons


def _written(database_oid: int, shape: Sequence[int | None], written: set[tuple[int, int]]) -> bool:
    main, _, toast = shape
    return any(node is not None and (database_oid, node) in written for node in (main, toast))


def _position(connection: Connection, query: str) -> int:
    return parse_lsn(_text(connection, query))


def _text(connection: Connection, query: str, parameters: tuple[str, ...] = ()) -> str:
    with server_errors("The source"):
        row = connection.execute(query.encode(), parameters or None).fetchone()
    return str(row[0]) if row else ""

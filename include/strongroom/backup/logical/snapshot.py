"""One moment of the source, held open: all tables locked against being dropped, and a snapshot for every stream.

    list the tables → BEGIN → lock them (ACCESS SHARE) → export the snapshot → list again

The locks come before the snapshot, so that no table can be altered between what the snapshot sees and what the
catalogue says. They are what `pg_dump` takes: reading and writing go on, and a DROP waits until the backup is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg import errors as pg_errors

from strongroom.backup.errors import SourceNotReadyError
from strongroom.backup.logical.contents import quoted
from strongroom.backup.logical.errors import TableLockedError, TablesChangingError, UnreadableTablesError
from strongroom.backup.logical.inventory import Inventory, lockable_tables, read_inventory
from strongroom.postgres import Connection, connect, server_errors

APPLICATION = "strongroom backup"
LOCK_TIMEOUT_SECONDS = 30
_ATTEMPTS = 5
_TABLES_AT_ONCE = 200
_NO_TIME_LIMIT = """
SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout'
"""
_UNREADABLE = """
SELECT count(*) FILTER (WHERE NOT pg_catalog.has_table_privilege(c.oid, 'SELECT')
                           OR NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE')),
       count(*) FILTER (WHERE pg_catalog.row_security_active(c.oid))
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't'
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""


@dataclass(frozen=True)
class HeldSnapshot:
    """The snapshot, the session that holds it, and what it sees."""

    connection: Connection
    inventory: Inventory


def check_readable(connection: Connection) -> None:
    """Pass when the connection's user may read every table and row.

    Raises:
        UnreadableTablesError: it may not; the hint says what grants it.
    """
    with server_errors("The source"):
        row = connection.execute(_UNREADABLE.encode()).fetchone()
        user = connection.execute("SELECT quote_ident(current_user)").fetchone()
    forbidden, hidden = row or (0, 0)
    role = user[0] if user else "the role"
    if forbidden:
        raise UnreadableTablesError(
            f"The backup's user may not read {forbidden} of the database's tables and sequences.",
            hint=f"As a superuser: GRANT pg_read_all_data TO {role};",
        )
    if hidden:
        raise UnreadableTablesError(
            f"Row security hides rows of {hidden} tables from the backup's user.",
            hint=f"As a superuser: ALTER ROLE {role} BYPASSRLS; or back up as the tables' owner.",
        )


@contextmanager
def held_snapshot(conninfo: str) -> Iterator[HeldSnapshot]:
    """Lock every table and hold a snapshot during the block.

    Raises:
        TableLockedError: somebody else holds a table's lock.
        TablesChangingError: tables come and go faster than they can be locked.
        SourceNotReadyError: the server has no room for so many locks.
    """
    with connect(conninfo, application_name=APPLICATION) as connection:
        with server_errors("The source"):
            connection.execute(_NO_TIME_LIMIT)
        yield HeldSnapshot(connection, _take(connection))
        with server_errors("The source"):
            connection.execute("COMMIT")


def _take(connection: Connection) -> Inventory:
    for _ in range(_ATTEMPTS):
        wanted = lockable_tables(connection)
        snapshot = _lock(connection, [quoted((schema, name)) for _, schema, name in sorted(wanted)])
        if snapshot is not None and lockable_tables(connection) == wanted:
            return read_inventory(connection, snapshot)
        with server_errors("The source"):
            connection.execute("ROLLBACK")
    raise TablesChangingError(
        "Tables of the source were made, altered or dropped again and again while the backup locked them.",
        hint="Take the backup at a quieter time, or find out what keeps making tables.",
    )


def _lock(connection: Connection, names: Sequence[str]) -> str | None:
    """Lock the tables and export a snapshot; None when one of them is gone."""
    with server_errors("The source"):
        connection.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'".encode())
            for start in range(0, len(names), _TABLES_AT_ONCE):
                some = ", ".join(f"ONLY {name}" for name in names[start : start + _TABLES_AT_ONCE])
                connection.execute(f"LOCK TABLE {some} IN ACCESS SHARE MODE".encode(), prepare=False)
            row = connection.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
        except (pg_errors.UndefinedTable, pg_errors.InvalidSchemaName, pg_errors.WrongObjectType):
            return None
        except pg_errors.OutOfMemory as error:
            raise SourceNotReadyError(
                f"The server has no room for the locks of all {len(names)} tables.",
                hint="ALTER SYSTEM SET max_locks_per_transaction = 512; then restart the server.",
            ) from error
        except pg_errors.LockNotAvailable as error:
            raise TableLockedError(
                f"A table of the source was locked by another session for {LOCK_TIMEOUT_SECONDS} seconds.",
                hint="Look in pg_locks for an AccessExclusiveLock: a migration, a VACUUM FULL. Then run it again.",
            ) from error
    return str(row[0]) if row else ""

"""Content fingerprints of tables, computed by the server: order-independent, 128 bits, under a seed.

    r          = ROW(column, ...)::text COLLATE "C"   under the session settings of `connect`
    s1, s2     = sum over all rows of hashtextextended(r, seed), hashtextextended(r, seed xor K), mod 2**64
    hash       = s1 and s2 as 32 hexadecimal digits

The sum does not depend on the rows' order on disk, and unlike xor it does not lose equal rows in pairs. The
seed is drawn anew for every backup, so that nobody can prepare rows that collide.
"""

from __future__ import annotations

import queue
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg import sql

from strongroom.postgres.errors import MissingPrivilegeError
from strongroom.postgres.inspect import Table
from strongroom.postgres.session import Connection, connect, server_errors

_SECOND_SEED = 0x5DEECE66D1F3
_APPLICATION = "strongroom fingerprint"
_TABLES_PER_TRANSACTION = 50
_SMALL_TABLE_BYTES = 1 << 20

TableName = tuple[str, str]
"""Schema and name."""


@dataclass(frozen=True)
class Fingerprint:
    """What a table held in one snapshot."""

    rows: int
    hash: str
    """32 hexadecimal digits."""


def new_seed() -> int:
    """A random seed; below 2**52, so that JSON carries it exactly."""
    return secrets.randbits(52)


def table_fingerprint(connection: Connection, table: Table, seed: int) -> Fingerprint:
    """The fingerprint of one table's own rows, in the connection's snapshot.

    Raises:
        MissingPrivilegeError: the user may not read the table.
        DatabaseUnreachableError: the server went away.
    """
    query = sql.SQL(
        "SELECT count(*), coalesce(sum(pg_catalog.hashtextextended(r, {})), 0),"
        " coalesce(sum(pg_catalog.hashtextextended(r, {})), 0)"
        ' FROM (SELECT ROW({})::text COLLATE "C" AS r FROM ONLY {} OFFSET 0) AS s'
    ).format(
        sql.Literal(seed),
        sql.Literal(seed ^ _SECOND_SEED),
        sql.SQL(", ").join(sql.Identifier(column) for column in table.columns),
        table.identifier,
    )
    with server_errors("The database server"), connection.transaction():
        row = connection.execute(query).fetchone()
    rows, first, second = row if row is not None else (0, 0, 0)
    return Fingerprint(int(rows), f"{int(first) % 2**64:016x}{int(second) % 2**64:016x}")


def table_fingerprints(
    conninfo: str,
    tables: Sequence[Table],
    seed: int,
    *,
    snapshot: str | None = None,
    connections: int = 2,
    alive: Callable[[], None] | None = None,
) -> dict[TableName, Fingerprint | None]:
    """The fingerprints of several tables in one snapshot, over several connections.

    Args:
        conninfo: the tables' database.
        tables: which tables; the largest are started first.
        seed: of `new_seed`, or of the document to compare with.
        snapshot: a name from `exported_snapshot`; without it, each connection takes its own, which is right
            only where nothing writes.
        connections: how many at once.
        alive: called between tables; an exception from it ends the work.

    Returns:
        By schema and name; None for a table that the user may not read.
    """
    waiting: queue.SimpleQueue[Table] = queue.SimpleQueue()
    for table in sorted(tables, key=lambda item: -item.size_bytes):
        waiting.put(table)
    count = max(1, min(connections, len(tables)))
    with ThreadPoolExecutor(count, thread_name_prefix="fingerprint") as pool:
        parts = [pool.submit(_work, conninfo, waiting, seed, snapshot, alive) for _ in range(count)]
        return {name: value for part in parts for name, value in part.result().items()}


def _work(
    conninfo: str,
    waiting: queue.SimpleQueue[Table],
    seed: int,
    snapshot: str | None,
    alive: Callable[[], None] | None,
) -> dict[TableName, Fingerprint | None]:
    found: dict[TableName, Fingerprint | None] = {}
    with connect(conninfo, application_name=_APPLICATION) as connection:
        while some := _take(waiting):
            with _snapshot(connection, snapshot):
                for table in some:
                    if alive is not None:
                        alive()
                    found[table.schema, table.name] = _readable_fingerprint(connection, table, seed)
    return found


def _take(waiting: queue.SimpleQueue[Table]) -> list[Table]:
    """The next large table, or several small ones: a transaction holds its locks to its end."""
    some: list[Table] = []
    while len(some) < _TABLES_PER_TRANSACTION and not (some and some[-1].size_bytes > _SMALL_TABLE_BYTES):
        try:
            some.append(waiting.get_nowait())
        except queue.Empty:
            break
    return some


def _readable_fingerprint(connection: Connection, table: Table, seed: int) -> Fingerprint | None:
    try:
        return table_fingerprint(connection, table, seed)
    except MissingPrivilegeError:
        return None


@contextmanager
def _snapshot(connection: Connection, snapshot: str | None) -> Iterator[None]:
    with server_errors("The database server"):
        connection.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if snapshot is not None:
            connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
        connection.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        yield
        connection.execute("COMMIT")


def exported_snapshot(connection: Connection) -> str:
    """Begin a repeatable-read transaction on the connection and give its snapshot a name for others.

    The name is good for the same database, as long as the transaction is open.
    """
    with server_errors("The database server"):
        connection.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        row = connection.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
    return str(row[0]) if row else ""

"""Partitions that are old as a whole: detached and dropped, instead of emptied row by row.

A partition counts as old as a whole when it is a leaf directly below the table, partitioned by a range of the column
that the rule goes by and of nothing else, and its range ends before the moment up to which rows are due: so no row
can come into it any more that would not be due as well. When any row in it has to stay, it is not dropped, and what
can leave leaves row by row.

Only the owner of table and partition can drop it. While it is archived nobody can write into it: whoever tries waits,
and finds the rows gone. When somebody does wait, or the table is so busy that the moment's lock that detaching needs
cannot be had, its rows are deleted and the empty partition stays.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace

from psycopg import errors as pg_errors
from psycopg import sql

from strongroom.archive.family import Bounds, Family
from strongroom.archive.manifest import encoded_name
from strongroom.archive.references import TableName, foreign_keys
from strongroom.postgres import Connection, server_errors

_LEAVES = """
SELECT n.nspname, c.relname, pg_catalog.pg_get_expr(c.relpartbound, c.oid)
  FROM pg_catalog.pg_class p
  JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
  JOIN pg_catalog.pg_partitioned_table t ON t.partrelid = p.oid
  JOIN pg_catalog.pg_attribute a ON a.attrelid = p.oid AND a.attnum = t.partattrs[0]
  JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid
  JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relkind = 'r'
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE pn.nspname = %s AND p.relname = %s AND t.partstrat = 'r' AND t.partnatts = 1 AND a.attname = %s
   AND c.oid <> t.partdefid
   AND pg_catalog.pg_has_role(p.relowner, 'USAGE') AND pg_catalog.pg_has_role(c.relowner, 'USAGE')
 ORDER BY n.nspname, c.relname
"""
_LOCK_TRIES = 10
_LOCK_PAUSE_SECONDS = 0.3
_SHORT_PATIENCE = "SET LOCAL lock_timeout = '800ms'"
"""Less than `deadlock_timeout`, which is a second unless somebody changed it."""
_BOUND = re.compile(r"FOR VALUES FROM \((MINVALUE|'([^']+)')\) TO \('([^']+)'\)")


@dataclass(frozen=True)
class OldPartition:
    """A partition that is old as a whole."""

    name: TableName
    bounds: Bounds

    @property
    def period(self) -> str:
        """How the period of a part is called that holds it."""
        return f"partition-{encoded_name(self.name[1])}"


def old_partitions(connection: Connection, family: Family, due: Bounds) -> list[OldPartition]:
    """The partitions of the family's root that are old as a whole, oldest first."""
    with server_errors("The source database"):
        rows = connection.execute(_LEAVES, (*family.root.name, family.root.rule.by)).fetchall()
    found = []
    for schema, name, expression in rows:
        match = _BOUND.fullmatch(expression)
        if match is None:
            continue
        bounds = replace(due, lower=match[2], upper=match[3])
        if _ends_before(connection, bounds, due):
            found.append(OldPartition((schema, name), bounds))
    return sorted(found, key=lambda partition: (partition.bounds.lower or "", partition.name))


def _ends_before(connection: Connection, bounds: Bounds, due: Bounds) -> bool:
    query = sql.SQL("SELECT {} <= {}").format(bounds.literal(bounds.upper), due.literal(due.upper))
    with server_errors("The source database"):
        row = connection.execute(query).fetchone()
    return bool(row and row[0])


def hold_writers(connection: Connection, partition: OldPartition) -> None:
    """Let nobody write into the partition until the transaction ends; reading goes on. Call before the snapshot."""
    with server_errors("The source database"):
        connection.execute(
            sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(sql.Identifier(*partition.name))
        )


def rows_in(connection: Connection, partition: OldPartition) -> int:
    """How many rows the partition holds."""
    with server_errors("The source database"):
        row = connection.execute(
            sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(*partition.name))
        ).fetchone()
    return int(row[0]) if row else 0


def can_be_dropped(connection: Connection, family: Family, partition: OldPartition) -> bool:
    """Get the locks that detaching needs, in the caller's transaction; False when others are in the way.

    Nobody else must fail because of this. Whoever waits for us and holds what we would wait for would be in a deadlock
    with us, and PostgreSQL ends the one whose patience of one second is over first. So we never begin to wait while
    somebody waits for us, and never wait that long.
    """
    held = [partition.name, family.root.name]
    for name, mode in _locks(connection, family):
        for _ in range(_LOCK_TRIES):
            if _somebody_waits(connection, held):
                return False
            if _lock(connection, name, mode):
                break
            time.sleep(_LOCK_PAUSE_SECONDS)
        else:
            return False
        held.append(name)
    return True


def drop(connection: Connection, family: Family, partition: OldPartition) -> None:
    """Detach and drop the partition, in the caller's transaction, which has the locks."""
    table, child = sql.Identifier(*family.root.name), sql.Identifier(*partition.name)
    connection.execute(sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(table, child))
    connection.execute(sql.SQL("DROP TABLE {}").format(child))


def _locks(connection: Connection, family: Family) -> list[tuple[TableName, str]]:
    """What detaching locks besides the partition: tables that refer to the table, then the table itself."""
    root = family.root.name
    referring = sorted({key.child for key in foreign_keys(connection) if key.parent == root} - {root})
    return [*((name, "SHARE ROW EXCLUSIVE") for name in referring), (root, "ACCESS EXCLUSIVE")]


def _lock(connection: Connection, name: TableName, mode: str) -> bool:
    statement = sql.SQL("LOCK TABLE ONLY {} IN {} MODE").format(sql.Identifier(*name), sql.SQL(mode))
    try:
        with connection.transaction():
            connection.execute(_SHORT_PATIENCE)
            connection.execute(statement)
    except (pg_errors.LockNotAvailable, pg_errors.InsufficientPrivilege):
        return False
    return True


def _somebody_waits(connection: Connection, held: list[TableName]) -> bool:
    names = [sql.Identifier(*name).as_string(connection) for name in held]
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks WHERE NOT granted AND relation = ANY(%s::regclass[]))",
        (names,),
    ).fetchone()
    return bool(row and row[0])

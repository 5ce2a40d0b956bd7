"""What a server holds: its databases, and the tables that keep rows."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from psycopg import sql
from psycopg.conninfo import make_conninfo

from strongroom.postgres.session import Connection, server_errors


class TableKind(enum.StrEnum):
    """How a table keeps its rows."""

    ORDINARY = "ordinary"
    """An ordinary table or a leaf of a partitioned one."""
    UNLOGGED = "unlogged"
    """Emptied by a crash, and by every restore of a physical backup."""
    FOREIGN = "foreign"
    """The rows are on another server."""


@dataclass(frozen=True)
class Table:
    """A table that keeps rows itself."""

    oid: int
    schema: str
    name: str
    kind: TableKind
    columns: tuple[str, ...]
    """In the order of the catalogue; dropped ones are left out."""
    size_bytes: int

    @property
    def identifier(self) -> sql.Identifier:
        """The quoted, schema-qualified name."""
        return sql.Identifier(self.schema, self.name)


_TABLES = """
SELECT c.oid, n.nspname, c.relname,
       CASE WHEN c.relkind = 'f' THEN 'foreign' WHEN c.relpersistence = 'u' THEN 'unlogged'
            ELSE 'ordinary' END,
       array(SELECT a.attname FROM pg_catalog.pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)::text[],
       CASE WHEN c.relkind = 'f' THEN 0 ELSE pg_catalog.pg_table_size(c.oid) END
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'f', 'm') AND c.relispopulated AND c.relpersistence <> 't'
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
   AND n.nspname !~ '^pg_(toast_)?temp_'
 ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""


def databases(connection: Connection) -> list[str]:
    """The names of all databases that allow connections, templates left out, sorted."""
    with server_errors("The database server"):
        rows = connection.execute(
            "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate"
        ).fetchall()
    return sorted(str(row[0]) for row in rows)


def tables(connection: Connection) -> list[Table]:
    """The tables, partition leaves and materialized views of the connection's database, by name.

    Partitioned parents and unpopulated views keep no rows and are left out; so are temporary tables and the
    catalogue's own.
    """
    with server_errors("The database server"):
        rows = connection.execute(_TABLES).fetchall()
    return [
        Table(oid, schema, name, TableKind(kind), tuple(columns), size or 0)
        for oid, schema, name, kind, columns, size in rows
    ]


def server_major(connection: Connection) -> int:
    """The server's major version, for instance 18."""
    return connection.info.server_version // 10000


def server_version(connection: Connection) -> str:
    """The server's version as numbers, for instance `18.6`."""
    number = connection.info.server_version
    return f"{number // 10000}.{number % 10000}"


def with_database(conninfo: str, dbname: str) -> str:
    """The same connection string for another database of the server."""
    return make_conninfo(conninfo, dbname=dbname)

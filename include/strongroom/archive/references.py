"""What refers to a table's rows: the foreign keys of the live catalogue, and the columns of its tables."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from strongroom.postgres import Connection, server_errors

TableName = tuple[str, str]
"""Schema and name, as the catalogue has them."""
Operator = tuple[str, str]
EQUALS: Operator = ("pg_catalog", "=")


@dataclass(frozen=True)
class Pair:
    """A referring column, the one it refers to, and the operator that compares them."""

    column: str
    target: str
    operator: Operator = EQUALS


@dataclass(frozen=True)
class Reference:
    """A foreign key, or a link that only the policy knows."""

    child: TableName
    """Whose rows refer. Of a partitioned table, the root."""
    parent: TableName
    pairs: tuple[Pair, ...]
    on_delete: str = "a"
    """What the database does to the referring row, as `pg_constraint.confdeltype` has it."""
    constraint: str | None = None
    type_column: str | None = None
    type_value: str | None = None

    @property
    def columns(self) -> frozenset[str]:
        """The referring columns."""
        return frozenset(pair.column for pair in self.pairs)

    @property
    def acts(self) -> bool:
        """Whether the database changes or deletes the referring row by itself."""
        return self.on_delete in ("c", "n", "d")

    def join(self, child: Rows, parent: Rows) -> sql.Composable:
        """The condition under which a row of the child refers to a row of the parent."""
        conditions: list[sql.Composable] = [
            sql.SQL("{} OPERATOR({}.{}) {}").format(
                parent.column(pair.target),
                sql.Identifier(pair.operator[0]),
                sql.SQL(pair.operator[1]),
                child.column(pair.column),
            )
            for pair in self.pairs
        ]
        if self.type_column is not None:
            value = sql.Literal(self.type_value)
            conditions.append(sql.SQL("{}::text = {}").format(child.column(self.type_column), value))
        return sql.SQL(" AND ").join(conditions)


@dataclass(frozen=True)
class Rows:
    """A table in a FROM list: under an alias, or under its own name."""

    table: TableName
    alias: str | None = None
    only: bool = False
    """Whether tables that inherit from it are left out; the partitions of a partitioned one never are."""

    def column(self, name: str) -> sql.Identifier:
        """One of its columns."""
        return sql.Identifier(self.alias, name) if self.alias else sql.Identifier(*self.table, name)

    @property
    def source(self) -> sql.Composable:
        """How it stands in the FROM list."""
        table = sql.SQL("ONLY {}" if self.only else "{}").format(sql.Identifier(*self.table))
        return sql.SQL("{} AS {}").format(table, sql.Identifier(self.alias)) if self.alias else table


@dataclass(frozen=True)
class ColumnFacts:
    """A column as it was declared."""

    name: str
    type: str
    base_type: str
    """The type behind a domain."""


_FOREIGN_KEYS = """
SELECT con.conname, cn.nspname, c.relname, tn.nspname, t.relname, con.confdeltype::text,
       array(SELECT a.attname FROM unnest(con.conkey) WITH ORDINALITY AS k (number, place)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = k.number
              ORDER BY k.place)::text[],
       array(SELECT a.attname FROM unnest(con.confkey) WITH ORDINALITY AS k (number, place)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = con.confrelid AND a.attnum = k.number
              ORDER BY k.place)::text[],
       array(SELECT n.nspname FROM unnest(con.conpfeqop) WITH ORDINALITY AS k (operator, place)
               JOIN pg_catalog.pg_operator o ON o.oid = k.operator
               JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace ORDER BY k.place)::text[],
       array(SELECT o.oprname FROM unnest(con.conpfeqop) WITH ORDINALITY AS k (operator, place)
               JOIN pg_catalog.pg_operator o ON o.oid = k.operator ORDER BY k.place)::text[]
  FROM pg_catalog.pg_constraint con
  JOIN pg_catalog.pg_class c ON c.oid = coalesce(pg_catalog.pg_partition_root(con.conrelid), con.conrelid)
  JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
  JOIN pg_catalog.pg_class t ON t.oid = coalesce(pg_catalog.pg_partition_root(con.confrelid), con.confrelid)
  JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
 WHERE con.contype = 'f' AND con.conparentid = 0
 ORDER BY cn.nspname, c.relname, con.conname
"""

_COLUMNS = """
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
       pg_catalog.format_type(CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END, NULL)
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
 WHERE a.attrelid = pg_catalog.to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum
"""

_PARTITIONED = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'p'
"""

_PRIMARY_KEY = """
SELECT array(SELECT a.attname FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (number, place)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
              ORDER BY k.place)::text[]
  FROM pg_catalog.pg_index i WHERE i.indrelid = pg_catalog.to_regclass(%s) AND i.indisprimary
"""


def foreign_keys(connection: Connection) -> list[Reference]:
    """Every foreign key of the database, between the roots of partitioned tables."""
    with server_errors("The source database"):
        rows = connection.execute(_FOREIGN_KEYS).fetchall()
    found = []
    for name, schema, table, to_schema, to_table, action, columns, targets, spaces, operators in rows:
        pairs = tuple(
            Pair(column, target, (space, operator))
            for column, target, space, operator in zip(columns, targets, spaces, operators, strict=True)
        )
        found.append(Reference((schema, table), (to_schema, to_table), pairs, action, name))
    return found


def columns_of(connection: Connection, table: TableName) -> tuple[ColumnFacts, ...]:
    """The columns of a table in their order; none when there is no such table."""
    with server_errors("The source database"):
        rows = connection.execute(_COLUMNS, (_quoted(connection, table),)).fetchall()
    return tuple(ColumnFacts(*row) for row in rows)


def primary_key(connection: Connection, table: TableName) -> tuple[str, ...]:
    """The columns of a table's primary key; none when it has none."""
    with server_errors("The source database"):
        row = connection.execute(_PRIMARY_KEY, (_quoted(connection, table),)).fetchone()
    return tuple(row[0]) if row else ()


def partitioned_tables(connection: Connection) -> frozenset[TableName]:
    """The tables whose rows lie in partitions."""
    with server_errors("The source database"):
        rows = connection.execute(_PARTITIONED).fetchall()
    return frozenset((schema, name) for schema, name in rows)


def _quoted(connection: Connection, table: TableName) -> str:
    return sql.Identifier(*table).as_string(connection)

"""What the catalogue says of a table's columns, down to the types below domains, arrays and composites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from strongroom.archive.errors import UnsupportedTypeError
from strongroom.errors import NotFoundError
from strongroom.policy import split_table
from strongroom.postgres import Connection, server_errors

_IRREVERSIBLE_INPUTS = {
    "regprocin": "an overloaded function's name does not say which one is meant",
    "regoperin": "an overloaded operator's name does not say which one is meant",
    "pg_node_tree_in": "PostgreSQL does not read such values",
    "pg_ndistinct_in": "PostgreSQL does not read such values",
    "pg_dependencies_in": "PostgreSQL does not read such values",
    "pg_mcv_list_in": "PostgreSQL does not read such values",
    "brin_bloom_summary_in": "PostgreSQL does not read such values",
    "brin_minmax_multi_summary_in": "PostgreSQL does not read such values",
    "gtsvectorin": "PostgreSQL does not read such values",
    "gtrgm_in": "PostgreSQL does not read such values",
    "ghstore_in": "PostgreSQL does not read such values",
    "ltree_gist_in": "PostgreSQL does not read such values",
    "_ltree_gist_in": "PostgreSQL does not read such values",
    "gbtreekey4_in": "PostgreSQL does not read such values",
    "gbtreekey8_in": "PostgreSQL does not read such values",
    "gbtreekey16_in": "PostgreSQL does not read such values",
    "gbtreekey32_in": "PostgreSQL does not read such values",
    "gbtreekey_var_in": "PostgreSQL does not read such values",
}
"""Input functions of types whose text cannot be turned back into the value, and why."""

_TABLE = """
SELECT c.oid, c.relkind FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p')
"""

_COLUMNS = """
WITH RECURSIVE base AS (
    SELECT attnum, atttypid AS type, atttypmod AS typmod FROM pg_catalog.pg_attribute
     WHERE attrelid = %(table)s AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT b.attnum, t.typbasetype, t.typtypmod
      FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type WHERE t.typtype = 'd'
)
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), pg_catalog.format_type(b.type, b.typmod),
       b.type, b.typmod, a.atttypid <> b.type, fn.nspname, f.proname, a.attgenerated <> '',
       CASE WHEN o.oid IS NOT NULL THEN pg_catalog.format('%%I.%%I', cn.nspname, o.collname) END
  FROM base b
  JOIN pg_catalog.pg_type t ON t.oid = b.type AND t.typtype <> 'd'
  JOIN pg_catalog.pg_attribute a ON a.attrelid = %(table)s AND a.attnum = b.attnum
  JOIN pg_catalog.pg_proc f ON f.oid = t.typoutput
  JOIN pg_catalog.pg_namespace fn ON fn.oid = f.pronamespace
  LEFT JOIN pg_catalog.pg_collation o ON o.oid = a.attcollation
  LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = o.collnamespace
 ORDER BY a.attnum
"""

_INPUTS = """
WITH RECURSIVE part AS (
    SELECT attnum, atttypid AS type FROM pg_catalog.pg_attribute
     WHERE attrelid = %(table)s AND attnum > 0 AND NOT attisdropped
    UNION
    SELECT p.attnum, m.type FROM part p JOIN pg_catalog.pg_type t ON t.oid = p.type
     CROSS JOIN LATERAL (
        SELECT t.typbasetype AS type WHERE t.typtype = 'd'
        UNION ALL SELECT t.typelem WHERE t.typelem <> 0
        UNION ALL SELECT c.atttypid FROM pg_catalog.pg_attribute c
                   WHERE t.typtype = 'c' AND c.attrelid = t.typrelid AND c.attnum > 0 AND NOT c.attisdropped
        UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid
        UNION ALL SELECT r.rngtypid FROM pg_catalog.pg_range r WHERE r.rngmultitypid = t.oid
     ) m
)
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), pg_catalog.format_type(p.type, NULL), f.proname
  FROM part p
  JOIN pg_catalog.pg_type t ON t.oid = p.type
  JOIN pg_catalog.pg_proc f ON f.oid = t.typinput
  JOIN pg_catalog.pg_attribute a ON a.attrelid = %(table)s AND a.attnum = p.attnum
 WHERE f.proname = ANY(%(refused)s)
 ORDER BY a.attnum
"""


@dataclass(frozen=True)
class DeclaredColumn:
    """A column as the catalogue has it."""

    name: str
    type_name: str
    """The declared type, as PostgreSQL writes it: `numeric(12,2)`, `public.money_amount`."""
    base_name: str
    """The type below all domains; the declared type itself where it is none."""
    base_oid: int
    base_typmod: int
    is_domain: bool
    output: tuple[str, str]
    """Schema and name of the function that writes the type as text."""
    is_generated: bool
    collation: str | None


@dataclass(frozen=True)
class DeclaredTable:
    """A table with its columns, in the catalogue's order."""

    schema: str
    name: str
    is_partitioned: bool
    columns: tuple[DeclaredColumn, ...]

    @property
    def source(self) -> sql.Composable:
        """What follows FROM: the table itself, with its partitions and without tables that inherit from it."""
        name = sql.Identifier(self.schema, self.name)
        return name if self.is_partitioned else sql.SQL("ONLY {}").format(name)


def declared_table(connection: Connection, table: str) -> DeclaredTable:
    """A table's columns.

    Args:
        connection: made by `strongroom.postgres.connect`, whose search path decides how types are written.
        table: as a policy names it, `schema.name`.

    Raises:
        NotFoundError: there is no such table.
        UnsupportedTypeError: a column's values would not survive.
    """
    schema, name = split_table(table)
    with server_errors("The database server"):
        found = connection.execute(_TABLE, (schema, name)).fetchone()
        if found is None:
            raise NotFoundError(f"The database has no table {table}.")
        place = {"table": found[0]}
        _refuse_irreversible(connection, table, place)
        rows = connection.execute(_COLUMNS, place).fetchall()
    columns = tuple(_column(*row) for row in rows)
    if not columns:
        raise UnsupportedTypeError(f"{table} has no columns, so its rows cannot be told apart in an archive.")
    return DeclaredTable(schema, name, found[1] == "p", columns)


def _column(*row: Any) -> DeclaredColumn:
    name, type_name, base_name, base_oid, base_typmod, is_domain, schema, function, generated, collation = row
    output = (schema, function)
    return DeclaredColumn(
        name, type_name, base_name, base_oid, base_typmod, is_domain, output, generated, collation
    )


def _refuse_irreversible(connection: Connection, table: str, place: Mapping[str, object]) -> None:
    if connection.info.parameter_status("server_encoding") == "SQL_ASCII":
        raise UnsupportedTypeError(
            f"{table} cannot be archived: its database has the encoding SQL_ASCII, so nobody knows what its text says.",
            hint="Convert the database to UTF8 first.",
        )
    refused = connection.execute(_INPUTS, {**place, "refused": list(_IRREVERSIBLE_INPUTS)}).fetchall()
    for column, declared, part, function in refused:
        within = "" if part == declared else f", which holds {part}"
        reason = _IRREVERSIBLE_INPUTS[function]
        raise UnsupportedTypeError(
            f"{table}.{column} cannot be archived: its type is {declared}{within}, and {reason}.",
            hint="Change the column's type, or take the archive rule of the table out of the policy.",
        )

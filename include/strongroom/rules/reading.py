"""Reading a database's catalogue: `pg_catalog` of PostgreSQL 13 to 18, in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from strongroom.postgres import Connection, server_errors, server_major
from strongroom.rules.catalogue import (
    Action,
    Check,
    ForeignKey,
    Key,
    LiveCatalogue,
    LiveColumn,
    LiveKind,
    LiveTable,
    TableId,
)

_KINDS = {"r": LiveKind.ORDINARY, "p": LiveKind.PARTITIONED, "f": LiveKind.FOREIGN, "m": LiveKind.VIEW}
_ACTIONS = {
    "a": Action.NOTHING,
    "r": Action.RESTRICT,
    "c": Action.CASCADE,
    "n": Action.NULL,
    "d": Action.DEFAULT,
}
_IDENTITY = {"a": "always", "d": "by default", "": ""}

_RELATIONS = """
SELECT c.oid, n.nspname, c.relname, c.relkind::text,
       CASE WHEN c.relispartition THEN pg_catalog.pg_partition_root(c.oid)::oid END,
       pg_catalog.pg_get_expr(c.relpartbound, c.oid)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'f', 'm', 'v') AND c.relpersistence <> 't'
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'strongroom')
   AND n.nspname !~ '^pg_(toast_)?temp_'
 ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""

_COLUMNS = """
WITH RECURSIVE below (type, base, typmod, forbids_null) AS (
    SELECT t.oid, t.oid, -1, false FROM pg_catalog.pg_type t
     UNION ALL
    SELECT b.type, t.typbasetype, t.typtypmod, b.forbids_null OR t.typnotnull
      FROM below b JOIN pg_catalog.pg_type t ON t.oid = b.base AND t.typtype = 'd'
)
SELECT a.attrelid, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
       pg_catalog.format_type(base.oid, NULL), base.typcategory::text,
       a.attnotnull OR EXISTS (SELECT FROM below n WHERE n.type = a.atttypid AND
                               (n.forbids_null OR (SELECT typnotnull FROM pg_catalog.pg_type WHERE oid = n.base))),
       a.attgenerated <> '', a.attidentity::text, a.atthasdef AND a.attgenerated = '',
       CASE WHEN base.oid IN ('pg_catalog.varchar'::regtype, 'pg_catalog.bpchar'::regtype)
            THEN (SELECT min(m) - 4 FROM (SELECT a.atttypmod UNION ALL
                    SELECT l.typmod FROM below l WHERE l.type = a.atttypid) AS typmods (m) WHERE m > 4) END,
       own.typtype = 'd'
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_type own ON own.oid = a.atttypid
  JOIN below b ON b.type = a.atttypid
  JOIN pg_catalog.pg_type base ON base.oid = b.base AND base.typtype <> 'd'
 WHERE a.attrelid = ANY (%s) AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attrelid, a.attnum
"""

_KEYS = """
SELECT i.indrelid, c.relname,
       array(SELECT a.attname FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
              WHERE k.place <= i.indnkeyatts ORDER BY k.place)::text[],
       array(SELECT a.attname FROM pg_catalog.pg_depend d
               JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
              WHERE i.indexprs IS NOT NULL AND d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = i.indexrelid
                AND d.refobjid = i.indrelid AND d.refobjsubid > 0 ORDER BY a.attnum)::text[],
       i.indisprimary, i.indexprs IS NULL AND i.indpred IS NULL, {nulls_distinct}
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
 WHERE i.indrelid = ANY (%s) AND i.indisunique AND i.indisvalid
 ORDER BY i.indrelid, c.relname COLLATE "C"
"""

_CHECKS = """
SELECT o.conrelid, o.conname,
       array(SELECT a.attname FROM pg_catalog.unnest(o.conkey) AS k (attnum)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = o.conrelid AND a.attnum = k.attnum
              ORDER BY a.attnum)::text[],
       pg_catalog.pg_get_expr(o.conbin, o.conrelid)
  FROM pg_catalog.pg_constraint o
 WHERE o.contype = 'c' AND o.conrelid = ANY (%s)
 ORDER BY o.conrelid, o.conname COLLATE "C"
"""

_FOREIGN_KEYS = """
SELECT o.conrelid, o.conname, o.confrelid,
       array(SELECT a.attname FROM pg_catalog.unnest(o.conkey) WITH ORDINALITY AS k (attnum, place)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = o.conrelid AND a.attnum = k.attnum
              ORDER BY k.place)::text[],
       array(SELECT a.attname FROM pg_catalog.unnest(o.confkey) WITH ORDINALITY AS k (attnum, place)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = o.confrelid AND a.attnum = k.attnum
              ORDER BY k.place)::text[],
       o.confdeltype::text, o.confupdtype::text, o.condeferrable
  FROM pg_catalog.pg_constraint o
 WHERE o.contype = 'f' AND o.conparentid = 0 AND o.conrelid = ANY (%s)
 ORDER BY o.conrelid, o.conname COLLATE "C"
"""

Row = tuple[Any, ...]


def read_catalogue(connection: Connection) -> LiveCatalogue:
    """The catalogue of the connection's database, read in one transaction.

    Raises:
        PostgresError: the server refused or did not answer.
    """
    with server_errors("The database server"), connection.transaction():
        relations = connection.execute(_RELATIONS).fetchall()
        kept = [row for row in relations if row[3] != "v"]
        oids = [row[0] for row in kept]
        nulls_distinct = "NOT i.indnullsnotdistinct" if server_major(connection) >= 15 else "true"
        columns = _by_table(connection.execute(_COLUMNS, (oids,)).fetchall())
        keys = _by_table(
            connection.execute(_KEYS.replace("{nulls_distinct}", nulls_distinct), (oids,)).fetchall()
        )
        checks = _by_table(connection.execute(_CHECKS, (oids,)).fetchall())
        foreign_keys = _by_table(connection.execute(_FOREIGN_KEYS, (oids,)).fetchall())
    names = {oid: TableId(schema, name) for oid, schema, name, *_ in kept}
    roots = {oid: root for oid, _, _, _, root, _ in kept}
    tables = []
    for oid, _, _, kind, root, bounds in kept:
        tables.append(
            LiveTable(
                id=names[oid],
                kind=_KINDS[kind],
                root=names.get(root) if root is not None else None,
                bounds=bounds,
                columns=tuple(_column(row) for row in columns[oid]),
                keys=tuple(_key(row) for row in keys[oid]),
                checks=tuple(Check(name, tuple(used), text) for _, name, used, text in checks[oid]),
                foreign_keys=_foreign_keys(oid, foreign_keys, names, roots),
            )
        )
    views = tuple(TableId(schema, name) for _, schema, name, kind, *_ in relations if kind == "v")
    return LiveCatalogue(tuple(tables), views)


def _by_table(rows: list[Row]) -> Mapping[int, list[Row]]:
    grouped: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row[0]].append(row)
    return grouped


def _column(row: Row) -> LiveColumn:
    _, name, full, base, letter, not_null, generated, identity, has_default, length, domain = row
    return LiveColumn(
        name=name,
        type=full,
        base_type=base,
        type_class=letter,
        not_null=not_null,
        generated=generated,
        identity=_IDENTITY[identity],
        has_default=has_default,
        max_length=length,
        domain=domain,
    )


def _key(row: Row) -> Key:
    _, name, columns, in_expressions, primary, plain, nulls_distinct = row
    used = dict.fromkeys([*columns, *in_expressions])
    return Key(name, tuple(used), primary, plain, nulls_distinct)


def _foreign_keys(
    table: int,
    found: Mapping[int, list[Row]],
    names: Mapping[int, TableId],
    roots: Mapping[int, int | None],
) -> tuple[ForeignKey, ...]:
    """The table's own foreign keys and, of a partitioned one, those that only some of its partitions have."""
    keys = [_foreign_key(row, names, roots, everywhere=True) for row in found[table]]
    parts = [oid for oid, root in roots.items() if root == table]
    seen = {(key.columns, key.target) for key in keys}
    for part in parts:
        for row in found[part]:
            key = _foreign_key(row, names, roots, everywhere=False)
            if (key.columns, key.target) not in seen:
                seen.add((key.columns, key.target))
                keys.append(key)
    return tuple(keys)


def _foreign_key(
    row: Row, names: Mapping[int, TableId], roots: Mapping[int, int | None], *, everywhere: bool
) -> ForeignKey:
    _, name, target, columns, target_columns, on_delete, on_update, deferrable = row
    return ForeignKey(
        name=name,
        columns=tuple(columns),
        target=names[roots.get(target) or target],
        target_columns=tuple(target_columns),
        on_delete=_ACTIONS[on_delete],
        on_update=_ACTIONS[on_update],
        deferrable=deferrable,
        everywhere=everywhere,
    )

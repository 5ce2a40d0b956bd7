"""Asking and changing the catalogue of the scratch server in which a partial restore is prepared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from strongroom.backup.logical.contents import ExtensionFacts, Name, quote, quoted
from strongroom.postgres import Connection

_RELATIONS = """
SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'S')
"""
_PARENTS = """
SELECT cn.nspname, c.relname, pn.nspname, p.relname, c.relispartition
  FROM pg_catalog.pg_inherits i
  JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
  JOIN pg_catalog.pg_class p ON p.oid = i.inhparent JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
 WHERE i.inhrelid = ANY (%(oids)s) AND NOT i.inhparent = ANY (%(oids)s) AND p.relkind IN ('r', 'p')
"""
_FOREIGN_KEYS = """
SELECT n.nspname, c.relname, k.conname, fn.nspname, f.relname
  FROM pg_catalog.pg_constraint k
  JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_class f ON f.oid = k.confrelid JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
 WHERE k.contype = 'f' AND k.conparentid = 0 AND k.conrelid = ANY (%(oids)s) AND NOT k.confrelid = ANY (%(oids)s)
"""
_TRIGGERS = """
SELECT n.nspname, c.relname, t.tgname FROM pg_catalog.pg_trigger t
  JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgrelid = ANY (%(oids)s)
"""
_POLICIES = """
SELECT n.nspname, c.relname, p.polname FROM pg_catalog.pg_policy p
  JOIN pg_catalog.pg_class c ON c.oid = p.polrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE p.polrelid = ANY (%(oids)s)
"""
_RULES = """
SELECT n.nspname, c.relname, r.rulename FROM pg_catalog.pg_rewrite r
  JOIN pg_catalog.pg_class c ON c.oid = r.ev_class JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE r.ev_class = ANY (%(oids)s)
"""
_ROW_SECURITY = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = ANY (%(oids)s) AND (c.relrowsecurity OR c.relforcerowsecurity)
"""
_VIEWS = """
SELECT DISTINCT n.nspname, v.relname FROM pg_catalog.pg_depend d
  JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid
  JOIN pg_catalog.pg_class v ON v.oid = r.ev_class AND v.relkind IN ('v', 'm')
  JOIN pg_catalog.pg_namespace n ON n.oid = v.relnamespace
 WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = ANY (%(oids)s)
 ORDER BY 1, 2
"""
_EVENT_TRIGGERS = "SELECT evtname FROM pg_catalog.pg_event_trigger"
_NEEDS = """
WITH RECURSIVE needed(classid, objid) AS (
    SELECT 'pg_catalog.pg_class'::regclass::oid, unnest(%(oids)s::oid[])
  UNION
    SELECT next.classid, next.objid FROM needed
      CROSS JOIN LATERAL (
        SELECT d.refclassid, d.refobjid FROM pg_catalog.pg_depend d
         WHERE d.classid = needed.classid AND d.objid = needed.objid
        UNION ALL
        SELECT d.classid, d.objid FROM pg_catalog.pg_depend d
         WHERE d.refclassid = needed.classid AND d.refobjid = needed.objid AND d.deptype IN ('a', 'i', 'P', 'S')
      ) AS next(classid, objid)
     WHERE needed.classid NOT IN ('pg_catalog.pg_namespace'::regclass, 'pg_catalog.pg_extension'::regclass)
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c
                        WHERE needed.classid = 'pg_catalog.pg_class'::regclass AND c.oid = needed.objid
                          AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.oid = ANY (%(oids)s))
)
SELECT n.classid::regclass::text, n.objid, i.type, i.schema, i.identity,
       EXISTS (SELECT FROM pg_catalog.pg_depend e
                WHERE e.classid = n.classid AND e.objid = n.objid AND e.deptype = 'e'),
       c.relkind::text, t.typtype::text, t.typcategory::text, tc.relkind::text
  FROM needed n CROSS JOIN LATERAL pg_catalog.pg_identify_object(n.classid, n.objid, 0) i
  LEFT JOIN pg_catalog.pg_class c ON n.classid = 'pg_catalog.pg_class'::regclass AND c.oid = n.objid
  LEFT JOIN pg_catalog.pg_type t ON n.classid = 'pg_catalog.pg_type'::regclass AND t.oid = n.objid
  LEFT JOIN pg_catalog.pg_class tc ON tc.oid = t.typrelid
"""
_MOVABLE = frozenset(
    {
        "type",
        "function",
        "procedure",
        "aggregate",
        "operator",
        "operator class",
        "operator family",
        "collation",
        "conversion",
        "text search configuration",
        "text search dictionary",
        "text search parser",
        "text search template",
        "statistics object",
    }
)
_SYSTEM = ("pg_catalog", "information_schema", "pg_toast")


@dataclass(frozen=True)
class Needs:
    """What some tables cannot be without."""

    movable: list[tuple[str, str]]
    """Objects in a schema, as `ALTER <kind> <identity> SET SCHEMA` names them."""
    relations: list[str]
    """Other tables and views."""
    extensions: list[ExtensionFacts]


def relations(connection: Connection) -> list[tuple[int, Name]]:
    """Every table and sequence, by oid."""
    rows = connection.execute(_RELATIONS.encode()).fetchall()
    return [(oid, (schema, name)) for oid, schema, name in rows]


def cut_loose(connection: Connection, oids: Sequence[int]) -> Iterator[str]:
    """Drop everything of the tables that reaches outside of them or acts by itself; gives what that was."""
    for [name] in connection.execute(_EVENT_TRIGGERS.encode()).fetchall():
        connection.execute(f"DROP EVENT TRIGGER {quote(name)}".encode())
    for schema, name in _rows(connection, _VIEWS, oids):
        yield f"view {schema}.{name}"
    for schema, name, trigger in _rows(connection, _TRIGGERS, oids):
        connection.execute(f"DROP TRIGGER {quote(trigger)} ON {quoted((schema, name))}".encode())
        yield f"trigger {trigger} of {schema}.{name}"
    for schema, name, rule in _rows(connection, _RULES, oids):
        connection.execute(f"DROP RULE {quote(rule)} ON {quoted((schema, name))}".encode())
        yield f"rule {rule} of {schema}.{name}"
    yield from _cut_parents(connection, oids)
    for schema, name, key, other_schema, other in _rows(connection, _FOREIGN_KEYS, oids):
        connection.execute(f"ALTER TABLE {quoted((schema, name))} DROP CONSTRAINT {quote(key)}".encode())
        yield f"foreign key {key} of {schema}.{name} to {other_schema}.{other}"
    yield from _cut_row_security(connection, oids)


def _cut_parents(connection: Connection, oids: Sequence[int]) -> Iterator[str]:
    for schema, name, parent_schema, parent, partition in _rows(connection, _PARENTS, oids):
        child, above = quoted((schema, name)), quoted((parent_schema, parent))
        if partition:
            connection.execute(f"ALTER TABLE {above} DETACH PARTITION {child}".encode())
            yield f"{schema}.{name} being a partition of {parent_schema}.{parent}"
        else:
            connection.execute(f"ALTER TABLE {child} NO INHERIT {above}".encode())
            yield f"{schema}.{name} inheriting from {parent_schema}.{parent}"


def _cut_row_security(connection: Connection, oids: Sequence[int]) -> Iterator[str]:
    for schema, name, policy in _rows(connection, _POLICIES, oids):
        connection.execute(f"DROP POLICY {quote(policy)} ON {quoted((schema, name))}".encode())
        yield f"policy {policy} of {schema}.{name}"
    for schema, name in _rows(connection, _ROW_SECURITY, oids):
        table = quoted((schema, name))
        connection.execute(
            f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY".encode()
        )
        yield f"row security of {schema}.{name}"


def needs(connection: Connection, oids: Sequence[int], schema: str) -> Needs:
    """What the tables need, outside of a schema that they are in already."""
    found = Needs([], [], [])
    extensions: set[str] = set()
    for kind_class, oid, kind, place, identity, member, relkind, typtype, category, row_of in _rows(
        connection, _NEEDS, oids
    ):
        if kind_class == "pg_extension":
            extensions.add(_extension_name(connection, oid))
        elif member or place is None or place in _SYSTEM or place == schema:
            continue
        elif kind_class == "pg_class":
            _relation(found, relkind, identity)
        elif kind in _MOVABLE and not _made_along(typtype, category, row_of):
            found.movable.append((_word(kind), identity))
    found.extensions.extend(_extension(connection, name) for name in sorted(extensions))
    return found


def _relation(found: Needs, relkind: str, identity: str) -> None:
    if relkind == "S":
        found.movable.append(("sequence", identity))
    elif relkind in "rpvmf":
        found.relations.append(identity)


def _made_along(typtype: str | None, category: str | None, row_of: str | None) -> bool:
    """Arrays, multiranges and the row types of tables come and go with what they are made of."""
    return category == "A" or typtype == "m" or (row_of is not None and row_of != "c")


def _word(kind: str) -> str:
    return "statistics" if kind == "statistics object" else kind


def _extension_name(connection: Connection, oid: int) -> str:
    query = b"SELECT extname FROM pg_catalog.pg_extension WHERE oid = %s"
    row = connection.execute(query, (oid,)).fetchone()
    return str(row[0]) if row else ""


def _extension(connection: Connection, name: str) -> ExtensionFacts:
    query = b"""SELECT e.extname, n.nspname, e.extversion FROM pg_catalog.pg_extension e
                  JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = %s"""
    return ExtensionFacts(*(connection.execute(query, (name,)).fetchone() or (name, "", "")))


def _rows(connection: Connection, query: str, oids: Sequence[int]) -> list[Any]:
    return connection.execute(query.encode(), {"oids": list(oids)}).fetchall()

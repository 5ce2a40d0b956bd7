"""What the source database holds, as one transaction sees it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from strongroom.backup.errors import SourceNotReadyError
from strongroom.backup.logical.contents import (
    DatabaseFacts,
    ExtensionFacts,
    Name,
    SequenceEntry,
    TableEntry,
    literal,
    quoted,
)
from strongroom.backup.manifest import ServerFacts
from strongroom.postgres import Connection, server_errors, server_major, server_version

_USER_SCHEMA = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_MEMBER = """EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass
                 AND d.objid = c.oid AND d.deptype = 'e')"""

_TABLES = f"""
SELECT c.oid, n.nspname, c.relname, c.relkind::text,
       array(SELECT a.attname FROM pg_catalog.pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)::text[],
       array(SELECT a.attname FROM pg_catalog.pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
              ORDER BY a.attnum)::text[],
       CASE WHEN c.relkind = 'r' THEN pg_catalog.pg_table_size(c.oid) ELSE 0 END,
       {_MEMBER},
       (SELECT coalesce(f.condition, '') FROM pg_catalog.pg_extension e,
               unnest(e.extconfig, e.extcondition) AS f(oid, condition) WHERE f.oid = c.oid),
       (SELECT ARRAY[rn.nspname, r.relname]::text[] FROM pg_catalog.pg_class r
          JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
         WHERE c.relispartition AND r.oid = pg_catalog.pg_partition_root(c.oid)
           AND EXISTS (SELECT FROM pg_catalog.pg_partition_ancestors(c.oid) t(relid)
                         JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = t.relid AND p.partstrat = 'h'
                        WHERE EXISTS (SELECT FROM unnest(p.partclass::oid[]) AS k(oid)
                                        JOIN pg_catalog.pg_opclass o ON o.oid = k.oid
                                       WHERE o.opcname = 'enum_ops')))
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'm', 'f') AND c.relpersistence <> 't' AND {_USER_SCHEMA}
 ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""  # noqa: S608 - constants of this module
_LOCKABLE = f"""
SELECT c.oid, n.nspname, c.relname
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {_USER_SCHEMA} ORDER BY c.oid
"""  # noqa: S608 - constants of this module
_SEQUENCES = f"""
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND {_USER_SCHEMA}
   AND (NOT {_MEMBER} OR EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE c.oid = ANY (e.extconfig)))
 ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""  # noqa: S608 - constants of this module
_ROLES = """
SELECT DISTINCT r.rolname FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid
 WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass AND r.rolname !~ '^pg_'
   AND s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
UNION SELECT pg_catalog.pg_get_userbyid(10)
ORDER BY 1
"""
_EXTENSIONS = """
SELECT e.extname, n.nspname, e.extversion FROM pg_catalog.pg_extension e
  JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace ORDER BY e.extname COLLATE "C"
"""
_DATABASE = """
SELECT d.datname, pg_catalog.pg_get_userbyid(d.datdba), pg_catalog.pg_encoding_to_char(d.encoding),
       d.datcollate, d.datctype,
       coalesce(to_jsonb(d)->>'datlocprovider', 'c'),
       coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale'),
       coalesce((SELECT s.setconfig FROM pg_catalog.pg_db_role_setting s
                  WHERE s.setdatabase = d.oid AND s.setrole = 0), '{}')::text[],
       pg_catalog.shobj_description(d.oid, 'pg_database')
  FROM pg_catalog.pg_database d WHERE d.datname = current_database()
"""
_POSITION = """
SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
            ELSE pg_catalog.pg_current_wal_lsn() END::text
"""
_SERVER = """
SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
       (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()),
       pg_catalog.pg_size_bytes(current_setting('wal_segment_size')), current_setting('data_checksums') = 'on'
"""
_SEQUENCES_AT_ONCE = 200


@dataclass(frozen=True)
class SourceTable:
    """A table of the source, whether or not its rows go into the backup."""

    oid: int
    schema: str
    name: str
    kind: str
    """As in `pg_class.relkind`: `r` ordinary, `p` partitioned, `m` materialized view, `f` foreign."""
    columns: tuple[str, ...]
    copied: tuple[str, ...]
    size_bytes: int
    of_extension: bool
    condition: str | None
    """Which of an extension's rows are the user's own, as the extension says; None when it says nothing."""
    into: Name | None

    @property
    def has_data(self) -> bool:
        """Whether its rows go into the backup."""
        return self.kind == "r" and (not self.of_extension or self.condition is not None)

    def entry(self, object_name: str) -> TableEntry:
        """The table in the contents of the backup."""
        condition = self.condition or None
        return TableEntry(
            self.schema,
            self.name,
            object_name,
            self.columns,
            self.copied,
            self.into,
            condition,
            self.size_bytes,
        )


@dataclass(frozen=True)
class Inventory:
    """The source in one snapshot."""

    snapshot: str
    lsn: str
    moment: datetime
    """Just before the snapshot was taken, by the source's clock: what was committed then is in it."""
    database: DatabaseFacts
    tables: tuple[SourceTable, ...]
    roles: tuple[str, ...]
    extensions: tuple[ExtensionFacts, ...]
    large_objects: int


def lockable_tables(connection: Connection) -> frozenset[tuple[int, str, str]]:
    """Oid, schema and name of every table that can be locked: asking for more would wait for its lock."""
    return frozenset((oid, schema, name) for oid, schema, name in _rows(connection, _LOCKABLE))


def _tables(connection: Connection) -> tuple[SourceTable, ...]:
    return tuple(
        SourceTable(
            oid, schema, name, kind, tuple(columns), tuple(copied), size or 0, member, condition, _pair(into)
        )
        for oid, schema, name, kind, columns, copied, size, member, condition, into in _rows(
            connection, _TABLES
        )
    )


def read_inventory(connection: Connection, snapshot: str) -> Inventory:
    """Everything about the source that the transaction of the connection sees."""
    [[lsn]] = _rows(connection, _POSITION)
    [[moment]] = _rows(connection, "SELECT pg_catalog.transaction_timestamp()")
    [database] = _rows(connection, _DATABASE)
    [[large_objects]] = _rows(connection, "SELECT count(*) FROM pg_catalog.pg_largeobject_metadata")
    name, owner, encoding, collate, ctype, provider, locale, settings, comment = database
    return Inventory(
        snapshot=snapshot,
        lsn=lsn,
        moment=moment,
        database=DatabaseFacts(
            name, owner, encoding, collate, ctype, provider, locale, tuple(settings), comment
        ),
        tables=_tables(connection),
        roles=tuple(row[0] for row in _rows(connection, _ROLES)),
        extensions=tuple(ExtensionFacts(*row) for row in _rows(connection, _EXTENSIONS)),
        large_objects=large_objects,
    )


def read_sequences(connection: Connection) -> tuple[SequenceEntry, ...]:
    """Every sequence and where it stands. Sequences know no snapshot: this is how they stand now."""
    names: list[Name] = [(schema, name) for schema, name in _rows(connection, _SEQUENCES)]
    found: list[SequenceEntry] = []
    for start in range(0, len(names), _SEQUENCES_AT_ONCE):
        found += _values(connection, names[start : start + _SEQUENCES_AT_ONCE])
    return tuple(found)


def _values(connection: Connection, names: Sequence[Name]) -> Iterator[SequenceEntry]:
    query = " UNION ALL ".join(
        f"SELECT {literal(schema)}, {literal(name)}, last_value, is_called FROM {quoted((schema, name))}"  # noqa: S608
        for schema, name in names
    )
    for schema, name, last_value, is_called in _rows(connection, query):
        yield SequenceEntry(schema, name, last_value, is_called)


def server_facts(connection: Connection) -> ServerFacts:
    """The server, as it says itself."""
    rows = _rows(connection, _SERVER)
    if not rows:
        raise SourceNotReadyError("The source does not say what it is.")
    identifier, timeline, segment_bytes, checksums = rows[0]
    return ServerFacts(
        version=server_version(connection),
        major=server_major(connection),
        system_identifier=identifier,
        timeline=timeline,
        wal_segment_bytes=segment_bytes,
        data_checksums=checksums,
    )


def _pair(names: list[str] | None) -> Name | None:
    return (names[0], names[1]) if names else None


def _rows(connection: Connection, query: str) -> list[Any]:
    with server_errors("The source"):
        return connection.execute(query.encode(), prepare=False).fetchall()

"""Which tables are meant: single ones, whole schemas, and the partitions below what was named."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from strongroom.backup.logical.contents import Name
from strongroom.backup.restoring.errors import TableMissingError
from strongroom.errors import InputError
from strongroom.postgres import Connection

_TABLES = """
SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass
                      AND d.objid = c.oid AND d.deptype = 'e')
"""
_PARTITIONS = """
SELECT p.relid::oid FROM unnest(%s::oid[]) AS t(oid), pg_catalog.pg_partition_tree(t.oid) p
"""


@dataclass(frozen=True)
class Selection:
    """What is wanted of a backup."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    tables: tuple[Name, ...] = ()
    schemas: tuple[str, ...] = ()

    @property
    def named_schemas(self) -> frozenset[str]:
        """The schemas that it names, alone or with a table."""
        return frozenset(schema for schema, _ in self.tables) | frozenset(self.schemas)


def selected_tables(connection: Connection, selection: Selection) -> dict[int, Name]:
    """The wanted tables, by oid.

    Raises:
        TableMissingError: there is no table or schema of that name.
        InputError: nothing was named.
    """
    if not (selection.tables or selection.schemas):
        raise InputError("No table and no schema was named.", hint="Name some with --table or --schema.")
    present = {oid: (schema, name) for oid, schema, name in connection.execute(_TABLES.encode()).fetchall()}
    by_name = {name: oid for oid, name in present.items()}
    for table in selection.tables:
        if table not in by_name:
            raise _missing("table", ".".join(table), [".".join(name) for name in by_name])
    for schema in selection.schemas:
        if schema not in {name[0] for name in by_name}:
            raise _missing("schema with tables", schema, sorted({name[0] for name in by_name}))
    wanted = [by_name[table] for table in selection.tables]
    wanted += [oid for oid, name in present.items() if name[0] in selection.schemas]
    rows = connection.execute(_PARTITIONS.encode(), (wanted,)).fetchall()
    return {oid: present[oid] for oid in {*wanted, *(row[0] for row in rows)}}


def _missing(kind: str, wanted: str, present: list[str]) -> TableMissingError:
    near = difflib.get_close_matches(wanted, present, n=3)
    hint = (
        f"Did you mean {' or '.join(near)}?" if near else "`strongroom restore contents` lists what it holds."
    )
    return TableMissingError(f"The backup has no {kind} {wanted}.", hint=hint)

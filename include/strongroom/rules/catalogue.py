"""What a live database is made of, as its own catalogue has it: tables, columns, keys, checks, foreign keys.

    LiveCatalogue
    └── LiveTable          tables, partitioned tables, foreign tables, materialized views; partitions by their root
        ├── LiveColumn     type, type below its domains, length, NOT NULL, generated, identity
        ├── Key            primary and unique keys, unique indexes
        ├── Check          CHECK constraints
        └── ForeignKey     its own; those of partitions stand at their root

The system's own schemas, temporary tables, and the schema `strongroom` with Strongroom's own marks are left out.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from strongroom.canonical import canonical_sha256
from strongroom.policy.words import split_table

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")


@dataclass(frozen=True, order=True)
class TableId:
    """A table by its schema and name, as the catalogue has them."""

    schema: str
    name: str

    @classmethod
    def of(cls, text: str) -> TableId:
        """The table that a policy writes as `schema.table`."""
        return cls(*split_table(text))

    def __str__(self) -> str:
        """The table as a policy writes it: `public.orders`, `public."Order Details"`."""
        return f"{_written(self.schema)}.{_written(self.name)}"


class LiveKind(enum.StrEnum):
    """What kind of table it is."""

    ORDINARY = "table"
    PARTITIONED = "partitioned table"
    FOREIGN = "foreign table"
    VIEW = "materialized view"


class Action(enum.StrEnum):
    """What a foreign key does when the row that it refers to goes or changes."""

    NOTHING = "no action"
    RESTRICT = "restrict"
    CASCADE = "cascade"
    NULL = "set null"
    DEFAULT = "set default"


@dataclass(frozen=True)
class LiveColumn:
    """A column."""

    name: str
    type: str
    """The type with its modifiers: `character varying(40)`, `public.email_address`."""
    base_type: str
    """The type below any domains, without modifiers: `text`, `character varying`."""
    type_class: str
    """PostgreSQL's letter for the kind of type below any domains: S text, N number, D date and time, A array, E enum,
    B boolean, U others (`pg_type.typcategory`)."""
    not_null: bool
    """Whether the column or a domain of it forbids NULL."""
    generated: bool
    """Whether the database computes it."""
    identity: str
    """`always`, `by default`, or nothing."""
    has_default: bool
    max_length: int | None
    """The most characters it takes; None where the type has no limit or none is set."""
    domain: bool
    """Whether the type is a domain."""


@dataclass(frozen=True)
class Key:
    """A primary key, or a unique constraint or index."""

    name: str
    columns: tuple[str, ...]
    """Its columns; of an index on expressions, those that stand in them."""
    primary: bool
    plain: bool
    """Whether it is on columns alone and on all rows: only then a foreign key could use it."""
    nulls_distinct: bool
    """Whether two rows with NULL differ in it."""


@dataclass(frozen=True)
class Check:
    """A CHECK constraint."""

    name: str
    columns: tuple[str, ...]
    expression: str
    """As SQL, with the table's columns by their names."""


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key."""

    name: str
    columns: tuple[str, ...]
    target: TableId
    target_columns: tuple[str, ...]
    on_delete: Action
    on_update: Action
    deferrable: bool
    everywhere: bool
    """Whether it holds for all partitions; always true of a table without any."""


@dataclass(frozen=True)
class LiveTable:
    """A table, a partitioned table as one, a foreign table or a materialized view."""

    id: TableId
    kind: LiveKind
    root: TableId | None
    """The partitioned table that it is a part of, the topmost; None for every other table."""
    bounds: str | None
    """A partition's bounds as SQL."""
    columns: tuple[LiveColumn, ...]
    keys: tuple[Key, ...]
    checks: tuple[Check, ...]
    foreign_keys: tuple[ForeignKey, ...]

    @cached_property
    def column(self) -> Mapping[str, LiveColumn]:
        """The columns by name."""
        return {column.name: column for column in self.columns}

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The primary key's columns; none where there is none."""
        return next((key.columns for key in self.keys if key.primary), ())


@dataclass(frozen=True)
class LiveCatalogue:
    """Everything that a policy is compared with."""

    tables: tuple[LiveTable, ...]
    """By schema and name, partitions included."""
    views: tuple[TableId, ...]
    """Ordinary views, which hold no rows."""

    @cached_property
    def table(self) -> Mapping[TableId, LiveTable]:
        """All tables by name, partitions included."""
        return {table.id: table for table in self.tables}

    def find(self, text: str) -> LiveTable | None:
        """The table that a policy writes so, or None."""
        return self.table.get(TableId.of(text))

    def roots(self) -> Iterator[LiveTable]:
        """The tables that a policy speaks of: all but partitions."""
        return (table for table in self.tables if table.root is None)

    def partitions(self, root: TableId) -> tuple[LiveTable, ...]:
        """The partitions of a table, at any depth."""
        return tuple(table for table in self.tables if table.root == root)

    def document(self) -> dict[str, Any]:
        """The catalogue as JSON has it. It holds names, types and rules, no rows."""
        return {
            "tables": {str(table.id): _table_document(table) for table in self.tables},
            "views": [str(view) for view in self.views],
        }

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hex) of the document: the same as long as nothing in the catalogue changes."""
        return canonical_sha256(self.document()).hex()


def _table_document(table: LiveTable) -> dict[str, Any]:
    document: dict[str, Any] = {"kind": str(table.kind)}
    if table.root is not None:
        return {**document, "root": str(table.root), "bounds": table.bounds}
    return {
        **document,
        "columns": {column.name: _facts(column) for column in table.columns},
        "keys": {key.name: _facts(key) for key in table.keys},
        "checks": {check.name: _facts(check) for check in table.checks},
        "foreign_keys": {key.name: {**_facts(key), "target": str(key.target)} for key in table.foreign_keys},
    }


def _facts(part: LiveColumn | Key | Check | ForeignKey) -> dict[str, Any]:
    facts = {name: value for name, value in asdict(part).items() if name != "name"}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in facts.items()}


def _written(identifier: str) -> str:
    return identifier if _PLAIN.fullmatch(identifier) else '"' + identifier.replace('"', '""') + '"'

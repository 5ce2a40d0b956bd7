"""What a logical backup holds, sealed beside its data: which table is in which object, and what a restore needs.

    {"format": "strongroom/logical-contents/v1", "tool": "18.6", "snapshot": "00000003-0000001B-1",
     "database": {"name": "shop", "owner": "shop", "encoding": "UTF8", "collate": "C", "ctype": "C",
                  "provider": "b", "locale": "C.UTF-8", "settings": [], "comment": null},
     "roles": ["shop"], "extensions": [{"name": "plpgsql", "schema": "pg_catalog", "version": "1.0"}],
     "tables": [{"schema": "public", "name": "orders", "object": "data/00001.sql.zst.age", "columns": ["id", ...],
                 "copied": ["id", ...], "into": null, "condition": null, "size_bytes": 8192}, ...],
     "sequences": [{"schema": "public", "name": "orders_id_seq", "last_value": 5, "is_called": true}, ...]}

Tables stand in the order in which their object holds them. A data object is a script that `psql` understands, one
`COPY ... FROM stdin;` per table; a restore here compares each statement with the one it makes from this document,
and never runs one that it reads.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from strongroom.backup.errors import ManifestError

FORMAT: Literal["strongroom/logical-contents/v1"] = "strongroom/logical-contents/v1"
_STRICT = ConfigDict(extra="forbid", strict=True)

Name = tuple[str, str]
"""Schema and name."""


@dataclass(frozen=True)
class DatabaseFacts:
    """The database itself: what `CREATE DATABASE` must say to make its like."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    owner: str
    encoding: str
    collate: str
    ctype: str
    provider: Literal["c", "i", "b", "d"]
    """Where its order comes from: the C library, ICU, or PostgreSQL itself (`pg_database.datlocprovider`)."""
    locale: str | None
    settings: tuple[str, ...]
    """Of `ALTER DATABASE ... SET`, as `name=value`."""
    comment: str | None


@dataclass(frozen=True)
class ExtensionFacts:
    """An extension that the database uses."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    schema: str
    version: str


@dataclass(frozen=True)
class TableEntry:
    """A table whose rows the backup holds."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    schema: str
    name: str
    object: str
    """The name of the data object that holds its rows."""
    columns: tuple[str, ...]
    """All, in the source's order: what its fingerprint was taken over."""
    copied: tuple[str, ...]
    """Those that are in the data: generated ones are computed again."""
    into: Name | None
    """Where the rows are put instead: partitions whose hash is another on every server go through their root."""
    condition: str | None
    """Which rows, where an extension says that some are its own."""
    size_bytes: int
    """On the source's disk, without indexes."""

    @property
    def label(self) -> Name:
        """Schema and name."""
        return self.schema, self.name

    def copy_in(self, target: Name | None = None, options: str = "") -> str:
        """The statement that takes the rows in, without its semicolon.

        Args:
            target: another table to put them into.
            options: what follows `FROM stdin`.
        """
        return f"COPY {quoted(target or self.into or self.label)}{self._columns()} FROM stdin{options}"

    def copy_out(self) -> str:
        """The statement that gives the rows, without its semicolon."""
        if self.condition:
            columns = ", ".join(map(quote, self.copied)) or "*"
            rows = f"SELECT {columns} FROM ONLY {quoted(self.label)} {self.condition}"  # noqa: S608
            return f"COPY ({rows}) TO STDOUT"
        return f"COPY {quoted(self.label)}{self._columns()} TO STDOUT"

    def _columns(self) -> str:
        return f" ({', '.join(map(quote, self.copied))})" if self.copied else ""


@dataclass(frozen=True)
class SequenceEntry:
    """A sequence and where it stands."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    schema: str
    name: str
    last_value: int
    is_called: bool

    def set_value(self, target: Name | None = None) -> str:
        """The statement that puts a sequence there, without its semicolon."""
        name = literal(quoted(target or (self.schema, self.name)))
        return f"SELECT pg_catalog.setval({name}, {self.last_value}, {str(self.is_called).lower()})"


@dataclass(frozen=True)
class LogicalContents:
    """Everything that a logical backup holds."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    tool: str
    """The version of the `pg_dump` that wrote the definitions: a `pg_restore` at least as new reads them."""
    snapshot: str
    database: DatabaseFacts
    roles: tuple[str, ...]
    """Who owns something in the database or is granted something."""
    extensions: tuple[ExtensionFacts, ...]
    tables: tuple[TableEntry, ...]
    sequences: tuple[SequenceEntry, ...]
    format: Literal["strongroom/logical-contents/v1"] = FORMAT

    def encode(self) -> bytes:
        """The document as JSON."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    def tables_of(self, object_name: str) -> list[TableEntry]:
        """The tables of one data object, in its order."""
        return [table for table in self.tables if table.object == object_name]


_ADAPTER: TypeAdapter[LogicalContents] = TypeAdapter(LogicalContents)


def parse_contents(data: bytes) -> LogicalContents:
    """The document in `data`.

    Raises:
        ManifestError: it is not such a document.
    """
    try:
        return _ADAPTER.validate_json(data)
    except ValidationError as error:
        places = ", ".join(".".join(map(str, item["loc"])) for item in error.errors()[:5])
        raise ManifestError(f"The contents of the backup are malformed at: {places}.") from error


def preamble(encoding: str) -> str:
    """What a data script begins with: settings under which its text means the same on every server."""
    settings = {
        "statement_timeout": "0",
        "lock_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        "client_encoding": literal(client_encoding(encoding)),
        "standard_conforming_strings": "on",
        "xmloption": "content",
        "client_min_messages": "warning",
        "row_security": "off",
        "datestyle": "ISO, YMD",
        "intervalstyle": "postgres",
        "lc_monetary": "'C'",
        "search_path": "''",
    }
    return "".join(f"SET {name} = {value};\n" for name, value in settings.items())


def client_encoding(database_encoding: str) -> str:
    """UTF-8; but a database that knows no encoding gives its bytes as they are."""
    return "SQL_ASCII" if database_encoding == "SQL_ASCII" else "UTF8"


def quote(name: str) -> str:
    """A name as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def quoted(name: Name) -> str:
    """Schema and name as quoted identifiers."""
    return f"{quote(name[0])}.{quote(name[1])}"


def literal(text: str) -> str:
    """A text as a literal, under standard-conforming strings."""
    return "'" + text.replace("'", "''") + "'"

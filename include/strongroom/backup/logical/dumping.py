"""The objects of a logical backup and how each is made; every one is a stream that no disk ever holds.

    contents.json          what is where, for a restore
    globals.sql            pg_dumpall --globals-only: roles (with their passwords where the user may read them)
    pre.dump, post.dump    pg_dump's custom format: definitions without data; indexes, constraints, triggers
    data/<n>.sql           psql scripts: COPY blocks of one large table, or of many small ones
    data/sequences.sql     psql script: where the sequences stand
    large_objects.dump     pg_dump's custom format

Rows are written by `psql` and COPY rather than by one `pg_dump` per table: pg_dump reads the whole catalogue each time
it starts, which for 5,000 tables is seconds per table.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from strongroom.backup.logical.contents import (
    SequenceEntry,
    TableEntry,
    client_encoding,
    literal,
    preamble,
)
from strongroom.backup.logical.inventory import Inventory, SourceTable
from strongroom.backup.logical.programs import Program, piped
from strongroom.backup.logical.snapshot import LOCK_TIMEOUT_SECONDS
from strongroom.postgres import ServerBinaries

LARGE_TABLE_BYTES = 16 << 20
"""From this size on a table has an object of its own, so that it can be loaded beside others."""
GROUP_BYTES = 32 << 20
END_OF_ROWS = "\\."


@dataclass(frozen=True)
class DataObject:
    """One object of rows."""

    name: str
    tables: tuple[SourceTable, ...]

    @property
    def size_bytes(self) -> int:
        """Of its tables at the source."""
        return sum(table.size_bytes for table in self.tables)

    def entries(self) -> list[TableEntry]:
        """Its tables in the contents, in its order."""
        return [table.entry(self.name) for table in self.tables]


def data_objects(tables: Sequence[SourceTable]) -> list[DataObject]:
    """Which table goes into which object: large ones alone, small ones together, largest objects first."""
    with_data = [table for table in tables if table.has_data]
    large = [table for table in with_data if table.size_bytes >= LARGE_TABLE_BYTES]
    groups: list[tuple[SourceTable, ...]] = [(table,) for table in large]
    groups += _groups([table for table in with_data if table.size_bytes < LARGE_TABLE_BYTES])
    groups.sort(key=lambda group: -sum(table.size_bytes for table in group))
    return [DataObject(f"data/{number:05}.sql.zst.age", group) for number, group in enumerate(groups, 1)]


def _groups(small: Sequence[SourceTable]) -> list[tuple[SourceTable, ...]]:
    groups: list[tuple[SourceTable, ...]] = []
    current: list[SourceTable] = []
    for table in small:
        if current and sum(item.size_bytes for item in current) + table.size_bytes > GROUP_BYTES:
            groups.append(tuple(current))
            current = []
        current.append(table)
    return [*groups, tuple(current)] if current else groups


@dataclass(frozen=True)
class Dumper:
    """Starts the programs that write the objects of one backup.

    Args:
        binaries: whose `psql`, `pg_dump` and `pg_dumpall`.
        conninfo: the source.
        inventory: the source in the snapshot.
        server_major: the source's version.
    """

    binaries: ServerBinaries
    conninfo: str
    inventory: Inventory
    server_major: int

    def definitions(self, section: str) -> Program:
        """Everything but rows: `pre-data` or `post-data`."""
        return self._pg_dump(f"--section={section}")

    def large_objects(self) -> Program:
        """The large objects, with their owners and privileges."""
        return self._pg_dump("--section=data", "--exclude-schema=*", "--blobs")

    def globals(self, *, with_passwords: bool) -> Program:
        """Roles, their memberships and tablespaces of the whole cluster."""
        arguments = ["--globals-only", "--no-sync", "--lock-wait-timeout=30s"]
        if not with_passwords:
            arguments.append("--no-role-passwords")
        arguments.append(f"--database={self.inventory.database.name}")
        return piped(self.binaries.tool("pg_dumpall"), arguments, self.conninfo)

    @contextmanager
    def rows(self, item: DataObject) -> Iterator[Program]:
        """The rows of one object's tables, as a script."""
        with tempfile.TemporaryFile() as script:
            self._write_script(script, item)
            yield piped(self.binaries.tool("psql"), _PSQL, self.conninfo, stdin=script)

    def _write_script(self, script: IO[bytes], item: DataObject) -> None:
        encoding = self.inventory.database.encoding
        for line in self._script(item, preamble(encoding)):
            script.write(line.encode() + b"\n")
        script.seek(0)

    def _script(self, item: DataObject, settings: str) -> Iterator[str]:
        yield "\\set VERBOSITY terse"
        yield settings
        if self.server_major >= _TRANSACTION_TIMEOUT_SINCE:
            yield "SET transaction_timeout = 0;"
        yield "SET extra_float_digits = 3; SET bytea_output = 'hex'; SET xmlbinary = 'base64';"
        yield from self._begin()
        yield f"SELECT {literal(settings.rstrip())};"
        for number, table in enumerate(item.entries(), 1):
            if number % _TABLES_PER_TRANSACTION == 0:
                yield "COMMIT;"
                yield from self._begin()
            yield f"SELECT {literal(table.copy_in() + ';')};"
            yield f"{table.copy_out()};"
            yield f"SELECT {literal(END_OF_ROWS)};"
        yield "COMMIT;"

    def _begin(self) -> Iterator[str]:
        yield "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;"
        yield f"SET TRANSACTION SNAPSHOT {literal(self.inventory.snapshot)};"

    def _pg_dump(self, *arguments: str) -> Program:
        return piped(
            self.binaries.tool("pg_dump"),
            [
                "--format=custom",
                "--compress=0",
                f"--snapshot={self.inventory.snapshot}",
                f"--lock-wait-timeout={LOCK_TIMEOUT_SECONDS}s",
                f"--encoding={client_encoding(self.inventory.database.encoding)}",
                *arguments,
            ],
            self.conninfo,
        )


_TRANSACTION_TIMEOUT_SINCE = 17
_TABLES_PER_TRANSACTION = 100
"""A transaction holds its locks to its end, and a server has room for only so many."""
_PSQL = ("--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1")


def sequences_script(sequences: Sequence[SequenceEntry], encoding: str) -> Iterator[bytes]:
    """A script that puts sequences where they stood."""
    yield preamble(encoding).encode()
    for sequence in sequences:
        yield (sequence.set_value() + ";\n").encode()

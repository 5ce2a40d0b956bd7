"""Asking DuckDB: one SELECT, in memory of a given size, with nothing in reach but the tables it is given."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
import pyarrow.parquet as pq

from strongroom.archive.columns import SourceCodec, TableCodec, file_codec
from strongroom.archive.errors import ArchiveQueryError
from strongroom.archive.manifest import PartTable
from strongroom.archive.sealedfiles import ROOT, SealedFiles
from strongroom.archive.views import Source, literal, nothing_of, quoted, rows_of, view_statement
from strongroom.errors import StrongroomError
from strongroom.policy import split_table
from strongroom.vault import ObjectReader, StoredObject

if TYPE_CHECKING:
    from strongroom.archive.liverows import LiveRows

MEMORY_LIMIT = "96MB"
_FETCHED_ROWS = 1000
_SETTINGS = {
    "memory_limit": MEMORY_LIMIT,
    "threads": "1",
    "temp_directory": "",
    "max_temp_directory_size": "0KB",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "TimeZone": "UTC",
}
_LOCKS = (
    f"SET allowed_directories = ['{ROOT}']",
    "SET enable_external_access = false",
    "SET python_enable_replacements = false",
    "SET lock_configuration = true",
)
"""From here on it opens nothing but sealed files, and nobody can change that."""
_FIRST_LINE = re.compile(r"^(\w+ Error: )?(.*)")


@dataclass(frozen=True)
class Answer:
    """What a question gave. The rows come while they are read."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    """As DuckDB names them."""
    rows: Iterator[tuple[str | None, ...]]
    """Values as text; None for null."""


class ArchiveDatabase:
    """A database in memory whose tables are views of sealed files and live rows.

    Args:
        reader: opens the files.
    """

    def __init__(self, reader: ObjectReader) -> None:
        self._reader = reader
        self._files = SealedFiles(reader)
        self._connection = duckdb.connect(":memory:")
        for name, value in _SETTINGS.items():
            self._connection.execute(f"SET {name} = {literal(value)}")
        self._connection.register_filesystem(self._files)
        self._schemas: list[str] = []

    def close(self) -> None:
        """Forget everything."""
        self._connection.close()
        self._files.close()

    def add_rows(self, table: str, files: Sequence[StoredObject], live: LiveRows | None = None) -> None:
        """Make a table of sealed files, live rows, or both.

        Args:
            table: as the policy names it.
            files: its sealed files, oldest first.
            live: its rows in the source.

        Raises:
            IntegrityError: a file is not what was recorded.
            ArchiveQueryError: its columns cannot be told apart.
        """
        selects = [rows_of(self._sealed_source(files))] if files else []
        if live is not None:
            selects.append(rows_of(self._live_source(f"live rows of {table}", live)))
        self._make(table, selects)

    def add_nothing(self, declared: PartTable) -> None:
        """Make a table without rows, as a manifest tells of it.

        Raises:
            ArchiveQueryError: its columns cannot be told apart.
        """
        self._make(declared.table, [nothing_of(declared)])

    def _make(self, table: str, selects: Sequence[str]) -> None:
        schema, name = split_table(table)
        if schema not in self._schemas:
            self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
            self._schemas.append(schema)
        self._run(view_statement(schema, name, selects))

    def ask(self, question: str) -> Answer:
        """Run one SELECT.

        Raises:
            ArchiveQueryError: it is not one, or DuckDB refuses it.
            IntegrityError: a file is not what was recorded.
        """
        select = _single_select(question)
        path = ",".join(quoted(schema) for schema in self._schemas)
        self._connection.execute(f"SET search_path = {literal(path)}")
        for statement in _LOCKS:
            self._connection.execute(statement)
        described = self._run(f"DESCRIBE {select}").fetchall()
        values = ", ".join(f"CAST(#{number + 1} AS VARCHAR)" for number in range(len(described)))
        running = self._run(f"SELECT {values} FROM ({select}\n) AS answer")  # noqa: S608 - the caller's own SQL
        columns = tuple(str(row[0]) for row in described)
        return Answer(columns, tuple(str(row[1]) for row in described), self._rows(running))

    def _rows(self, running: duckdb.DuckDBPyConnection) -> Iterator[tuple[str | None, ...]]:
        while True:
            try:
                rows = running.fetchmany(_FETCHED_ROWS)
            except duckdb.Error as error:
                raise self._told(error) from error
            if not rows:
                return
            yield from rows

    def _run(self, statement: str) -> duckdb.DuckDBPyConnection:
        try:
            return self._connection.execute(statement)
        except duckdb.Error as error:
            raise self._told(error) from error

    def _told(self, error: duckdb.Error) -> StrongroomError:
        """The error as ours; what went wrong below DuckDB is told instead of what DuckDB makes of it."""
        if isinstance(self._files.failure, StrongroomError):
            return self._files.failure
        if isinstance(error, duckdb.OutOfMemoryException):
            return ArchiveQueryError(
                f"The question needs more than {MEMORY_LIMIT} of memory, and nothing is written to a disk.",
                hint="Group or count instead of sorting and listing, or ask for fewer rows or columns.",
            )
        if isinstance(
            error, duckdb.ConversionException | duckdb.OutOfRangeException | duckdb.InvalidInputException
        ):
            return ArchiveQueryError(
                "The SQL fails on a value: a conversion or a computation is not possible."
            )
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return ArchiveQueryError(
            f"The SQL cannot be run: {first}",
            hint="It is DuckDB's SQL; the tables are those of the archive, as `strongroom archive list` names them.",
        )

    def _sealed_source(self, files: Sequence[StoredObject]) -> Source:
        addresses = [self._files.add(file) for file in files]
        listed = "[" + ", ".join(literal(address) for address in addresses) + "]"
        relation = f"read_parquet({listed}, union_by_name = true)"
        statistics = self._run(
            f"SELECT path_in_schema FROM parquet_metadata({listed})"  # noqa: S608 - made of numbers
            " GROUP BY ALL HAVING sum(num_values) > sum(coalesce(stats_null_count, 0))"
        )
        filled = frozenset(str(row[0]) for row in statistics.fetchall())
        return Source(relation, self._widest_codec(files), filled)

    def _widest_codec(self, files: Sequence[StoredObject]) -> TableCodec:
        """Of all columns that the files have; of the newest file where they differ."""
        codecs = [self._codec(file) for file in files]
        columns = {column.name: column for codec in codecs for column in codec.columns}
        return TableCodec(codecs[-1].table, tuple(columns.values()))

    def _codec(self, file: StoredObject) -> TableCodec:
        with self._reader.open_anywhere(file) as opened:
            return file_codec(pq.read_schema(opened), file.key)

    def _live_source(self, name: str, live: LiveRows) -> Source:
        self._connection.register(name, live)
        return Source(quoted(name), live.codec, _beside(live.codec))


def _beside(codec: SourceCodec) -> frozenset[str]:
    return frozenset(column.exact_name for column in codec.columns if column.exact_name)


def _single_select(question: str) -> str:
    try:
        statements = duckdb.extract_statements(question)
    except duckdb.Error as error:
        first = str(error).strip().splitlines()[0]
        raise ArchiveQueryError(f"The SQL cannot be read: {first}") from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise ArchiveQueryError(
            "An archive is asked with one SELECT, and with nothing else.",
            hint='For instance: strongroom archive query shop "select count(*) from public.orders"',
        )
    return str(statements[0].query).strip().rstrip(";")

"""Bringing archived rows back into a table, new or existing: exactly as they were, each once, or none at all.

For each file, in one transaction for all: COPY into a temporary table of the target's types → set aside what the target
has already → refuse where it has something else under the same key → INSERT → compare what the target says it now
holds with what came, value by value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

import pyarrow.parquet as pq
from psycopg import errors as pg_errors
from psycopg import sql

from strongroom.access import Actor, Permission, require
from strongroom.archive.columns import TableCodec, file_codec, table_codec
from strongroom.archive.errors import ArchiveQueryError, ReadBackError, RowsInTheWayError
from strongroom.archive.manifest import archive_prefix
from strongroom.archive.querying import ReadingParts
from strongroom.archive.rowsink import copy_rows
from strongroom.archive.selecting import epochs_of, files_of, parts_that_count
from strongroom.archive.standing import Part, read_marks
from strongroom.audit import EventType, Target
from strongroom.errors import AccessDeniedError, InputError
from strongroom.policy import Policy, split_table
from strongroom.policy.words import check_table
from strongroom.postgres import Connection, connect, server_errors
from strongroom.recording import RunLog
from strongroom.vault import ObjectReader, StoredObject

_APPLICATION = "strongroom archive restore"
_STAGED = sql.Identifier("strongroom_staged")
_WRITTEN = sql.Identifier("strongroom_written")
"""Temporary tables, which are found before all others of that name."""
_TARGET = "The target database"

_KEYS = """
SELECT array(SELECT a.attname FROM unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY k (attnum, place)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
              ORDER BY k.place)::text[]
  FROM pg_catalog.pg_index i
 WHERE i.indrelid = pg_catalog.to_regclass(%s) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
   AND i.indexprs IS NULL
 ORDER BY i.indisprimary DESC, i.indexrelid
 LIMIT 1
"""


@dataclass(frozen=True)
class RowsWanted:
    """What is to come back, and where to.

    Raises:
        InputError: a table is not named as `schema.name`.
    """

    table: str
    """The archived table, as the policy names it."""
    into: str
    """The table that the rows go into, `schema.name`. It is made when it is not there; its schema must be."""
    part_ids: tuple[str, ...] = ()
    """Only these parts; all that count without any."""

    def __post_init__(self) -> None:
        for table in (self.table, self.into):
            try:
                check_table(table)
            except ValueError as error:
                raise InputError(
                    f"{table!r} does not name a table.",
                    hint='Write schema.table, in double quotes where it is no plain word: public."Odd name".',
                ) from error


@dataclass(frozen=True)
class RowsRestored:
    """What came back: safe to log and to print."""

    table: str
    into: str
    created: bool
    """Whether the table was made."""
    parts: int
    rows: int
    """How many rows were written."""
    already_there: int
    """How many rows the table had already, the same in every column; they were not written again."""


class ArchiveRestorer:
    """Brings archived rows back."""

    def __init__(self, parts: ReadingParts) -> None:
        self._parts = parts

    def restore(self, actor: Actor, policy: Policy, wanted: RowsWanted, conninfo: str) -> RowsRestored:
        """Bring rows back into a table. All of them are there when this returns, and none when it raises.

        Args:
            actor: who asks; needs `restore_archive` and `open_object`.
            policy: of the archived database.
            wanted: what, and where to.
            conninfo: of the target, which need not be the source.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            ArchiveQueryError: the archive has no such part or table.
            InputError: the table lacks a column that the archive has, or has it with another type.
            RowsInTheWayError: the table has other rows under the same keys, or would hold rows on both sides.
            ReadBackError: the table changed rows as they came, by a trigger for instance.
            IntegrityError: a file or manifest is not what it must be.
            TransientError: bucket or target failed; ask again.
        """
        log = self._log(actor, policy)
        self._authorise(log)
        details = {"table": wanted.table, "into": wanted.into}
        log.emit(EventType.ARCHIVE_ROWS_RESTORE, "attempt", details=details)
        try:
            restored = self._restore(log, policy.database, wanted, conninfo)
        except BaseException as error:
            log.emit(EventType.ARCHIVE_ROWS_RESTORE, "result", "failure", details=details, error=error)
            raise
        counts = {"parts": restored.parts, "rows": restored.rows, "already_there": restored.already_there}
        log.emit(EventType.ARCHIVE_ROWS_RESTORE, "result", "success", counts=counts, details=details)
        return restored

    def _restore(self, log: RunLog, database: str, wanted: RowsWanted, conninfo: str) -> RowsRestored:
        chosen = self._chosen(database, wanted)
        files = files_of(chosen, wanted.table)
        with (
            self._parts.vault.reading(
                log.actor,
                archive_prefix(database),
                epochs_of(chosen),
                database=database,
                correlation_id=log.correlation_id,
            ) as reader,
            connect(conninfo, application_name=_APPLICATION) as connection,
            connection.transaction(),
        ):
            _refuse_both_sides(connection, wanted, chosen)
            target = _Target(connection, wanted.into)
            created = target.create_from([_codec(reader, file) for file in files])
            for file in files:
                target.take(reader, file)
            return RowsRestored(
                wanted.table, wanted.into, created, len(files), target.rows, target.already_there
            )

    def _chosen(self, database: str, wanted: RowsWanted) -> list[Part]:
        count = parts_that_count(self._parts.store, self._parts.trusted, database, None)
        known = {part.part_id for part in count}
        for part_id in wanted.part_ids:
            if part_id not in known:
                raise ArchiveQueryError(
                    f"The archive of {database} has no finished part {part_id}.",
                    hint=f"`strongroom archive list {database}` names them.",
                )
        chosen = [part for part in count if not wanted.part_ids or part.part_id in wanted.part_ids]
        if not files_of(chosen, wanted.table):
            raise ArchiveQueryError(
                f"The archive of {database} has no rows of {wanted.table}"
                + (" in these parts." if wanted.part_ids else "."),
                hint=f"`strongroom archive list {database}` tells what it has.",
            )
        return chosen

    def _log(self, actor: Actor, policy: Policy) -> RunLog:
        target = Target("archive", archive_prefix(policy.database))
        parts = self._parts
        return RunLog(parts.engine, parts.sink, actor, policy.database, target, policy.sha256, str(uuid4()))

    def _authorise(self, log: RunLog) -> None:
        try:
            require(log.actor, Permission.RESTORE_ARCHIVE)
        except AccessDeniedError as error:
            details = {"permission": str(Permission.RESTORE_ARCHIVE)}
            log.emit(EventType.ACCESS_PERMISSION_REFUSE, "result", "denied", details=details, error=error)
            raise


class _Target:
    """The table that rows go into."""

    def __init__(self, connection: Connection, table: str) -> None:
        self._connection = connection
        self._table = table
        self._name = sql.Identifier(*split_table(table))
        self._made = False
        self.rows = self.already_there = 0

    def create_from(self, codecs: Sequence[TableCodec]) -> bool:
        """Make the table with all columns that the files have, where it is not there; whether it was made."""
        with server_errors(_TARGET):
            if self._exists():
                return False
            columns = {column.name: column for codec in codecs for column in codec.columns}
            described = [
                sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.type_name))
                for column in columns.values()
            ]
            self._execute("CREATE TABLE {} ({})", self._name, sql.SQL(", ").join(described))
        self._made = True
        return True

    def take(self, reader: ObjectReader, file: StoredObject) -> None:
        """Write the rows of one file."""
        codec = _codec(reader, file)
        if self._made:
            codec = replace(codec, columns=tuple(replace(item, is_generated=False) for item in codec.columns))
        else:
            self._refuse_other_columns(codec)
        names = [column.name for column in codec.columns if not column.is_generated]
        self._stage(names)
        with reader.open_anywhere(file) as opened, pq.ParquetFile(opened, pre_buffer=False) as parquet:
            copy_rows(self._connection, _STAGED, codec, parquet.iter_batches(use_threads=False))
        with server_errors(_TARGET):
            self.already_there += self._set_aside(names)
            self.rows += self._insert(names)
            self._compare(names)

    def _exists(self) -> bool:
        return self._number("SELECT count(pg_catalog.to_regclass({}))", sql.Literal(self._quoted)) == 1

    @property
    def _quoted(self) -> str:
        return self._name.as_string(self._connection)

    def _refuse_other_columns(self, codec: TableCodec) -> None:
        has = {column.name: column for column in table_codec(self._connection, self._table).columns}
        for column in codec.columns:
            if column.is_generated:
                continue
            if column.name not in has:
                raise InputError(
                    f"{self._table} has no column {column.name}, which the archived rows have.",
                    hint="Restore into a table that does not exist: it is made with the archive's columns.",
                )
            if has[column.name].base_name != column.base_name:
                raise InputError(
                    f"{self._table}.{column.name} is {has[column.name].type_name}, and the archived rows have"
                    f" {column.type_name}.",
                    hint="Restore into a table that does not exist: it is made with the archive's types.",
                )

    def _stage(self, names: Sequence[str]) -> None:
        with server_errors(_TARGET):
            for table in (_STAGED, _WRITTEN):
                self._execute("DROP TABLE IF EXISTS {}", table)
                self._execute(
                    "CREATE TEMPORARY TABLE {} AS SELECT {} FROM {} WITH NO DATA",
                    table,
                    _columns(names),
                    self._name,
                )

    def _set_aside(self, names: Sequence[str]) -> int:
        """Take out of the staged rows what the table has already; how many."""
        key = self._key(names)
        same = sql.SQL("ROW({})::text = ROW({})::text").format(_columns(names, "t"), _columns(names, "s"))
        if not key:
            self._refuse_equal_rows(same)
            return 0
        equal_keys = sql.SQL(" AND ").join(
            sql.SQL("t.{0} = s.{0}").format(sql.Identifier(name)) for name in key
        )
        others = self._number(
            "SELECT count(*) FROM {} t JOIN {} s ON {} WHERE NOT ({})", self._name, _STAGED, equal_keys, same
        )
        if others:
            raise RowsInTheWayError(
                f"{self._table} has {others} other rows under the same {', '.join(key)} as archived ones.",
                hint="Nothing was written. Restore into a table that does not exist, and compare there.",
            )
        return self._execute("DELETE FROM {} s USING {} t WHERE {}", _STAGED, self._name, equal_keys)

    def _refuse_equal_rows(self, same: sql.Composable) -> None:
        if self._made:
            return
        equal = self._number("SELECT count(*) FROM {} t JOIN {} s ON {}", self._name, _STAGED, same)
        if equal:
            raise RowsInTheWayError(
                f"{self._table} has {equal} rows like the archived ones, and no key that tells them apart.",
                hint="Nothing was written. Give the table a primary key, or restore into one that does not exist.",
            )

    def _insert(self, names: Sequence[str]) -> int:
        columns = _columns(names)
        try:
            return self._execute(
                "WITH written AS (INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} RETURNING {})"
                " INSERT INTO {} SELECT * FROM written",
                self._name,
                columns,
                columns,
                _STAGED,
                columns,
                _WRITTEN,
            )
        except pg_errors.UniqueViolation as error:
            raise RowsInTheWayError(
                f"{self._table} has other rows that archived ones may not stand beside:"
                f" the constraint {error.diag.constraint_name} forbids it.",
                hint="Nothing was written. Restore into a table that does not exist, and compare there.",
            ) from None

    def _compare(self, names: Sequence[str]) -> None:
        row = sql.SQL("ROW({})::text").format(_columns(names))
        differ = self._number(
            "SELECT (SELECT count(*) FROM (SELECT {0} FROM {1} EXCEPT ALL SELECT {0} FROM {2}) a)"
            " + (SELECT count(*) FROM (SELECT {0} FROM {2} EXCEPT ALL SELECT {0} FROM {1}) b)",
            row,
            _STAGED,
            _WRITTEN,
        )
        if differ:
            raise ReadBackError(
                f"{self._table} changed rows as they were written, so they would not be what was archived.",
                hint="Nothing was written. A trigger of the table does it: restore into one that does not exist.",
            )

    def _key(self, names: Sequence[str]) -> tuple[str, ...]:
        """The columns of the table's primary key, or of another one; none where the archive does not have them."""
        row = self._connection.execute(_KEYS, (self._quoted,)).fetchone()
        key = tuple(row[0]) if row else ()
        return key if set(key) <= set(names) else ()

    def _execute(self, statement: str, *parts: sql.Composable) -> int:
        return self._connection.execute(sql.SQL(statement).format(*parts)).rowcount

    def _number(self, statement: str, *parts: sql.Composable) -> int:
        row = self._connection.execute(sql.SQL(statement).format(*parts)).fetchone()
        return int(row[0]) if row else 0


def _refuse_both_sides(connection: Connection, wanted: RowsWanted, parts: Sequence[Part]) -> None:
    """Rows that are archived must not be live in their own table too: every total would count them twice."""
    if split_table(wanted.into) != split_table(wanted.table):
        return
    if {part.part_id for part in parts} & set(read_marks(connection)):
        raise RowsInTheWayError(
            f"The rows left {wanted.table} of this very database for the archive, and count as archived.",
            hint="Restore them into another table beside it, with --into schema.name.",
        )


def _codec(reader: ObjectReader, file: StoredObject) -> TableCodec:
    with reader.open_anywhere(file) as opened:
        return file_codec(pq.read_schema(opened), file.key)


def _columns(names: Sequence[str], alias: str | None = None) -> sql.Composable:
    return sql.SQL(", ").join(
        sql.Identifier(alias, name) if alias else sql.Identifier(name) for name in names
    )

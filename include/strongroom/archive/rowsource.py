"""Rows of a table as Arrow batches, straight from the server's binary COPY, in memory that does not grow.

The driver (ADBC) has a connection of its own; it reads in the caller's snapshot, so what it reads and what the caller
sees are the same rows. It is used without its DB-API layer, which loads pandas: 42 MiB for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import adbc_driver_postgresql
import pyarrow as pa
from adbc_driver_manager import AdbcConnection, AdbcStatement
from adbc_driver_manager import Error as DriverError
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus

from strongroom.archive.columns import SourceCodec
from strongroom.postgres import (
    SESSION_SETTINGS,
    Connection,
    DatabaseUnreachableError,
    MissingPrivilegeError,
    PostgresError,
    server_errors,
)

DEFAULT_BATCH_BYTES = 4 << 20
_APPLICATION = "strongroom archive"
_UNREACHABLE_CLASSES = ("08", "28", "3D", "53", "57")
_PRIVILEGE = "42501"
_SERVER_SAID = "ERROR:"


def batches(
    connection: Connection,
    codec: SourceCodec,
    where: sql.Composable | None = None,
    order_by: sql.Composable | None = None,
    max_bytes: int = DEFAULT_BATCH_BYTES,
) -> Iterator[pa.RecordBatch]:
    """The rows of a table, or some of them, as batches of the codec's schema.

    Args:
        connection: of `strongroom.postgres.connect`. Where a repeatable-read transaction is open on it, its snapshot
            is read, which does not hold what that transaction itself has changed.
        codec: of the table.
        where: a condition over the table's columns.
        order_by: what to sort by.
        max_bytes: about how large a batch may be in memory.

    Raises:
        DatabaseUnreachableError: the server went away.
        MissingPrivilegeError: the user may not read the table.
        PostgresError: the server refused the query; the message holds no row's value.
    """
    query = _query(codec, where, order_by).as_string(connection)
    with _reader(connection) as statement:
        statement.set_options(**{_BATCH_OPTION: str(max_bytes)})
        for batch in _stream(statement, query):
            yield codec.decode(batch)


_BATCH_OPTION = adbc_driver_postgresql.StatementOptions.BATCH_SIZE_HINT_BYTES.value


def _query(codec: SourceCodec, where: sql.Composable | None, order_by: sql.Composable | None) -> sql.Composed:
    parts = [sql.SQL("SELECT {} FROM {}").format(codec.select_list, codec.declared.source)]
    if where is not None:
        parts.append(sql.SQL("WHERE {}").format(where))
    if order_by is not None:
        parts.append(sql.SQL("ORDER BY {}").format(order_by))
    return sql.SQL(" ").join(parts)


def _stream(statement: AdbcStatement, query: str) -> Iterator[pa.RecordBatch]:
    with _driver_errors():
        statement.set_sql_query(query)
        handle, _ = statement.execute_query()
        with closing(pa.RecordBatchReader.from_stream(handle)) as reader:
            yield from reader


@contextmanager
def _reader(connection: Connection) -> Iterator[AdbcStatement]:
    """A statement of the driver in a transaction that reads what the caller's connection sees."""
    snapshot = _snapshot_of(connection)
    conninfo = make_conninfo(
        connection.info.dsn, password=connection.info.password or None, application_name=_APPLICATION
    )
    settings = sql.SQL("SELECT {}").format(
        sql.SQL(", ").join(
            sql.SQL("pg_catalog.set_config({}, {}, false)").format(sql.Literal(name), sql.Literal(value))
            for name, value in SESSION_SETTINGS.items()
        )
    )
    with (
        _driver_errors(),
        adbc_driver_postgresql.connect(conninfo) as database,
        AdbcConnection(database) as driver,
        AdbcStatement(driver) as statement,
    ):
        for _ in _stream(statement, settings.as_string(connection)):
            pass
        _run(statement, "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if snapshot is not None:
            chosen = sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot))
            _run(statement, chosen.as_string(connection))
        yield statement


def _run(statement: AdbcStatement, command: str) -> None:
    statement.set_sql_query(command)
    statement.execute_update()


def _snapshot_of(connection: Connection) -> str | None:
    if connection.info.transaction_status is TransactionStatus.IDLE:
        return None
    with server_errors("The database server"):
        row = connection.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
    return str(row[0]) if row else None


@contextmanager
def _driver_errors() -> Iterator[None]:
    """Turn the driver's errors into ours; of its messages, which can hold rows, nothing but the server's first line."""
    try:
        yield
    except (DriverError, pa.ArrowException, OSError) as error:  # once rows flow, errors come through Arrow
        state = getattr(error, "sqlstate", None) or ""
        message = _primary(str(error))
        if state == _PRIVILEGE:
            raise MissingPrivilegeError(f"The database server refused: {message}") from None
        if state[:2] in _UNREACHABLE_CLASSES or not (state or _SERVER_SAID in str(error)):
            raise DatabaseUnreachableError(
                f"The database server does not answer: {message}",
                hint="Is it running, and can this machine reach it?",
            ) from None
        raise PostgresError(f"The database server answered with an error: {message}") from None


def _primary(message: str) -> str:
    line = message.strip().splitlines()[0] if message.strip() else "no reason given"
    return line.split(_SERVER_SAID, 1)[-1].strip()

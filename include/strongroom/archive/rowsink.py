"""Arrow batches back into a table: as CSV through the server's COPY, whose input functions make the values again."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from pyarrow import csv

from strongroom.archive.columns import ColumnCodec, TableCodec
from strongroom.postgres import Connection, server_errors

_PIECE_ROWS = 8192
_OPTIONS = csv.WriteOptions(include_header=False, quoting_style="all_valid")
"""A quoted nothing is an empty text, an unquoted one is null: as COPY understands them."""


def copy_rows(
    connection: Connection, target: sql.Composable, codec: TableCodec, batches: Iterable[pa.RecordBatch]
) -> int:
    """Write rows into a table that has the codec's columns. Columns that the database computes are left out.

    Args:
        connection: of `strongroom.postgres.connect`, whose settings the text was written under.
        target: the table, quoted.
        codec: of the rows' file.
        batches: of the codec's schema.

    Returns:
        How many rows were written.

    Raises:
        PostgresError: the server refused a row.
    """
    names = [sql.Identifier(column.name) for column in codec.columns if not column.is_generated]
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(target, sql.SQL(", ").join(names))
    rows = 0
    with server_errors("The target"), connection.cursor() as cursor, cursor.copy(statement) as copy:
        for batch in batches:
            for piece in _csv_pieces(codec, batch):
                copy.write(piece)
            rows += batch.num_rows
    return rows


def _csv_pieces(codec: TableCodec, batch: pa.RecordBatch) -> Iterator[bytes]:
    for start in range(0, batch.num_rows, _PIECE_ROWS):
        piece = batch.slice(start, _PIECE_ROWS)
        columns = [column for column in codec.columns if not column.is_generated]
        texts = [_text(column, piece) for column in columns]
        buffer = io.BytesIO()
        table = pa.RecordBatch.from_arrays(texts, names=[str(number) for number in range(len(texts))])
        csv.write_csv(table, buffer, _OPTIONS)
        yield buffer.getvalue()


def _text(column: ColumnCodec, batch: pa.RecordBatch) -> pa.Array:
    """A column's values as PostgreSQL reads them."""
    values = batch.column(column.name)
    text = _WRITERS.get(column.arrow_type, _cast)(values)
    return pc.coalesce(text, batch.column(column.exact_name)) if column.exact_name else text


def _cast(values: pa.Array) -> pa.Array:
    return pc.cast(values, pa.string())


def _hex_bytea(values: pa.Array) -> pa.Array:
    return pa.array(
        [None if value is None else f"\\x{value.hex()}" for value in values.to_pylist()], pa.string()
    )


def _hex_uuid(values: pa.Array) -> pa.Array:
    stored = values.storage.to_pylist()
    return pa.array([None if value is None else value.hex() for value in stored], pa.string())


_WRITERS: dict[pa.DataType, Callable[[pa.Array], pa.Array]] = {pa.binary(): _hex_bytea, pa.uuid(): _hex_uuid}

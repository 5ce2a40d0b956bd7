"""The values of an Arrow batch as 32 bytes: equal exactly when every value and every null of every column is equal.

Rows are compared with what the bucket gave back by these, so that neither the rows have to be kept in memory nor the
table read twice. What goes in is canonical: where the nulls are, then the values that are not null, bit by bit (so -0
differs from 0), lengths before contents. How Arrow lays out memory (offsets, padding, what stands under a null)
does not matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from strongroom.errors import InputError


def batch_digest(batch: pa.RecordBatch) -> bytes:
    """SHA-256 of the batch's values.

    Raises:
        InputError: a column has an Arrow type that is not known here.
    """
    digest = hashlib.sha256(f"{batch.num_rows} {batch.num_columns}\n".encode())
    for column in batch.columns:
        digest.update(f"{column.type}\n".encode())
        for piece in _pieces(column):
            digest.update(piece)
    return digest.digest()


def _pieces(array: pa.Array) -> Iterator[pa.Buffer | bytes]:
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    yield array.null_count.to_bytes(8, "little")
    if array.null_count:
        yield _fixed(pc.cast(array.is_valid(), pa.uint8()))
        array = array.drop_null()
    kind = array.type
    if pa.types.is_boolean(kind):
        yield _fixed(pc.cast(array, pa.uint8()))
    elif _is_variable(kind):
        yield _fixed(pc.binary_length(array))
        yield _contents(array)
    elif pa.types.is_null(kind):
        return
    elif pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or pa.types.is_fixed_size_binary(kind):
        yield _fixed(array)
    else:
        raise InputError(f"Columns of the Arrow type {kind} cannot be compared.")


def _is_variable(kind: pa.DataType) -> bool:
    return any(
        test(kind)
        for test in (
            pa.types.is_string,
            pa.types.is_binary,
            pa.types.is_large_string,
            pa.types.is_large_binary,
        )
    )


def _fixed(array: pa.Array) -> pa.Buffer | bytes:
    """The values of an array of fixed width without nulls, side by side."""
    buffer = array.buffers()[1]
    if buffer is None:
        return b""
    width = array.type.bit_width // 8
    return buffer.slice(array.offset * width, len(array) * width)


def _contents(array: pa.Array) -> pa.Buffer | bytes:
    """The bytes of all values of a string or binary array without nulls, side by side."""
    if not len(array):
        return b""
    _, offsets, data = array.buffers()
    if data is None:
        return b""
    large = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    width = 8 if large else 4
    bounds = memoryview(offsets).cast("B").cast("q" if large else "i")
    first, last = bounds[array.offset], bounds[array.offset + len(array)]
    del bounds, width
    return data.slice(first, last - first)

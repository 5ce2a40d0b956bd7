"""Files on their way into the vault, and what it takes to recognise them when they are read back.

Rows become Parquet: Zstandard, statistics, one row group for each batch as it came from the database. While a file is
made, a digest of each batch's values is kept (32 bytes for some megabytes of rows); when it is read back out of
the bucket, decrypted and decoded, each row group must have the same.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from strongroom.archive.digests import batch_digest
from strongroom.archive.errors import ReadBackError
from strongroom.storage import Buffer

_COMPRESSION_LEVEL = 3
_READ_BYTES = 1 << 20


class RowsFile:
    """One table's rows as a Parquet file.

    Args:
        schema: of the batches.
        what: its name, for errors.
    """

    def __init__(self, schema: pa.Schema, what: str) -> None:
        self._schema = schema
        self._what = what
        self._groups: list[tuple[int, bytes]] = []

    @property
    def rows(self) -> int:
        """How many rows went in."""
        return sum(rows for rows, _ in self._groups)

    def content(self, batches: Iterable[pa.RecordBatch]) -> Iterator[Buffer]:
        """The file, piece by piece, in memory that does not grow with the number of rows."""
        sink = _Sink()
        writer = pq.ParquetWriter(
            sink,
            self._schema,
            compression="zstd",
            compression_level=_COMPRESSION_LEVEL,
            write_statistics=True,
        )
        with writer:
            for batch in batches:
                if not batch.num_rows:
                    continue
                self._groups.append((batch.num_rows, batch_digest(batch)))
                writer.write_batch(batch, row_group_size=batch.num_rows)
                yield sink.taken()
        yield sink.taken()

    def prove(self, file: BinaryIO) -> None:
        """Compare the file with what went in, value by value.

        Raises:
            ReadBackError: it is not the same.
        """
        try:
            with pq.ParquetFile(file, pre_buffer=False) as parquet:
                self._compare(parquet)
        except (pa.ArrowException, OSError) as error:
            raise ReadBackError(
                f"{self._what} cannot be read back: it is no Parquet file any more."
            ) from error

    def _compare(self, parquet: pq.ParquetFile) -> None:
        if not parquet.schema_arrow.equals(self._schema) or parquet.num_row_groups != len(self._groups):
            raise ReadBackError(
                f"{self._what} came back with other columns, or another number of row groups."
            )
        for number, (rows, digest) in enumerate(self._groups):
            table = parquet.read_row_group(number, use_threads=False).combine_chunks()
            (batch,) = table.to_batches() or [None]
            if batch is None or batch.num_rows != rows or batch_digest(batch) != digest:
                raise ReadBackError(
                    f"Row group {number} of {self._what} came back with other values than were read.",
                    hint="Nothing was deleted. If it happens again, a type does not survive: report it.",
                )


class PlainFile:
    """Any other content.

    Args:
        what: its name, for errors.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._digest = hashlib.sha256()

    def content(self, pieces: Iterable[bytes]) -> Iterator[Buffer]:
        """The content, piece by piece."""
        for piece in pieces:
            self._digest.update(piece)
            yield piece

    def prove(self, file: BinaryIO) -> None:
        """Compare the file with what went in.

        Raises:
            ReadBackError: it is not the same.
        """
        found = hashlib.sha256()
        while piece := file.read(_READ_BYTES):
            found.update(piece)
        if found.digest() != self._digest.digest():
            raise ReadBackError(f"{self._what} came back with another content than was written.")


class _Sink(io.RawIOBase):
    """Takes what the Parquet writer writes, and gives it out again."""

    def __init__(self) -> None:
        self._pieces = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:  # type: ignore[override]
        self._pieces += data
        return len(data)

    def taken(self) -> bytes:
        """What was written since the last time."""
        pieces, self._pieces = bytes(self._pieces), bytearray()
        return pieces

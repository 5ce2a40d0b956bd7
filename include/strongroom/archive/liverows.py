"""The rows that a table still has, as something that DuckDB can read as often as it likes, in one snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from strongroom.archive.columns import SourceCodec
from strongroom.archive.rowsource import batches
from strongroom.postgres import Connection


@dataclass(frozen=True)
class LiveRows:
    """A table in the source.

    Args:
        connection: with an open repeatable-read transaction, whose snapshot is read.
        codec: of the table.
    """

    connection: Connection
    codec: SourceCodec

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The rows from the first to the last, by Arrow's stream interface."""
        stream = batches(self.connection, self.codec)
        reader = pa.RecordBatchReader.from_batches(self.codec.schema, stream)
        return reader.__arrow_c_stream__(requested_schema)

"""A cluster for comparisons: rows of documents whose pages compress about 3:1, made by the server itself."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from strongroom.postgres import Cluster, connect, find_binaries, scratch_cluster

ROW_BYTES = 1640
"""What a row takes on its page, four or five of them to a page."""

_TABLE = """
CREATE TABLE public.document (id bigint PRIMARY KEY, changed_at timestamptz NOT NULL, body text NOT NULL);
ALTER TABLE public.document ALTER body SET STORAGE PLAIN;
"""
_ROWS = """
INSERT INTO public.document
SELECT n, timestamptz '2026-01-01' + n * interval '1 second',
       (SELECT string_agg(encode(sha512(convert_to(n::text || ':' || part, 'UTF8')), 'hex'), '')
          FROM generate_series(1, 8) AS part)
       || repeat('Delivered as agreed; the customer confirmed receipt. ', 10)
  FROM generate_series(1, %d) AS n
"""


@contextmanager
def document_cluster(
    major: int, size_bytes: int, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[Cluster, Path]]:
    """A running cluster of about that size, all its pages in the cache, and a directory beside it to write to."""
    with tempfile.TemporaryDirectory(prefix="sr-bench-") as root:
        Path(root).chmod(0o755)
        with scratch_cluster(Path(root), find_binaries(major), "bench") as scratch:
            base = {"fsync": "off", "max_wal_size": "4GB", "autovacuum": "off", "max_wal_senders": "8"}
            cluster = scratch.cluster({**base, **(settings or {})})
            cluster.initialise()
            cluster.start()
            with connect(cluster.conninfo(), application_name="bench") as connection:
                connection.execute(_TABLE.encode())
                connection.execute((_ROWS % (size_bytes // ROW_BYTES)).encode())
                connection.execute("VACUUM (FREEZE, ANALYZE) public.document")
                connection.execute("CHECKPOINT")
            yield cluster, Path(root)


def change_rows(cluster: Cluster, one_in: int, remainder: int) -> None:
    """Change every so many-th row, all over the table, and write the pages out.

    Args:
        cluster: of `document_cluster`.
        one_in: of how many rows one is changed.
        remainder: which one, so that a further call changes others.
    """
    statement = f"UPDATE public.document SET changed_at = now() WHERE id % {one_in} = {remainder}"
    with connect(cluster.conninfo(), application_name="bench") as connection:
        connection.execute(statement.encode())
        connection.execute("CHECKPOINT")

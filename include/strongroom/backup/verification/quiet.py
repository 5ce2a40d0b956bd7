"""Which tables of a restored server were not written to after a position in the log.

Every page of a relation names, in its first eight bytes, the log position after the last record that changed it
(src/include/storage/bufpage.h: `pd_lsn`, high half then low half). A table none of whose pages, its TOAST table's
included, was changed after a backup's restore point holds what it held there; so its fingerprint must be equal, and
one that is not is damage, not work. A table that was rewritten or emptied has new files, and counts as written to.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from strongroom.backup.fingerprints import FingerprintDocument, TableFingerprint
from strongroom.backup.verification.comparison import Comparison, compare
from strongroom.postgres import Cluster, Connection, connect, databases, table_fingerprints, tables
from strongroom.postgres.fingerprint import TableName

_WRITTEN = "it was written to between the backup and the moment that was restored"
_PAGES_READ = 128
_FILES = """
SELECT n.nspname, c.relname, pg_catalog.pg_relation_filepath(c.oid),
       pg_catalog.pg_relation_filepath(nullif(c.reltoastrelid, 0))
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm', 't') OR c.oid = 'pg_catalog.pg_class'::regclass
"""
_CATALOGUE: TableName = ("pg_catalog", "pg_class")

Files = dict[TableName, tuple[Path, ...]]


def compare_quiet(cluster: Cluster, source: FingerprintDocument, after: int) -> Comparison:
    """Compare the tables that were not written to after a position with what the source held there.

    Args:
        cluster: running, and not written to since its recovery ended.
        source: the fingerprints at `after`.
        after: the byte position of the restore point.
    """
    comparison = Comparison()
    with connect(cluster.conninfo(), application_name="strongroom verify") as connection:
        present = set(databases(connection))
    for database in sorted(present & set(source.databases)):
        _compare_database(cluster, database, source, after, comparison)
    return comparison


def _compare_database(
    cluster: Cluster, database: str, source: FingerprintDocument, after: int, comparison: Comparison
) -> None:
    conninfo = cluster.conninfo(database)
    with connect(conninfo, application_name="strongroom verify") as connection:
        files = _files(connection, cluster.data_dir)
        present = tables(connection)
        block_bytes = _block_bytes(connection)
    wanted = _quiet(source.databases[database].tables, files, after, block_bytes)
    hashed = {(table.schema, table.name) for table in wanted if table.comparable}
    chosen = [table for table in present if (table.schema, table.name) in hashed]
    compare(comparison, database, wanted, table_fingerprints(conninfo, chosen, source.seed))


def _quiet(
    source: Sequence[TableFingerprint], files: Files, after: int, block_bytes: int
) -> list[TableFingerprint]:
    """The tables, those that may have been written to marked as not comparable."""
    dropped_possible = newest_change(files[_CATALOGUE], block_bytes) > after
    found = []
    for table in source:
        paths = files.get((table.schema, table.name))
        busy = dropped_possible if paths is None else _busy(table, paths, after, block_bytes)
        found.append(
            replace(table, comparable=False, reason=_WRITTEN) if table.comparable and busy else table
        )
    return found


def _busy(table: TableFingerprint, paths: tuple[Path, ...], after: int, block_bytes: int) -> bool:
    emptied = bool(table.rows) and paths[0].stat().st_size == 0
    return emptied or newest_change(paths, block_bytes) > after


def newest_change(paths: Sequence[Path], block_bytes: int) -> int:
    """The newest position that a page of these relations names; 0 when they have none.

    Args:
        paths: each relation's first file; the others lie beside it with `.1`, `.2` and so on.
        block_bytes: the size of a page.
    """
    header = struct.Struct(f"<II{block_bytes - 8}x")
    newest = 0
    for chunk in _pages(paths, block_bytes):
        newest = max(newest, max(high << 32 | low for high, low in header.iter_unpack(chunk)))
    return newest


def _pages(paths: Sequence[Path], block_bytes: int) -> Iterator[bytes]:
    for first in paths:
        number, path = 0, first
        while path.is_file():
            with path.open("rb") as file:
                while chunk := file.read(_PAGES_READ * block_bytes):
                    if whole := len(chunk) - len(chunk) % block_bytes:
                        yield chunk[:whole]
            number += 1
            path = first.with_name(f"{first.name}.{number}")


def _files(connection: Connection, data_dir: Path) -> Files:
    rows = connection.execute(_FILES.encode()).fetchall()
    return {
        (schema, name): tuple(data_dir / path for path in paths if path is not None)
        for schema, name, *paths in rows
    }


def _block_bytes(connection: Connection) -> int:
    row = connection.execute("SELECT current_setting('block_size')::int").fetchone()
    return int(row[0]) if row else 8192

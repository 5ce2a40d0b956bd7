"""What remains once every signed document was read: rows with nothing behind them, objects that nobody names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, text

from strongroom.backup.indexing.report import Problem
from strongroom.backup.indexing.scan import Scan
from strongroom.catalog import BackupRepository, ObjectRepository, ProofRepository
from strongroom.storage import ObjectNotFoundError

_FOLDER = "'backups/' || split_part(one.key, '/', 2) || '/' || split_part(one.key, '/', 3) || '/'"
_UNFINISHED = f"""
    SELECT count(DISTINCT {_FOLDER}) FROM bucket_now AS one
    WHERE one.key LIKE 'backups/%/%/%' AND one.size_bytes IS NOT NULL AND NOT EXISTS (
        SELECT FROM bucket_now WHERE key = {_FOLDER} || 'manifest.json' AND size_bytes IS NOT NULL)"""  # noqa: S608
_UNKNOWN = f"""
    SELECT key FROM bucket_now AS one WHERE NOT claimed AND key LIKE '%.age' AND (
        key NOT LIKE 'backups/%/%/%' OR EXISTS (
            SELECT FROM bucket_now WHERE key = {_FOLDER} || 'manifest.json' AND size_bytes IS NOT NULL))
    ORDER BY key"""  # noqa: S608
_OPTIONS = {"stream_results": True, "yield_per": 500}


@dataclass(frozen=True)
class _Rows:
    """The rows of one table whose object may be gone."""

    query: str
    """Gives the object's key, the row's own name, and whether the listing has the key."""
    remove: Callable[[Connection, str], None]
    what: str


def _query(table: str, key: str, name: str, condition: str) -> str:
    return f"""
        SELECT mine.{key} AS key, mine.{name} AS name, bucket.key IS NOT NULL AS told FROM {table} AS mine
        LEFT JOIN bucket_now AS bucket ON bucket.key = mine.{key} WHERE {condition} ORDER BY 1"""  # noqa: S608


_NOT_BELIEVED = "bucket.key IS NULL OR NOT bucket.claimed"
_NOT_THERE = "bucket.size_bytes IS NULL"
_TABLES = (
    _Rows(
        _query("backup", "manifest_key", "backup_id", _NOT_BELIEVED), BackupRepository().remove, "a backup"
    ),
    _Rows(_query("proof", "proof_key", "proof_key", _NOT_BELIEVED), ProofRepository().remove, "a proof"),
    _Rows(_query("vault_object", "key", "key", _NOT_THERE), ObjectRepository().remove, "an object"),
)


def find_unfinished(scan: Scan) -> int:
    """How many folders of backups have no manifest."""
    return int(scan.connection.scalar(text(_UNFINISHED)) or 0)


def find_unknown(scan: Scan) -> None:
    """Note sealed objects that nothing signed names, outside of unfinished backups."""
    for (key,) in scan.connection.execute(text(_UNKNOWN), execution_options=_OPTIONS):
        scan.findings.add(Problem.UNKNOWN, key, "No signed document and no entry of the log names it.")


def find_lost(scan: Scan, *, forget: bool) -> int:
    """Note the rows that nothing in the bucket stands behind.

    Args:
        forget: whether to remove them from the index too.

    Returns:
        How many were removed.
    """
    forgotten = 0
    for table in _TABLES:
        for name in _lost(scan, table):
            if forget:
                table.remove(scan.connection, name)
                forgotten += 1
    return forgotten


def _lost(scan: Scan, table: _Rows) -> Iterator[str]:
    """The rows' names. What the listing told of and was not believed, or is named and missing, was noted before."""
    for key, name, told in scan.connection.execute(text(table.query), execution_options=_OPTIONS):
        if not told and _came_meanwhile(scan, key):
            continue
        if not told:
            detail = f"The index knows it as {table.what}, and it is no longer in the bucket."
            scan.findings.add(Problem.LOST, key, detail)
        yield name


def _came_meanwhile(scan: Scan, key: str) -> bool:
    """Whether the object is there after all: it was written after the listing passed its place."""
    try:
        scan.store.head(key)
    except ObjectNotFoundError:
        return False
    return True

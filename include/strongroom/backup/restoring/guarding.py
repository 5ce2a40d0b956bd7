"""Keeping recovery from writing outside of the restore: a log in which a tablespace is created is not replayed.

Replaying CREATE TABLESPACE makes a link to the tablespace's place at the source, and what follows is written there: on
the source's own machine that is the living data. Such a record is rare, so segments are searched for what always
comes with one, the row in the shared catalogue pg_tablespace (relation 1213 and its indexes, in tablespace 1664);
only those that have it are read by `pg_waldump`. A record may cross a page's end and escape one search, not all three.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

from strongroom.backup.restoring.errors import TablespaceInLogError
from strongroom.postgres import ServerBinaries, format_lsn, parse_lsn, run_as

_SHARED_TABLESPACE = 1664
_RELATIONS = (1213, 2697, 2698)
"""pg_tablespace, its index by oid, and its index by name."""

_TRACES = tuple(struct.pack("<III", _SHARED_TABLESPACE, 0, relation) for relation in _RELATIONS)
_CREATED = re.compile(r"rmgr: Tablespace .*lsn: (?P<lsn>[0-9A-F]+/[0-9A-F]+),.*desc: CREATE (?P<oid>\d+)")
_CHUNK_BYTES = 1 << 20
_OVERLAP_BYTES = 16


def refuse_created_tablespace(path: Path, binaries: ServerBinaries, until: int | None = None) -> None:
    """Refuse a segment in which a tablespace is created.

    Args:
        path: the segment's file, under its own name.
        binaries: the programs of the server's major version.
        until: the position before which recovery stops; None when that is not known beforehand.

    Raises:
        TablespaceInLogError: it creates one; the message says where.
    """
    if not _has_trace(path):
        return
    done = run_as(None, [binaries.tool("pg_waldump"), "--rmgr=Tablespace", path])
    for created in _CREATED.finditer(done.stdout):
        position = parse_lsn(created["lsn"])
        if until is None or position < until:
            raise TablespaceInLogError(
                f"The log creates the tablespace {created['oid']} at {format_lsn(position)}: replaying that would"
                " write to its place at the source.",
                hint=f"Restore with --to-lsn {format_lsn(position)} or to an earlier target, or from a backup that"
                " was taken after the tablespace was made.",
            )


def _has_trace(path: Path) -> bool:
    rest = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            window = rest + chunk
            if any(trace in window for trace in _TRACES):
                return True
            rest = window[-_OVERLAP_BYTES:]
    return False

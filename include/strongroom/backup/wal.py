"""The WAL after a base backup, up to its restore point: fetched, read for what it touched, packed as tar.

The segments lie for a moment in a private directory in memory (/dev/shm where there is room). No slot of
their own is needed: the temporary slot of the backup's control session keeps them on the server until then,
and `pg_receivewal` goes on with the newest segment that it finds in its directory, which is an empty stand-in
for the first one that is wanted.
"""

from __future__ import annotations

import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from strongroom.backup.clients import Client
from strongroom.backup.errors import SourceFailedError
from strongroom.postgres import ServerBinaries, format_lsn, run_as, segment_name, segment_start
from strongroom.postgres.processes import ProcessIdentity

_MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of mode 0700 with a random name is made in it
_MEMORY_SEGMENTS = 24
_NAME = re.compile(r"^strongroom-wal\.(\d+)\.(\d+)\.\w+$")
_READ_BYTES = 1 << 20
_TAR_END = bytes(2 * tarfile.BLOCKSIZE)
_RELATION = re.compile(r"blkref #\d+: rel \d+/(\d+)/(\d+) ")
_UNCHANGED = re.compile(
    r"rmgr: (Heap2 .*desc: (PRUNE|VISIBLE|FREEZE_PAGE|VACUUM|CLEAN|LOCK_UPDATED)"
    r"|Heap .*desc: (LOCK|INPLACE)|XLOG .*desc: FPI_FOR_HINT)"
)


@contextmanager
def wal_directory(segment_bytes: int) -> Iterator[Path]:
    """A private directory for segments, gone afterwards; what killed runs left is removed first."""
    place = _place(segment_bytes)
    owner = ProcessIdentity.own()
    directory = Path(tempfile.mkdtemp(prefix=f"strongroom-wal.{owner.pid}.{owner.start_ticks}.", dir=place))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def remove_stale_wal() -> int:
    """Delete the segments that killed runs left on this machine; returns how many directories."""
    removed = 0
    for place in {_MEMORY, Path(tempfile.gettempdir())}:
        for directory in place.glob("strongroom-wal.*"):
            match = _NAME.fullmatch(directory.name)
            if match and not ProcessIdentity(int(match[1]), int(match[2])).alive():
                shutil.rmtree(directory, ignore_errors=True)
                removed += 1
    return removed


def _place(segment_bytes: int) -> Path:
    usable = _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK)
    if usable and shutil.disk_usage(_MEMORY).free > _MEMORY_SEGMENTS * segment_bytes:
        return _MEMORY
    return Path(tempfile.gettempdir())


def fetch_wal(
    program: Path,
    conninfo: str,
    directory: Path,
    *,
    after_segment: str,
    until: int,
    segment_bytes: int,
    alive: Callable[[], None],
) -> list[Path]:
    """Fetch the segments after one up to the one that holds the bytes before `until`.

    Args:
        program: the path of `pg_receivewal`.
        conninfo: the source.
        directory: of `wal_directory`.
        after_segment: the last segment of the base backup.
        until: the byte position of the restore point's end; its segment was switched away from.
        segment_bytes: how large the cluster's segments are.
        alive: called while waiting.

    Returns:
        The segments in order, without a gap.

    Raises:
        SourceFailedError: the connection broke, or a segment is no longer there.
    """
    timeline = int(after_segment[:8], 16)
    first = segment_start(after_segment, segment_bytes) + segment_bytes
    last = segment_start(segment_name(timeline, until - 1, segment_bytes), segment_bytes)
    if last < first:
        return []
    names = [
        segment_name(timeline, position, segment_bytes)
        for position in range(first, last + segment_bytes, segment_bytes)
    ]
    (directory / f"{names[0]}.partial").touch()
    arguments = [f"--directory={directory}", "--no-loop", "--no-sync"]
    arguments.append(f"--endpos={format_lsn(last + segment_bytes - 1)}")
    client = Client(program, arguments, conninfo, stdout=None)
    try:
        client.finish(alive)
    finally:
        client.end()
    return [_whole(directory / name, segment_bytes) for name in names]


def _whole(path: Path, segment_bytes: int) -> Path:
    if not path.is_file() or path.stat().st_size != segment_bytes:
        raise SourceFailedError(
            f"The WAL segment {path.name} between the backup and its restore point could not be fetched.",
            hint="max_slot_wal_keep_size may be too small for the WAL written during a backup.",
        )
    return path


def tar_of(segments: list[Path]) -> Iterator[bytes]:
    """The segments as a tar stream with their bare names."""
    for path in segments:
        member = tarfile.TarInfo(path.name)
        member.size, member.mode = path.stat().st_size, 0o600
        yield member.tobuf(tarfile.USTAR_FORMAT)
        with path.open("rb") as file:
            while piece := file.read(_READ_BYTES):
                yield piece
        yield bytes(-member.size % tarfile.BLOCKSIZE)
    yield _TAR_END


def changed_relations(
    binaries: ServerBinaries, directory: Path, *, timeline: int, start: int, end: int
) -> set[tuple[int, int]]:
    """The relations whose content WAL between two positions may have changed, as (database oid, file node).

    Records that only tidy up (pruning, freezing, hint bits, row locks) do not count.

    Raises:
        SourceFailedError: the WAL cannot be read.
    """
    if start >= end:
        return set()
    arguments = [f"--path={directory}", f"--timeline={timeline}"]
    arguments += [f"--start={format_lsn(start)}", f"--end={format_lsn(end)}"]
    done = run_as(None, [binaries.tool("pg_waldump"), *arguments])
    if done.returncode != 0:
        raise SourceFailedError(f"The fetched WAL cannot be read: {done.stderr.strip()[-500:]}")
    lines = (line for line in done.stdout.splitlines() if not _UNCHANGED.match(line))
    return {(int(match[1]), int(match[2])) for line in lines for match in _RELATION.finditer(line)}

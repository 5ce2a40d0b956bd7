"""A base backup as tar streams, one for each tablespace: what `pg_basebackup` does, without its copies and its process.

The bytes go from the connection into the sealing pipeline's own memory. The data directory's archive ends with
PostgreSQL's manifest of the backup as its last member, so that what is unpacked is what `pg_verifybackup` expects.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from strongroom.backup.errors import IncompleteStreamError
from strongroom.backup.replication import BackupStream, ReplicationLink
from strongroom.backup.server_manifest import ServerManifest
from strongroom.backup.tarwalk import BLOCK, TAR_END, TarWalk
from strongroom.backup.tarwatch import StreamFacts, TarWatch

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer


@dataclass(frozen=True)
class BaseBackupRequest:
    """One base backup to stream."""

    conninfo: str
    label: str
    """Written into its `backup_label`."""
    alive: Callable[[], None]
    """Called for every buffer, and every second while waiting for the server."""
    progress: Callable[[int], None]
    """Told how many bytes have passed."""
    since: ServerManifest | None = None
    """Only what changed since the backup of this manifest; everything without it."""


@dataclass(frozen=True)
class Archive:
    """One tar stream of a base backup."""

    tablespace_oid: int | None
    """None for the data directory itself, with the WAL that makes it consistent and the server's manifest."""
    content: BinaryIO


class BaseBackup:
    """A base backup that is being streamed. Read every archive to its end, then ask for the facts.

    Reading fails, rather than end early, when the source did not end well, so that nothing downstream takes a torso
    for a backup.

    Args:
        request: what is wanted.
    """

    def __init__(self, request: BaseBackupRequest) -> None:
        self._request = request
        self._link: ReplicationLink | None = None
        self._passed_bytes = 0
        self.server_manifest = ServerManifest()
        self._watch = TarWatch(self.server_manifest)

    def archives(self) -> Iterator[Archive]:
        """The archives; each is read to its end before the next is asked for.

        Raises:
            IncrementalRefusedError: the server cannot tell what changed since then.
            TransientError: the source or the connection failed, or the lease is lost.
            IntegrityError: the source is damaged, or a stream is not whole.
        """
        self._link = ReplicationLink(self._request.conninfo, self._request.alive)
        stream = self._link.base_backup(self._request.label, self._request.since)
        while (oid := stream.next_archive()) is not None:
            if oid:
                yield Archive(oid, cast(BinaryIO, _ArchiveStream(stream, TarWalk(), self._passed)))
            else:
                yield Archive(None, cast(BinaryIO, _DataDirectoryStream(stream, self._watch, self._passed)))

    def facts(self) -> StreamFacts:
        """What the base backup said of itself, once it is over.

        Raises:
            IncompleteStreamError: it is not over, or lacked something.
        """
        return self._watch.facts()

    def close(self) -> None:
        """End it, whatever it is doing."""
        if self._link is not None:
            self._link.close()
        self.server_manifest.close()

    def _passed(self, size: int) -> None:
        self._request.alive()
        self._passed_bytes += size
        self._request.progress(self._passed_bytes)


class _ArchiveStream(io.RawIOBase):
    """One archive as a file, with an end of its own: servers before PostgreSQL 15 send none.

    Args:
        stream: where its pieces come from.
        walk: follows its members.
        passed: called for every buffer, with how much was put into it.
    """

    def __init__(self, stream: BackupStream, walk: TarWalk, passed: Callable[[int], None]) -> None:
        super().__init__()
        self._stream = stream
        self._walk = walk
        self._passed = passed
        self._held = b""
        self._end: Iterator[memoryview | bytes] | None = None
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        """Fill the buffer; less than full only at the end, which is reached only when the archive is whole."""
        view = memoryview(buffer).cast("B")
        used, size = 0, len(view)
        while used < size:
            if not self._rest:
                piece = self._next()
                if piece is None:
                    break
                self._rest = piece
            step = min(len(self._rest), size - used)
            view[used : used + step] = self._rest[:step]
            self._rest = self._rest[step:]
            used += step
        self._passed(used)
        return used

    def _next(self) -> memoryview | None:
        """The next bytes of the archive's members, then those of its end; None after that."""
        if self._end is None:
            piece = self._stream.piece()
            if piece is not None:
                return self._members(piece)
            if not (self._walk.between_members or self._walk.ended):
                raise IncompleteStreamError("A stream of the base backup ended in the middle.")
            self._end = self._ending()
        last = next(self._end, None)
        return None if last is None else memoryview(last)

    def _members(self, piece: memoryview) -> memoryview:
        """The piece without what belongs to the archive's end; an incomplete header waits for its rest."""
        before = self._walk.position
        self._walk.feed(piece)
        size = self._walk.position - before
        if not self._held and size == len(piece):
            return piece
        joined = self._held + bytes(piece)
        self._held = b"" if self._walk.ended else joined[size:]
        return memoryview(joined[:size])

    def _ending(self) -> Iterator[memoryview | bytes]:
        yield TAR_END


class _DataDirectoryStream(_ArchiveStream):
    """The archive of the data directory: the manifest becomes its last member, as `pg_basebackup` does it."""

    def __init__(self, stream: BackupStream, watch: TarWatch, passed: Callable[[int], None]) -> None:
        super().__init__(stream, watch, passed)
        self._watch = watch

    def _ending(self) -> Iterator[memoryview | bytes]:
        self._watch.go_on()
        for piece in self._manifest_member():
            self._watch.feed(memoryview(piece))
            yield piece
        self._watch.facts()

    def _manifest_member(self) -> Iterator[memoryview | bytes]:
        manifest = ServerManifest()
        try:
            for piece in self._stream.manifest():
                manifest.write(piece)
            self._stream.finish()
            member = tarfile.TarInfo("backup_manifest")
            member.size, member.mode = manifest.size_bytes, 0o600
            yield member.tobuf(tarfile.USTAR_FORMAT)
            yield from manifest.pieces()
            yield bytes(-member.size % BLOCK)
            yield TAR_END
        finally:
            manifest.close()

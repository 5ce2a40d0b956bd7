"""The base backup over the replication protocol: what `pg_basebackup` does, with one stream for each tablespace.

    BASE_BACKUP ( LABEL ..., CHECKPOINT 'fast', WAL, TABLESPACE_MAP, MANIFEST 'yes' )

The server answers (PostgreSQL documentation, chapter "Streaming Replication Protocol") with a row that says where it
starts, a row for each tablespace (oid, location, size; the data directory has no oid and comes last), the data, and
a row that says where it ends. The data is, from PostgreSQL 15 on, one COPY of messages by their first byte:

    n  a new archive: its name, its location        d  a piece of the archive, or of the manifest
    m  from here on the manifest                    p  how much has been sent

and before PostgreSQL 15 one COPY for each tablespace, in the order of the rows, and one for the manifest.
An incremental backup is preceded by `UPLOAD_MANIFEST` on the same connection, a COPY of the last backup's manifest.
"""

from __future__ import annotations

import io
import select
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, cast

import psycopg
from psycopg import pq, sql

from strongroom.backup.basebackup import PATIENCE_SECONDS, Archive, BaseBackup, BaseBackupRequest
from strongroom.backup.clients import source_failure
from strongroom.backup.errors import IncompleteStreamError
from strongroom.backup.server_manifest import ServerManifest
from strongroom.backup.tarwalk import BLOCK, TAR_END, TarWalk
from strongroom.postgres import server_errors

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

_WHO = "the server"
_MESSAGES_SINCE = 150000
_APPLICATION = "strongroom backup"
_ARCHIVE, _DATA, _MANIFEST, _PROGRESS = b"ndmp"


class ProtocolBackup(BaseBackup):
    """A base backup over a replication connection of its own."""

    def __init__(self, request: BaseBackupRequest) -> None:
        super().__init__()
        self._request = request
        self._link: _Link | None = None

    def archives(self) -> Iterator[Archive]:
        self._link = link = _Link(self._request.conninfo, self._request.alive)
        if self._request.since is not None:
            link.upload(self._request.since)
        link.execute(_command(self._request, link.version, incremental=self._request.since is not None))
        stream = _Messages(link) if link.version >= _MESSAGES_SINCE else _Copies(link)
        total = _Total(self._request.progress)
        while (oid := stream.next_archive()) is not None:
            if oid:
                yield Archive(oid, cast(BinaryIO, _ArchiveStream(stream, total)))
            else:
                yield Archive(None, cast(BinaryIO, _DataDirectoryStream(stream, total, self)))

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
        super().close()


def _command(request: BaseBackupRequest, version: int, *, incremental: bool) -> bytes:
    label = sql.Literal(request.label).as_string()
    if version < _MESSAGES_SINCE:
        return f"BASE_BACKUP LABEL {label} FAST WAL TABLESPACE_MAP MANIFEST 'yes'".encode()
    options = [f"LABEL {label}", "CHECKPOINT 'fast'", "WAL", "TABLESPACE_MAP", "MANIFEST 'yes'"]
    if incremental:
        options.append("INCREMENTAL")
    return f"BASE_BACKUP ({', '.join(options)})".encode()


class _Link:
    """The connection: commands, and results that are waited for with signs of life."""

    def __init__(self, conninfo: str, alive: Callable[[], None]) -> None:
        self._alive = alive
        with server_errors("The source"):
            self._connection = psycopg.connect(
                conninfo,
                autocommit=True,
                replication="true",
                application_name=_APPLICATION,
                connect_timeout=10,
                keepalives_idle=30,
                keepalives_interval=10,
                keepalives_count=4,
            )
        self._raw = self._connection.pgconn
        self.version = self._raw.server_version

    def execute(self, command: bytes) -> None:
        """Send a command; its results are fetched one by one."""
        self._raw.send_query(command)

    def result(self, *expected: pq.ExecStatus) -> pq.abc.PGresult | None:
        """The next result, of one of the expected kinds; None when the command is over."""
        with server_errors("The source"):
            while self._raw.is_busy():
                self._wait()
            result = self._raw.get_result()
        if result is not None and result.status not in expected:
            raise source_failure(_WHO, self._said(result))
        return result

    def piece(self) -> memoryview | None:
        """The next piece of a COPY; None at its end."""
        with server_errors("The source"):
            while True:
                size, data = self._raw.get_copy_data(1)
                if size > 0:
                    return memoryview(data)
                if size < 0:
                    return None
                self._wait()

    def upload(self, manifest: ServerManifest) -> None:
        """Tell the server what the last backup holds."""
        self.execute(b"UPLOAD_MANIFEST")
        self.result(pq.ExecStatus.COPY_IN)
        with server_errors("The source"):
            for piece in manifest.pieces():
                self._alive()
                self._raw.put_copy_data(piece)
            self._raw.put_copy_end()
        while self.result(pq.ExecStatus.COMMAND_OK) is not None:
            pass

    def close(self) -> None:
        with suppress(psycopg.Error):
            self._connection.close()

    def _wait(self) -> None:
        self._alive()
        if select.select([self._raw.socket], [], [], PATIENCE_SECONDS)[0]:
            self._raw.consume_input()

    def _said(self, result: pq.abc.PGresult) -> str:
        """The first line alone: details can hold names of files and people."""
        message = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY)
        return message.decode(errors="replace") if message else "an answer that was not expected"


class _Stream(ABC):
    """The data of a base backup: archives one after the other, then the manifest, then the end."""

    def __init__(self, link: _Link) -> None:
        self._link = link
        link.result(pq.ExecStatus.TUPLES_OK)
        self._tablespaces = link.result(pq.ExecStatus.TUPLES_OK)

    @abstractmethod
    def next_archive(self) -> int | None:
        """Go on to the next archive: its tablespace's oid, 0 for the data directory, None when there is none."""

    @abstractmethod
    def piece(self) -> memoryview | None:
        """The next piece of the archive; None at its end."""

    @abstractmethod
    def manifest(self) -> Iterator[memoryview]:
        """The manifest, which follows the data directory, up to the end of the whole backup."""

    def finish(self) -> None:
        """Wait for the server to say that all is well."""
        while self._link.result(pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK) is not None:
            pass


class _Messages(_Stream):
    """PostgreSQL 15 and later."""

    def __init__(self, link: _Link) -> None:
        super().__init__(link)
        link.result(pq.ExecStatus.COPY_OUT)
        self._next: memoryview | None = None

    def next_archive(self) -> int | None:
        message = self._next or self._message()
        self._next = None
        if message is None or message[0] != _ARCHIVE:
            return None
        name = bytes(message[1:]).split(b"\0")[0]
        return 0 if name == b"base.tar" else int(name.removesuffix(b".tar"))

    def piece(self) -> memoryview | None:
        message = self._message()
        if message is not None and message[0] == _DATA:
            return message[1:]
        self._next = message
        return None

    def manifest(self) -> Iterator[memoryview]:
        if self._next is None or self._next[0] != _MANIFEST:
            raise IncompleteStreamError("The base backup ended without a manifest.")
        while (message := self._message()) is not None:
            yield message[1:]

    def _message(self) -> memoryview | None:
        while (message := self._link.piece()) is not None:
            if message[0] != _PROGRESS:
                return message
        return None


class _Copies(_Stream):
    """PostgreSQL 13 and 14."""

    def __init__(self, link: _Link) -> None:
        super().__init__(link)
        rows = self._tablespaces
        count = rows.ntuples if rows is not None else 0
        self._oids = iter([int(rows.get_value(row, 0) or b"0") for row in range(count)] if rows else [])

    def next_archive(self) -> int | None:
        oid = next(self._oids, None)
        if oid is not None:
            self._link.result(pq.ExecStatus.COPY_OUT)
        return oid

    def piece(self) -> memoryview | None:
        return self._link.piece()

    def manifest(self) -> Iterator[memoryview]:
        self._link.result(pq.ExecStatus.COPY_OUT)
        while (piece := self._link.piece()) is not None:
            yield piece


class _Total:
    """How many bytes have passed in all archives."""

    def __init__(self, progress: Callable[[int], None]) -> None:
        self._progress = progress
        self._total = 0

    def add(self, size: int) -> None:
        self._total += size
        self._progress(self._total)


class _ArchiveStream(io.RawIOBase):
    """One archive as a file, with an end of its own: servers before PostgreSQL 15 send none."""

    def __init__(self, stream: _Stream, total: _Total) -> None:
        super().__init__()
        self._stream = stream
        self._total = total
        self._walk = TarWalk()
        self._held = b""
        self._pieces = self._all_pieces()
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        """Read the next bytes; none at the end, which is reached only when the archive is whole."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        view = memoryview(buffer).cast("B")
        size = min(len(self._rest), len(view))
        view[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        self._total.add(size)
        return size

    def _all_pieces(self) -> Iterator[memoryview | bytes]:
        while (piece := self._stream.piece()) is not None:
            yield self._members(piece)
        if not (self._walk.between_members or self._walk.ended):
            raise IncompleteStreamError("A stream of the base backup ended in the middle.")
        yield from self._last_pieces()

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

    def _last_pieces(self) -> Iterator[memoryview | bytes]:
        yield TAR_END


class _DataDirectoryStream(_ArchiveStream):
    """The archive of the data directory: the manifest becomes its last member, as `pg_basebackup` does it."""

    def __init__(self, stream: _Stream, total: _Total, backup: BaseBackup) -> None:
        super().__init__(stream, total)
        self._watch = backup.watch

    def _all_pieces(self) -> Iterator[memoryview | bytes]:
        for piece in super()._all_pieces():
            self._watch.feed(memoryview(piece))
            yield piece
        self._watch.facts()

    def _last_pieces(self) -> Iterator[memoryview | bytes]:
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

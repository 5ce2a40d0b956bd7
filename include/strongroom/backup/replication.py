"""The server's side of a base backup: the replication protocol, as messages that are waited for with signs of life.

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

import select
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress

import psycopg
from psycopg import pq, sql

from strongroom.backup.clients import source_failure
from strongroom.backup.errors import IncompleteStreamError
from strongroom.backup.server_manifest import ServerManifest
from strongroom.postgres import server_errors

_WHO = "the server"
_MESSAGES_SINCE = 150000
_APPLICATION = "strongroom backup"
_PATIENCE_MILLISECONDS = 1000
_ARCHIVE, _DATA, _MANIFEST, _PROGRESS = b"ndmp"


class ReplicationLink:
    """A replication connection: commands, and results that are waited for with signs of life.

    Args:
        conninfo: of the server.
        alive: called before each wait, and every second while waiting; what it raises ends the wait.
    """

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
        self._ahead: list[pq.abc.PGresult | None] = []
        """The result that was looked at when a COPY ended."""
        self._poll = select.poll()
        self._poll.register(self._raw.socket, select.POLLIN)

    def base_backup(self, label: str, since: ServerManifest | None) -> BackupStream:
        """Ask for a base backup: everything, or what changed since the one of that manifest."""
        if since is not None:
            self.upload(since)
        self.execute(_command(label, self.version, incremental=since is not None))
        return _Messages(self) if self.version >= _MESSAGES_SINCE else _Copies(self)

    def execute(self, command: bytes) -> None:
        """Send a command; its results are fetched one by one."""
        self._raw.send_query(command)

    def result(self, *expected: pq.ExecStatus) -> pq.abc.PGresult | None:
        """The next result, of one of the expected kinds; None when the command is over.

        Raises:
            StrongroomError: the server reports a failure, or answers something else.
        """
        result = self._ahead.pop() if self._ahead else self._fetch()
        if result is not None and result.status not in expected:
            raise source_failure(_WHO, self._said(result))
        return result

    def piece(self) -> memoryview | None:
        """The next piece of a COPY; None at its end.

        Raises:
            StrongroomError: the COPY broke off; with what the server says of it.
        """
        with server_errors("The source"):
            while True:
                size, data = self._raw.get_copy_data(1)
                if size > 0:
                    return memoryview(data)
                if size < 0:
                    break
                self._wait()
        after = self._fetch()
        if after is not None and after.status == pq.ExecStatus.FATAL_ERROR:
            raise source_failure(_WHO, self._said(after))
        self._ahead.append(after)
        return None

    def _fetch(self) -> pq.abc.PGresult | None:
        with server_errors("The source"):
            while self._raw.is_busy():
                self._wait()
            return self._raw.get_result()

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
        """Wait for the server a little, and send it what it had no room for before."""
        self._alive()
        unsent = self._raw.flush()
        self._poll.modify(self._raw.socket, select.POLLIN | select.POLLOUT if unsent else select.POLLIN)
        if self._poll.poll(_PATIENCE_MILLISECONDS):
            self._raw.consume_input()

    def _said(self, result: pq.abc.PGresult) -> str:
        """The first line alone: details can hold names of files and people."""
        message = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY)
        return message.decode(errors="replace") if message else "an answer that was not expected"


class BackupStream(ABC):
    """The data of a base backup: archives one after the other, then the manifest, then the end."""

    def __init__(self, link: ReplicationLink) -> None:
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


class _Messages(BackupStream):
    """PostgreSQL 15 and later."""

    def __init__(self, link: ReplicationLink) -> None:
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


class _Copies(BackupStream):
    """PostgreSQL 13 and 14."""

    def __init__(self, link: ReplicationLink) -> None:
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


def _command(label: str, version: int, *, incremental: bool) -> bytes:
    quoted = sql.Literal(label).as_string()
    if version < _MESSAGES_SINCE:
        return f"BASE_BACKUP LABEL {quoted} FAST WAL TABLESPACE_MAP MANIFEST 'yes'".encode()
    options = [f"LABEL {quoted}", "CHECKPOINT 'fast'", "WAL", "TABLESPACE_MAP", "MANIFEST 'yes'"]
    if incremental:
        options.append("INCREMENTAL")
    return f"BASE_BACKUP ({', '.join(options)})".encode()

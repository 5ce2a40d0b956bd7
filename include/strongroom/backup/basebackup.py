"""The base backup as streams: `pg_basebackup` writing tar into a large pipe, watched as it passes.

`pg_basebackup` writes one stream to its output, so it can only do clusters without tablespaces of their own; the others
are read over the replication protocol (`replication`).
"""

from __future__ import annotations

import fcntl
import io
import os
import select
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from strongroom.backup.clients import Client
from strongroom.backup.errors import SourceFailedError
from strongroom.backup.server_manifest import ServerManifest
from strongroom.backup.tarwatch import StreamFacts, TarWatch

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

_PIPE_BYTES = 1 << 20
PATIENCE_SECONDS = 1.0
_ARGUMENTS = ("--pgdata=-", "--format=tar", "--wal-method=fetch", "--checkpoint=fast")


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


class BaseBackup(ABC):
    """A base backup that is being streamed. Read every archive to its end, then ask for the facts.

    Reading fails, rather than end early, when the source did not end well, so that nothing downstream takes a torso
    for a backup.
    """

    def __init__(self) -> None:
        self.server_manifest = ServerManifest()
        self.watch = TarWatch(self.server_manifest)

    @abstractmethod
    def archives(self) -> Iterator[Archive]:
        """The archives; each is read to its end before the next is asked for.

        Raises:
            IncrementalRefusedError: the server cannot tell what changed since then.
            TransientError: the source or the connection failed, or the lease is lost.
            IntegrityError: the source is damaged, or a stream is not whole.
        """

    def facts(self) -> StreamFacts:
        """What the base backup said of itself, once it is over.

        Raises:
            IncompleteStreamError: it is not over, or lacked something.
        """
        return self.watch.facts()

    def close(self) -> None:
        """End it, whatever it is doing."""
        self.server_manifest.close()


class ProgramBackup(BaseBackup):
    """A base backup by `pg_basebackup`.

    Args:
        program: its path.
        request: what is wanted.
    """

    def __init__(self, program: Path, request: BaseBackupRequest) -> None:
        super().__init__()
        self._program = program
        self._request = request
        self._stream: _ProgramStream | None = None

    def archives(self) -> Iterator[Archive]:
        arguments = [*_ARGUMENTS, f"--label={self._request.label}"]
        with tempfile.NamedTemporaryFile(prefix="strongroom-manifest-") as manifest:
            if self._request.since is not None:
                for piece in self._request.since.pieces():
                    manifest.write(piece)
                manifest.flush()
                arguments.append(f"--incremental={manifest.name}")
            client = Client(self._program, arguments, self._request.conninfo, stdout=subprocess.PIPE)
            self._stream = _ProgramStream(client, self.watch, self._request)
            yield Archive(None, cast(BinaryIO, self._stream))

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        super().close()


class _ProgramStream(io.RawIOBase):
    """The program's output. The bytes go from the pipe straight into the reader's own buffer."""

    def __init__(self, client: Client, watch: TarWatch, request: BaseBackupRequest) -> None:
        super().__init__()
        self._client = client
        self._watch = watch
        self._request = request
        self._total = 0
        output = client.process.stdout
        if output is None:
            raise SourceFailedError("pg_basebackup has no output.")
        self._descriptor = output.fileno()
        _widen(self._descriptor)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        """Read the next bytes; none at the end, which is reached only when the program ended well."""
        view = memoryview(buffer).cast("B")
        self._request.alive()
        while not select.select([self._descriptor], [], [], PATIENCE_SECONDS)[0]:
            self._request.alive()
        size = os.readv(self._descriptor, [view])
        if size == 0:
            self._client.finish()
            self._watch.facts()
            return 0
        self._watch.feed(view[:size])
        self._total += size
        self._request.progress(self._total)
        return size

    def close(self) -> None:
        """End the program, whatever it is doing."""
        if not self.closed:
            self._client.end()
        super().close()


def _widen(descriptor: int) -> None:
    """Ask for a large pipe, so that reader and writer wait less for one another; less is slower, not wrong."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError:
        return

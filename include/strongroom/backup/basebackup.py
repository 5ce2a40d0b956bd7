"""The base backup as one stream: `pg_basebackup` writing tar into a large pipe, watched as it passes."""

from __future__ import annotations

import fcntl
import io
import os
import select
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from strongroom.backup.clients import Client
from strongroom.backup.errors import SourceFailedError
from strongroom.backup.tarwatch import StreamFacts, TarWatch

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

_PIPE_BYTES = 1 << 20
_PATIENCE_SECONDS = 1.0
_ARGUMENTS = ("--pgdata=-", "--format=tar", "--wal-method=fetch", "--checkpoint=fast")


class BaseBackupStream(io.RawIOBase):
    """The tar of a whole cluster with the WAL that makes it consistent. Read to the end, then ask for `facts`.

    Reading fails, rather than end early, when the program did not end well, so that nothing downstream takes a
    torso for a backup. The bytes go from the pipe straight into the reader's own buffer.

    Args:
        program: the path of `pg_basebackup`.
        conninfo: the source.
        label: the backup's label, in its `backup_label`.
        alive: called for every buffer, and every second while waiting for the server.
        progress: told how many bytes have passed.
    """

    def __init__(
        self,
        program: Path,
        conninfo: str,
        *,
        label: str,
        alive: Callable[[], None],
        progress: Callable[[int], None],
    ) -> None:
        super().__init__()
        arguments = (*_ARGUMENTS, f"--label={label}")
        self._client = Client(program, arguments, conninfo, stdout=subprocess.PIPE)
        self._watch = TarWatch()
        self._alive = alive
        self._progress = progress
        self._total = 0
        output = self._client.process.stdout
        if output is None:
            raise SourceFailedError("pg_basebackup has no output.")
        self._descriptor = output.fileno()
        _widen(self._descriptor)

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def readinto(self, buffer: Buffer) -> int:
        """Read the next bytes; none at the end, which is reached only when the program ended well.

        Raises:
            TransientError: the source or the connection failed, or the lease is lost.
            IntegrityError: the source is damaged, or the stream is not whole.
        """
        view = memoryview(buffer).cast("B")
        self._alive()
        while not select.select([self._descriptor], [], [], _PATIENCE_SECONDS)[0]:
            self._alive()
        size = os.readv(self._descriptor, [view])
        if size == 0:
            self._client.finish()
            self._watch.facts()
            return 0
        self._watch.feed(view[:size])
        self._total += size
        self._progress(self._total)
        return size

    def facts(self) -> StreamFacts:
        """What the stream said of itself, once it is over.

        Raises:
            IncompleteStreamError: it is not over, or lacked something.
        """
        return self._watch.facts()

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

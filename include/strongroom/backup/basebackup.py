"""The base backup as one stream: `pg_basebackup` writing tar into a large pipe, watched as it passes."""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from strongroom.backup.clients import Client
from strongroom.backup.errors import SourceFailedError
from strongroom.backup.tarwatch import StreamFacts, TarWatch

_PIPE_BYTES = 1 << 20
_BUFFERS = 2
_PATIENCE_SECONDS = 1.0
_ARGUMENTS = ("--pgdata=-", "--format=tar", "--wal-method=fetch", "--checkpoint=fast")


class BaseBackupStream:
    """The tar of a whole cluster with the WAL that makes it consistent. Iterate once, then ask for `facts`.

    A buffer is good until the next but one is asked for. The iteration fails, rather than end early, when
    the program did not end well, so that nothing downstream takes a torso for a backup.

    Args:
        program: the path of `pg_basebackup`.
        conninfo: the source.
        label: the backup's label, in its `backup_label`.
        alive: called for every buffer.
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
        arguments = (*_ARGUMENTS, f"--label={label}")
        self._client = Client(program, arguments, conninfo, stdout=subprocess.PIPE)
        self._watch = TarWatch()
        self._alive = alive
        self._progress = progress

    def __iter__(self) -> Iterator[memoryview]:
        output = self._client.process.stdout
        if output is None:
            raise SourceFailedError("pg_basebackup has no output.")
        descriptor = output.fileno()
        _widen(descriptor)
        views = [memoryview(bytearray(_PIPE_BYTES)) for _ in range(_BUFFERS)]
        total = turn = 0
        while size := self._read(descriptor, views[turn]):
            piece = views[turn][:size]
            self._watch.feed(piece)
            total += size
            self._progress(total)
            yield piece
            turn = (turn + 1) % _BUFFERS
        self._client.finish()
        self._watch.facts()

    def _read(self, descriptor: int, view: memoryview) -> int:
        """The next bytes; a server that keeps us waiting does not keep us from noticing that the lease is lost."""
        self._alive()
        while not select.select([descriptor], [], [], _PATIENCE_SECONDS)[0]:
            self._alive()
        return os.readv(descriptor, [view])

    def facts(self) -> StreamFacts:
        """What the stream said of itself, once it is over.

        Raises:
            IncompleteStreamError: it is not over, or lacked something.
        """
        return self._watch.facts()

    def close(self) -> None:
        """End the program, whatever it is doing."""
        self._client.end()


def _widen(descriptor: int) -> None:
    """Ask for a large pipe, so that reader and writer wait less for one another; less is slower, not wrong."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError:
        return

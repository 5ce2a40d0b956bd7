"""`psql`, `pg_dump` and the like: their output as a stream that only ends well when they did."""

from __future__ import annotations

import io
import os
import select
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from strongroom.backup.clients import Client
from strongroom.backup.errors import SourceFailedError, SourceNotReadyError
from strongroom.errors import StrongroomError
from strongroom.postgres import DatabaseLoginError, MissingPrivilegeError
from strongroom.sealing.sources import widen_pipe

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

_PATIENCE_SECONDS = 1.0
_POLL_SECONDS = 0.02
_NAMED_PROBLEMS = 5
_LOGIN = ("authentication failed", "no pg_hba.conf entry", "no password supplied")


class Program(Client):
    """One run of a client program on a database.

    Args:
        program: its path.
        arguments: without the connection.
        conninfo: the database; passwords go into the environment.
        stdin: a file that it reads.
        stdout: where its output goes.
    """

    def __init__(
        self,
        program: Path,
        arguments: Sequence[str],
        conninfo: str,
        *,
        stdin: IO[Any] | None = None,
        stdout: int | IO[Any] | None,
    ) -> None:
        super().__init__(program, arguments, conninfo, stdout=stdout, stdin=stdin, dbname=None)

    def problems(self) -> list[str]:
        """What it complained about: the first line of each error, since details can hold row values."""
        self._complaints.seek(0)
        text = self._complaints.read(1 << 20).decode(errors="replace")
        lines = [line.strip() for line in text.splitlines()]
        return [line for line in lines if "error:" in line or "ERROR:" in line or "FATAL:" in line]

    def outcome(self, alive: Callable[[], None]) -> list[str]:
        """Wait for its end; gives its problems, none when it did everything.

        Args:
            alive: called while waiting; an exception from it ends the program.
        """
        try:
            while self.process.poll() is None:
                alive()
                time.sleep(_POLL_SECONDS)
            found = self.problems()
        finally:
            self.end()
        if self.process.returncode != 0 and not found:
            found.append(f"{self.name} ended with status {self.process.returncode}")
        return found

    def _failure(self) -> StrongroomError:
        found = self.problems()
        said = "; ".join(found[:_NAMED_PROBLEMS]) or f"exit status {self.process.returncode}"
        if any(phrase in said for phrase in _LOGIN):
            return DatabaseLoginError(
                f"The server refused the login of {self.name}: {said}",
                hint="Check user, password and database of the connection, and the server's pg_hba.conf.",
            )
        if "permission denied" in said or "must be superuser" in said or "must be owner" in said:
            return MissingPrivilegeError(
                f"{self.name} lacks a privilege: {said}",
                hint="Grant it to the connection's user. Large objects need their owner, a grant, or a superuser.",
            )
        if "out of shared memory" in said:
            return SourceNotReadyError(
                f"The server has no room for the locks of all tables: {said}",
                hint="ALTER SYSTEM SET max_locks_per_transaction = 512; then restart the server.",
            )
        return SourceFailedError(f"{self.name} failed: {said}", hint="The next run starts anew.")


class ProgramOutput(io.RawIOBase):
    """What a program writes. Reading fails, rather than end early, when the program did not end well.

    Args:
        run: the program, its output a pipe.
        alive: called for every buffer, and every second while waiting.
        progress: told how many bytes each buffer has.
    """

    def __init__(self, run: Program, *, alive: Callable[[], None], progress: Callable[[int], None]) -> None:
        super().__init__()
        self._run = run
        self._alive = alive
        self._progress = progress
        output = run.process.stdout
        if output is None:
            raise SourceFailedError(f"{run.name} has no output.")
        self._descriptor = output.fileno()
        widen_pipe(self._descriptor)

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def readinto(self, buffer: Buffer) -> int:
        """Read the next bytes; none at the end, which is reached only when the program ended well.

        Raises:
            StrongroomError: the program failed, or this run may not go on.
        """
        view = memoryview(buffer).cast("B")
        self._alive()
        while not select.select([self._descriptor], [], [], _PATIENCE_SECONDS)[0]:
            self._alive()
        size = os.readv(self._descriptor, [view])
        if size == 0:
            self._run.finish()
        self._progress(size)
        return size

    def close(self) -> None:
        """End the program, whatever it is doing."""
        if not self.closed:
            self._run.end()
        super().close()


def piped(program: Path, arguments: Sequence[str], conninfo: str, *, stdin: IO[Any] | None = None) -> Program:
    """Start a program whose output is to be read."""
    return Program(program, arguments, conninfo, stdin=stdin, stdout=subprocess.PIPE)

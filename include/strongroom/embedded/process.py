"""A server that runs as a child of this process, for as long as it is wanted.

The child leads a process group of its own, so that stopping it stops whatever it started, and a Ctrl-C in the
terminal does not reach it before its users are done.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from strongroom.embedded.errors import EmbeddedError, PartFailedError
from strongroom.embedded.tail import last_lines

_POLL_SECONDS = 0.05


class ChildProcess:
    """A program with its log.

    Args:
        name: what it is, for messages.
        command: the program and its arguments.
        log_path: where its output is appended.
        environment: its whole environment.
    """

    def __init__(
        self, name: str, command: Sequence[str | Path], *, log_path: Path, environment: Mapping[str, str]
    ) -> None:
        self.name, self.log_path = name, log_path
        self._command = [str(part) for part in command]
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start_byte = 0

    @property
    def pid(self) -> int | None:
        """Its process id while it is started."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it.

        Raises:
            PartFailedError: the program is not there.
        """
        descriptor = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._log_start_byte = os.fstat(descriptor).st_size
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                cwd=self.log_path.parent,
                env=self._environment,
                start_new_session=True,
                umask=0o077,
            )
        except OSError as error:
            raise PartFailedError(f"{self.name} cannot be started: {error.strerror}") from error
        finally:
            os.close(descriptor)

    def died(self) -> bool:
        """Whether it was started and has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def await_ready(self, ready: Callable[[], bool], patience_seconds: float) -> None:
        """Wait until it is ready.

        Raises:
            PartFailedError: it ended or did not become ready in time; with its log's last lines.
        """
        deadline = time.monotonic() + patience_seconds
        while not ready():
            if self.died():
                raise self._failure("ended by itself")
            if time.monotonic() > deadline:
                raise self._failure(f"was not ready after {patience_seconds:.0f} s")
            time.sleep(_POLL_SECONDS)

    def _failure(self, what: str) -> PartFailedError:
        lines = last_lines(self.log_path, start_byte=self._log_start_byte)
        return PartFailedError(
            f"{self.name} {what}. The last lines of {self.log_path}:\n{lines}", hint="Read the whole log."
        )

    def stop(self, patience_seconds: float = 5.0) -> None:
        """Stop the whole group: ask, wait, kill, wait. Harmless when it does not run.

        Raises:
            EmbeddedError: it is still there after it was killed.
        """
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_seconds)
        self.kill()

    def kill(self) -> None:
        """End the whole group at once, as a power cut would, and wait until it is gone.

        Raises:
            EmbeddedError: it is still there.
        """
        if self._process is None:
            return
        self._signal(signal.SIGKILL)
        try:
            self._process.wait(10.0)
        except subprocess.TimeoutExpired as error:
            raise EmbeddedError(f"{self.name} (process {self.pid}) does not end.") from error
        self._process = None

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

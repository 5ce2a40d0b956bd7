"""Which process is which: a process id alone is reused, together with its start time it is not."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from strongroom.postgres.errors import ServerStopError


@dataclass(frozen=True)
class ProcessIdentity:
    """A process of this machine since its last start."""

    pid: int
    start_ticks: int
    """When it started, in clock ticks since boot (`/proc/<pid>/stat`, field 22)."""

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """The identity of a running process; None when it is gone or only waits to be reaped."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in ("Z", "X") else cls(pid, int(fields[19]))

    @classmethod
    def own(cls) -> ProcessIdentity:
        """The identity of this process."""
        identity = cls.of(os.getpid())
        if identity is None:
            raise ServerStopError("This machine has no /proc; Strongroom runs on Linux.")
        return identity

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return ProcessIdentity.of(self.pid) == self


def postmaster(data_dir: Path) -> ProcessIdentity | None:
    """The server that runs on a data directory, told from a stale `postmaster.pid` by its own directory."""
    try:
        pid = int((data_dir / "postmaster.pid").read_text().split("\n", 1)[0])
        if not Path(f"/proc/{pid}/cwd").samefile(data_dir):
            return None
    except (FileNotFoundError, ProcessLookupError, PermissionError, ValueError):
        return None
    return ProcessIdentity.of(pid)


def end_postmaster(data_dir: Path, *, timeout_seconds: float = 15.0) -> None:
    """End the server of a data directory that is about to be deleted, without a shutdown checkpoint.

    Raises:
        ServerStopError: it is still there after an immediate shutdown and a kill.
    """
    server = postmaster(data_dir)
    if server is None:
        return
    for number in (signal.SIGQUIT, signal.SIGKILL):
        _send(server, number)
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            if not server.alive():
                return
            time.sleep(0.02)
    raise ServerStopError(f"The server process {server.pid} of {data_dir} does not end.")


def _send(process: ProcessIdentity, number: signal.Signals) -> None:
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return

"""Processes that outlive the command which starts them, each leading a session of its own.

Everything that a part starts stays in its session, so stopping the session stops the part. Every process also
carries the state folder in its environment: what a killed `make up` started and could not note is found by it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from strongroom.embedded.errors import EmbeddedError
from strongroom.postgres.processes import ProcessIdentity

MARKER_VARIABLE = "STRONGROOM_EMBEDDED"
_POLL_SECONDS = 0.05


def spawn(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    marker: Path,
    directory: Path,
    log_path: Path,
) -> ProcessIdentity:
    """Start a program in a session of its own; what it prints is appended to its log.

    Raises:
        EmbeddedError: the program is not there or ended at once.
    """
    descriptor = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            cwd=directory,
            env={**environment, MARKER_VARIABLE: str(marker)},
            start_new_session=True,
            umask=0o077,
        )
    except OSError as error:
        raise EmbeddedError(f"{command[0]} cannot be started: {error.strerror}.") from error
    finally:
        os.close(descriptor)
    process.returncode = 0  # it is not waited for: it outlives this command
    identity = ProcessIdentity.of(process.pid)
    if identity is None:
        raise EmbeddedError(f"{command[0]} ended at once; its log is {log_path}.")
    return identity


def session_members(leader: ProcessIdentity, marker: Path) -> list[ProcessIdentity]:
    """The processes of a session: the leader, and what it started even when the leader is gone.

    A process that renames itself overwrites its environment; it is still known by the log that it prints to.
    """
    led = leader.alive()
    return [
        identity
        for pid in _pids()
        if _session_of(pid) == leader.pid
        and (led or _marked(pid, marker) or _prints_below(pid, marker))
        and (identity := ProcessIdentity.of(pid)) is not None
    ]


def marked_processes(marker: Path) -> list[ProcessIdentity]:
    """Every process that carries the state folder in its environment, this one aside."""
    return [
        identity
        for pid in _pids()
        if pid != os.getpid() and _marked(pid, marker) and (identity := ProcessIdentity.of(pid)) is not None
    ]


def end(
    processes: Iterable[ProcessIdentity], *, first: signal.Signals = signal.SIGTERM, patience_seconds: float
) -> list[ProcessIdentity]:
    """Ask processes to end, wait, and kill those that do not.

    Returns:
        Those that had to be killed.

    Raises:
        EmbeddedError: one is still there after it was killed.
    """
    everyone = list(processes)
    _send(everyone, first)
    stubborn = _await_exit(everyone, patience_seconds)
    _send(stubborn, signal.SIGKILL)
    left = _await_exit(stubborn, 10.0)
    if left:
        raise EmbeddedError(f"The processes {', '.join(str(item.pid) for item in left)} do not end.")
    return stubborn


def _await_exit(processes: Sequence[ProcessIdentity], seconds: float) -> list[ProcessIdentity]:
    deadline = time.monotonic() + seconds
    while True:
        _reap()
        alive = [process for process in processes if process.alive()]
        if not alive or time.monotonic() > deadline:
            return alive
        time.sleep(_POLL_SECONDS)


def _send(processes: Iterable[ProcessIdentity], number: signal.Signals) -> None:
    for process in processes:
        if process.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)


def _reap() -> None:
    """Collect ended children of this command, so that they do not linger as zombies."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def _prints_below(pid: int, directory: Path) -> bool:
    """Whether the process's output goes to a file below the directory."""
    try:
        return any(Path(f"/proc/{pid}/fd/{number}").readlink().is_relative_to(directory) for number in (1, 2))
    except OSError:
        return False


def _marked(pid: int, marker: Path) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return os.fsencode(f"{MARKER_VARIABLE}={marker}") in environment.split(b"\0")

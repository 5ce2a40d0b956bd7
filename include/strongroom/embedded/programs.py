"""Programs that prepare something and end: run to their end, their output kept in a log."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from strongroom.embedded.errors import StepFailedError
from strongroom.embedded.sessions import MARKER_VARIABLE
from strongroom.embedded.tail import last_lines


def run_step(
    what: str,
    command: Sequence[str],
    *,
    log_path: Path,
    directory: Path,
    marker: Path,
    environment: Mapping[str, str],
) -> None:
    """Run a program; interrupted together with this command.

    Args:
        what: what it does, for the error.
        command: the program and its arguments.
        log_path: where its output is appended.
        directory: its working directory.
        marker: the state folder, by which `make down` finds it.
        environment: all that it sees of the environment.

    Raises:
        StepFailedError: it ended with an error; the message carries what it printed last.
    """
    with log_path.open("ab") as log:
        log_path.chmod(0o600)
        start = log.tell()
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=directory,
            env={**environment, MARKER_VARIABLE: str(marker)},
            check=False,
        )
    if done.returncode != 0:
        raise StepFailedError(
            f"{what} failed (exit status {done.returncode}):\n{last_lines(log_path, start_byte=start)}",
            hint=f"The whole output is in {log_path}. Run make up again when the cause is gone.",
        )

"""`down`: stop everything that `up` started, by process id and start time, and nothing else."""

from __future__ import annotations

import os

from strongroom.embedded.airflow_parts import COMPONENTS
from strongroom.embedded.bucket import remove_sockets
from strongroom.embedded.folder import StateFolder
from strongroom.embedded.parts import stop_parts
from strongroom.embedded.sessions import end, marked_processes
from strongroom.embedded.state import State
from strongroom.postgres import remove_stale_scratch


def down(folder: StateFolder) -> list[str]:
    """Stop every part, Airflow first, and wait for their ends.

    Returns:
        The names of the parts that were running.

    Raises:
        EmbeddedError: a process does not end.
        StateInUseError: another command works on the folder.
    """
    if not folder.exists():
        return []
    with folder.locked():
        state = State.load(folder.state)
        stopped = stop_parts(list(COMPONENTS), state, folder)  # before the stores that tasks write to
        stopped += stop_parts(list(reversed(state.parts)), state, folder)
        sweep(folder, state)
        remove_sockets(state.ports)
        remove_stale_scratch(folder.scratch)
    return stopped


def sweep(folder: StateFolder, state: State) -> None:
    """End processes of this folder that belong to no running part: a killed start could not note them."""
    sessions = {record.pid for record in state.parts.values() if record.alive()}
    strays = [process for process in marked_processes(folder.path) if _session(process.pid) not in sessions]
    end(strays, patience_seconds=10)


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0

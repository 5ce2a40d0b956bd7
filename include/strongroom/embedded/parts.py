"""A part of the embedded runtime: something that runs, listens, logs, and can be stopped."""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from strongroom.embedded.errors import PartFailedError
from strongroom.embedded.folder import StateFolder
from strongroom.embedded.sessions import end, session_members, spawn
from strongroom.embedded.state import PartRecord, State, boot_id
from strongroom.embedded.tail import last_lines
from strongroom.postgres.processes import ProcessIdentity, postmaster

_PATIENCE_SECONDS = 6.0
"""How long a part has to end by itself; all of them keep what matters in databases and finished files."""


class Part(ABC):
    """One part."""

    name: str
    title: str
    expected_seconds: float

    @abstractmethod
    def running(self, state: State) -> bool:
        """Whether it runs."""

    @abstractmethod
    def start(self, state: State) -> None:
        """Start it, note it in the state, and wait until it works.

        Raises:
            StrongroomError: it does not; the message carries its log's last lines.
        """


@dataclass(frozen=True)
class ProcessPart(Part):
    """A part that is a program of its own.

    Attributes:
        name: its name in commands, and its log's.
        title: its name for people.
        command: the program and its arguments.
        environment: everything that it sees of the environment.
        ports: what it listens on.
        ready: whether it works; asked until it does.
        expected_seconds: how long that usually takes.
        patience_seconds: how long it may take.
    """

    name: str
    title: str
    folder: StateFolder
    command: Sequence[str | Path]
    environment: Mapping[str, str]
    ports: Mapping[str, int]
    ready: Callable[[], bool]
    expected_seconds: float
    patience_seconds: float = 120.0

    def running(self, state: State) -> bool:
        """Whether the very process that was noted runs and works."""
        record = state.parts.get(self.name)
        return record is not None and record.alive() and dict(record.ports) == dict(self.ports)

    def launch(self, state: State) -> int:
        """Start the process without waiting for it to work; returns where its log begins."""
        stop_part(self.name, state, self.folder)
        log_path = self.folder.log(self.name)
        log_start = log_path.stat().st_size if log_path.exists() else 0
        identity = spawn(
            self.command,
            environment=self.environment,
            marker=self.folder.path,
            directory=self.folder.repository,
            log_path=log_path,
        )
        state.remember(_record(self.name, identity, self.ports, log_path))
        return log_start

    def await_ready(self, state: State, log_start: int) -> None:
        """Wait until the part works.

        Raises:
            PartFailedError: it ended, or it took too long.
        """
        deadline = time.monotonic() + self.patience_seconds
        while not self.ready():
            if not state.parts[self.name].alive():
                self._fail("ended by itself", log_start)
            if time.monotonic() > deadline:
                self._fail(f"does not work after {self.patience_seconds:.0f} s", log_start)
            time.sleep(0.2)

    def start(self, state: State) -> None:
        """Start it and wait until it works."""
        self.await_ready(state, self.launch(state))

    def _fail(self, what: str, log_start: int) -> None:
        log_path = self.folder.log(self.name)
        raise PartFailedError(
            f"{self.title} {what}. Its log ends with:\n{last_lines(log_path, start_byte=log_start)}",
            hint=f"The whole log is {log_path}. Run make up again when the cause is gone.",
        )


def note_postgres(name: str, data_dir: Path, state: State, *, port: int, log_path: Path) -> None:
    """Note a PostgreSQL server that runs on a data directory."""
    server = postmaster(data_dir)
    if server is None:
        raise PartFailedError(f"The server of {data_dir} ended:\n{last_lines(log_path)}")
    state.remember(_record(name, server, {"postgresql": port}, log_path))


def stop_parts(names: Sequence[str], state: State, folder: StateFolder) -> list[str]:
    """Stop noted parts and everything they started; harmless when they do not run.

    All are asked to end before any is waited for.

    Returns:
        Those of which something was running.

    Raises:
        EmbeddedError: a process does not end.
    """
    records = [state.parts[name] for name in names if name in state.parts]
    servers = [record for record in records if "postgresql" in record.ports]
    programs = [record for record in records if record not in servers]
    members = {record.name: _members(record, folder) for record in programs}
    running = {record.name for record in records if record.alive() or members.get(record.name)}
    end(_leaders(programs), patience_seconds=_PATIENCE_SECONDS)
    for record in programs:
        end({*members[record.name], *_members(record, folder)}, patience_seconds=1)
    # A fast shutdown: sessions are ended, everything is on disk; only then a harder one.
    end(_leaders(servers), first=signal.SIGINT, patience_seconds=60)
    for record in records:
        state.forget(record.name)
    return [name for name in names if name in running]


def stop_part(name: str, state: State, folder: StateFolder) -> bool:
    """Stop one noted part; returns whether anything of it was running."""
    return bool(stop_parts([name], state, folder))


def _leaders(records: Sequence[PartRecord]) -> list[ProcessIdentity]:
    return [record.identity for record in records if record.identity is not None and record.alive()]


def _members(record: PartRecord, folder: StateFolder) -> list[ProcessIdentity]:
    return session_members(record.identity, folder.path) if record.identity is not None else []


def _record(name: str, identity: ProcessIdentity, ports: Mapping[str, int], log_path: Path) -> PartRecord:
    return PartRecord(name, identity.pid, identity.start_ticks, boot_id(), dict(ports), str(log_path))

"""What the state folder remembers between commands: running parts, chosen ports, what was done once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from strongroom.embedded.errors import StateFolderError
from strongroom.postgres.processes import ProcessIdentity

_FORMAT = "strongroom/embedded-state/v1"


def boot_id() -> str:
    """Changes whenever the machine starts, which makes process ids and start times of before worthless."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True)
class PartRecord:
    """A part that was started.

    Attributes:
        name: the part.
        pid: its process, which leads a session of its own.
        start_ticks: when that process started, in clock ticks since boot.
        boot: the machine's start that both belong to.
        ports: what it listens on, all on 127.0.0.1.
        log_path: its log.
    """

    name: str
    pid: int
    start_ticks: int
    boot: str
    ports: Mapping[str, int]
    log_path: str

    @property
    def identity(self) -> ProcessIdentity | None:
        """The process, if it can still be the one that was started."""
        return ProcessIdentity(self.pid, self.start_ticks) if self.boot == boot_id() else None

    def alive(self) -> bool:
        """Whether that very process runs."""
        return self.identity is not None and self.identity.alive()


@dataclass
class State:
    """The state file's content.

    Attributes:
        path: the file.
        parts: running parts by name, in the order in which they were started.
        ports: chosen ports by purpose; kept, so that addresses stay the same from start to start.
        done: what is done once, with what it was done with, such as the sample's size.
        seconds: how long each step took the last time.
    """

    path: Path
    parts: dict[str, PartRecord] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    done: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> State:
        """Read the file; an empty state where there is none.

        Raises:
            StateFolderError: it is no state file of this version.
        """
        try:
            document = json.loads(path.read_text())
            parts = {name: PartRecord(**record) for name, record in document["parts"].items()}
            if document["format"] != _FORMAT:
                raise ValueError(document["format"])
        except FileNotFoundError:
            return cls(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateFolderError(
                f"The state file {path} cannot be read ({type(error).__name__}).",
                hint=f"Stop the parts by hand, then remove {path}; the data stays.",
            ) from error
        return cls(path, parts, document["ports"], document["done"], document["seconds"])

    def save(self) -> None:
        """Replace the file by what is known now, at once or not at all."""
        document = {
            "format": _FORMAT,
            "parts": {name: vars(record) for name, record in self.parts.items()},
            "ports": self.ports,
            "done": self.done,
            "seconds": self.seconds,
        }
        write_private(self.path, json.dumps(document, indent=2, default=dict) + "\n")

    def remember(self, record: PartRecord) -> None:
        """Add a part that was just started."""
        self.parts[record.name] = record
        self.save()

    def forget(self, name: str) -> None:
        """Drop a part that has stopped."""
        if self.parts.pop(name, None) is not None:
            self.save()


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, at once or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

"""restic as a peer: a repository in a local directory, of the data directory's files."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


def restic_version() -> str | None:
    """The version of the command here; None where there is none."""
    if shutil.which("restic") is None:
        return None
    done = subprocess.run(["restic", "version"], capture_output=True, text=True, check=True)
    return done.stdout.split()[1]


@dataclass(frozen=True)
class Restic:
    """A repository for one directory."""

    source: Path
    repository: Path

    def prepare(self) -> None:
        """Make an empty repository."""
        self._run("init")

    def back_up(self) -> float:
        """Take a snapshot, everything on the disk; seconds."""
        start = time.perf_counter()
        self._run("backup", str(self.source))
        os.sync()
        return time.perf_counter() - start

    def stored_bytes(self) -> int:
        """What the repository holds."""
        return sum(path.stat().st_size for path in self.repository.rglob("*") if path.is_file())

    def _run(self, *arguments: str) -> None:
        environment = {**os.environ, "RESTIC_PASSWORD": "bench", "RESTIC_REPOSITORY": str(self.repository)}
        options = ["--quiet", "--no-cache"]
        done = subprocess.run(
            ["restic", *options, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"restic {arguments[0]} failed: {done.stderr[-600:]}")

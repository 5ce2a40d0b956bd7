"""pgBackRest as a peer: a repository in a local directory, Zstandard level 1, AES-256, two processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from strongroom.postgres import Cluster
from strongroom.postgres.account import ServiceAccount, own_directory, run_as


def pgbackrest_version() -> str | None:
    """The version of the command here; None where there is none."""
    if shutil.which("pgbackrest") is None:
        return None
    done = subprocess.run(["pgbackrest", "version"], capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]


@dataclass(frozen=True)
class PgBackRest:
    """A repository for one cluster; everything runs as the cluster's own user, as pgBackRest asks for."""

    cluster: Cluster
    directory: Path
    account: ServiceAccount | None

    def prepare(self) -> None:
        """Make an empty repository."""
        own_directory(self.directory, self.account, setting="bench")
        for name in ("repo", "log", "lock", "spool"):
            own_directory(self.directory / name, self.account, setting="bench")
        self._config.write_text(
            "[global]\n"
            f"repo1-path={self.directory}/repo\n"
            "repo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=bench\n"
            "compress-type=zst\ncompress-level=1\nprocess-max=2\nstart-fast=y\narchive-check=n\n"
            f"log-path={self.directory}/log\nlock-path={self.directory}/lock\nspool-path={self.directory}/spool\n"
            "log-level-file=off\nlog-level-console=warn\n"
            "[bench]\n"
            f"pg1-path={self.cluster.data_dir}\npg1-socket-path={self.cluster.socket_dir}\n"
            f"pg1-port={self.cluster.port or 5432}\npg1-user=postgres\n"
        )
        self._config.chmod(0o644)
        self._run("stanza-create", "--no-online")

    def back_up(self, kind: str) -> float:
        """Take a backup of that type (`full`, `incr`), everything on the disk; seconds."""
        start = time.perf_counter()
        self._run("backup", f"--type={kind}")
        os.sync()
        return time.perf_counter() - start

    def restore(self, target: Path) -> float:
        """Restore the newest backup into a new directory; seconds."""
        own_directory(target, self.account, setting="bench")
        start = time.perf_counter()
        self._run("restore", f"--pg1-path={target}", "--type=immediate")
        os.sync()
        return time.perf_counter() - start

    def stored_bytes(self) -> int:
        """What the repository holds."""
        return sum(path.stat().st_size for path in (self.directory / "repo").rglob("*") if path.is_file())

    def clear(self) -> None:
        """Remove the repository."""
        shutil.rmtree(self.directory)

    @property
    def _config(self) -> Path:
        return self.directory / "pgbackrest.conf"

    def _run(self, command: str, *options: str) -> None:
        program = shutil.which("pgbackrest") or "pgbackrest"
        arguments = [program, f"--config={self._config}", "--stanza=bench", *options, command]
        done = run_as(self.account, arguments, timeout_seconds=900)
        if done.returncode != 0:
            raise RuntimeError(f"pgbackrest {command} failed: {done.stdout[-600:]}{done.stderr[-600:]}")

"""The whole of `make up`, started once in a state folder of its own, and stopped at the end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from strongroom.embedded.airflow_parts import ADMIN
from strongroom.embedded.folder import StateFolder, state_folder
from strongroom.embedded.rest import AirflowApi
from strongroom.embedded.sessions import marked_processes
from strongroom.settings import Settings, load_settings
from tests.support import REPOSITORY

CUSTOMERS = 200


@dataclass(frozen=True)
class Running:
    """What `up` started.

    Attributes:
        folder: its state folder.
        printed: what `up` printed.
    """

    folder: StateFolder
    printed: str

    @property
    def settings(self) -> Settings:
        return load_settings(self.folder.settings)

    @property
    def state(self) -> dict[str, Any]:
        return dict(json.loads(self.folder.state.read_text()))

    @property
    def credentials(self) -> dict[str, str]:
        return dict(json.loads(self.folder.credentials.read_text()))

    def api(self, user: str = ADMIN, password: str | None = None) -> AirflowApi:
        """Airflow's API, signed in."""
        return AirflowApi(self.state["ports"]["ui"], user, password or self.credentials[f"airflow_{user}"])

    def embedded(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run what the Makefile calls."""
        return embedded(self.folder.link, *arguments, check=check)

    def strongroom(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command line with the settings that `up` wrote."""
        command = [
            sys.executable,
            "-m",
            "strongroom.cli",
            "--settings",
            str(self.folder.settings),
            *arguments,
        ]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    def shop(self) -> psycopg.Connection[Any]:
        """The protected database, as the role that backups use."""
        return psycopg.connect(self.settings.databases["shop"].get_secret_value())

    def database_text(self, part: str, database: str) -> bytes:
        """Everything in a database of the control cluster, as a dump."""
        from strongroom.postgres import find_binaries

        port = self.state["parts"][part]["ports"]["postgresql"]
        environment = {"PGPASSWORD": self.credentials["control_superuser"]}
        command = [str(find_binaries().tool("pg_dump")), "-h", "127.0.0.1", "-p", str(port), "-U", "postgres"]
        return subprocess.run([*command, database], env=environment, capture_output=True, check=True).stdout


def embedded(state: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run `python -m strongroom.embedded` on a state folder."""
    return subprocess.run(
        [sys.executable, "-m", "strongroom.embedded", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "STRONGROOM_STATE": str(state)},
        capture_output=True,
        text=True,
        check=check,
    )


@pytest.fixture(scope="session")
def running() -> Iterator[Running]:
    """Everything, with a small shop, its first backup taken and proven."""
    parent = Path(tempfile.mkdtemp(prefix="strongroom-e2e-"))
    parent.chmod(0o755)
    state = parent / "state"
    try:
        started = embedded(state, "up", "--customers", str(CUSTOMERS), check=False)
        if started.returncode != 0:
            pytest.fail(f"`up` ended with {started.returncode}:\n{started.stdout}\n{started.stderr}")
        yield Running(state_folder(state), started.stdout)
    finally:
        embedded(state, "clean", check=False)
        left = marked_processes(state)
        shutil.rmtree(parent, ignore_errors=True)
        if left:
            pytest.fail(f"processes were left running: {left}")

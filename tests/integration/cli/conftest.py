"""An installation on one machine: a server with the sample shop, a directory as the bucket, and the command."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from strongroom.postgres import Cluster, connect, find_binaries, scratch_cluster
from strongroom.sample import load_sample
from tests.support import REPOSITORY


@dataclass(frozen=True)
class Installation:
    """A folder with settings, and the program that reads them."""

    folder: Path
    shop: Cluster

    @property
    def bucket(self) -> Path:
        """Where the objects are."""
        return self.folder / "bucket"

    @property
    def scratch(self) -> Path:
        """Where backups are restored: below the server's own folder, which its account can enter."""
        return self.shop.data_dir.parents[2] / "scratch"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `strongroom` with these arguments."""
        return subprocess.run(
            [sys.executable, "-m", "strongroom.cli", *arguments],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(REPOSITORY / "include"),
                "STRONGROOM_SETTINGS": str(self.folder / "settings.yaml"),
            },
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def json(self, *arguments: str):
        """Run a command that must succeed, and read its JSON answer."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def configure(self, **changes: object) -> None:
        """Write the settings, with changes."""
        socket = self.shop.socket_dir
        settings = {
            "store": {"kind": "local", "directory": str(self.bucket)},
            "control_database": f"postgresql://postgres@/control?host={socket}",
            "signing_key": "./signing.key",
            "keys": {"provider": "file", "path": "./local.key"},
            "policy_directory": str(REPOSITORY / "include" / "policy"),
            "expectations_directory": str(REPOSITORY / "include" / "expectations"),
            "scratch_directory": str(self.scratch),
            "databases": {"shop": f"host={socket} dbname=shop user=postgres"},
            **changes,
        }
        wanted = {name: value for name, value in settings.items() if value is not None}
        (self.folder / "settings.yaml").write_text(json.dumps(wanted))

    def damaged_copy(self, folder: Path) -> Installation:
        """The same installation with a bucket and a control database of its own, for a test to damage."""
        for name in ("signing.key", "local.key"):
            shutil.copy2(self.folder / name, folder / name)
        shutil.copytree(self.bucket, folder / "bucket")
        copy = Installation(folder, self.shop)
        copy.configure(control_database=self.copied_control_database())
        return copy

    def copied_control_database(self) -> str:
        """The URL of a copy of the control database as it is now."""
        name = f"control_{secrets.token_hex(4)}"
        with connect(self.shop.conninfo(), application_name="test") as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE control")
        return f"postgresql://postgres@/{name}?host={self.shop.socket_dir}"


@pytest.fixture(scope="module")
def open_folder():
    """A folder that the account of PostgreSQL servers can enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="strongroom-cli-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def installation(open_folder):
    """An installation with its keys and one backup."""
    folder = open_folder
    with scratch_cluster(folder / "servers", find_binaries(), "shop") as scratch:
        cluster = scratch.cluster({"fsync": "off"})
        cluster.initialise()
        cluster.start()
        with connect(cluster.conninfo(), application_name="test") as connection:
            connection.execute("CREATE DATABASE control")
            connection.execute("CREATE DATABASE shop")
        load_sample(cluster.conninfo("shop"), customers=100, seed=1, reference=date(2026, 11, 1))
        made = Installation(folder, cluster)
        made.configure()
        for arguments in (
            ["keys", "init", "--new-escrow", str(folder / "escrow.key")],
            ["backup", "run", "shop"],
        ):
            done = made.run(*arguments)
            assert done.returncode == 0, done.stderr
        yield made

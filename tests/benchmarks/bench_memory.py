"""The most memory that each command has resident, on a database and on one ten times as large.

Each step is the `strongroom` command itself, in a process of its own, whose peak of resident memory the kernel tells;
PostgreSQL's own programs beside it are not counted. `STRONGROOM_BENCH_MEMORY_SIZE` sets the larger size (300MB without
it); the WAL that is shipped is as large as the database.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from strongroom.postgres import Cluster, connect
from strongroom.sample import parse_size_bytes
from tests.benchmarks.cluster import change_rows, document_cluster
from tests.benchmarks.rows import Row, peak_memory_mib, table, time_row
from tests.support import REPOSITORY

LIMIT_MIB = 256
TIMES = 10
GROWTH = 1.25
"""How much more the larger database may take: buffers that the smaller one does not fill, segments fetched at once."""
_POLICY = """
database: {name}
controller: {{name: Bench, contact: Here, dpo: dpo@example.org}}
backup: {{method: {method}, schedule: "0 2 * * *"{more}}}
"""


@dataclass(frozen=True)
class Bench:
    """An installation for one server."""

    cluster: Cluster
    folder: Path
    open_folder: Path
    """One that the account of servers can enter."""

    def prepare(self) -> None:
        """Settings, policies, keys and a control database."""
        policies = self.folder / "policy"
        policies.mkdir(parents=True)
        (self.folder / "offsite").mkdir()
        more = ", full_every: 7d, copies: [offsite], wal: {ship_every: 5m, keep: 14d}"
        (policies / "shop.yaml").write_text(_POLICY.format(name="shop", method="physical", more=more))
        (policies / "ledger.yaml").write_text(_POLICY.format(name="ledger", method="logical", more=""))
        with connect(self.cluster.conninfo(), application_name="bench") as connection:
            connection.execute("CREATE DATABASE control")
        settings = {
            "store": {"kind": "local", "directory": str(self.folder / "bucket")},
            "copies": {"offsite": {"kind": "local", "directory": str(self.folder / "offsite")}},
            "control_database": f"postgresql://postgres@/control?host={self.cluster.socket_dir}",
            "signing_key": "./signing.key",
            "keys": {"provider": "file", "path": "./local.key"},
            "policy_directory": str(policies),
            "scratch_directory": str(self.open_folder / "scratch"),
            "databases": {"shop": self.cluster.conninfo(), "ledger": self.cluster.conninfo()},
        }
        (self.folder / "settings.yaml").write_text(json.dumps(settings))
        self.run("keys", "init", "--new-escrow", str(self.folder / "escrow.key"))

    def run(self, *arguments: str) -> float:
        """Run the command; gives its peak of resident memory in MiB."""
        peak = self.folder / "peak"
        environment = {**os.environ, "STRONGROOM_SETTINGS": str(self.folder / "settings.yaml")}
        environment["PYTHONPATH"] = f"{REPOSITORY}/include"
        command = [sys.executable, __file__, str(peak), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"strongroom {' '.join(arguments)}: {done.stderr}")
        return float(peak.read_text())


def measure() -> list[Row]:
    """Two rows for each step: against the limit, and against the same step on a tenth of the data."""
    size = parse_size_bytes(os.environ.get("STRONGROOM_BENCH_MEMORY_SIZE", "300MB"))
    small, large = _peaks(size // TIMES), _peaks(size)
    rows = []
    for step, peak in large.items():
        rows.append(time_row(f"memory of {step} / limit", peak, LIMIT_MIB, "MiB", 1.0))
        rows.append(time_row("  / on a tenth of the data", peak, small[step], "MiB", GROWTH))
    return rows


def _peaks(size_bytes: int) -> dict[str, float]:
    with (
        document_cluster(18, size_bytes, {"summarize_wal": "on"}) as (cluster, root),
        tempfile.TemporaryDirectory(prefix="sr-bench-") as folder,
    ):
        bench = Bench(cluster, Path(folder) / "installation", root)
        bench.prepare()
        bench.run("wal", "ship", "shop")
        return {name: step(bench) for name, step in _STEPS.items()}


def _incremental(bench: Bench) -> float:
    change_rows(bench.cluster, 100, 0)
    return bench.run("backup", "run", "shop")


def _ship(bench: Bench) -> float:
    change_rows(bench.cluster, 2, 1)
    return bench.run("wal", "ship", "shop")


def _restore(bench: Bench) -> float:
    place = bench.open_folder / "restored"
    peak = bench.run("restore", "run", "shop", "--latest", "--into", str(place))
    shutil.rmtree(place)
    return peak


def _load(bench: Bench) -> float:
    return bench.run("restore", "database", "ledger", "--into-conn", "shop", "--name", "restored")


_STEPS: dict[str, Callable[[Bench], float]] = {
    "full backup": lambda bench: bench.run("backup", "run", "shop", "--full"),
    "incremental backup": _incremental,
    "shipping WAL": _ship,
    "proof of the chain": lambda bench: bench.run("verify", "run", "shop"),
    "restore with WAL": _restore,
    "copy": lambda bench: bench.run("copy", "run", "shop"),
    "logical backup": lambda bench: bench.run("backup", "run", "ledger"),
    "proof of it": lambda bench: bench.run("verify", "run", "ledger"),
    "restore of it": _load,
}


def _command(peak: str, arguments: list[str]) -> None:
    from strongroom.cli.app import main

    sys.argv = ["strongroom", *arguments]
    try:
        main()
    finally:
        Path(peak).write_text(str(peak_memory_mib()))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _command(sys.argv[1], sys.argv[2:])
    else:
        print(table(measure()))

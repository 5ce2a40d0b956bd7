"""The second backup, after one row in a hundred was changed all over the table: ours, pgBackRest's and restic's.

Ours is PostgreSQL 18's incremental backup through the whole service (lease, manifest, records); pgBackRest and restic
back up a PostgreSQL 15 cluster of the same rows, in which the same rows were changed. Medians of three rounds, a round
being a change and a second backup. `STRONGROOM_BENCH_INCREMENTAL_SIZE` sets the clusters' size (2GB without it).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from strongroom.catalog import open_engine, upgrade
from strongroom.durations import Duration
from strongroom.postgres import Cluster, find_binaries, scratch_cluster, service_account
from strongroom.sample import parse_size_bytes
from tests.benchmarks.bench_backup import MEBIBYTE
from tests.benchmarks.cluster import change_rows, document_cluster
from tests.benchmarks.pgbackrest import PgBackRest, pgbackrest_version
from tests.benchmarks.restic import Restic, restic_version
from tests.benchmarks.rows import Row, peak_memory_mib, table, time_row
from tests.integration.backup.world import ACTOR, PLAN, World

ROUNDS = 3
MEMORY_LIMIT_MIB = 256
_ONE_IN = 100
_PLAN = replace(PLAN, full_every=Duration.parse("7d"), fingerprint="none")
Second = Callable[[], dict[str, float]]
"""Takes a further backup; gives its seconds and what it added to the store, in bytes."""


def measure() -> list[Row]:
    """The rows of this part; only those peers that are installed."""
    size = parse_size_bytes(os.environ.get("STRONGROOM_BENCH_INCREMENTAL_SIZE", "2GB"))
    with _control_database() as url, document_cluster(18, size, {"summarize_wal": "on"}) as (cluster, root):
        ours = _rounds(cluster, _ours(cluster, root, url))
    rows = [time_row("incremental: memory / limit", ours["memory_mib"], MEMORY_LIMIT_MIB, "MiB", 1.0)]
    with document_cluster(15, size) as (cluster, root):
        for name, second in _peers(cluster, root):
            peer = _rounds(cluster, second)
            rows.append(time_row(f"incremental / {name}", ours["seconds"], peer["seconds"], "s", 0.25))
            stored = time_row(
                "  stored size", ours["bytes"] / MEBIBYTE, peer["bytes"] / MEBIBYTE, "MiB", 0.25
            )
            rows.append(stored)
    return rows


def _rounds(cluster: Cluster, second: Second) -> dict[str, float]:
    told = []
    for number in range(ROUNDS):
        change_rows(cluster, _ONE_IN, number)
        told.append(second())
    return {key: statistics.median(one[key] for one in told) for key in told[0]}


def _peers(cluster: Cluster, root: Path) -> Iterator[tuple[str, Second]]:
    if version := pgbackrest_version():
        pgbackrest = PgBackRest(cluster, root / "pgbackrest", service_account())
        pgbackrest.prepare()
        pgbackrest.back_up("full")
        yield f"pgBackRest {version}", _adding(lambda: pgbackrest.back_up("incr"), pgbackrest.stored_bytes)
        pgbackrest.clear()
    if version := restic_version():
        restic = Restic(cluster.data_dir, root / "restic")
        restic.prepare()
        restic.back_up()
        yield f"restic {version}", _adding(restic.back_up, restic.stored_bytes)


def _adding(back_up: Callable[[], float], stored_bytes: Callable[[], int]) -> Second:
    def second() -> dict[str, float]:
        before = stored_bytes()
        seconds = back_up()
        return {"seconds": seconds, "bytes": float(stored_bytes() - before)}

    return second


def _ours(cluster: Cluster, root: Path, url: str) -> Second:
    """An installation with a full backup; each further one runs in a process of its own."""
    directory = root / "installation"
    directory.mkdir()
    config = {"directory": str(directory), "conninfo": cluster.conninfo("postgres"), "url": url}
    _world(config).make_keys()
    upgrade(open_engine(url))
    path = directory / "bench.json"
    path.write_text(json.dumps(config))
    _back_up_in_process(path, expected="full")
    return lambda: _back_up_in_process(path, expected="incremental")


@contextmanager
def _control_database() -> Iterator[str]:
    """A small server for the control database; gives its URL."""
    with tempfile.TemporaryDirectory(prefix="sr-bench-") as place:
        Path(place).chmod(0o755)
        with scratch_cluster(Path(place), find_binaries(18), "control") as scratch:
            cluster = scratch.cluster({"fsync": "off"})
            cluster.initialise()
            cluster.start()
            yield f"postgresql+psycopg://postgres@/postgres?host={cluster.socket_dir}"


def _world(config: dict[str, str]) -> World:
    return World(Path(config["directory"]), config["conninfo"], config["url"], open_engine(config["url"]))


def _back_up_in_process(config: Path, expected: str) -> dict[str, float]:
    command = [sys.executable, __file__, str(config)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    told: dict[str, float | str] = json.loads(done.stdout)
    if told.pop("kind") != expected:
        raise RuntimeError(f"the backup is not {expected}")
    return {key: float(value) for key, value in told.items()}


def _back_up(config: Path) -> None:
    world = _world(json.loads(config.read_text()))
    start = time.perf_counter()
    summary = world.service().run(ACTOR, _PLAN, world.conninfo)
    os.sync()
    told = {
        "seconds": time.perf_counter() - start,
        "bytes": summary.stored_bytes,
        "memory_mib": peak_memory_mib(),
        "kind": summary.kind,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _back_up(Path(sys.argv[1]))
    else:
        print(table(measure()))

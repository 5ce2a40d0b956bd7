"""Full backup and restore beside pgBackRest, on the same PostgreSQL 15 server, repositories in local directories.

Medians of five pairs, warm cache, everything on the disk when a clock stops. `STRONGROOM_BENCH_PEERS_SIZE` sets the
cluster's size (3GB without it). pgBackRest copies files with two processes; its repository is AES-256-CBC.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from strongroom.backup.restoring.unpacking import unpack_tar
from strongroom.postgres import Cluster, service_account
from strongroom.postgres.account import own_directory
from strongroom.sample import parse_size_bytes
from strongroom.sealing import UNCHECKED, OpeningPipeline, X25519Identity, parse_identity
from strongroom.storage import LocalObjectStore
from strongroom.vault.reading import HashingReader
from tests.benchmarks.bench_backup import MEBIBYTE, back_up_in_process
from tests.benchmarks.cluster import document_cluster
from tests.benchmarks.pgbackrest import PgBackRest, pgbackrest_version
from tests.benchmarks.rows import Row, peak_memory_mib, table, time_row

PAIRS = 5
MAJOR = 15
MEMORY_LIMIT_MIB = 256


def measure() -> list[Row]:
    """The rows of this part; empty where pgBackRest is missing."""
    version = pgbackrest_version()
    if version is None:
        return []
    size = parse_size_bytes(os.environ.get("STRONGROOM_BENCH_PEERS_SIZE", "3GB"))
    with document_cluster(MAJOR, size) as (cluster, root):
        identity = X25519Identity.generate()
        pairs = [_pair(cluster, root, identity) for _ in range(PAIRS)]
    ours, peer = (_medians([pair[side] for pair in pairs]) for side in (0, 1))
    name = f"pgBackRest {version}"
    return [
        time_row(f"full backup / {name}", ours["seconds"], peer["seconds"], "s", 0.9),
        time_row("  stored size", ours["bytes"] / MEBIBYTE, peer["bytes"] / MEBIBYTE, "MiB", 1.1),
        time_row("  memory / limit", ours["memory_mib"], MEMORY_LIMIT_MIB, "MiB", 1.0),
        time_row(f"restore / {name}", ours["restore_seconds"], peer["restore_seconds"], "s", 1.0),
        time_row("  memory / limit", ours["restore_memory_mib"], MEMORY_LIMIT_MIB, "MiB", 1.0),
    ]


def _pair(
    cluster: Cluster, root: Path, identity: X25519Identity
) -> tuple[dict[str, float], dict[str, float]]:
    return _ours(cluster, root, identity), _theirs(cluster, root)


def _medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(told[key] for told in rounds) for key in rounds[0]}


def _theirs(cluster: Cluster, root: Path) -> dict[str, float]:
    peer = PgBackRest(cluster, root / "pgbackrest", service_account())
    peer.prepare()
    seconds = peer.back_up("full")
    stored = peer.stored_bytes()
    restore_seconds = peer.restore(root / "restored")
    shutil.rmtree(root / "restored")
    peer.clear()
    return {"seconds": seconds, "bytes": float(stored), "restore_seconds": restore_seconds}


def _ours(cluster: Cluster, root: Path, identity: X25519Identity) -> dict[str, float]:
    bucket = root / "bucket"
    bucket.mkdir()
    told = back_up_in_process(cluster.conninfo("postgres"), str(identity.recipient), bucket, "none")
    target = root / "restored"
    own_directory(target, service_account(), setting="bench")
    arguments = [sys.executable, __file__, str(bucket), str(target)]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True, input=str(identity))
    restored: dict[str, float] = json.loads(done.stdout)
    shutil.rmtree(target)
    shutil.rmtree(bucket)
    return {**told, **restored}


def _restore(bucket: str, target: str, identity: X25519Identity) -> None:
    """Fetch, decrypt, decompress and unpack; the kernel tells the peak of resident memory."""
    start = time.perf_counter()
    with LocalObjectStore(Path(bucket)).open_range("backups/shop/bench/base.tar.zst.age") as file:
        pieces = OpeningPipeline(HashingReader(file), [identity], context=UNCHECKED, decompress=True)
        unpack_tar(pieces, Path(target), service_account())
    os.sync()
    told = {
        "restore_seconds": time.perf_counter() - start,
        "restore_memory_mib": peak_memory_mib(),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _restore(*sys.argv[1:], parse_identity(sys.stdin.read().strip()))  # type: ignore[arg-type]
    else:
        print(table(measure()))

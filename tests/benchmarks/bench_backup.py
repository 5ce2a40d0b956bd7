"""A full backup of a sample cluster into a local directory, beside `pg_basebackup | zstd -1 -T2 | age -r`.

`STRONGROOM_BENCH_SIZE` sets the cluster's size (5GB without it). Both write to the same disk, one after the
other, with the cluster's files in the page cache. Ours runs in a process of its own, whose peak of resident
memory the kernel tells. Fingerprints are timed apart: the shell pipe takes none.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from strongroom.backup.interface import BackupRequest
from strongroom.backup.manifest import ManifestObject, Role
from strongroom.backup.physical import PhysicalEngine
from strongroom.postgres import Cluster, ServerBinaries, connect, find_binaries, scratch_cluster
from strongroom.sample import customers_for_bytes, load_sample, parse_size_bytes
from strongroom.sealing import SealingPipeline, X25519Identity, parse_recipient
from strongroom.storage import LocalObjectStore
from strongroom.vault import Content, object_context
from tests.benchmarks.rows import Row, peak_memory_mib, table, time_row

ROUNDS = 2
MEBIBYTE = 1 << 20
MEMORY_LIMIT_MIB = 200


def measure() -> list[Row]:
    """The rows of this part; empty where the `age` or `zstd` command is missing."""
    if not (shutil.which("age") and shutil.which("zstd")):
        return []
    size = parse_size_bytes(os.environ.get("STRONGROOM_BENCH_SIZE", "5GB"))
    with sample_cluster(size) as cluster, tempfile.TemporaryDirectory(prefix="sr-bench-") as directory:
        recipient = str(X25519Identity.generate().recipient)
        _pipe(cluster, recipient, Path(directory))  # warms the page cache
        rounds = [
            (_ours(cluster, recipient, Path(directory), "none"), _pipe(cluster, recipient, Path(directory)))
            for _ in range(ROUNDS)
        ]
        proven = _ours(cluster, recipient, Path(directory), "all")
    seconds = min(ours["seconds"] for ours, _ in rounds)
    peer_seconds = min(peer["seconds"] for _, peer in rounds)
    ours, peer = rounds[-1]
    return [
        time_row("full backup / pg_basebackup|zstd|age", seconds, peer_seconds, "s", 0.8),
        time_row("  stored size", ours["bytes"] / MEBIBYTE, peer["bytes"] / MEBIBYTE, "MiB", 1.1),
        time_row("  memory of our process / limit", proven["memory_mib"], MEMORY_LIMIT_MIB, "MiB", 1.0),
        time_row("  with fingerprints (for information)", proven["seconds"], peer_seconds, "s", 99.0),
    ]


@contextmanager
def sample_cluster(size_bytes: int, binaries: ServerBinaries | None = None) -> Iterator[Cluster]:
    """A cluster that holds a sample company of about that size; of the newest version, or of these programs'."""
    with tempfile.TemporaryDirectory(prefix="sr-bench-") as root:
        Path(root).chmod(0o755)
        with scratch_cluster(Path(root), binaries or find_binaries(), "bench") as scratch:
            cluster = scratch.cluster({"fsync": "off", "max_wal_size": "2GB", "autovacuum": "off"})
            cluster.initialise()
            cluster.start()
            with connect(cluster.conninfo(), application_name="bench") as connection:
                connection.execute("CREATE DATABASE shop")
            customers = customers_for_bytes(size_bytes)
            load_sample(cluster.conninfo("shop"), customers=customers, reference=date(2026, 1, 1))
            with connect(cluster.conninfo("shop"), application_name="bench") as connection:
                connection.execute("VACUUM (FREEZE, ANALYZE)")
                connection.execute("CHECKPOINT")
            yield cluster


def _pipe(cluster: Cluster, recipient: str, directory: Path) -> dict[str, float]:
    target = directory / "pipe.age"
    program = find_binaries().tool("pg_basebackup")
    command = (
        f"{program} -d '{cluster.conninfo()}' -D - -Ft -X fetch -c fast"
        f" | zstd -q -1 -T2 | age -r {recipient} > {target}"
    )
    start = time.perf_counter()
    subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True)
    os.sync()
    seconds = time.perf_counter() - start
    size = target.stat().st_size
    target.unlink()
    return {"seconds": seconds, "bytes": float(size)}


def _ours(cluster: Cluster, recipient: str, directory: Path, fingerprint: str) -> dict[str, float]:
    bucket = directory / "bucket"
    bucket.mkdir()
    told = back_up_in_process(cluster.conninfo("shop"), recipient, bucket, fingerprint)
    shutil.rmtree(bucket)
    return told


def back_up_in_process(conninfo: str, recipient: str, bucket: Path, fingerprint: str) -> dict[str, float]:
    """One backup in a process of its own: its seconds, stored bytes and peak of resident memory."""
    arguments = [conninfo, recipient, str(bucket), fingerprint]
    done = subprocess.run(
        [sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    told: dict[str, float] = json.loads(done.stdout)
    return told


def _back_up(conninfo: str, recipient: str, bucket: str, fingerprint: str) -> None:
    store = LocalObjectStore(Path(bucket))
    start = time.perf_counter()

    def write(name: str, role: Role, content: Content) -> ManifestObject:
        key = f"backups/shop/bench/{name}"
        context = object_context(key, "backup")
        pipeline = SealingPipeline(
            content, [parse_recipient(recipient)], context=context, compression_level=1
        )
        store.put_stream(key, pipeline)
        report = pipeline.report
        size, digest = report.ciphertext_bytes, report.ciphertext_sha256
        return ManifestObject(name, role, key, size, digest, report.plaintext_bytes, ("bench",))

    with connect(conninfo, application_name="bench") as control:
        chosen = "all" if fingerprint == "all" else "none"
        request = BackupRequest("20260101T000000Z-0000", conninfo, control, chosen, _pass, _quiet)  # type: ignore[arg-type]
        result = PhysicalEngine().run(request, write)
    os.sync()
    told = {
        "seconds": time.perf_counter() - start,
        "bytes": sum(item.size_bytes for item in result.objects if item.role == "base"),
        "memory_mib": peak_memory_mib(),
    }
    print(json.dumps(told))


def _pass() -> None:
    """Always alive."""


def _quiet(stage: str, amount: int) -> None:
    """Tell nobody."""


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _back_up(*sys.argv[1:])
    else:
        print(table(measure()))

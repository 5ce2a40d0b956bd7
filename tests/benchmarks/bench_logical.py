"""A logical backup and its restore, beside `pg_dump -Fd -j2` and `pg_restore -j2` of the same server's version.

`STRONGROOM_BENCH_SIZE` sets the database's size (2GB without it), `STRONGROOM_BENCH_MAJOR` the server's version (15,
Debian's, where it is installed, else the newest). Both write to the same disk with the database in the page cache, one
after the other. The peer compresses with gzip level 1, the fastest that its build has; ours with zstd level 1, and it
encrypts. Each runs in a process of its own, whose peak of resident memory the kernel tells. Fingerprints are timed
apart: the peer takes none.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from strongroom.backup.interface import BackupRequest
from strongroom.backup.logical import LogicalEngine
from strongroom.backup.manifest import BackupManifest, ManifestObject, Role, parse_manifest
from strongroom.backup.restoring import BackupObjects
from strongroom.backup.restoring.logical.loading import LogicalLoader
from strongroom.postgres import (
    Cluster,
    NoSuchServerVersionError,
    ServerBinaries,
    connect,
    find_binaries,
    with_database,
)
from strongroom.sample import parse_size_bytes
from strongroom.sealing import (
    OpeningPipeline,
    SealingPipeline,
    X25519Identity,
    parse_identity,
    parse_recipient,
)
from strongroom.storage import LocalObjectStore, ObjectInfo
from strongroom.vault import Content, object_context
from tests.benchmarks.bench_backup import sample_cluster
from tests.benchmarks.rows import Row, peak_memory_mib, table, time_row

ROUNDS = 3
MEBIBYTE = 1 << 20
MEMORY_LIMIT_MIB = 256
PREFIX = "backups/shop/20260101T000000Z-0000/"


def measure() -> list[Row]:
    """The rows of this part."""
    size = parse_size_bytes(os.environ.get("STRONGROOM_BENCH_SIZE", "2GB"))
    binaries = _binaries()
    with (
        sample_cluster(size, binaries) as cluster,
        tempfile.TemporaryDirectory(prefix="sr-bench-") as directory,
    ):
        place = Path(directory)
        key = place / "identity"
        key.write_text(str(X25519Identity.generate()))
        _peer_dump(cluster, place)  # warms the page cache
        dumps = [(_ours("dump", cluster, place, "none"), _peer_dump(cluster, place)) for _ in range(ROUNDS)]
        loads = [(_ours("load", cluster, place), _peer_load(cluster, place)) for _ in range(ROUNDS)]
        proven = _ours("dump", cluster, place, "all")
    ours, peer = dumps[-1]
    memory = max(run["memory_mib"] for run, _ in [*dumps, *loads])
    version = binaries.version
    return [
        _row(f"logical backup / pg_dump {version} -Fd -j2 -Z1", dumps, 1.1),
        time_row("  stored size", ours["bytes"] / MEBIBYTE, peer["bytes"] / MEBIBYTE, "MiB", 1.1),
        _row(f"logical restore / pg_restore {version} -j2", loads, 1.2),
        time_row("  memory of our process / limit", memory, MEMORY_LIMIT_MIB, "MiB", 1.0),
        time_row("  with fingerprints (for information)", proven["seconds"], peer["seconds"], "s", 99.0),
    ]


def _row(name: str, pairs: list[tuple[dict[str, float], dict[str, float]]], limit: float) -> Row:
    ours = median(run["seconds"] for run, _ in pairs)
    peer = median(run["seconds"] for _, run in pairs)
    return time_row(name, ours, peer, "s", limit)


def _binaries() -> ServerBinaries:
    try:
        return find_binaries(int(os.environ.get("STRONGROOM_BENCH_MAJOR", "15")))
    except NoSuchServerVersionError:
        return find_binaries()


def _peer_dump(cluster: Cluster, place: Path) -> dict[str, float]:
    target = place / "peer"
    shutil.rmtree(target, ignore_errors=True)
    command = [
        cluster.binaries.tool("pg_dump"),
        "-Fd",
        "-j2",
        "-Z1",
        "-f",
        target,
        "-d",
        cluster.conninfo("shop"),
    ]
    seconds = _timed(command)
    return {"seconds": seconds, "bytes": float(sum(path.stat().st_size for path in target.iterdir()))}


def _peer_load(cluster: Cluster, place: Path) -> dict[str, float]:
    with _empty_database(cluster) as conninfo:
        return {
            "seconds": _timed(
                [
                    cluster.binaries.tool("pg_restore"),
                    "-j2",
                    "--exit-on-error",
                    "-d",
                    conninfo,
                    place / "peer",
                ]
            )
        }


def _timed(command: list[Any]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True)
    os.sync()
    return time.perf_counter() - start


def _ours(what: str, cluster: Cluster, place: Path, fingerprint: str = "") -> dict[str, float]:
    """One backup or restore in a process of its own."""
    if what == "dump":
        shutil.rmtree(place / "bucket", ignore_errors=True)
        (place / "bucket").mkdir()
        return _child(what, cluster.conninfo("shop"), str(place), fingerprint)
    with _empty_database(cluster) as conninfo:
        return _child(what, conninfo, str(place))


def _child(*arguments: str) -> dict[str, float]:
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    told: dict[str, float] = json.loads(done.stdout)
    return told


@contextmanager
def _empty_database(cluster: Cluster) -> Iterator[str]:
    with connect(cluster.conninfo(), application_name="bench") as connection:
        connection.execute("CREATE DATABASE bench TEMPLATE template0")
        connection.execute("CHECKPOINT")
        yield with_database(cluster.conninfo(), "bench")
        connection.execute("DROP DATABASE bench")
        connection.execute("CHECKPOINT")


class _Objects(BackupObjects):
    """The objects in a directory, opened with one identity."""

    def __init__(self, place: Path) -> None:
        self._store = LocalObjectStore(place / "bucket")
        self._identity = parse_identity((place / "identity").read_text())

    def newest(self, database: str) -> str:
        raise NotImplementedError

    def manifest(self, database: str, backup_id: str) -> bytes:
        raise NotImplementedError

    def head(self, item: ManifestObject) -> ObjectInfo:
        return self._store.head(item.key)

    @contextmanager
    def open(self, item: ManifestObject) -> Iterator[Iterable[memoryview]]:  # type: ignore[override]
        with self._store.open_range(item.key) as file:
            yield OpeningPipeline(file, [self._identity], context=item.stored().context, decompress=True)

    def sealed_sha256(self, item: ManifestObject) -> str:
        return hashlib.sha256(self._store.get_bytes(item.key)).hexdigest()


def _dump(conninfo: str, place: Path, fingerprint: str) -> dict[str, float]:
    store = LocalObjectStore(place / "bucket")
    recipient = str(parse_identity((place / "identity").read_text()).recipient)
    start = time.perf_counter()

    def write(name: str, role: Role, content: Content) -> ManifestObject:
        context = object_context(PREFIX + name, "backup")
        pipeline = SealingPipeline(
            content, [parse_recipient(recipient)], context=context, compression_level=1
        )
        store.put_stream(PREFIX + name, pipeline)
        report = pipeline.report
        return ManifestObject(
            name,
            role,
            PREFIX + name,
            report.ciphertext_bytes,
            report.ciphertext_sha256,
            report.plaintext_bytes,
            ("bench",),
        )

    with connect(conninfo, application_name="bench") as control:
        chosen: Any = fingerprint
        request = BackupRequest(
            "20260101T000000Z-0000", conninfo, control, chosen, lambda: None, lambda *_: None
        )
        result = LogicalEngine().run(request, write)
    os.sync()
    seconds = time.perf_counter() - start
    members = {name: value for name, value in vars(result).items() if name in BackupManifest.__annotations__}
    manifest = BackupManifest(
        **members,
        backup_id=request.backup_id,
        database="shop",
        method="logical",
        policy_sha256="00" * 32,
        fencing_number=1,
        software={},
    )
    (place / "manifest.json").write_text(json.dumps(manifest.document()))
    return {"seconds": seconds, "bytes": float(sum(item.size_bytes for item in result.objects))}


def _load(conninfo: str, place: Path) -> dict[str, float]:
    manifest = parse_manifest(json.loads((place / "manifest.json").read_text()))
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="sr-bench-") as directory:
        loaded = LogicalLoader(manifest, _Objects(place), Path(directory)).load(conninfo)
    os.sync()
    seconds = time.perf_counter() - start
    if loaded.problems:
        raise SystemExit("; ".join(loaded.problems))
    print(json.dumps(asdict(loaded)), file=sys.stderr)
    return {"seconds": seconds}


def _main(what: str, conninfo: str, place: str, fingerprint: str = "") -> None:
    told = _dump(conninfo, Path(place), fingerprint) if what == "dump" else _load(conninfo, Path(place))
    memory = peak_memory_mib()
    print(json.dumps({**told, "memory_mib": memory}))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _main(*sys.argv[1:])
    else:
        print(table(measure()))

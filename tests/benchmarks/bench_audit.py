"""How fast events get in beside a hash chain under a lock, how fast they are sealed, and whether that keeps up."""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sqlalchemy import URL, Engine, create_engine, text

from strongroom.access import Actor, ActorKind, Role, RunReference
from strongroom.audit import AuditLog, Event, EventType, Target
from strongroom.audit.events import event_bytes
from strongroom.audit.identifiers import uuid7
from strongroom.catalog import upgrade
from strongroom.clock import SystemClock
from strongroom.postgres import Cluster, find_binaries, service_account
from strongroom.postgres.account import process_options
from strongroom.signing import SignerKey
from strongroom.storage import LocalObjectStore
from tests.benchmarks.rows import Row, rate_row, table

CLIENTS = 16
SECONDS = 5
ROUNDS = 3
BACKLOG = 100_000
DRAIN_PER_SECOND = 20_000.0

# The peer: each event carries the hash of the one before, so writers queue for the chain's head, and hold it
# until their commit is on disk. One round trip, hashed on the server: as fast as this design gets.
_CHAIN = """
CREATE TABLE chain_head (hash bytea NOT NULL);
INSERT INTO chain_head VALUES (sha256(''));
CREATE TABLE chain_entry (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, entry bytea, hash bytea, event_id uuid UNIQUE);
CREATE FUNCTION chain(new_entry bytea, id uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE new_hash bytea;
BEGIN
    PERFORM pg_advisory_xact_lock(7);
    UPDATE chain_head SET hash = sha256(hash || new_entry) RETURNING hash INTO new_hash;
    INSERT INTO chain_entry (entry, hash, event_id) VALUES (new_entry, new_hash, id);
END $$;
"""


def measure() -> list[Row]:
    """The rows of this part."""
    with _server() as (cluster, engine, directory):
        rows = [_inserting(cluster, directory)]
        _empty(engine, directory)
        rows.append(_draining(engine, directory))
        rows.append(_keeping_up(cluster, engine, directory))
    return rows


def _inserting(cluster: Cluster, directory: Path) -> Row:
    chain = _script(directory, "chain", "SELECT chain({entry}, id) FROM e")
    queue = _queue_script(directory)
    ours, peer = [], []
    for _ in range(ROUNDS):
        peer.append(_pgbench(cluster, chain))
        ours.append(_pgbench(cluster, queue))
    name = f"{CLIENTS} clients insert events / hash chain"
    return rate_row(name, statistics.median(ours), statistics.median(peer), "1/s", 4.0)


def _draining(engine: Engine, directory: Path) -> Row:
    head, tail = _entry_around_id()
    statement = text(
        "INSERT INTO audit_queue (entry, event_id) SELECT convert_to(:head || id || :tail, 'UTF8'), id "
        "FROM (SELECT uuidv7() AS id FROM generate_series(1, :count) OFFSET 0) AS ids"
    )
    rates = []
    for _ in range(ROUNDS):
        with engine.begin() as connection:
            connection.execute(statement, {"head": head, "tail": tail, "count": BACKLOG})
        started = time.perf_counter()
        report = _log(engine, directory).seal()
        rates.append(report.sealed / (time.perf_counter() - started))
    return rate_row(
        f"seal and publish {BACKLOG:,} events", statistics.median(rates), DRAIN_PER_SECOND, "1/s", 1.0
    )


def _keeping_up(cluster: Cluster, engine: Engine, directory: Path) -> Row:
    """Writers at full speed beside one sealer: what it sealed by the time they stop, of what they wrote."""
    log = _log(engine, directory)
    first = log.seal().size
    writers = subprocess.Popen(**_pgbench_call(cluster, _queue_script(directory), 2 * SECONDS))  # type: ignore[call-overload]
    started, size = time.perf_counter(), first
    while writers.poll() is None:
        size = log.seal().size
        time.sleep(0.05)
    seconds = time.perf_counter() - started
    backlog = log.seal().size - size
    written = size + backlog - first
    print(f"  backlog when {CLIENTS} writers stopped: {backlog:,} of {written:,}", file=sys.stderr)
    return rate_row("seal beside 16 writers", (written - backlog) / seconds, written / seconds, "1/s", 0.9)


_SIGNER = SignerKey.generate("bench.example/log")


def _log(engine: Engine, directory: Path) -> AuditLog:
    return AuditLog(engine, LocalObjectStore(directory / "bucket"), _SIGNER, SystemClock())


def _entry_around_id() -> tuple[str, str]:
    """An event of usual length, cut where its identifier stands."""
    run = RunReference("nightly_backup.shop", "scheduled__2026-11-24T03:00:00+00:00", "take_backup")
    event = Event(
        type=EventType.BACKUP_OBJECT_WRITE,
        phase="result",
        outcome="success",
        actor=Actor("nightly_backup.shop", ActorKind.TASK, frozenset({Role.OPERATOR}), run),
        target=Target("object", "backups/shop/20261124T030000Z-4f2a/base.tar.zst.age", size_bytes=1_234_567),
        database="shop",
        correlation_id="20261124T030000Z-4f2a",
    )
    now = datetime.now(UTC)
    event_id = uuid7(now)
    head, tail = event_bytes(event, event_id, now, event.actor.name).decode().split(str(event_id))
    return head, tail


def _queue_script(directory: Path) -> Path:
    return _script(directory, "queue", "INSERT INTO audit_queue (entry, event_id) SELECT {entry}, id FROM e")


def _script(directory: Path, name: str, statement: str) -> Path:
    head, tail = _entry_around_id()
    # pgbench reads a colon and a name as a variable, also inside a literal; \072 is the colon.
    head, tail = (part.replace(":", "\\072") for part in (head, tail))
    entry = f"convert_to(E'{head}' || id || E'{tail}', 'UTF8')"
    path = directory / f"{name}.sql"
    path.write_text(f"WITH e AS MATERIALIZED (SELECT uuidv7() AS id) {statement.format(entry=entry)};\n")
    path.chmod(0o644)
    return path


def _pgbench(cluster: Cluster, script: Path) -> float:
    call = _pgbench_call(cluster, script, SECONDS)
    output, errors = subprocess.Popen(**call).communicate()  # type: ignore[call-overload]
    found = re.search(r"tps = ([0-9.]+)", output)
    if found is None:
        raise RuntimeError(f"pgbench failed: {errors[-400:]}")
    return float(found.group(1))


def _pgbench_call(cluster: Cluster, script: Path, seconds: int) -> dict[str, object]:
    tool = cluster.binaries.tool("pgbench")
    where = ["-h", str(cluster.socket_dir), "-p", str(cluster.port or 5432), "-U", "postgres", "control"]
    load = ["-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-T", str(seconds), "-f", str(script)]
    return {
        "args": [str(tool), *load, *where],
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
        **process_options(cluster.account),
    }


def _empty(engine: Engine, directory: Path) -> None:
    """Seal what the inserting measurement left, so that draining starts with an empty queue."""
    _log(engine, directory).seal()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM audit_queue"))


@contextmanager
def _server() -> Iterator[tuple[Cluster, Engine, Path]]:
    directory = Path(tempfile.mkdtemp(prefix="strongroom-bench-"))
    directory.chmod(0o755)
    cluster = Cluster(
        directory / "data",
        find_binaries(18),
        account=service_account(),
        socket_dir=directory / "run",
        log_path=directory / "server.log",
    )
    try:
        cluster.initialise({"shared_buffers": "256MB", "max_wal_size": "4GB"})
        cluster.start()
        query = {"host": str(cluster.socket_dir)}
        admin = create_engine(URL.create("postgresql+psycopg", "postgres", database="postgres", query=query))
        with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("CREATE DATABASE control"))
        admin.dispose()
        engine = create_engine(URL.create("postgresql+psycopg", "postgres", database="control", query=query))
        upgrade(engine)
        with engine.begin() as connection:
            connection.exec_driver_sql(_CHAIN)
        yield cluster, engine, directory
        engine.dispose()
    finally:
        cluster.stop("immediate")
        shutil.rmtree(directory)


if __name__ == "__main__":
    print(table(measure()))

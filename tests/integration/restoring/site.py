"""What the restore tests share: a source under load, an installation that archives it, and what was committed when.

    python -m tests.integration.restoring.site CONFIG STAGE

restores as the JSON file CONFIG says and kills itself with SIGKILL at STAGE (`unpack`, `log`, `recovered`). At `never`
it prints the most memory that it had resident, in KiB.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from strongroom.access import Actor, ActorKind, Role
from strongroom.audit import QueueRecorder, QueueSink
from strongroom.backup import BackupParts, BackupPlan, BackupService
from strongroom.backup.continuous import (
    ArchivedHistory,
    ArchivedSegment,
    Covered,
    HistoryReceipt,
    SegmentsReceipt,
    SlotWalShipper,
    WalParts,
    WalPlan,
    parse_history,
)
from strongroom.backup.continuous.layout import history_key, segment_key
from strongroom.backup.restoring import service as restore_service
from strongroom.backup.restoring.request import RestoreRequest, RestoreTarget
from strongroom.backup.restoring.service import PhysicalRestoreService, RestoreParts
from strongroom.catalog import open_engine
from strongroom.clock import Clock, SystemClock
from strongroom.postgres import Cluster, connect, format_lsn, segment_name
from strongroom.sealing import KeyProvider, KeyRing, LocalKeyProvider, X25519Identity
from strongroom.signing import SignerKey
from strongroom.storage import LocalObjectStore, ObjectStore
from strongroom.vault import SealedVault, VaultParts

ACTOR = Actor("restorer", ActorKind.PERSON, frozenset({Role.OPERATOR}))
SEGMENT = 16 << 20
_HASH = "00" * 32


@functools.cache
def engine_of(url: str) -> Engine:
    """One engine for all sites of a control database."""
    return open_engine(url)


@dataclass(frozen=True)
class Commit:
    """A row that was committed, and where its commit lies."""

    number: int
    at: datetime
    """The commit's own time, by the source's clock."""
    lsn: str
    """A position after the commit's record, and before the next one's of the same session."""


@dataclass
class Site:
    """An installation in a directory, beside a source server."""

    directory: Path
    control_url: str
    source: Cluster
    dbname: str = "shop"
    shipped: set[str] = field(default_factory=set)

    @property
    def conninfo(self) -> str:
        return self.source.conninfo(self.dbname)

    @property
    def store(self) -> LocalObjectStore:
        return LocalObjectStore(self.directory / "bucket")

    @property
    def signer(self) -> SignerKey:
        return SignerKey.parse((self.directory / "signing.key").read_text())

    @property
    def provider(self) -> KeyProvider:
        return LocalKeyProvider(self.directory / "local.key")

    def make_keys(self) -> None:
        (self.directory / "bucket").mkdir()
        (self.directory / "signing.key").write_text(SignerKey.generate("strongroom.test").encode())
        (self.directory / "signing.key").chmod(0o600)
        provider = LocalKeyProvider.generate(self.directory / "local.key")
        keyring = KeyRing(self.store, self.signer.verifier, SystemClock())
        keyring.create_epoch(purpose="backup", provider=provider, signer=self.signer)
        keyring.add_escrow(str(X25519Identity.generate().recipient), self.signer)

    def vault(self, provider: KeyProvider | None, store: ObjectStore | None = None) -> SealedVault:
        bucket, clock = store or self.store, SystemClock()
        keyring = KeyRing(bucket, self.signer.verifier, clock)
        return SealedVault(
            VaultParts(bucket, keyring, provider, engine_of(self.control_url), QueueSink(), clock)
        )

    def back_up(self, **options: Any) -> str:
        engine = engine_of(self.control_url)
        parts = BackupParts(self.store, self.vault(None), engine, QueueSink(), self.signer, SystemClock())
        return (
            BackupService(parts)
            .run(ACTOR, BackupPlan(self.dbname, _HASH, **options), self.conninfo)
            .backup_id
        )

    def ship(self, source: Cluster | None = None, *, leave_out: Sequence[str] = ()) -> list[str]:
        """Archive every complete segment that the source has and the archive has not; the last one is ended."""
        source = source or self.source
        with connect(source.conninfo(), application_name="test") as connection:
            clock, timeline = _row(
                connection,
                "SELECT clock_timestamp(), ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int",
            )
            position = _lsn(_row(connection, "SELECT pg_current_wal_insert_lsn()::text")[0])
            connection.execute("SELECT pg_switch_wal()")
            ends = _lsn(_row(connection, "SELECT pg_current_wal_lsn()::text")[0])
            identifier = str(_row(connection, "SELECT system_identifier FROM pg_control_system()")[0])
        current = segment_name(timeline, ends, SEGMENT)
        wal = source.data_dir / "pg_wal"
        names = sorted(
            path.name
            for path in wal.iterdir()
            if len(path.name) == 24 and path.name[:8] == current[:8] and path.name < current
        )
        fresh = [name for name in names if name not in self.shipped and name not in leave_out]
        self.put_segments(identifier, {name: (wal / name).read_bytes() for name in fresh}, clock, position)
        return fresh

    def ship_from_slot(self) -> None:
        """Archive what was committed up to now, as the pipeline does."""
        engine = engine_of(self.control_url)
        parts = WalParts(self.store, self.vault(None), engine, QueueSink(), self.signer, SystemClock())
        SlotWalShipper(parts).ship(ACTOR, WalPlan(self.dbname, _HASH, "strongroom_test"), self.conninfo)

    def put_segments(
        self, identifier: str, contents: dict[str, bytes], clock: datetime | None, position: int
    ) -> None:
        """Archive these segments, each with a receipt of its own; the last says what they cover."""
        for name, data in sorted(contents.items()):
            stored = self.vault(None).store(
                ACTOR, segment_key(self.dbname, identifier, name), [data], kind="wal", database=self.dbname
            )
            segment = ArchivedSegment(
                name, stored.key, stored.size_bytes, stored.sha256, stored.plaintext_bytes, stored.epoch_ids
            )
            last = clock is not None and name == max(contents)
            receipt = SegmentsReceipt(
                self.dbname,
                identifier,
                int(name[:8], 16),
                SEGMENT,
                "18.0",
                (segment,),
                Covered(clock, format_lsn(position)) if last and clock else None,
                1,
                _HASH,
                {},
            )
            self.store.put_bytes(receipt.key, receipt.sign(self.signer))
            self.shipped.add(name)

    def put_history(self, identifier: str, path: Path) -> None:
        """Archive a timeline history."""
        data = path.read_bytes()
        timeline = int(path.name[:8], 16)
        key = history_key(self.dbname, identifier, timeline)
        stored = self.vault(None).store(ACTOR, key, [data], kind="wal", database=self.dbname, compress=False)
        file = ArchivedHistory(
            stored.key, stored.size_bytes, stored.sha256, stored.plaintext_bytes, stored.epoch_ids
        )
        receipt = HistoryReceipt.of(
            parse_history(timeline, data),
            database=self.dbname,
            system_identifier=identifier,
            file=file,
            policy_sha256=_HASH,
            software={},
        )
        self.store.put_bytes(receipt.key, receipt.sign(self.signer))

    def restores(
        self,
        *,
        store: ObjectStore | None = None,
        provider: KeyProvider | None = None,
        clock: Clock | None = None,
    ) -> PhysicalRestoreService:
        """The service, as `services.py` makes it."""
        bucket, clock = store or self.store, clock or SystemClock()
        keys = provider or self.provider
        return PhysicalRestoreService(
            RestoreParts(
                store=bucket,
                verifier=self.signer.verifier,
                keyring=KeyRing(bucket, self.signer.verifier, clock),
                provider=keys,
                clock=clock,
                vault=self.vault(keys, bucket),
                events=QueueRecorder(lambda: engine_of(self.control_url), QueueSink()),
            )
        )

    def request(self, target: RestoreTarget, into: Path, **options: Any) -> RestoreRequest:
        return RestoreRequest(self.dbname, target, into, **options)

    def restore(self, target: RestoreTarget, into: Path, **options: Any) -> restore_service.RestoreReport:
        """Plan and run."""
        service = self.restores()
        plan = service.plan(ACTOR, self.request(target, into, **options)).plan
        return service.run(ACTOR, plan, plan.sha256)


class Load:
    """Sessions that write without pause, and remember each commit."""

    def __init__(self, conninfo: str, sessions: int = 2) -> None:
        self._conninfo = conninfo
        self._stop = threading.Event()
        with connect(conninfo, application_name="load") as connection:
            newest = _row(connection, "SELECT coalesce(max(number), 0) FROM public.load")[0]
        self._numbers = iter(range(newest + 1, 1 << 60))
        self._lock = threading.Lock()
        self.commits: list[Commit] = []
        self._threads = [threading.Thread(target=self._write, daemon=True) for _ in range(sessions)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def run_for(self, seconds: float) -> None:
        time.sleep(seconds)

    def _write(self) -> None:
        with connect(self._conninfo, application_name="load") as connection:
            while not self._stop.is_set():
                with self._lock:
                    number = next(self._numbers)
                with connection.transaction():
                    connection.execute(
                        "INSERT INTO public.load (number, content) VALUES (%s, repeat(md5(%s::text), 20))",
                        (number, number),
                    )
                at, lsn = _row(
                    connection,
                    "SELECT pg_xact_commit_timestamp(xmin), pg_current_wal_insert_lsn()::text"
                    " FROM public.load WHERE number = %s",
                    (number,),
                )
                with self._lock:
                    self.commits.append(Commit(number, at, lsn))


def committed_by(commits: Sequence[Commit], moment: datetime) -> set[int]:
    """The rows that were committed up to a moment."""
    return {commit.number for commit in commits if commit.at <= moment}


@contextmanager
def opened(report: restore_service.RestoreReport, source: Cluster) -> Iterator[Cluster]:
    """The restored server, started as its report says."""
    data = Path(report.data_directory)
    cluster = Cluster(
        data,
        source.binaries,
        socket_dir=Path(report.socket_directory),
        log_path=data.parent / "server.log",
        account=source.account,
    )
    was_running = cluster.running()
    if not was_running:
        cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop("immediate")


def numbers(cluster: Cluster, dbname: str = "shop") -> set[int]:
    """The rows of the load that a server holds."""
    with connect(cluster.conninfo(dbname), application_name="test") as connection:
        return {number for (number,) in connection.execute("SELECT number FROM public.load")}


def _row(connection: Any, query: str, parameters: Any = None) -> Any:
    return connection.execute(query.encode(), parameters).fetchone()


def _lsn(text: str) -> int:
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def _main(config: str, stage: str) -> None:
    values = json.loads(Path(config).read_text())
    site = Site(Path(values["directory"]), values["control_url"], None)  # type: ignore[arg-type]
    service = site.restores()
    target = RestoreTarget(values["kind"], values["value"])
    plan = service.plan(ACTOR, site.request(target, Path(values["into"]))).plan

    def progress(name: str, done: int, total: int) -> None:
        if name == stage:
            die()

    if stage == "recovered":
        from strongroom.backup.restoring import runner

        runner.require_reached = lambda *_: die()  # type: ignore[assignment]
    service.run(ACTOR, plan, plan.sha256, progress=progress)
    status = Path("/proc/self/status").read_text()  # unlike ru_maxrss, not what the parent had before exec
    print(status.split("VmHWM:")[1].split()[0])


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2])

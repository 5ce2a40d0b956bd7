"""What the tests of continuous WAL share: an installation that ships, also for processes that are to be killed.

    python -m tests.integration.continuous.place CONFIG STAGE

ships with the installation of the JSON file CONFIG and kills itself with SIGKILL at STAGE: `fetched`, `uploaded`,
`receipted` or `advanced`, the first time that the run says so.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from strongroom.access import Actor, ActorKind, Role
from strongroom.audit import QueueSink
from strongroom.backup.continuous import SlotWalShipper, WalArchive, WalParts, WalPlan, WalSummary
from strongroom.backup.continuous.receipts import ArchivedHistory, ArchivedSegment
from strongroom.catalog import open_engine
from strongroom.clock import Clock, SystemClock
from strongroom.postgres import Cluster, connect
from strongroom.sealing import KeyRing, LocalKeyProvider, X25519Identity
from strongroom.signing import SignerKey
from strongroom.storage import LocalObjectStore, ObjectStore
from strongroom.vault import SealedVault, VaultParts

ACTOR = Actor("wal_archive", ActorKind.TASK, frozenset({Role.OPERATOR}))


@dataclass(frozen=True)
class Place:
    """An installation in a directory, with a source."""

    directory: Path
    conninfo: str
    engine: Engine
    url: str
    plan: WalPlan
    clock: Clock = field(default_factory=SystemClock)

    @property
    def store(self) -> LocalObjectStore:
        return LocalObjectStore(self.directory / "bucket")

    @property
    def signer(self) -> SignerKey:
        return SignerKey.parse((self.directory / "signing.key").read_text())

    @property
    def archive(self) -> WalArchive:
        return WalArchive(self.store, self.plan.database, self.signer.verifier)

    def make_keys(self) -> None:
        (self.directory / "bucket").mkdir()
        (self.directory / "signing.key").write_text(SignerKey.generate("strongroom.test").encode())
        provider = LocalKeyProvider.generate(self.directory / "local.key")
        keyring = self.keyring(self.store)
        keyring.create_epoch(purpose="backup", provider=provider, signer=self.signer)
        keyring.add_escrow(str(X25519Identity.generate().recipient), self.signer)

    def keyring(self, store: ObjectStore) -> KeyRing:
        return KeyRing(store, self.signer.verifier, SystemClock())

    def shipper(self, store: ObjectStore | None = None) -> SlotWalShipper:
        bucket = store or self.store
        sink = QueueSink()
        vault = SealedVault(VaultParts(bucket, self.keyring(self.store), None, self.engine, sink, self.clock))
        return SlotWalShipper(WalParts(bucket, vault, self.engine, sink, self.signer, self.clock))

    def ship(
        self,
        *,
        store: ObjectStore | None = None,
        progress: Callable[[str, int], None] | None = None,
        actor: Actor = ACTOR,
    ) -> WalSummary:
        return self.shipper(store).ship(actor, self.plan, self.conninfo, progress=progress)

    def opened(self, item: ArchivedSegment | ArchivedHistory) -> bytes:
        """The content, as a host with keys gets it."""
        provider = LocalKeyProvider(self.directory / "local.key")
        parts = VaultParts(
            self.store, self.keyring(self.store), provider, self.engine, QueueSink(), SystemClock()
        )
        with SealedVault(parts).fetch(ACTOR, item.key, expect=item.stored()) as opened:
            return b"".join(bytes(piece) for piece in opened)

    def write_config(self) -> Path:
        path = self.directory / "config.json"
        path.write_text(
            json.dumps(
                {
                    "directory": str(self.directory),
                    "conninfo": self.conninfo,
                    "url": self.url,
                    "database": self.plan.database,
                    "slot": self.plan.slot,
                }
            )
        )
        return path


def sql(cluster: Cluster, *statements: str) -> object:
    """Run statements and give the first value of the last one."""
    with connect(cluster.conninfo(), application_name="test") as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None


def drop_slot(place: Place, cluster: Cluster) -> None:
    """Do what an administrator does who needs the disk."""
    sql(cluster, f"SELECT pg_drop_replication_slot('{place.plan.slot}')")


def write_rows(cluster: Cluster, count: int = 200) -> None:
    """Write a little WAL that matters."""
    sql(
        cluster,
        "CREATE TABLE IF NOT EXISTS public.note (id bigserial, words text)",
        f"INSERT INTO public.note (words) SELECT repeat('x', 100) FROM generate_series(1, {count})",
    )


def write_segments(cluster: Cluster, count: int) -> None:
    """Write so many segments that each hold something."""
    for _ in range(count):
        write_rows(cluster)
        sql(cluster, "SELECT pg_switch_wal()")


@contextmanager
def writing(cluster: Cluster) -> Iterator[None]:
    """Have a thread write while the block runs."""
    import threading

    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            write_rows(cluster, 50)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _main(config: str, stage: str) -> None:
    values = json.loads(Path(config).read_text())
    plan = WalPlan(values["database"], "00" * 32, values["slot"])
    place = Place(
        Path(values["directory"]), values["conninfo"], open_engine(values["url"]), values["url"], plan
    )

    def progress(name: str, _count: int) -> None:
        if name == stage:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)

    place.ship(progress=progress)


if __name__ == "__main__":
    _main(*sys.argv[1:])

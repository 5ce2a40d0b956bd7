"""A site that is lost: Pagila, backed up and with its log shipped; and a machine that has a copy of the bucket only."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from strongroom.audit import QueueSink
from strongroom.backup import BackupParts, BackupPlan, BackupService
from strongroom.backup.continuous import SlotWalShipper, WalParts, WalPlan
from strongroom.catalog import open_engine, upgrade
from strongroom.clock import SystemClock
from strongroom.postgres import Cluster, connect, find_binaries, scratch_cluster, service_account
from strongroom.sealing import KeyRing, LocalKeyProvider, X25519Identity
from strongroom.signing import SignerKey
from strongroom.storage import LocalObjectStore
from strongroom.vault import SealedVault, VaultParts
from tests.integration.backup.world import ACTOR
from tests.integration.disaster.document import SCRIPT, Desk
from tests.support import TEST_DATA, require


@dataclass
class Site:
    """The installation before it is lost."""

    folder: Path
    cluster: Cluster
    parts: BackupParts
    backups: list[str] = field(default_factory=list)

    @property
    def signer(self) -> SignerKey:
        return self.parts.signer

    def sql(self, statement: str) -> list[tuple]:
        """Run a statement on the source, committed at once."""
        with psycopg.connect(self.cluster.conninfo("pagila"), autocommit=True) as connection:
            done = connection.execute(statement.encode())
            return done.fetchall() if done.description else []

    def back_up(self) -> str:
        """Take a backup."""
        plan = BackupPlan("pagila", "00" * 32)
        service = BackupService(self.parts)
        self.backups.append(service.run(ACTOR, plan, self.cluster.conninfo("pagila")).backup_id)
        return self.backups[-1]

    def now(self) -> str:
        """The source's clock, between what was committed and what will be."""
        moment = self.sql("SELECT clock_timestamp()::text")[0][0]
        time.sleep(0.01)
        return moment

    def ship(self) -> None:
        """Ship everything that was committed up to now."""
        of = self.parts
        parts = WalParts(of.store, of.vault, of.engine, of.sink, of.signer, of.clock)
        SlotWalShipper(parts).ship(
            ACTOR, WalPlan("pagila", "00" * 32, "pagila"), self.cluster.conninfo("pagila")
        )


def content(conninfo: str) -> dict[str, str]:
    """A hash of every table's rows."""
    tables = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname !~ '^(pg_|information_)'"
    rows = "SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM {} AS t"
    with psycopg.connect(conninfo) as connection:
        names = [name for (name,) in connection.execute(tables.encode())]
        found = {}
        for name in names:
            (text,) = connection.execute(rows.format(name).encode()).fetchone() or ("",)
            found[name] = hashlib.sha256(text.encode()).hexdigest()
    return found


@dataclass(frozen=True)
class Told:
    """The lost site, and what Pagila held at moments that were noted down."""

    site: Site
    moments: dict[str, str]
    positions: dict[str, str]
    contents: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def site(control_server: Cluster) -> Iterator[Site]:
    """Pagila and its installation."""
    require("Pagila (../shared/data)", (TEST_DATA / "pagila.sql").is_file())
    folder = Path(tempfile.mkdtemp(prefix="sr-site-"))
    folder.chmod(0o755)
    with scratch_cluster(folder / "servers", find_binaries(), "pagila") as scratch:
        cluster = scratch.cluster({"fsync": "off"})
        cluster.initialise({"wal_keep_size": "1GB"})
        cluster.start()
        with connect(cluster.conninfo(), application_name="test") as connection:
            connection.execute("CREATE DATABASE pagila")
        load = [find_binaries().tool("psql"), "-q", "-v", "ON_ERROR_STOP=1", "-f", TEST_DATA / "pagila.sql"]
        subprocess.run([*load, cluster.conninfo("pagila")], check=True, capture_output=True)
        parts = installation(folder, control_server)
        yield Site(folder, cluster, parts)
        parts.engine.dispose()
    shutil.rmtree(folder)


def installation(folder: Path, control_server: Cluster) -> BackupParts:
    """An installation in a folder, with keys and an empty bucket."""
    (folder / "bucket").mkdir()
    name = f"control_{folder.name.replace('-', '_').lower()}"
    with connect(control_server.conninfo(), application_name="test") as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    engine = open_engine(f"postgresql://postgres@/{name}?host={control_server.socket_dir}&port=5432")
    upgrade(engine)
    store, signer, clock = (
        LocalObjectStore(folder / "bucket"),
        SignerKey.generate("pagila.test"),
        SystemClock(),
    )
    escrow, keyring = X25519Identity.generate(), KeyRing(store, signer.verifier, clock)
    provider = LocalKeyProvider.generate(folder / "local.key")
    keyring.create_epoch(purpose="backup", provider=provider, signer=signer)
    keyring.add_escrow(str(escrow.recipient), signer)
    (folder / "escrow.key").write_text(f"{escrow}\n")
    vault = SealedVault(VaultParts(store, keyring, None, engine, QueueSink(clock), clock))
    return BackupParts(store, vault, engine, QueueSink(clock), signer, clock)


@pytest.fixture(scope="module")
def told(site: Site) -> Told:
    """A backup, then work on the database with the log shipped in between."""
    moments, positions, contents = {}, {}, {}

    def note(name: str) -> None:
        moments[name] = site.now()
        positions[name] = site.sql("SELECT pg_current_wal_lsn()::text")[0][0]
        contents[name] = content(site.cluster.conninfo("pagila"))

    note("before")
    site.ship()
    site.back_up()
    note("backup")
    site.sql(
        "INSERT INTO public.actor (first_name, last_name) SELECT 'A', g::text FROM generate_series(1, 500) g"
    )
    note("insert")
    site.ship()
    site.sql("UPDATE public.film SET title = title || '!' WHERE film_id < 100")
    note("update")
    site.sql("DELETE FROM public.payment WHERE payment_id % 3 = 0")
    note("delete")
    site.ship()
    note("quiet")
    site.ship()
    return Told(site, moments, positions, contents)


@pytest.fixture
def desk(told: Told) -> Iterator[Desk]:
    """A new machine with a plain copy of the bucket."""
    folder = Path(tempfile.mkdtemp(prefix="sr-desk-"))
    folder.chmod(0o755)
    shutil.copytree(told.site.folder / "bucket", folder / "bucket")
    for name in ("escrow.key", "local.key"):
        shutil.copy(told.site.folder / name, folder / name)
    shutil.copy(SCRIPT, folder / "restore.sh")
    account = service_account()
    if account is not None:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, account.uid, account.gid)
    yield Desk(
        folder,
        {
            "BUCKET": str(folder / "bucket"),
            "DATABASE": "pagila",
            "IDENTITY": str(folder / "escrow.key"),
            "VERIFIER_KEY": str(told.site.signer.verifier),
            "DIRECTORY": str(folder / "restored"),
            "KEY_FILE": str(folder / "local.key"),
        },
    )
    if (folder / "restored" / "postmaster.pid").exists():
        subprocess.run(
            [find_binaries().tool("pg_ctl"), "-D", folder / "restored", "-m", "immediate", "stop"],
            capture_output=True, check=False, **({"user": account.uid} if account else {}),
        )  # fmt: skip
    shutil.rmtree(folder)

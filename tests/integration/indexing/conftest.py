"""An installation with one proven backup and one sealed file, whose control database is lost in every test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from strongroom.audit import AuditLog, QueueSink
from strongroom.backup.indexing import CatalogParts, CatalogRebuilder, IndexReport
from strongroom.catalog import BackupRepository, ObjectRepository, ProofRepository, open_engine, upgrade
from strongroom.clock import SystemClock
from strongroom.postgres import Cluster, connect, find_binaries, scratch_cluster
from strongroom.storage import LocalObjectStore, ObjectStore
from tests.integration.verification.place import ACTOR, Place

FILE = "files/letter.txt.zst.age"


@dataclass(frozen=True)
class Survivor:
    """What is left after the control database was lost: the bucket and the keys. And a new, empty database."""

    place: Place
    engine: Engine

    @property
    def store(self) -> LocalObjectStore:
        return self.place.store

    @property
    def bucket(self) -> Path:
        return self.place.directory / "bucket"

    @property
    def manifest(self) -> Path:
        return self.bucket / "backups" / "shop" / self.place.backup_id / "manifest.json"

    @property
    def proof(self) -> Path:
        (path,) = self.bucket.glob("proofs/shop/*/*.json")
        return path

    def keeper(self, store: ObjectStore | None = None) -> CatalogRebuilder:
        clock, trusted = SystemClock(), self.place.signer.verifier
        return CatalogRebuilder(
            CatalogParts(store or self.store, self.engine, QueueSink(clock), trusted, clock)
        )

    def rebuild(self, **options: Any) -> IndexReport:
        return self.keeper().rebuild(ACTOR, **options)

    def index(self) -> dict[str, list[Any]]:
        """Everything that the index says."""
        with self.engine.connect() as connection:
            keys = connection.execute(text("SELECT key FROM vault_object ORDER BY key")).scalars().all()
            objects = [ObjectRepository().find(connection, key) for key in keys]
            return {
                "backups": BackupRepository().list(connection),
                "proofs": ProofRepository().list(connection),
                "objects": [replace(item, stored_at=None, version_id=None) for item in objects if item],
            }

    def log(self) -> AuditLog:
        return AuditLog(self.engine, self.store, self.place.signer, SystemClock())


@dataclass(frozen=True)
class Original:
    """The installation before the loss, and what its index said."""

    place: Place
    index: dict[str, list[Any]]


@pytest.fixture(scope="session")
def original(control_server: Cluster) -> Iterator[Original]:
    """The installation, made once."""
    folder = Path(tempfile.mkdtemp(prefix="strongroom-indexing-"))
    folder.chmod(0o755)
    with scratch_cluster(folder / "servers", find_binaries(), "shop") as scratch:
        cluster = scratch.cluster({"fsync": "off"})
        cluster.initialise()
        cluster.start()
        with connect(cluster.conninfo(), application_name="test") as connection:
            connection.execute("CREATE DATABASE shop")
        with connect(control_server.conninfo(), application_name="test") as connection:
            connection.execute("CREATE DATABASE control_before")
        url = f"postgresql://postgres@/control_before?host={control_server.socket_dir}&port=5432"
        engine = open_engine(url)
        upgrade(engine)
        place = Place(folder, url, folder / "scratch", "")
        place = replace(place, backup_id=place.back_up(cluster.conninfo("shop")))
        place.verify()
        parts = place.parts(None)
        parts.vault.store(ACTOR, FILE, [b"content"], kind="file", recipients=["epoch"])
        parts.engine.dispose()
        before = Survivor(place, engine)
        before.log().seal()
        yield Original(place, before.index())
        engine.dispose()
    shutil.rmtree(folder)


@pytest.fixture
def survivor(original: Original, control_database: Engine, tmp_path: Path) -> Survivor:
    """A copy of the installation, its control database lost."""
    directory = tmp_path / "installation"
    directory.mkdir()
    for name in ("signing.key", "local.key"):
        shutil.copy2(original.place.directory / name, directory / name)
    shutil.copytree(original.place.directory / "bucket", directory / "bucket")
    return Survivor(replace(original.place, directory=directory), control_database)

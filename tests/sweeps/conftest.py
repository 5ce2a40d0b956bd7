"""Places to sweep over: without keys, with keys, and with a backup."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from strongroom.catalog import upgrade
from strongroom.postgres import Cluster, connect, find_binaries, scratch_cluster
from strongroom.sealing import X25519Identity
from tests.sweeps.ground import Ground, Lab, session
from tests.sweeps.scenarios import MakeKeys, SealLog, TakeBackup


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them all, so that `-m sweep` runs the sweeps alone."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.sweep)


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    """A directory that the account of PostgreSQL servers can enter, in memory where that is possible."""
    memory = Path("/dev/shm")
    where = Path(tempfile.mkdtemp(prefix="sr-sweep-", dir=memory if memory.is_dir() else None))
    where.chmod(0o755)
    yield where
    shutil.rmtree(where)


@pytest.fixture(scope="session")
def server(directory: Path) -> Iterator[Cluster]:
    """A server with the source and all control databases."""
    with scratch_cluster(directory / "servers", find_binaries(), "sweep") as scratch:
        cluster = scratch.cluster(
            {"fsync": "off", "shared_buffers": "32MB", "max_connections": "60", "summarize_wal": "on"}
        )
        cluster.initialise()
        cluster.start()
        with connect(cluster.conninfo(), application_name="test") as connection:
            connection.execute("CREATE DATABASE shop")
        with connect(cluster.conninfo("shop"), application_name="test") as connection:
            connection.execute(
                "CREATE TABLE public.customer AS SELECT g AS id FROM generate_series(1, 100) g"
            )
        yield cluster


@pytest.fixture(scope="session")
def escrow() -> str:
    """An escrow recipient."""
    return str(X25519Identity.generate().recipient)


@pytest.fixture
def bare(place: Ground) -> Lab:
    """An installation without keys."""
    return Lab(place, place.directory.with_suffix(".copies"))


@pytest.fixture
def keys(place: Ground, escrow: str) -> Ground:
    """An installation with keys and nothing else."""
    MakeKeys(escrow).run(place)
    return place


@pytest.fixture
def with_keys(keys: Ground) -> Lab:
    """The same, to be swept."""
    return Lab(keys, keys.directory.with_suffix(".copies"))


@pytest.fixture
def backup(keys: Ground) -> Ground:
    """An installation with keys and one backup."""
    TakeBackup().run(keys)
    return keys


@pytest.fixture
def with_backup(backup: Ground) -> Lab:
    """The same, to be swept."""
    return Lab(backup, backup.directory.with_suffix(".copies"))


@pytest.fixture
def with_cluster(keys: Ground) -> Lab:
    """An installation with keys and one backup of the real source."""
    TakeBackup(whole_cluster=True).run(keys)
    return Lab(keys, keys.directory.with_suffix(".copies"))


@pytest.fixture
def with_log(backup: Ground) -> Lab:
    """An installation with keys, one backup, and a published audit log."""
    SealLog().run(backup)
    return Lab(backup, backup.directory.with_suffix(".copies"))


@pytest.fixture
def with_debris(backup: Ground) -> Lab:
    """An installation where one run left an incomplete backup, and another one could not record its own."""
    (manifest,) = backup.manifests()
    abandoned = backup.bucket / "backups" / "shop" / "20260101T000000Z-0000"
    abandoned.mkdir()
    for item in manifest.objects:
        shutil.copy(backup.bucket / item.key, abandoned / item.name)
    backup.rows("DELETE FROM public.backup RETURNING backup_id")
    return Lab(backup, backup.directory.with_suffix(".copies"))


@pytest.fixture
def place(directory: Path, server: Cluster) -> Iterator[Ground]:
    """An empty directory and a control database."""
    name = f"sweep_{uuid4().hex[:8]}"
    with connect(server.conninfo(), application_name="test") as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = f"postgresql://postgres@/{name}?host={server.socket_dir}&port=5432"
    root = directory / name
    ground = Ground(root / "place", url, server.conninfo("shop"), root / "scratch")
    for made in (ground.bucket, ground.offsite, ground.scratch):
        made.mkdir(parents=True)
    root.chmod(0o755)
    with ground.engine() as engine:
        upgrade(engine)
    yield ground
    session(url).close()
    shutil.rmtree(root)

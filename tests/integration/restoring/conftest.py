"""One source under load, archived for a while; each test restores it, or a copy of its archive that it damages."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pytest

from strongroom.catalog import upgrade
from strongroom.postgres import Cluster, connect, find_binaries, scratch_cluster
from tests.integration.restoring.site import Commit, Load, Site, engine_of

SHOP = """
CREATE TABLE public.load (number bigint PRIMARY KEY, content text);
CREATE TABLE public.quiet AS SELECT g AS id, md5(g::text) AS content FROM generate_series(1, 3000) g;
"""
OPTIONS = {
    "fsync": "off",
    "wal_keep_size": "2GB",
    "track_commit_timestamp": "on",
    "autovacuum": "off",
    "max_wal_size": "4GB",
}


@contextmanager
def open_directory() -> Iterator[Path]:
    """A directory that every account can enter, gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="sr-restore-"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def source() -> Iterator[Cluster]:
    with open_directory() as root, scratch_cluster(root, find_binaries(), "source") as scratch:
        cluster = scratch.cluster({**OPTIONS, "summarize_wal": "on"})
        cluster.initialise()
        cluster.start()
        with connect(cluster.conninfo(), application_name="test") as connection:
            connection.execute("CREATE DATABASE shop")
        with connect(cluster.conninfo("shop"), application_name="test") as connection:
            connection.execute(SHOP)
            connection.execute("VACUUM (FREEZE) public.quiet")  # later reading changes no page any more
        yield cluster


@pytest.fixture(scope="session")
def control_url(control_server: Cluster) -> Iterator[str]:
    with connect(control_server.conninfo(), application_name="test") as connection:
        connection.execute("CREATE DATABASE control_restoring")
    url = f"postgresql://postgres@/control_restoring?host={control_server.socket_dir}&port=5432"
    upgrade(engine_of(url))
    yield url
    engine_of(url).dispose()


@dataclass(frozen=True)
class Archived:
    """The archive of a source that was written to all the time."""

    site: Site
    first_backup: str
    second_backup: str
    commits: tuple[Commit, ...]
    stopped_at: datetime
    """After the last commit, before the last shipping: quiet."""


@pytest.fixture(scope="session")
def original(source: Cluster, control_url: str, tmp_path_factory: pytest.TempPathFactory) -> Archived:
    """Two backups and the log around them; not to be changed."""
    site = Site(tmp_path_factory.mktemp("installation"), control_url, source)
    site.make_keys()
    with Load(site.conninfo) as load:
        load.run_for(0.5)
        first = site.back_up()
        load.run_for(0.5)
        site.ship()
        load.run_for(0.7)
        site.ship()
        second = site.back_up()
        load.run_for(0.7)
        site.ship()
        load.run_for(0.5)
    with connect(site.conninfo, application_name="test") as connection:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
    site.ship()
    assert row is not None
    return Archived(site, first, second, tuple(load.commits), row[0])


@pytest.fixture
def archived(original: Archived, tmp_path: Path) -> Archived:
    """A copy of the installation, for one test to damage."""
    directory = tmp_path / "installation"
    shutil.copytree(original.site.directory, directory)
    return replace(
        original, site=replace(original.site, directory=directory, shipped=set(original.site.shipped))
    )


@pytest.fixture
def into() -> Iterator[Path]:
    """A directory that does not exist yet, in a place that servers can enter."""
    with open_directory() as root:
        yield root / "restored"

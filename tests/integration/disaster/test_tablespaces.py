"""A tablespace that was made after the backup: replaying that would write to its place at the source."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.postgres import Cluster, connect, find_binaries, scratch_cluster
from strongroom.postgres.account import own_directory
from tests.integration.disaster.conftest import Site, Told, content, installation
from tests.integration.disaster.test_bare_metal import restored


@pytest.fixture(scope="module")
def told(control_server: Cluster) -> Iterator[Told]:
    """A backup, a table, then a tablespace with a table in it."""
    folder = Path(tempfile.mkdtemp(prefix="sr-site-"))
    folder.chmod(0o755)
    with scratch_cluster(folder / "servers", find_binaries(), "source") as scratch:
        cluster = scratch.cluster({"fsync": "off"})
        cluster.initialise()
        cluster.start()
        with connect(cluster.conninfo(), application_name="test") as connection:
            connection.execute("CREATE DATABASE pagila")
        site = Site(folder, cluster, installation(folder, control_server))
        site.ship()
        site.back_up()
        site.sql("CREATE TABLE public.here AS SELECT g FROM generate_series(1, 100) g")
        position = site.sql("SELECT pg_current_wal_insert_lsn()::text")[0][0]
        before = content(cluster.conninfo("pagila"))
        place = scratch.directory / "elsewhere"
        own_directory(place, scratch.account, setting="test")
        site.sql(f"CREATE TABLESPACE elsewhere LOCATION '{place}'")
        site.sql("CREATE TABLE public.there TABLESPACE elsewhere AS SELECT 1 AS x")
        site.sql("DROP TABLE public.there")
        site.sql("DROP TABLESPACE elsewhere")
        site.ship()
        yield Told(site, {}, {"before": position}, {"before": before})
        site.parts.engine.dispose()
    shutil.rmtree(folder)


def test_recovery_ends_before_anything_is_written_there(desk, told):
    place = told.site.folder / "servers" / "elsewhere"
    done = desk.script("--end")
    assert done.returncode != 0
    assert "the log creates a tablespace at" in done.stderr
    assert "NOT RESTORED" in done.stderr
    assert not (desk.directory / "postmaster.pid").exists()
    assert list((desk.directory / "pg_tblspc").iterdir()) == []
    assert not list(place.glob("*/*"))


def test_everything_before_the_tablespace_comes_back(desk, told):
    done = desk.script("--lsn", told.positions["before"])
    assert done.returncode == 0, done.stderr
    assert restored(desk) == told.contents["before"]

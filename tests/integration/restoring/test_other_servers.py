"""Another major version, without page checksums: the server's words differ, the promise does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.backup.restoring.request import RestoreTarget
from strongroom.clock import timestamp
from strongroom.postgres import (
    Cluster,
    NoSuchServerVersionError,
    connect,
    find_binaries,
    run_as,
    scratch_cluster,
)
from tests.integration.restoring.conftest import OPTIONS, SHOP, open_directory
from tests.integration.restoring.site import Load, Site, committed_by, numbers, opened
from tests.support import require


def installed(major: int) -> bool:
    try:
        return find_binaries(major).major == major
    except NoSuchServerVersionError:
        return False


@pytest.fixture(scope="module")
def old_source() -> Iterator[Cluster]:
    """PostgreSQL 15 without checksums."""
    require("PostgreSQL 15", installed(15))
    with open_directory() as root, scratch_cluster(root, find_binaries(15), "old") as scratch:
        cluster = scratch.cluster(OPTIONS)
        made = run_as(
            scratch.account,
            [
                scratch.binaries.tool("initdb"),
                f"--pgdata={scratch.data_dir}",
                "--username=postgres",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--auth=trust",
            ],
        )
        assert made.returncode == 0, made.stderr
        cluster.start()
        with connect(cluster.conninfo(), application_name="test") as connection:
            connection.execute("CREATE DATABASE shop")
        with connect(cluster.conninfo("shop"), application_name="test") as connection:
            connection.execute(SHOP)
        yield cluster


def test_postgresql_15_to_a_moment_to_the_end_and_left_in_recovery(
    old_source: Cluster, control_url: str, tmp_path: Path, into: Path
) -> None:
    site = Site(tmp_path, control_url, old_source)
    site.make_keys()
    with Load(site.conninfo) as load:
        load.run_for(0.3)
        site.back_up()
        load.run_for(0.5)
        site.ship()
        load.run_for(0.5)
    site.ship()
    commit = sorted(load.commits, key=lambda item: item.at)[-30]

    report = site.restore(RestoreTarget.at_time(timestamp(commit.at)), into)
    with opened(report, old_source) as cluster:
        assert numbers(cluster) == committed_by(load.commits, commit.at)
    report = site.restore(RestoreTarget("latest"), into.with_name("end"))
    with opened(report, old_source) as cluster:
        assert numbers(cluster) == {one.number for one in load.commits}
    report = site.restore(
        RestoreTarget.at_time(timestamp(commit.at)), into.with_name("paused"), then="pause", start=True
    )
    with opened(report, old_source) as cluster:
        assert numbers(cluster) == committed_by(load.commits, commit.at)

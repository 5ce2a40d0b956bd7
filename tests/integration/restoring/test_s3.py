"""From a real S3 bucket, with the large segments that busy servers have: back to a moment, under load."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from strongroom.backup.restoring.request import RestoreTarget
from strongroom.clock import timestamp
from strongroom.postgres import Cluster, connect, find_binaries, scratch_cluster
from strongroom.storage import ObjectStore, S3ObjectStore
from tests.integration.restoring.conftest import OPTIONS, SHOP, open_directory
from tests.integration.restoring.site import ACTOR, Load, Site, committed_by, numbers, opened


@dataclass
class RemoteSite(Site):
    """An installation whose bucket is an S3 server's."""

    bucket: ObjectStore | None = field(default=None, kw_only=True)

    @property
    def store(self) -> ObjectStore:  # type: ignore[override]
        assert self.bucket is not None
        return self.bucket


@pytest.fixture(scope="module")
def large_segments() -> Iterator[Cluster]:
    """A server whose WAL segments have 64 MB."""
    with open_directory() as root, scratch_cluster(root, find_binaries(), "large") as scratch:
        cluster = scratch.cluster(OPTIONS)
        cluster.initialise(wal_segment_megabytes=64)
        cluster.start()
        with connect(cluster.conninfo(), application_name="test") as connection:
            connection.execute("CREATE DATABASE shop")
        with connect(cluster.conninfo("shop"), application_name="test") as connection:
            connection.execute(SHOP)
        yield cluster


def test_a_moment_comes_back_from_s3_with_segments_of_64_mb(
    large_segments: Cluster, control_url: str, s3_store: S3ObjectStore, tmp_path: Path, into: Path
) -> None:
    site = RemoteSite(tmp_path, control_url, large_segments, bucket=s3_store)
    site.make_keys()
    with Load(site.conninfo) as load:
        load.run_for(0.3)
        site.ship_from_slot()
        site.back_up()
        load.run_for(0.5)
        site.ship_from_slot()
        load.run_for(0.5)
    site.ship_from_slot()
    commit = sorted(load.commits, key=lambda one: one.at)[-30]

    plan = site.restores().plan(ACTOR, site.request(RestoreTarget.at_time(timestamp(commit.at)), into)).plan
    assert plan.server.segment_bytes == 64 << 20
    assert plan.log.archived > 0
    report = site.restores().run(ACTOR, plan, plan.sha256)
    with opened(report, large_segments) as cluster:
        assert numbers(cluster) == committed_by(load.commits, commit.at)

"""Sources whose WAL is shipped, and an installation for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import Engine

from strongroom.backup.continuous import WalPlan
from strongroom.postgres import Cluster, find_binaries, scratch_cluster
from tests.integration.backup.conftest import server_root
from tests.integration.continuous.place import Place, sql

OPTIONS = {"fsync": "off", "autovacuum": "off", "shared_buffers": "16MB", "checkpoint_timeout": "1h"}
KEEPS_WAL = {**OPTIONS, "wal_keep_size": "2GB"}
FORGETS_WAL = {**OPTIONS, "wal_keep_size": "0", "min_wal_size": "2MB", "max_wal_size": "2MB"}

MakeCluster = Callable[..., Cluster]


@pytest.fixture(scope="module")
def make_cluster() -> Iterator[MakeCluster]:
    """Makes running servers; segments are of 1 MB unless told otherwise, so that there are many of them."""
    with ExitStack() as stack:

        def make(
            options: dict[str, str] = KEEPS_WAL, *, segment_megabytes: int = 1, major: int | None = None
        ) -> Cluster:
            root = stack.enter_context(server_root())
            scratch = stack.enter_context(scratch_cluster(root, find_binaries(major), "source"))
            cluster = scratch.cluster()
            cluster.initialise(options, wal_segment_megabytes=segment_megabytes)
            cluster.start()
            return cluster

        yield make


@pytest.fixture(scope="module")
def source(make_cluster: MakeCluster) -> Cluster:
    """A server that keeps its segments, so that they can be compared."""
    return make_cluster()


@pytest.fixture
def make_place(control_database: Engine, tmp_path: Path) -> Iterator[Callable[[Cluster], Place]]:
    """Makes an installation that ships from a server; its slots are dropped in the end."""
    made: list[tuple[Cluster, Place]] = []

    def make(cluster: Cluster, name: str = "shop") -> Place:
        directory = tmp_path / name
        directory.mkdir()
        place = Place(
            directory,
            cluster.conninfo(),
            control_database,
            control_database.url.render_as_string(hide_password=False),
            WalPlan("shop", "00" * 32, f"slot_{abs(hash(directory)):x}"),
        )
        place.make_keys()
        made.append((cluster, place))
        return place

    yield make
    for cluster, place in made:
        if cluster.running():
            slots = f"FROM pg_replication_slots WHERE slot_name = '{place.plan.slot}'"
            sql(cluster, f"SELECT pg_drop_replication_slot(slot_name) {slots}")


@pytest.fixture
def place(source: Cluster, make_place: Callable[[Cluster], Place]) -> Place:
    return make_place(source)

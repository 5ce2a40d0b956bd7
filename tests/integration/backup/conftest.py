"""A source cluster and an installation that backs it up."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from strongroom.catalog import open_engine, upgrade
from strongroom.postgres import Cluster, connect, find_binaries, scratch_cluster
from tests.integration.backup.world import World

SHOP = """
CREATE TABLE public.customer (id int PRIMARY KEY, email text, preferences jsonb);
INSERT INTO public.customer SELECT g, 'c' || g || '@example.org', '{"news": true}' FROM generate_series(1, 20000) g;
CREATE SCHEMA "Odd ""names";
CREATE TABLE "Odd ""names"."drop; table 'x'" ("a b" int, "select" text, c int GENERATED ALWAYS AS (1) STORED);
INSERT INTO "Odd ""names"."drop; table 'x'" VALUES (1, NULL), (2, E'tab\\t');
CREATE TABLE public.orders (id int, year int) PARTITION BY RANGE (year);
CREATE TABLE public.orders_2025 PARTITION OF public.orders FOR VALUES FROM (2025) TO (2026);
INSERT INTO public.orders SELECT g, 2025 FROM generate_series(1, 1000) g;
CREATE UNLOGGED TABLE public.cache (x int);
CREATE TABLE public.busy (x int);
"""


@contextmanager
def server_root() -> Iterator[Path]:
    """A directory for servers. Pytest's own are private, and the account that servers run as must get in."""
    with tempfile.TemporaryDirectory(prefix="sr-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture(scope="session")
def control_cluster() -> Iterator[Cluster]:
    with server_root() as root, scratch_cluster(root, find_binaries(), "control") as scratch:
        cluster = scratch.cluster({"fsync": "off"})
        cluster.initialise()
        cluster.start()
        yield cluster


@pytest.fixture(scope="module")
def source() -> Iterator[Cluster]:
    with server_root() as root, scratch_cluster(root, find_binaries(), "source") as scratch:
        cluster = scratch.cluster({"fsync": "off"})
        cluster.initialise()
        cluster.start()
        with connect(cluster.conninfo(), application_name="test") as connection:
            connection.execute("CREATE DATABASE shop")
        with connect(cluster.conninfo("shop"), application_name="test") as connection:
            connection.execute(SHOP)
        yield cluster


@pytest.fixture
def world(
    control_cluster: Cluster, source: Cluster, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[World]:
    name = f"control_{abs(hash(request.node.nodeid))}"
    with connect(control_cluster.conninfo(), application_name="test") as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = f"postgresql://postgres@/{name}?host={control_cluster.socket_dir}&port=5432"
    engine = open_engine(url)
    upgrade(engine)
    world = World(tmp_path, source.conninfo("shop"), url, engine)
    world.make_keys()
    yield world
    engine.dispose()

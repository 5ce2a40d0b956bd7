"""One source and one backup of it for all verification tests; each test gets a copy of the installation."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from strongroom.catalog import open_engine, upgrade
from strongroom.postgres import Cluster, connect, find_binaries, scratch_cluster
from tests.integration.verification.place import Place

SHOP = """
CREATE TABLE public.customer (customer_id bigint PRIMARY KEY, email text NOT NULL, born date, note text);
INSERT INTO public.customer
  SELECT g, 'c' || g || '@example.org', date '1980-01-01' + g % 9000, repeat(md5(g::text), 4)
  FROM generate_series(1, 5000) g;
CREATE INDEX customer_email ON public.customer (email);
CREATE TABLE public.orders (order_id bigint, year int, total numeric) PARTITION BY RANGE (year);
CREATE TABLE public.orders_2025 PARTITION OF public.orders FOR VALUES FROM (2025) TO (2026);
INSERT INTO public.orders SELECT g, 2025, g * 1.5 FROM generate_series(1, 2000) g;
CREATE TABLE public.picture (id int PRIMARY KEY, pixels text);
ALTER TABLE public.picture ALTER pixels SET STORAGE EXTERNAL;
INSERT INTO public.picture SELECT g, repeat(md5(g::text), 2000) FROM generate_series(1, 20) g;
CREATE UNLOGGED TABLE public.cache (x int);
CREATE MATERIALIZED VIEW public.yearly AS SELECT year, count(*) FROM public.orders GROUP BY year;
"""


@contextmanager
def open_directory() -> Iterator[Path]:
    """A directory that every account can enter, gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="strongroom-verification-"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def shop() -> Iterator[Cluster]:
    """The source server."""
    with open_directory() as directory, scratch_cluster(directory, find_binaries(), "shop") as scratch:
        cluster = scratch.cluster({"fsync": "off", "max_prepared_transactions": "5"})
        cluster.initialise()
        cluster.start()
        with connect(cluster.conninfo(), application_name="test") as connection:
            connection.execute("CREATE DATABASE shop")
        with connect(cluster.conninfo("shop"), application_name="test") as connection:
            connection.execute(SHOP)
        yield cluster


@pytest.fixture(scope="session")
def control_url(control_server: Cluster) -> str:
    """A control database for all verification tests."""
    with connect(control_server.conninfo(), application_name="test") as connection:
        connection.execute("CREATE DATABASE control_verification")
    url = f"postgresql://postgres@/control_verification?host={control_server.socket_dir}&port=5432"
    engine = open_engine(url)
    upgrade(engine)
    engine.dispose()
    return url


@pytest.fixture(scope="session")
def original(shop: Cluster, control_url: str, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """An installation with one backup; not to be changed."""
    directory = tmp_path_factory.mktemp("installation")
    place = Place(directory, control_url, directory, "")
    return replace(place, backup_id=place.back_up(shop.conninfo("shop")))


@pytest.fixture
def place(original: Place, tmp_path: Path) -> Iterator[Place]:
    """A copy of the installation, for one test to damage; nothing may be left in its scratch area."""
    directory = tmp_path / "installation"
    shutil.copytree(original.directory, directory)
    with open_directory() as scratch_root:
        copy = replace(original, directory=directory, scratch_root=scratch_root)
        yield copy
        assert copy.left_over() == []

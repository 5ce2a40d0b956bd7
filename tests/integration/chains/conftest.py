"""A source with WAL summaries for each test file, and a fresh installation for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from strongroom.postgres import Cluster
from tests.integration.chains.estate import SUMMARISED, Estate, Server, estate, server

TABLES = (
    "CREATE TABLE public.customer (id int PRIMARY KEY, email text)",
    "INSERT INTO public.customer SELECT g, 'c' || g || '@example.org' FROM generate_series(1, 20000) g",
    "CREATE TABLE public.still AS SELECT g AS id, md5(g::text) AS text FROM generate_series(1, 20000) g",
)


@pytest.fixture(scope="module")
def source() -> Iterator[Server]:
    with server(18, SUMMARISED, initdb=("--data-checksums", "--wal-segsize=1")) as running:
        running.execute(*TABLES)
        yield running


@pytest.fixture
def shop(source: Server, control_server: Cluster) -> Iterator[Estate]:
    with estate(source, control_server) as made:
        yield made

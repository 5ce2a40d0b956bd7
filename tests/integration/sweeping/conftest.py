"""A server with a template of the shop, and for each test a database of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from psycopg import sql
from sqlalchemy import Engine

from strongroom.postgres import Cluster, connect, find_binaries, scratch_cluster
from tests.integration.backup.conftest import server_root
from tests.integration.sweeping.estate import SHOP, Estate, local_estate


@pytest.fixture(scope="session")
def sweep_server() -> Iterator[Cluster]:
    with server_root() as root, scratch_cluster(root, find_binaries(), "sweep") as scratch:
        cluster = scratch.cluster({"fsync": "off", "shared_buffers": "32MB"})
        cluster.initialise()
        cluster.start()
        with connect(cluster.conninfo(), application_name="test") as connection:
            connection.execute("CREATE DATABASE shop_template")
        with connect(cluster.conninfo("shop_template"), application_name="test") as connection:
            connection.execute("SET search_path = public")
            connection.execute(SHOP)
        yield cluster


@pytest.fixture
def estate(sweep_server: Cluster, control_database: Engine, tmp_path: Path) -> Iterator[Estate]:
    name = sql.Identifier(f"shop_{uuid4().hex[:8]}")
    with connect(sweep_server.conninfo(), application_name="test") as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE shop_template").format(name))
    yield local_estate(tmp_path, sweep_server.conninfo(name.as_string(None).strip('"')), control_database)
    with connect(sweep_server.conninfo(), application_name="test") as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))

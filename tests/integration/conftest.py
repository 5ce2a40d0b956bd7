"""What integration tests share: a PostgreSQL server for control databases, each test with its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import URL, Engine, create_engine

from strongroom.catalog import upgrade
from strongroom.postgres import Cluster, find_binaries, service_account

_TEMPLATE = "control_template"
_OPTIONS = {"max_connections": "60", "shared_buffers": "64MB", "fsync": "off", "full_page_writes": "off"}


@pytest.fixture(scope="session")
def control_server() -> Iterator[Cluster]:
    """A server that control databases are made on."""
    directory = Path(tempfile.mkdtemp(prefix="strongroom-control-"))
    directory.chmod(0o755)
    cluster = Cluster(
        directory / "data",
        find_binaries(),
        account=service_account(),
        socket_dir=directory / "run",
        log_path=directory / "server.log",
    )
    try:
        cluster.initialise(_OPTIONS)
        cluster.start()
        _make_template(cluster)
        yield cluster
    finally:
        cluster.stop("immediate")
        shutil.rmtree(directory)


@pytest.fixture
def control_database(control_server: Cluster) -> Iterator[Engine]:
    """An engine on a fresh control database with this version's tables."""
    name = f"control_{uuid4().hex[:12]}"
    _administer(control_server, sql.SQL("CREATE DATABASE {} TEMPLATE {}"), name, _TEMPLATE)
    engine = control_engine(control_server, name)
    try:
        yield engine
    finally:
        engine.dispose()
        _administer(control_server, sql.SQL("DROP DATABASE {} WITH (FORCE)"), name)


def control_engine(cluster: Cluster, database: str) -> Engine:
    """An engine like `strongroom.catalog.open_engine` makes, through the server's socket."""
    url = URL.create(
        "postgresql+psycopg",
        username="postgres",
        database=database,
        query={"host": str(cluster.socket_dir), "port": str(cluster.port or 5432)},
    )
    return create_engine(url, pool_size=2, max_overflow=20)


def _make_template(cluster: Cluster) -> None:
    _administer(cluster, sql.SQL("CREATE DATABASE {}"), _TEMPLATE)
    engine = control_engine(cluster, _TEMPLATE)
    upgrade(engine)
    engine.dispose()


def _administer(cluster: Cluster, statement: sql.SQL, *names: str) -> None:
    with psycopg.connect(cluster.conninfo(), autocommit=True) as connection:
        connection.execute(statement.format(*map(sql.Identifier, names)))

"""A real PostgreSQL for the sample company."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from psycopg import sql

from strongroom.postgres import (
    Cluster,
    NoSuchServerVersionError,
    ServerBinaries,
    connect,
    find_binaries,
    scratch_cluster,
)
from tests.support import require

NewDatabase = Callable[[], str]


def _binaries(major: int | None) -> ServerBinaries | None:
    try:
        return find_binaries(major)
    except NoSuchServerVersionError:
        return None


@pytest.fixture(scope="session", params=[None, 15], ids=["newest", "postgresql-15"])
def sample_server(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    binaries = _binaries(request.param)
    require(f"PostgreSQL {request.param or ''}", binaries is not None)
    # Not under pytest's own directory: the account that the server runs as must reach it.
    with tempfile.TemporaryDirectory(prefix="sr-") as directory:
        Path(directory).chmod(0o755)
        with scratch_cluster(Path(directory), binaries, "sample") as scratch:  # type: ignore[arg-type]
            cluster = scratch.cluster()
            cluster.initialise()
            cluster.start()
            yield cluster


@pytest.fixture(scope="session")
def new_database(sample_server: Cluster) -> NewDatabase:
    """A function that makes an empty database and returns how to connect to it."""
    numbers = count()

    def make() -> str:
        name = f"shop_{next(numbers)}"
        connection = connect(sample_server.conninfo(), application_name="test")
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        connection.close()
        return sample_server.conninfo(name)

    return make

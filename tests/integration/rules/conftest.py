"""The sample company's database, and connections whose changes are rolled back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from strongroom.policy import Policy, load_policy
from strongroom.postgres import (
    Cluster,
    Connection,
    NoSuchServerVersionError,
    connect,
    find_binaries,
    scratch_cluster,
)
from strongroom.sample import load_sample
from tests.support import REPOSITORY, require

SHOP_POLICY = REPOSITORY / "include/policy/shop.yaml"


@pytest.fixture(scope="session")
def shop_database(control_server: Cluster) -> str:
    """How to connect to the sample company's database."""
    with connect(control_server.conninfo(), application_name="test") as connection:
        connection.execute("CREATE DATABASE rules_shop")
    conninfo = control_server.conninfo("rules_shop")
    load_sample(conninfo, customers=60, seed=1, reference=date(2026, 11, 1))
    return conninfo


@pytest.fixture
def shop(shop_database: str) -> Iterator[Connection]:
    """A connection to it, in a transaction that is rolled back."""
    connection = connect(shop_database, application_name="test", autocommit=False)
    yield connection
    connection.rollback()
    connection.close()


@pytest.fixture(scope="session")
def shop_on_15() -> Iterator[str]:
    """The sample company on PostgreSQL 15."""
    try:
        binaries = find_binaries(15)
    except NoSuchServerVersionError:
        binaries = None
    require("PostgreSQL 15", binaries is not None)
    with tempfile.TemporaryDirectory(prefix="sr-") as directory:
        Path(directory).chmod(0o755)
        with scratch_cluster(Path(directory), binaries, "rules") as scratch:  # type: ignore[arg-type]
            cluster = scratch.cluster({"fsync": "off"})
            cluster.initialise()
            cluster.start()
            with connect(cluster.conninfo(), application_name="test") as connection:
                connection.execute("CREATE DATABASE shop")
            load_sample(cluster.conninfo("shop"), customers=30, seed=1, reference=date(2026, 11, 1))
            yield cluster.conninfo("shop")


@pytest.fixture(scope="session")
def policy() -> Policy:
    """The sample company's policy."""
    return load_policy(SHOP_POLICY)

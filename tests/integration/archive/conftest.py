"""A shop's database for each test, copied from one that is made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from psycopg import sql
from sqlalchemy import Engine

from strongroom.postgres import Cluster, connect
from tests.integration.archive.place import SHOP, Place, make_place


@pytest.fixture(scope="session")
def shop_template(control_server: Cluster) -> str:
    name = f"shop_{uuid4().hex[:8]}"
    with connect(control_server.conninfo(), application_name="test") as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with connect(control_server.conninfo(name), application_name="test") as connection:
        connection.execute(SHOP.encode())
    return name


@pytest.fixture
def place(
    control_server: Cluster, shop_template: str, control_database: Engine, tmp_path: Path
) -> Iterator[Place]:
    name = f"shop_{uuid4().hex[:8]}"
    with connect(control_server.conninfo(), application_name="test") as admin:
        both = map(sql.Identifier, (name, shop_template))
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*both))
        yield make_place(tmp_path, control_server.conninfo(name), control_database)
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

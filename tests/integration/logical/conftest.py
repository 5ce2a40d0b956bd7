"""Pagila on a server, and an installation that backs it up logically."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from strongroom.postgres import Cluster
from tests.integration.backup.world import World
from tests.integration.logical.source import pagila_server


@pytest.fixture(scope="session")
def pagila() -> Iterator[Cluster]:
    with pagila_server() as cluster:
        yield cluster


@pytest.fixture
def world(pagila: Cluster, control_database: Engine, tmp_path: Path) -> World:
    url = control_database.url.render_as_string(hide_password=False)
    world = World(tmp_path, pagila.conninfo("pagila"), url, control_database)
    world.make_keys()
    return world

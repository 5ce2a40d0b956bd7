"""The installation of the command line's tests, as operators see it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.cli.conftest import installation, open_folder
from tests.integration.operators.worker import Worker

__all__ = ["installation", "open_folder"]


_IMPORTED = (
    "strongroom_airflow.operators",
    "strongroom_airflow.operators.restore",
    "strongroom.services",
    "strongroom.catalog",
    "strongroom.backup.restoring.approval",
    "strongroom.backup.restoring.service",
    "strongroom.backup.verification",
)


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """Executes operators, each in a process of its own that has imported Airflow already."""
    made = Worker(tmp_path_factory.mktemp("worker"), _IMPORTED)
    yield made
    made.close()

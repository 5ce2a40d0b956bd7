"""What every test can ask for: a real S3 server, and stores to write to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from strongroom.embedded.errors import PartFailedError
from strongroom.embedded.seaweedfs import SeaweedServer, find_weed
from strongroom.storage import LocalObjectStore, S3ObjectStore
from tests.support import require


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker has one left when the others are done."""
    items.sort(key=lambda item: not _is_long(item))


def _is_long(item: pytest.Item) -> bool:
    return "sweeps" in item.path.parts or item.get_closest_marker("large") is not None


def seaweed_is_installed() -> bool:
    """Whether the S3 server's program is here."""
    try:
        find_weed()
    except PartFailedError:
        return False
    return True


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedServer]:
    """An S3 server for all tests of this worker, started when the first one asks for it."""
    require("The S3 server `weed`", seaweed_is_installed())
    server = SeaweedServer(
        tmp_path_factory.mktemp("seaweed"), access_key="tests", secret_key=f"key-{uuid4().hex}"
    )
    server.start()
    yield server
    server.kill()


@pytest.fixture
def s3_store(seaweed: SeaweedServer) -> Iterator[S3ObjectStore]:
    """An empty bucket with versions and Object Lock."""
    bucket = f"test-{uuid4().hex}"
    seaweed.create_bucket(bucket)
    client = seaweed.client()
    yield S3ObjectStore(client, bucket, "prefix")
    client.close()


@pytest.fixture
def local_store(tmp_path: Path) -> LocalObjectStore:
    """An empty directory."""
    return LocalObjectStore(tmp_path / "store")

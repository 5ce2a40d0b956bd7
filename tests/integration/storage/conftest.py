"""The stores that keep the same contract, and servers that a test may stop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from strongroom.embedded.seaweedfs import REGION, SeaweedServer
from strongroom.storage import ObjectStore, RetryPolicy, S3ObjectStore, s3_client
from tests.conftest import seaweed_is_installed
from tests.support import require


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    """Each kind of store, empty."""
    fixture: ObjectStore = request.getfixturevalue(f"{request.param}_store")
    return fixture


@dataclass(frozen=True)
class Place:
    """An empty bucket, and what it takes to reach it by another way."""

    endpoint_url: str
    bucket: str
    secret_key: str

    def store(
        self,
        *,
        endpoint_url: str | None = None,
        secret_key: str | None = None,
        policy: RetryPolicy | None = None,
    ) -> S3ObjectStore:
        """A store in the bucket."""
        client = s3_client(
            endpoint_url=endpoint_url or self.endpoint_url,
            region=REGION,
            access_key="tests",
            secret_key=secret_key or self.secret_key,
        )
        return S3ObjectStore(client, self.bucket, "prefix", retry_policy=policy)


@pytest.fixture
def place(seaweed: SeaweedServer) -> Place:
    """A bucket of the server that all tests share."""
    bucket = f"test-{uuid4().hex}"
    seaweed.create_bucket(bucket)
    return Place(seaweed.endpoint_url, bucket, seaweed.secret_key)


@pytest.fixture
def own_seaweed(tmp_path: Path) -> Iterator[SeaweedServer]:
    """An S3 server that the test may stop, with the bucket `bucket`."""
    require("The S3 server `weed`", seaweed_is_installed())
    server = SeaweedServer(tmp_path / "seaweed", access_key="tests", secret_key="a-key-of-the-tests")
    server.start()
    server.create_bucket("bucket")
    yield server
    server.kill()

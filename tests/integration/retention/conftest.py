"""Installations with a history."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from strongroom.storage import S3ObjectStore
from tests.integration.retention.estate import Estate, TimedBucket, TimedDirectory, estate_in


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory in memory, where that is possible: a history is many small files."""
    memory = Path("/dev/shm")
    where = Path(tempfile.mkdtemp(prefix="sr-retention-", dir=memory if memory.is_dir() else None))
    yield where
    shutil.rmtree(where)


@pytest.fixture
def estate(directory: Path, control_database: Engine) -> Estate:
    """In a directory: no versions, no locks."""
    return estate_in(directory, control_database, TimedDirectory(directory / "bucket"))


@pytest.fixture
def in_s3(directory: Path, control_database: Engine, s3_store: S3ObjectStore) -> Estate:
    """In a bucket with versions and Object Lock."""
    store = TimedBucket(s3_store._client, s3_store._bucket, "prefix")
    return estate_in(directory, control_database, store)

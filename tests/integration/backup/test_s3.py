"""Backups into a real S3 bucket: locked when they are done, and no worse for a bucket that goes away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from strongroom.backup import read_manifest
from strongroom.backup.debris import find_debris
from strongroom.embedded.seaweedfs import SeaweedServer
from strongroom.errors import TransientError
from strongroom.storage import ObjectLockedError, S3ObjectStore
from strongroom.storage.retrying import RetryPolicy
from tests.conftest import seaweed_is_installed
from tests.integration.backup.world import ACTOR, PLAN, World
from tests.support import require


@pytest.fixture
def fragile(tmp_path: Path) -> Iterator[tuple[SeaweedServer, S3ObjectStore]]:
    """A server of our own, since it is to be killed."""
    require("The S3 server `weed`", seaweed_is_installed())
    server = SeaweedServer(tmp_path / "weed", access_key="tests", secret_key="secret-of-tests")
    server.start()
    server.create_bucket("fragile")
    client = server.client()
    yield server, S3ObjectStore(client, "fragile", retry_policy=RetryPolicy(window_seconds=0.5))
    client.close()
    server.kill()


def test_a_backup_in_a_bucket_with_object_lock_cannot_be_deleted(
    world: World, s3_store: S3ObjectStore
) -> None:
    plan = replace(PLAN, lock_mode="governance", lock_days=1)
    summary = world.service(s3_store).run(ACTOR, plan, world.conninfo)
    assert summary.locked_until is not None
    for key in (summary.manifest_key, *summary.object_keys):
        version = s3_store.head(key).version_id
        with pytest.raises(ObjectLockedError):
            s3_store.delete_version(key, version)
    manifest = read_manifest(s3_store.get_bytes(summary.manifest_key), world.signer.verifier)
    assert all(s3_store.head(item.key).size_bytes == item.size_bytes for item in manifest.objects)


def test_a_bucket_that_goes_away_and_comes_back_costs_one_run(
    world: World, fragile: tuple[SeaweedServer, S3ObjectStore]
) -> None:
    server, store = fragile

    def kill_bucket(stage: str, _amount: int) -> None:
        if stage == "base":
            server.kill()

    with pytest.raises(TransientError):
        world.service(store).run(ACTOR, PLAN, world.conninfo, progress=kill_bucket)
    server.start()
    client = server.client()
    patient = S3ObjectStore(client, "fragile")
    world.service(patient).run(ACTOR, PLAN, world.conninfo)
    assert find_debris(patient, "shop").objects == ()
    assert patient.abort_incomplete_uploads("backups/") == 0
    client.close()

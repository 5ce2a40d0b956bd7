"""Versions, retention and legal holds in a bucket that has them, and their absence elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from strongroom.embedded.seaweedfs import SeaweedServer
from strongroom.storage import (
    Condition,
    LocalObjectStore,
    ObjectLockedError,
    Retention,
    S3ObjectStore,
    StoreCapabilities,
    UnsupportedError,
)

MIB = 1024 * 1024


def days_from_now(days: int) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)


def test_a_bucket_with_object_lock_says_so(s3_store: S3ObjectStore) -> None:
    assert s3_store.capabilities() == StoreCapabilities(
        versioning=True, object_lock=True, conditional_writes=True
    )
    assert list(s3_store.list_versions("")) == []


def test_a_plain_bucket_says_so_and_refuses_locks(seaweed: SeaweedServer) -> None:
    bucket = f"plain-{uuid4().hex}"
    seaweed.create_bucket(bucket, object_lock=False)
    client = seaweed.client()
    store = S3ObjectStore(client, bucket)

    assert store.capabilities() == StoreCapabilities(
        versioning=False, object_lock=False, conditional_writes=True
    )
    with pytest.raises(UnsupportedError, match="Object Lock"):
        store.put_bytes("x", b"x", retention=Retention("compliance", days_from_now(1)))
    store.put_bytes("x", b"x")
    with pytest.raises(UnsupportedError):
        store.set_hold("x", True)
    store.delete_version("x", None)
    assert list(store.list("")) == []
    client.close()


def test_a_local_directory_refuses_what_it_cannot_promise(local_store: LocalObjectStore) -> None:
    retention = Retention("compliance", days_from_now(1))

    assert not local_store.capabilities().object_lock
    with pytest.raises(UnsupportedError):
        local_store.put_bytes("x", b"x", retention=retention)
    assert list(local_store.list("")) == []
    local_store.put_bytes("x", b"x")
    with pytest.raises(UnsupportedError):
        local_store.set_hold("x", True)
    with pytest.raises(UnsupportedError):
        local_store.extend_retention("x", retention)


def test_every_version_stays_readable(s3_store: S3ObjectStore) -> None:
    first = s3_store.put_bytes("v", b"first")
    second = s3_store.put_bytes("v", b"second", condition=Condition.OVERWRITE)

    assert s3_store.get_bytes("v", version_id=first.version_id) == b"first"
    with s3_store.open_range("v", 1, 3, version_id=first.version_id) as reader:
        assert reader.read() == b"irs"
    assert {info.version_id for info in s3_store.list_versions("v")} == {first.version_id, second.version_id}
    assert [info.key for info in s3_store.list("")] == ["v"]


@pytest.mark.parametrize("size", [10, 20 * MIB])
def test_a_locked_version_cannot_be_deleted(s3_store: S3ObjectStore, size: int) -> None:
    retention = Retention("compliance", days_from_now(3))
    info = s3_store.put_stream("locked", [bytes(size)], retention=retention)

    assert s3_store.head("locked").retention == retention
    with pytest.raises(ObjectLockedError, match="locked until"):
        s3_store.delete_version("locked", info.version_id)
    with pytest.raises(ObjectLockedError):
        s3_store.delete_version("locked", None)
    assert s3_store.head("locked").size_bytes == size


def test_a_lock_can_only_grow(s3_store: S3ObjectStore) -> None:
    s3_store.put_bytes("grow", b"x", retention=Retention("compliance", days_from_now(3)))

    with pytest.raises(ObjectLockedError, match="longer"):
        s3_store.extend_retention("grow", Retention("compliance", days_from_now(2)))
    with pytest.raises(ObjectLockedError, match="stronger"):
        s3_store.extend_retention("grow", Retention("governance", days_from_now(9)))
    longer = Retention("compliance", days_from_now(9))
    s3_store.extend_retention("grow", longer)

    assert s3_store.head("grow").retention == longer


def test_a_held_object_stays_until_it_is_released(s3_store: S3ObjectStore) -> None:
    s3_store.put_bytes("held", b"x")
    s3_store.set_hold("held", True)

    assert s3_store.head("held").legal_hold
    with pytest.raises(ObjectLockedError, match="legal hold"):
        s3_store.delete_version("held", None)

    s3_store.set_hold("held", False)
    s3_store.delete_version("held", None)
    assert list(s3_store.list_versions("")) == []

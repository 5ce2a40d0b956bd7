"""Two writers of one S3 object whose uploads are completed in the same instant, as SeaweedFS may accept both."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from strongroom.storage import ObjectExistsError, S3ObjectStore
from strongroom.storage.s3_upload import MultipartUpload

MIB = 1024 * 1024
ROUNDS = 8


def test_of_two_uploads_completed_at_once_the_older_stays(
    s3_store: S3ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once, complete = Barrier(2, timeout=60), MultipartUpload.complete

    def complete_at_once(upload: MultipartUpload, condition: Mapping[str, Any]) -> dict[str, Any]:
        at_once.wait()
        return complete(upload, condition)

    def write(key: str, number: int) -> str | None:
        try:
            return s3_store.put_stream(key, (bytes([number]) * (6 * MIB) for _ in range(3))).version_id
        except ObjectExistsError:
            return None

    monkeypatch.setattr(MultipartUpload, "complete", complete_at_once)
    with ThreadPoolExecutor(2) as threads:
        for round_number in range(ROUNDS):
            key = f"race/{round_number}"
            told = set(threads.map(write, [key] * 2, range(2)))

            assert told == {None, s3_store.head(key).version_id}
            assert [info.version_id for info in s3_store.list_versions(key)] == [
                s3_store.head(key).version_id
            ]
    assert s3_store.abort_incomplete_uploads("") == 0


def test_an_object_deleted_by_name_only_may_be_written_again(s3_store: S3ObjectStore) -> None:
    def write() -> None:
        s3_store.put_stream("again", (bytes(6 * MIB) for _ in range(3)))

    write()
    s3_store._client.delete_object(Bucket=s3_store._bucket, Key="prefix/again")
    write()

    assert len(list(s3_store.list_versions("again"))) == 2

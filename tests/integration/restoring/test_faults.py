"""Every call to the bucket fails once, in turn: the restore is loud, marks what it wrote, and the next one succeeds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from strongroom.backup.restoring.errors import DirectoryInUseError
from strongroom.backup.restoring.report import RestoreReport
from strongroom.backup.restoring.request import RestoreTarget
from strongroom.storage import LocalObjectStore, ObjectInfo
from strongroom.storage.errors import StoreUnavailableError
from tests.integration.restoring.conftest import Archived
from tests.integration.restoring.site import ACTOR, numbers, opened


class CountingStore(LocalObjectStore):
    """A bucket whose n-th call fails."""

    calls = 0
    fails_at = 0

    def _call(self) -> None:
        self.calls += 1
        if self.calls == self.fails_at:
            raise StoreUnavailableError(f"The bucket did not answer the call {self.calls}.")

    def open_range(self, *arguments: Any, **options: Any) -> BinaryIO:
        self._call()
        return super().open_range(*arguments, **options)

    def get_bytes(self, *arguments: Any, **options: Any) -> bytes:
        self._call()
        return super().get_bytes(*arguments, **options)

    def head(self, *arguments: Any, **options: Any) -> ObjectInfo:
        self._call()
        return super().head(*arguments, **options)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        self._call()
        return super().list(prefix)


def restore(archived: Archived, into: Path, store: CountingStore) -> RestoreReport:
    """Plan and run a backup's own restore point."""
    service = archived.site.restores(store=store)
    request = archived.site.request(RestoreTarget("backup"), into, backup_id=archived.second_backup)
    plan = service.plan(ACTOR, request).plan
    return service.run(ACTOR, plan, plan.sha256)


def attempt(archived: Archived, into: Path, fails_at: int) -> RestoreReport | None:
    """Restore with a bucket whose n-th call fails; None when it did."""
    store = CountingStore(archived.site.directory / "bucket")
    store.fails_at = fails_at
    try:
        return restore(archived, into, store)
    except StoreUnavailableError:
        return None


def test_each_call_to_the_bucket_fails_in_turn(archived: Archived, into: Path) -> None:
    failed = 0
    while (report := attempt(archived, into, fails_at=failed + 1)) is None:
        failed += 1
        assert not (into / "data").exists()
        assert not into.exists() or (into / "RESTORE_FAILED").exists()
    assert failed > 12, "listings, manifests, keys and objects"
    with opened(report, archived.site.source) as cluster:
        assert numbers(cluster)


def test_the_same_restore_twice_is_refused_and_changes_nothing(archived: Archived, into: Path) -> None:
    store = CountingStore(archived.site.directory / "bucket")
    restore(archived, into, store)
    before = {path: path.stat().st_mtime_ns for path in into.rglob("*")}
    with pytest.raises(DirectoryInUseError, match="holds a restored cluster"):
        restore(archived, into, store)
    assert {path: path.stat().st_mtime_ns for path in into.rglob("*")} == before

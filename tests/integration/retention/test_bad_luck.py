"""What may go wrong between a plan and the look at what is gone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from strongroom.canonical import canonical_bytes
from strongroom.errors import IntegrityError, RefusedError, TransientError
from strongroom.lifetimes import BeingDeletedError, Kind, Lease, LogFrom, Readers
from strongroom.policy import Policy
from strongroom.retention import Action, PlanChangedError, PurgeInProgressError
from strongroom.retention.hold_records import BucketHolds
from strongroom.retention.holds import Hold, HoldScope, ScopeKind
from strongroom.retention.marks import DeletedItem, Deletion, MarkStore
from strongroom.storage import Condition, ObjectInfo, ObjectStore, Retention, StoreUnavailableError
from tests.integration.retention.estate import TASK, Estate, TimedDirectory


def history(estate: Estate, days: int = 10) -> None:
    for day in range(days):
        estate.backup(day)
    estate.log(days)


@pytest.fixture
def due(estate: Estate) -> Estate:
    """Ten days of history; what is over was marked, and the grace period has passed."""
    history(estate)
    estate.purge()
    estate.wait(days=3, hours=1)
    estate.backup(-3)
    return estate


def deleted_backups(estate: Estate) -> list[str]:
    made = estate.plan().plans[0]
    return [one.item for one in made.having(Action.DELETE) if one.kind is Kind.BACKUP]


def test_a_hold_that_is_placed_between_plan_and_purge_stops_it(due: Estate) -> None:
    doomed = deleted_backups(due)[0].removeprefix("backup/")
    made = due.plan()
    due.approve(made)
    before = due.keys("backups/")
    scope = HoldScope(ScopeKind.BACKUP, "shop", backup_id=doomed)
    hold = Hold("hold-20261124T020000Z-1f3a", scope, "case-7", "olaf", due.clock.now())
    BucketHolds(due.store, due.signer.verifier).write(hold, due.signer)

    with pytest.raises(PlanChangedError, match="legal hold hold-20261124T020000Z-1f3a"):
        due.apply(made)

    assert due.keys("backups/") == before
    due.purge()
    assert doomed in due.backups(), "the next plan spares it and lets the rest go"
    BucketHolds(due.store, due.signer.verifier).write(hold.release(due.clock.now()), due.signer)
    due.purge()
    due.wait(days=3, hours=1)
    due.backup(-6)
    due.purge()
    assert doomed not in due.backups(), "once it is released, what was waiting happens"


def test_a_restore_keeps_the_purge_away_from_what_it_reads(due: Estate) -> None:
    first, second = deleted_backups(due)[:2]
    made = due.plan()
    due.approve(made)

    with Readers(lambda: due.store, due.clock).reading("shop", "restore", [first]):
        report = due.apply(made)

    assert first.removeprefix("backup/") in due.backups()
    assert second.removeprefix("backup/") not in due.backups()
    assert "a restore reads it" in report.places[0].spared[first]
    assert due.keys("uses/") == []
    due.purge()
    assert first.removeprefix("backup/") not in due.backups(), "when it is done, the next purge goes on"


def test_a_restore_that_begins_in_the_middle_of_a_purge_is_told(due: Estate) -> None:
    doomed = deleted_backups(due)[0]
    marks = MarkStore(due.store, "shop", due.signer.verifier)
    log = DeletedItem("wal/7/1", Kind.WAL, ("wal/x",), ("7", 5000))
    going = (DeletedItem(doomed, Kind.BACKUP, ("backups/x",)), log)
    marks.announce(Deletion("store", "0" * 64, going), due.signer)
    readers = Readers(lambda: due.store, due.clock)

    for items, since in (([doomed], None), ([], LogFrom("7", 4000))):
        with pytest.raises(BeingDeletedError), readers.reading("shop", "restore", items, since):
            pass
    with readers.reading("shop", "restore", ["backup/other"], LogFrom("7", 5000)):
        pass
    assert due.keys("uses/") == ["uses/shop/purge.json"]


def test_a_running_backup_keeps_what_it_may_build_on(estate: Estate) -> None:
    full = estate.backup(6)
    estate.backup(5, parent=full)
    estate.backup(0.2, parent=full)
    newest = estate.backups()[-1]

    with Lease(estate.store, estate.clock, "shop", "7/shop"):
        estate.store.put_bytes("backups/shop/20300101T000000Z-0000/base.tar.zst.age", b"growing")
        items = {one.item: one for one in estate.plan().plans[0].decisions}

    assert items[f"backup/{newest}"].action is Action.KEEP
    assert items["debris/backup/20300101T000000Z-0000"].reason.startswith("a backup is running")


def test_what_a_killed_backup_left_goes_when_nobody_can_be_writing_it(estate: Estate) -> None:
    history(estate, 2)
    left = "backups/shop/20260101T000000Z-0000/base.tar.zst.age"
    estate.store.put_bytes(left, b"half")
    assert estate.plan().plans[0].by_item["debris/backup/20260101T000000Z-0000"].action is Action.KEEP
    estate.wait(days=3, hours=1)
    estate.purge()
    estate.wait(days=3, hours=1)
    estate.purge()

    assert left not in set(estate.keys())


class HalfListing(TimedDirectory):
    """A bucket whose listing breaks off after some entries."""

    entries: int | None = None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        for number, info in enumerate(super().list(prefix)):
            if number == self.entries and prefix == self.broken:
                raise StoreUnavailableError("the listing broke off")
            yield info

    broken = ""


@pytest.mark.parametrize("prefix", ["backups/shop/", "wal/shop/", "proofs/shop/", "holds/"])
def test_a_listing_that_fails_half_way_is_no_empty_bucket(due: Estate, directory: Path, prefix: str) -> None:
    made = due.plan()
    due.approve(made)
    due.store.put_bytes("holds/x.json", b"{}") if prefix == "holds/" else None
    half = HalfListing(directory / "bucket")
    half.clock, half.entries, half.broken = due.clock, 0 if prefix == "holds/" else 3, prefix
    before = due.keys("backups/")

    with pytest.raises(TransientError):
        due.service(half).plan(TASK, due.policy)
    with pytest.raises(TransientError):
        due.apply(made, store=half)

    assert due.keys("backups/") == before


@pytest.mark.parametrize(("jump", "words"), [(-5, "behind"), (30, "ahead")])
def test_a_clock_that_jumped_needs_a_second_person(estate: Estate, jump: int, words: str) -> None:
    history(estate)
    estate.purge()
    estate.wait(days=jump)
    if jump < 0:
        estate.backup(20)

    made = estate.plan()

    assert made.needs_approval
    assert any(f"the clock may be {words}" in reason for reason in made.plans[0].unusual)


def test_a_clock_that_jumps_between_plan_and_purge_stops_it(estate: Estate) -> None:
    history(estate)
    made = estate.plan()
    estate.approve(made)
    told = estate.clock.now()

    class OwnTime(TimedDirectory):
        def head(self, key: str, **options: Any) -> ObjectInfo:
            from dataclasses import replace

            return replace(super().head(key, **options), modified_at=told)

    store = OwnTime(estate.directory / "bucket")
    store.clock = estate.clock
    estate.wait(hours=20)

    with pytest.raises(PlanChangedError, match="the clock differs from the store's own"):
        estate.apply(made, store=store)

    assert estate.keys("tombstones/") == []


def test_of_two_purges_at_once_one_loses_clearly(due: Estate) -> None:
    made = due.plan()
    due.approve(made)
    entered, go_on = threading.Event(), threading.Event()

    errors: list[BaseException] = []

    class Slow(TimedDirectory):
        def list_versions(self, prefix: str) -> Iterator[ObjectInfo]:
            entered.set()
            go_on.wait(30)
            return super().list_versions(prefix)

    slow = Slow(due.directory / "bucket")
    slow.clock = due.clock

    def first() -> None:
        try:
            due.apply(made, store=slow)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    assert entered.wait(30)
    try:
        with pytest.raises(PurgeInProgressError, match="Another purge of shop"):
            due.apply(made)
    finally:
        go_on.set()
        thread.join()
    assert errors == []


def test_a_backup_of_an_unknown_format_is_never_touched_nor_what_it_may_build_on(estate: Estate) -> None:
    older = estate.backup(40, proven=False)
    history(estate)
    later = estate.manifest(39)
    document = {**later.document(), "format": "strongroom/backup-manifest/v9"}
    estate.store.put_bytes(later.key, canonical_bytes(estate.signer.sign_json(document)))
    estate.store.put_bytes(later.objects[0].key, b"whatever")
    for days in (0, 4, 8):
        estate.wait(days=days)
        estate.backup(-days - 0.1)
        estate.purge()

    assert later.backup_id in estate.backups()
    assert later.objects[0].key in set(estate.keys())
    assert older.backup_id in estate.backups()


def test_a_receipt_of_an_unknown_format_makes_no_debris_of_its_segments(estate: Estate) -> None:
    history(estate, 2)
    receipt = next(key for key in estate.keys("wal/") if "/receipts/" in key)
    later = canonical_bytes(estate.signer.sign_json({"format": "strongroom/wal-receipt/v9"}))
    estate.store.put_bytes(receipt, later, condition=Condition.OVERWRITE)
    named = [key for key in estate.keys("wal/") if key.endswith(".age")][:2]
    for _ in range(2):
        estate.wait(days=4)
        estate.purge()

    unknown = [one for one in estate.plan().plans[0].decisions if one.kind is Kind.UNKNOWN]
    assert len(unknown) == 1
    assert {receipt, *named} <= set(estate.keys("wal/"))


def test_an_administrator_who_deletes_an_object_by_hand_leaves_a_backup_that_stands_for_nothing(
    estate: Estate,
) -> None:
    good = estate.backup(30)
    broken = estate.backup(0)
    estate.store.delete_version(broken.objects[0].key, None)

    made = estate.plan().plans[0]

    assert "the newest proven backup" in made.by_item[f"backup/{good.backup_id}"].reason
    assert made.by_item[f"backup/{broken.backup_id}"].action is Action.KEEP


def test_what_an_administrator_deleted_by_hand_is_no_obstacle(due: Estate) -> None:
    doomed = deleted_backups(due)[0].removeprefix("backup/")
    made = due.plan()
    due.approve(made)
    for key in due.keys(f"backups/shop/{doomed}/"):
        due.store.delete_version(key, None)

    due.apply(made)

    assert due.keys(f"backups/shop/{doomed}/") == []


def test_an_altered_mark_is_an_error_and_no_licence(due: Estate) -> None:
    (key,) = due.keys("tombstones/")
    due.store.put_bytes(
        key, due.store.get_bytes(key).replace(b"2026", b"2025"), condition=Condition.OVERWRITE
    )

    with pytest.raises(IntegrityError):
        due.plan()


def test_a_policy_that_the_database_contradicts_stops_the_purge(due: Estate) -> None:
    def disagree(policy: Policy) -> None:
        raise RefusedError("a table is unclassified")

    made = due.plan()
    due.approve(made)
    due.agree = disagree
    before = due.keys("backups/")

    with pytest.raises(RefusedError, match="unclassified"):
        due.apply(made)

    assert due.keys("backups/") == before


def test_every_version_goes_also_what_a_deletion_by_name_had_hidden(in_s3: Estate) -> None:
    old = in_s3.backup(30)
    for day in (0, 1):
        in_s3.backup(day)
    in_s3.purge()
    in_s3.store._client.delete_object(Bucket=in_s3.store._bucket, Key=f"prefix/{old.objects[0].key}")
    in_s3.wait(days=3, hours=1)
    in_s3.backup(-3)

    in_s3.purge()

    assert [info.key for info in in_s3.store.list_versions(f"backups/shop/{old.backup_id}/")] == []


def test_what_is_locked_meanwhile_is_left_whole(in_s3: Estate) -> None:
    old = in_s3.backup(30)
    for day in (0, 1):
        in_s3.backup(day)
    in_s3.purge()
    in_s3.wait(days=3, hours=1)
    in_s3.backup(-3)
    made = in_s3.plan()
    in_s3.approve(made)
    until = in_s3.clock.now() + timedelta(days=2)
    in_s3.store.extend_retention(old.objects[1].key, Retention("governance", until))

    report = in_s3.apply(made)

    assert "is locked" in report.places[0].spared[f"backup/{old.backup_id}"]
    assert len(in_s3.keys(f"backups/shop/{old.backup_id}/")) == 3


def test_a_copy_is_purged_by_its_own_state(estate: Estate, directory: Path) -> None:
    offsite = TimedDirectory(directory / "offsite")
    offsite.clock = estate.clock
    estate.offsite = offsite
    estate.policy_text += "  copies: [offsite]\n"
    for day in range(8):
        estate.backup(day)
        estate.backup(day, store=offsite)
    lost = estate.backup(60, store=offsite)
    estate.purge()
    estate.wait(days=3, hours=1)
    estate.backup(-3)

    report = estate.purge()

    assert [place.place for place in report.places] == ["store", "offsite"]
    assert lost.backup_id not in estate.backups(offsite)
    assert set(estate.backups(offsite)) <= set(estate.backups())


def test_a_copy_keeps_what_only_it_has_left(estate: Estate, directory: Path) -> None:
    offsite: ObjectStore = TimedDirectory(directory / "offsite")
    estate.offsite = offsite
    estate.policy_text += "  copies: [offsite]\n"
    offsite.clock = estate.clock  # type: ignore[attr-defined]
    kept = estate.backup(20, store=offsite)

    made = estate.plan()

    assert made.plans[1].by_item[f"backup/{kept.backup_id}"].rule == "last"

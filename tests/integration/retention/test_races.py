"""What happens while a purge is under way, and what clocks, administrators and other copies do to it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from strongroom.backup.verification.proof import Status
from strongroom.catalog import HoldRepository
from strongroom.clock import FixedClock
from strongroom.lifetimes import Kind, Readers
from strongroom.retention import Action
from strongroom.retention.hold_records import BucketHolds, to_record
from strongroom.retention.holds import Hold, HoldScope, ScopeKind
from strongroom.retention.marks import DeletedItem, Deletion, MarkStore
from strongroom.storage import ObjectInfo, Retention
from tests.integration.retention.estate import CLUSTER, NOW, Estate, TimedDirectory
from tests.integration.retention.test_bad_luck import deleted_backups, history

HOLD = "hold-20261124T020000Z-1f3a"


class Interrupted(TimedDirectory):
    """Lets something happen once, when a purge has announced what it deletes."""

    happen: Callable[[], None] | None = None

    def put_bytes(self, key: str, data: bytes, **options: object) -> ObjectInfo:
        info = super().put_bytes(key, data, **options)  # type: ignore[arg-type]
        if key.endswith("/purge.json") and key.startswith("uses/") and self.happen:
            self.happen, happen = None, self.happen
            happen()
        return info


def due(estate: Estate) -> Estate:
    history(estate)
    estate.purge()
    estate.wait(days=3, hours=1)
    estate.backup(-3)
    return estate


def test_a_hold_whose_record_somebody_removed_from_the_bucket_stands(estate: Estate) -> None:
    due(estate)
    doomed = deleted_backups(estate)[0]
    scope = HoldScope(ScopeKind.BACKUP, "shop", backup_id=doomed.removeprefix("backup/"))
    with estate.engine.begin() as connection:
        HoldRepository().add(connection, to_record(Hold(HOLD, scope, "case-7", "olaf", estate.clock.now())))

    estate.purge()

    assert doomed.removeprefix("backup/") in estate.backups()


def test_a_hold_on_a_period_in_the_last_moment_reaches_the_log_from_a_backup_that_stays(
    estate: Estate,
) -> None:
    store = Interrupted(estate.directory / "bucket")
    store.clock = estate.store.clock
    estate = replace(estate, store=store)
    estate.log(10)
    for days in (8, 4):
        estate.backup(days)
    for days in (2, 1, 0):
        estate.backup(days, proven=False)
    estate.policy_text = estate.policy_text.replace("proven: 1", "proven: 2")
    estate.purge()
    estate.wait(days=3, hours=1)
    estate.backup(-3, proven=False)
    since = NOW - timedelta(days=7)
    scope = HoldScope(ScopeKind.PERIOD, "shop", since=since, until=since + timedelta(hours=1))
    hold = Hold(HOLD, scope, "case-7", "olaf", estate.clock.now())
    store.happen = lambda: BucketHolds(store, estate.signer.verifier).write(hold, estate.signer)

    def between() -> list[str]:
        """The log from the backup before the period to its beginning."""
        items = [item for source in estate.service()._parts.sources("shop", None) for item in source.items()]
        log = [item for item in items if item.kind is Kind.WAL]
        return [item.id for item in log if since - timedelta(days=1) <= item.created_at <= since]

    before = between()
    assert set(before) <= {one.item for one in estate.plan().plans[0].having(Action.DELETE)}

    estate.purge()

    assert between() == before


def test_what_a_locked_backup_builds_on_stays_though_the_lock_is_on_one_object_alone(in_s3: Estate) -> None:
    estate = in_s3
    full = estate.backup(6)
    child = estate.backup(5, parent=full)
    for days in (2, 1, 0):
        estate.backup(days)
    estate.purge()
    estate.wait(days=3, hours=1)
    estate.backup(-3)
    assert {f"backup/{full.backup_id}", f"backup/{child.backup_id}"} <= set(deleted_backups(estate))
    until = estate.clock.now() + timedelta(days=1)
    estate.store.extend_retention(child.objects[0].key, Retention("governance", until))

    report = estate.purge()

    assert {full.backup_id, child.backup_id} <= set(estate.backups())
    assert "builds on it" in report.places[0].spared[f"backup/{full.backup_id}"]


def test_a_reader_whose_clock_is_behind_keeps_what_it_reads(estate: Estate) -> None:
    due(estate)
    doomed = deleted_backups(estate)[0]
    made = estate.plan()
    estate.approve(made)
    behind = FixedClock(estate.clock.now() - timedelta(minutes=9))

    with Readers(lambda: estate.store, behind).reading("shop", "restore", [doomed]):
        estate.wait(minutes=2)
        estate.apply(made)

    assert doomed.removeprefix("backup/") in estate.backups()


def test_a_copy_that_failed_its_own_proof_is_not_proven_by_the_stores(estate: Estate) -> None:
    """The newest backup of the copy is damaged; the one before is the last that can be restored from it."""
    offsite = TimedDirectory(estate.directory / "offsite")
    offsite.clock = estate.clock
    estate.offsite = offsite
    good, bad = estate.backup(5, store=offsite), estate.backup(1, store=offsite)
    for manifest in (good, bad):
        estate.prove(manifest, hashlib.sha256(manifest.sign(estate.signer)).hexdigest())
    failed = estate.proof(bad, Status.FAILED, copy="offsite")
    estate.store.put_bytes(failed.key, failed.signed(estate.signer))

    items = [item for source in estate.service()._parts.sources("shop", "offsite") for item in source.items()]

    proven = {item.id for item in items if item.proven_at is not None}
    assert proven == {f"backup/{good.backup_id}"}


def test_a_purge_that_was_killed_does_not_finish_what_has_been_written_again_since(estate: Estate) -> None:
    """Log that a killed shipment had left was on its way out; meanwhile it was shipped anew, under the same key."""
    history(estate, 2)
    shipped = estate.keys("wal/")
    again = next(key for key in shipped if key.endswith(".age"))
    debris = DeletedItem(f"debris/wal/{CLUSTER}/00000001", Kind.DEBRIS, (f"{again}.gone", again), None)
    marks = MarkStore(estate.store, "shop", estate.signer.verifier)
    marks.announce(Deletion("store", "0" * 64, (debris,)), estate.signer)

    estate.purge()

    assert estate.keys("wal/") == shipped

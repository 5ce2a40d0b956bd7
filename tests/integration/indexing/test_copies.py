"""What copies hold is read from their own stores, how their last run ended from the log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from strongroom.audit import QueueSink
from strongroom.backup.copying import CopyParts, CopyPlan, CopyStatus, StoreReplicator
from strongroom.backup.indexing import CatalogParts, CatalogRebuilder, IndexReport, Problem
from strongroom.backup.verification.proof import read_proof
from strongroom.clock import SystemClock
from strongroom.storage import LocalObjectStore, ObjectStore, S3ObjectStore
from tests.integration.indexing.conftest import Survivor
from tests.integration.verification.place import ACTOR

TABLES = "copied_backup, copy_run, copy_proof"


@dataclass(frozen=True)
class Offsite:
    """A survivor with a copy, and the control database's knowledge of it lost."""

    survivor: Survivor
    copy: ObjectStore
    before: CopyStatus

    def replicator(self) -> StoreReplicator:
        site = self.survivor
        trusted = site.place.signer.verifier
        parts = CopyParts(
            site.store, lambda name: self.copy, site.engine, QueueSink(), trusted, SystemClock()
        )
        return StoreReplicator(parts)

    def status(self) -> CopyStatus:
        return self.replicator().status("shop", "offsite")

    def keeper(self) -> CatalogRebuilder:
        site, clock = self.survivor, SystemClock()
        trusted = site.place.signer.verifier
        copies = {"offsite": lambda: self.copy}
        return CatalogRebuilder(
            CatalogParts(site.store, site.engine, QueueSink(clock), trusted, clock, copies)
        )

    def rebuild(self, **options: Any) -> IndexReport:
        return self.keeper().rebuild(ACTOR, **options)


def lost(survivor: Survivor, copy: ObjectStore, plan: CopyPlan) -> Offsite:
    """Copy, publish the log, and forget all about the copy."""
    survivor.rebuild()
    made = Offsite(survivor, copy, CopyStatus("", "", 0, 0, None, None, None, None, 0, None, None))
    made.replicator().run(ACTOR, plan, "offsite")
    survivor.log().seal()
    before = made.status()
    with survivor.engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {TABLES}"))
    assert made.status().complete == 0
    return Offsite(survivor, copy, before)


@pytest.fixture
def offsite(survivor: Survivor, tmp_path: Path) -> Offsite:
    return lost(survivor, LocalObjectStore(tmp_path / "offsite"), CopyPlan("shop", "00" * 32))


def test_what_a_copy_holds_is_known_again(offsite: Offsite) -> None:
    assert offsite.keeper().check(ACTOR).copies.added == 2
    report = offsite.rebuild()
    assert (report.findings, report.copies.found, report.copies.added) == ((), 2, 2)
    after = offsite.status()
    assert (after.complete, after.newest) == (1, offsite.survivor.place.backup_id)
    assert after.outcome == offsite.before.outcome == "success"
    assert after.last_run is not None
    assert offsite.before.last_run is not None
    assert abs(after.last_run - offsite.before.last_run) < timedelta(
        seconds=5
    )  # the event's time, not the row's
    assert offsite.rebuild().differences == offsite.keeper().check(ACTOR).differences == 0


def test_until_when_a_copy_is_locked_is_asked_of_its_store(
    survivor: Survivor, s3_store: S3ObjectStore
) -> None:
    offsite = lost(survivor, s3_store, CopyPlan("shop", "00" * 32, "governance", 3))
    assert offsite.rebuild().findings == ()
    assert offsite.status().locked_until == offsite.before.locked_until is not None
    assert offsite.keeper().check(ACTOR).differences == 0


def test_a_backup_that_a_copy_holds_in_part_is_told_and_not_counted(offsite: Offsite) -> None:
    base = next(info.key for info in offsite.copy.list("backups/") if "base" in info.key)
    offsite.copy.delete_version(base, None)
    report = offsite.rebuild()
    assert [(item.problem, item.key) for item in report.findings] == [(Problem.MISSING, f"offsite: {base}")]
    assert offsite.status().complete == 0


def test_a_row_that_no_copy_stands_behind_is_told_and_forgotten_when_asked(offsite: Offsite) -> None:
    offsite.rebuild()
    for info in list(offsite.copy.list("backups/")):
        offsite.copy.delete_version(info.key, None)
    report = offsite.rebuild()
    assert [item.problem for item in report.findings] == [Problem.LOST]
    assert offsite.status().complete == 1
    assert offsite.rebuild(forget=True).forgotten == 1
    assert offsite.status().complete == 0


def test_a_copy_that_cannot_be_looked_at_is_told_and_all_the_rest_is_indexed(
    survivor: Survivor, tmp_path: Path
) -> None:
    def away() -> ObjectStore:
        return LocalObjectStore(tmp_path / "unmounted", create=False)

    clock, trusted = SystemClock(), survivor.place.signer.verifier
    parts = CatalogParts(survivor.store, survivor.engine, QueueSink(clock), trusted, clock, {"offsite": away})
    report = CatalogRebuilder(parts).rebuild(ACTOR)
    assert [(item.problem, item.key) for item in report.findings] == [(Problem.UNREACHABLE, "copies/offsite")]
    assert report.backups.added == 1


def test_a_manifest_that_was_altered_in_a_copy_is_not_believed(offsite: Offsite) -> None:
    from strongroom.storage import Condition

    key = next(info.key for info in offsite.copy.list("backups/") if info.key.endswith("manifest.json"))
    data = offsite.copy.get_bytes(key).replace(b'"physical"', b'"logical" ')
    offsite.copy.put_bytes(key, data, condition=Condition.OVERWRITE)
    report = offsite.rebuild()
    assert [(item.problem, item.key) for item in report.findings] == [
        (Problem.NOT_BELIEVED, f"offsite: {key}")
    ]
    assert offsite.status().complete == 0


def test_a_copys_proof_is_found_in_the_copy_when_the_store_has_lost_it(offsite: Offsite) -> None:
    from dataclasses import replace

    site = offsite.survivor
    proof = replace(read_proof(site.proof.read_bytes(), site.place.signer.verifier), copy="offsite")
    offsite.copy.put_bytes(proof.key, proof.signed(site.place.signer))
    report = offsite.rebuild()
    assert report.findings == ()
    assert offsite.status().proof == "proven"
    assert offsite.keeper().check(ACTOR).differences == 0

"""Proofs know the archive: a hole in the log is found, and a random moment is restored and compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from strongroom.audit import QueueSink
from strongroom.backup.continuous.layout import wal_prefix
from strongroom.backup.fingerprints import FingerprintDocument
from strongroom.backup.restoring.facts import gather
from strongroom.backup.restoring.request import RestoreTarget
from strongroom.backup.verification import (
    Check,
    Proof,
    RestoreVerifier,
    Status,
    VerificationChecks,
    VerificationParts,
    read_proof,
)
from strongroom.backup.verification.fetching import read_fingerprints
from strongroom.backup.verification.moment import drawn
from strongroom.backup.verification.quiet import compare_quiet
from strongroom.clock import SystemClock, timestamp
from strongroom.postgres import parse_lsn
from tests.integration.restoring.conftest import Archived
from tests.integration.restoring.site import ACTOR, engine_of, opened

RANDOM = VerificationChecks(random_point=True, amcheck=False)


def verify(archived: Archived, scratch: Path, checks: VerificationChecks, backup_id: str) -> Proof:
    site = archived.site
    parts = VerificationParts(
        site.store,
        site.vault(site.provider),
        engine_of(site.control_url),
        QueueSink(),
        site.signer,
        SystemClock(),
        scratch,
        site.directory,
    )
    return RestoreVerifier(parts).verify_checks(ACTOR, "shop", checks, backup_id)


def check(proof: Proof, level: str, name: str) -> Check:
    [found] = [item for one in proof.levels if one.level == level for item in one.checks if item.name == name]
    return found


def test_a_random_moment_is_restored_and_what_was_quiet_is_equal(archived: Archived, into: Path) -> None:
    proof = verify(archived, into, RANDOM, archived.second_backup)

    assert proof.proven, proof.problems()
    found = check(proof, "L3", "random point")
    assert found.counts["equal"] == 1, "public.quiet"
    assert found.counts["not_comparable"] >= 1, "public.load"
    moment = proof.restore.random_point
    assert moment is not None
    assert timestamp(moment) in found.detail
    assert "everything up to" in check(proof, "L2", "archived WAL").detail
    assert proof.restore.covered_until is not None
    assert proof.restore.covered_until >= archived.stopped_at
    assert proof.rpo_seconds == (proof.verified_at - proof.restore.covered_until).total_seconds()
    stored = archived.site.store.get_bytes(proof.key)
    assert read_proof(stored, archived.site.signer.verifier) == proof
    assert list(into.iterdir()) == []


def test_a_hole_in_the_archive_after_the_backup_is_found(archived: Archived, into: Path) -> None:
    keys = sorted(item.key for item in archived.site.store.list(wal_prefix("shop")))
    missing = [key for key in keys if key.endswith(".zst.age")][-2]
    archived.site.store.delete_version(missing, None)

    proof = verify(archived, into, VerificationChecks(amcheck=False), archived.second_backup)

    assert not proof.proven
    assert Path(missing).name.removesuffix(".zst.age") in check(proof, "L2", "archived WAL").detail
    assert check(proof, "L3", "recovery").status is Status.PASSED, (
        "the backup itself is restored all the same"
    )


def test_a_quiet_table_with_other_content_is_a_difference_and_a_busy_one_is_not_comparable(
    archived: Archived, into: Path
) -> None:
    site = archived.site
    report = site.restore(RestoreTarget("latest"), into)
    backup = gather(site.store, "shop", site.signer.verifier).backup(archived.second_backup)
    assert backup is not None
    manifest = backup.manifest
    item = manifest.object("fingerprints")
    with site.vault(site.provider).fetch(ACTOR, item.key, expect=item.stored()) as content:
        source = read_fingerprints(content)
    after = parse_lsn(manifest.restore_point.lsn)
    with opened(report, site.source) as cluster:
        assert compare_quiet(cluster, source, after).differences == []
        found = compare_quiet(cluster, _altered(source), after)
    assert found.differences == ["shop.public.quiet has other content in its 3000 rows"]
    assert [table.table for table in found.not_comparable] == ["load"]


def _altered(source: FingerprintDocument) -> FingerprintDocument:
    databases = {
        name: replace(
            content,
            tables=tuple(
                replace(table, hash="0" * 32) if table.hash is not None else table for table in content.tables
            ),
        )
        for name, content in source.databases.items()
    }
    return replace(source, databases=databases)


def test_the_moment_is_the_same_for_the_same_backup(archived: Archived) -> None:
    earliest, latest = archived.commits[0].at, archived.stopped_at
    moment = drawn("20261124T020000Z-1f3a", earliest, latest)
    assert earliest <= moment <= latest
    assert moment == drawn("20261124T020000Z-1f3a", earliest, latest)
    assert moment != drawn("20261124T020000Z-1f3b", earliest, latest)

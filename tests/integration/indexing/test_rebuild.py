"""The bucket is the truth: the index made again from it, and what cannot be believed told and left out."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import text

from strongroom.access import Actor, ActorKind, Role
from strongroom.audit import verify_log
from strongroom.backup.continuous import ArchivedSegment, SegmentsReceipt
from strongroom.backup.continuous.layout import segment_key
from strongroom.backup.indexing import Problem
from strongroom.backup.verification.proof import read_proof
from strongroom.catalog import CopyRepository
from strongroom.errors import AccessDeniedError
from strongroom.signing import SignerKey
from strongroom.storage import Condition, LocalObjectStore, ObjectInfo, StoreUnavailableError
from tests.integration.indexing.conftest import FILE
from tests.integration.verification.place import ACTOR

AUDITOR = Actor("eve", ActorKind.PERSON, frozenset({Role.AUDITOR}))


def found(report):
    """The problems, with the keys that they are about."""
    return {(item.problem, item.key) for item in report.findings}


def events(survivor):
    with survivor.engine.connect() as connection:
        rows = connection.execute(text("SELECT entry FROM audit_queue ORDER BY id")).scalars()
        documents = [json.loads(bytes(row)) for row in rows]
    return [event for event in documents if event["type"] == "catalog:index:rebuild"]


def sign_again(survivor, path, signer, **changes):
    """Put a document in another one's place, signed, as somebody with access to the bucket could."""
    document = json.loads(path.read_text())
    data = json.dumps(signer.sign_json({**document, **changes})).encode()
    survivor.store.put_bytes(str(path.relative_to(survivor.bucket)), data, condition=Condition.OVERWRITE)


def test_a_lost_control_database_is_made_again_from_the_bucket(survivor, original):
    report = survivor.rebuild()
    assert report.findings == ()
    assert survivor.index() == original.index
    assert (report.backups.added, report.proofs.added) == (1, 1)
    assert report.epochs == 2


def test_the_audit_log_goes_on_where_the_bucket_says_it_was(survivor):
    published = verify_log(survivor.store, survivor.place.signer.verifier)
    report = survivor.rebuild()
    assert (report.log_entries, report.log_behind) == (published.size, published.size)
    survivor.log().seal()
    after = verify_log(survivor.store, survivor.place.signer.verifier)
    assert after.size > published.size


def test_rebuilding_again_changes_nothing(survivor):
    survivor.rebuild()
    before = survivor.index()
    again = survivor.rebuild()
    assert (again.differences, again.problem_count, again.log_behind) == (0, 0, 0)
    assert survivor.index() == before


def test_rebuilding_needs_no_private_key_of_any_kind(survivor):
    keeper = survivor.keeper()
    for name in ("signing.key", "local.key"):
        (survivor.place.directory / name).unlink()
    assert keeper.rebuild(ACTOR).problem_count == 0


def test_attempt_and_result_are_recorded_with_what_was_found(survivor):
    survivor.rebuild()
    attempt, result = events(survivor)
    assert attempt["data"]["phase"] == "attempt"
    assert result["data"]["outcome"] == "success"
    assert result["data"]["counts"]["backups"] == 1
    assert result["data"]["correlation_id"] == attempt["data"]["correlation_id"]


def test_a_manifest_of_a_stranger_is_told_and_not_indexed(survivor):
    sign_again(survivor, survivor.manifest, SignerKey.generate("stranger"))
    report = survivor.rebuild()
    key = str(survivor.manifest.relative_to(survivor.bucket))
    assert (Problem.NOT_BELIEVED, key) in found(report)
    assert "signed by another key" in report.findings[0].detail
    assert survivor.index()["backups"] == []
    assert events(survivor)[-1]["data"]["outcome"] == "partial"


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"not json", b"\xff\xfe", b'{"format": "x"}', b"[" * 100_000]
)
def test_a_manifest_that_is_none_is_told_and_does_not_stop_the_rest(survivor, content):
    other = survivor.manifest.parent.parent / "20200101T000000Z-0000"
    other.mkdir()
    (other / "manifest.json").write_bytes(content)
    report = survivor.rebuild()
    assert [item.problem for item in report.findings] == [Problem.NOT_BELIEVED]
    assert len(survivor.index()["backups"]) == 1


def test_a_manifest_that_was_moved_is_not_the_backup_of_its_new_place(survivor):
    other = survivor.bucket / "backups" / "other" / survivor.place.backup_id
    shutil.copytree(survivor.manifest.parent, other)
    report = survivor.rebuild()
    moved = f"backups/other/{survivor.place.backup_id}/manifest.json"
    assert (Problem.NOT_BELIEVED, moved) in found(report)
    assert [backup.database for backup in survivor.index()["backups"]] == ["shop"]


def test_a_proof_of_another_manifest_proves_nothing(survivor):
    sign_again(survivor, survivor.proof, survivor.place.signer, manifest_sha256="0" * 64)
    report = survivor.rebuild()
    assert [item.problem for item in report.findings] == [Problem.NOT_BELIEVED]
    assert "proves another manifest" in report.findings[0].detail
    assert survivor.index()["proofs"] == []


def test_what_a_verification_of_a_copy_found_is_indexed_as_that(survivor):
    signer = survivor.place.signer
    proof = replace(read_proof(survivor.proof.read_bytes(), signer.verifier), copy="offsite")
    survivor.store.put_bytes(proof.key, proof.signed(signer))
    report = survivor.rebuild()
    assert (report.proofs.added, report.problem_count) == (2, 0)
    with survivor.engine.connect() as connection:
        found = CopyRepository().last_proof(connection, "shop", "offsite")
    assert (found.backup_id, found.result) == (survivor.place.backup_id, "proven")
    assert len(survivor.index()["proofs"]) == 1
    assert survivor.rebuild().differences == 0


def test_a_proof_that_was_altered_is_not_indexed(survivor):
    data = survivor.proof.read_bytes().replace(b'"shop"', b'"shoq"', 1)
    key = str(survivor.proof.relative_to(survivor.bucket))
    survivor.store.put_bytes(key, data, condition=Condition.OVERWRITE)
    assert survivor.rebuild().problems == {"not_believed": 1}
    assert survivor.index()["proofs"] == []


def test_an_object_that_the_manifest_names_and_that_is_gone_is_told(survivor):
    base = survivor.manifest.with_name("base.tar.zst.age")
    base.unlink()
    report = survivor.rebuild()
    assert found(report) == {(Problem.MISSING, str(base.relative_to(survivor.bucket)))}
    assert len(survivor.index()["backups"]) == 1, (
        "the backup is known, so that a verification can say what is wrong"
    )
    assert survivor.rebuild().problems == {"missing": 1}


def test_an_object_of_another_size_is_told(survivor):
    base = survivor.manifest.with_name("base.tar.zst.age")
    base.write_bytes(base.read_bytes()[:-1])
    assert found(survivor.rebuild()) == {(Problem.DIFFERENT, str(base.relative_to(survivor.bucket)))}


@pytest.fixture
def incremental(survivor):
    """A second backup that builds on the first one, by its manifest."""
    parent, child_id = survivor.manifest, "20991231T000000Z-0001"
    sha256 = hashlib.sha256(parent.read_bytes()).hexdigest()
    child = parent.parent.parent / child_id / "manifest.json"
    shutil.copytree(parent.parent, child.parent)
    child.write_text(parent.read_text().replace(survivor.place.backup_id, child_id))
    chain = {
        "parent_id": survivor.place.backup_id,
        "parent_manifest_sha256": sha256,
        "full_id": survivor.place.backup_id,
        "position": 1,
    }
    sign_again(survivor, child, survivor.place.signer, kind="incremental", chain=chain)
    return child


def test_a_chain_is_indexed_whole(survivor, incremental):
    assert survivor.rebuild().problem_count == 0
    newest, oldest = survivor.index()["backups"]
    assert (newest.parent_id, newest.full_id) == (oldest.backup_id, oldest.backup_id)


def test_an_incremental_backup_whose_parent_is_gone_is_told(survivor, incremental):
    shutil.rmtree(survivor.manifest.parent)
    assert (Problem.MISSING, str(survivor.manifest.relative_to(survivor.bucket))) in found(survivor.rebuild())


def test_an_incremental_backup_whose_parent_is_another_one_is_told(survivor, incremental):
    sign_again(survivor, survivor.manifest, survivor.place.signer, fencing_number=99)
    assert (Problem.DIFFERENT, str(survivor.manifest.relative_to(survivor.bucket))) in found(
        survivor.rebuild()
    )


def test_a_key_record_that_is_gone_is_told_for_what_it_opens(survivor):
    (record,) = survivor.bucket.glob("keys/backup-*.json")
    record.unlink()
    assert {item.key for item in survivor.rebuild().findings} == {f"keys/{record.name}"}


def test_a_sealed_object_that_nobody_signed_for_is_told(survivor):
    shutil.copy2(survivor.bucket / FILE, survivor.bucket / "files" / "stranger.zst.age")
    assert found(survivor.rebuild()) == {(Problem.UNKNOWN, "files/stranger.zst.age")}


def ship(survivor, name="000000010000000000000003"):
    """Seal a segment of WAL and sign for it, as the shipper does."""
    parts = survivor.place.parts(None)
    key = segment_key("shop", "7000000000000000001", name)
    stored = parts.vault.store(ACTOR, key, [bytes(1 << 20)], kind="wal", recipients=["epoch"])
    parts.engine.dispose()
    segment = ArchivedSegment(name, key, stored.size_bytes, stored.sha256, 1 << 20, stored.epoch_ids)
    receipt = SegmentsReceipt(
        "shop",
        "7000000000000000001",
        1,
        1 << 20,
        "18",
        (segment,),
        None,
        1,
        "00" * 32,
        {"strongroom": "test"},
    )
    survivor.store.put_bytes(receipt.key, receipt.sign(survivor.place.signer))
    return key, receipt.key


def test_shipped_wal_is_indexed_from_its_receipts(survivor):
    key, _ = ship(survivor)
    assert survivor.rebuild().problem_count == 0
    assert {item.key: item.kind for item in survivor.index()["objects"]}[key] == "wal"


def test_wal_that_no_believed_receipt_names_is_told(survivor):
    key, receipt = ship(survivor)
    sign_again(survivor, survivor.bucket / receipt, SignerKey.generate("stranger"))
    assert found(survivor.rebuild()) == {(Problem.NOT_BELIEVED, receipt), (Problem.UNKNOWN, key)}


def test_a_segment_that_a_receipt_names_and_that_is_gone_is_told(survivor):
    key, _ = ship(survivor)
    (survivor.bucket / key).unlink()
    assert found(survivor.rebuild()) == {(Problem.MISSING, key)}


def test_a_backup_without_a_manifest_is_counted_as_unfinished(survivor):
    survivor.manifest.unlink()
    report = survivor.rebuild()
    assert report.unfinished_backups == 1
    assert survivor.index()["backups"] == []


def test_a_backup_that_was_deleted_is_told_and_forgotten_on_request_only(survivor):
    survivor.rebuild()
    objects = list(survivor.manifest.parent.glob("*.age"))
    shutil.rmtree(survivor.manifest.parent)
    survivor.proof.unlink()
    report = survivor.rebuild()
    assert report.problems == {"lost": 2 + len(objects)}
    assert len(survivor.index()["backups"]) == 1
    assert survivor.rebuild(forget=True).forgotten == report.problem_count
    assert (survivor.index()["backups"], survivor.index()["proofs"]) == ([], [])
    assert survivor.rebuild().problem_count == 0


class FailingListing(LocalObjectStore):
    """A bucket whose listing ends in an error after a few objects."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        for number, item in enumerate(super().list(prefix)):
            if number == 3:
                raise StoreUnavailableError("The bucket does not answer.")
            yield item


class FailingReads(LocalObjectStore):
    """A bucket that answers no request for a proof."""

    def get_bytes(self, key: str, **options):
        if key.startswith("proofs/"):
            raise StoreUnavailableError("The bucket does not answer.")
        return super().get_bytes(key, **options)


@pytest.mark.parametrize("kind", [FailingListing, FailingReads])
def test_half_a_listing_is_an_error_and_leaves_the_index_as_it_was(survivor, kind):
    survivor.rebuild()
    before = survivor.index()
    with pytest.raises(StoreUnavailableError):
        survivor.keeper(kind(survivor.bucket)).rebuild(ACTOR, forget=True)
    assert survivor.index() == before
    assert events(survivor)[-1]["data"]["outcome"] == "failure"


def test_a_broken_log_is_told_and_keeps_no_backup_from_being_found(survivor):
    for bundle in survivor.bucket.glob("log/tile/entries/**/*"):
        if bundle.is_file():
            bundle.write_bytes(bundle.read_bytes().replace(b"backup:run", b"backup:fun", 1))
    report = survivor.rebuild()
    assert (Problem.NOT_BELIEVED, "log/checkpoint") in found(report)
    assert len(survivor.index()["backups"]) == 1
    assert report.log_behind == 0


def test_a_check_changes_nothing_and_tells_the_same(survivor):
    survivor.rebuild()
    with survivor.engine.begin() as connection:
        connection.execute(text("DELETE FROM proof"))
        connection.execute(text("UPDATE backup SET timeline = 9"))
    report = survivor.keeper().check(ACTOR)
    assert (report.proofs.added, report.backups.changed) == (1, 1)
    assert survivor.index()["proofs"] == []
    assert survivor.rebuild().differences == 2
    assert survivor.keeper().check(ACTOR).differences == 0


def test_who_may_not_is_refused_and_that_is_recorded(survivor):
    with pytest.raises(AccessDeniedError):
        survivor.keeper().rebuild(AUDITOR)
    with survivor.engine.connect() as connection:
        entry = connection.execute(text("SELECT entry FROM audit_queue")).scalar_one()
    assert json.loads(bytes(entry))["type"] == "access:permission:refuse"

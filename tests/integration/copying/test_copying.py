"""A copy holds the same sealed objects as the store, whole or not at all, and nobody needs a private key for it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from strongroom.access import Actor, ActorKind, Role
from strongroom.audit.verify import verify_log
from strongroom.backup.copying import CopyIncompleteError, CopyPlan, CopyReport, UnknownCopyError
from strongroom.backup.verification import RestoreVerifier, VerificationChecks, read_proof
from strongroom.backup.verification.levels import LADDER
from strongroom.errors import AccessDeniedError
from strongroom.services import Services
from strongroom.settings import LocalStoreSettings, Settings
from strongroom.storage import BucketNotFoundError, ObjectLockedError, S3ObjectStore, StoreUnavailableError
from tests.sweeps.faults import Fault, Faults, FaultyStore
from tests.sweeps.ground import ACTOR, Ground
from tests.sweeps.scenarios import SealLog, TakeBackup

PLAN = CopyPlan("shop", "00" * 32)


@contextmanager
def without_private_key(ground: Ground) -> Iterator[Services]:
    with ground.services() as services:
        services.provider = None  # type: ignore[misc]
        yield services


def copy(ground: Ground, plan: CopyPlan = PLAN) -> CopyReport:
    with without_private_key(ground) as services:
        return services.replicator.run(ACTOR, plan, "offsite")


def damage(path: Path) -> None:
    """Flip a bit in the middle, behind the store's back."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def base_of(ground: Ground, place: int = 0) -> str:
    return ground.manifests()[place].object("base").key


def test_a_worker_without_a_private_key_copies_everything(backup: Ground) -> None:
    SealLog().run(backup)
    report = copy(backup)
    wanted = [key for key in backup.object_keys() if not key.startswith("leases/")]
    assert backup.object_keys(backup.offsite) == wanted
    assert all((backup.offsite / key).read_bytes() == (backup.bucket / key).read_bytes() for key in wanted)
    assert report.backups == report.new_backups == (backup.manifests()[0].backup_id,)
    with backup.services() as services:
        status = services.replicator.status("shop", "offsite")
        log = verify_log(services.stores.copy("offsite"), services.verifier_key)
    assert (status.backups, status.complete, status.outcome) == (1, 1, "success")
    assert log.size > 0


def test_a_second_run_copies_only_what_is_new(backup: Ground) -> None:
    copy(backup)
    assert copy(backup).copied_objects == 0
    TakeBackup().run(backup)
    report = copy(backup)
    assert (report.copied_objects, len(report.backups), len(report.new_backups)) == (3, 2, 1)


def test_what_is_damaged_in_the_store_is_not_copied_and_the_rest_is(backup: Ground) -> None:
    TakeBackup().run(backup)
    damaged = base_of(backup)
    damage(backup.bucket / damaged)
    with pytest.raises(CopyIncompleteError, match="base.tar.zst.age"):
        copy(backup)
    first, second = (manifest.backup_id for manifest in backup.manifests())
    copied = backup.object_keys(backup.offsite)
    assert damaged not in copied
    assert f"backups/shop/{first}/manifest.json" not in copied
    assert f"backups/shop/{second}/manifest.json" in copied
    assert list((backup.offsite / ".strongroom" / "writing").iterdir()) == []
    with backup.services() as services:
        status = services.replicator.status("shop", "offsite")
    assert (status.complete, status.outcome, status.problems) == (1, "partial", 1)


def test_an_altered_manifest_is_not_copied(backup: Ground) -> None:
    path = backup.bucket / backup.manifests()[0].key
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "stop_lsn": "0/2000130"}))
    with pytest.raises(CopyIncompleteError, match="manifest"):
        copy(backup)
    assert not any(key.startswith("backups/") for key in backup.object_keys(backup.offsite))


def test_what_the_copy_holds_otherwise_is_never_overwritten(backup: Ground) -> None:
    key = base_of(backup)
    (backup.offsite / key).parent.mkdir(parents=True)
    (backup.offsite / key).write_bytes(b"something else")
    with pytest.raises(CopyIncompleteError, match="another object"):
        copy(backup)
    assert (backup.offsite / key).read_bytes() == b"something else"
    (backup.offsite / key).unlink()
    assert copy(backup).new_backups


def test_what_the_copy_lost_is_copied_again(backup: Ground) -> None:
    copy(backup)
    key = base_of(backup)
    (backup.offsite / key).unlink()
    report = copy(backup)
    assert report.copied_objects == 1
    assert (backup.offsite / key).read_bytes() == (backup.bucket / key).read_bytes()


def test_a_copy_that_lost_a_manifest_no_longer_counts_as_whole(backup: Ground) -> None:
    copy(backup)
    (backup.offsite / backup.manifests()[0].key).unlink()
    damage(backup.bucket / base_of(backup))
    (backup.offsite / base_of(backup)).unlink()
    with pytest.raises(CopyIncompleteError):
        copy(backup)
    with backup.services() as services:
        assert services.replicator.status("shop", "offsite").complete == 0


def test_a_log_that_was_set_back_is_not_copied_over_a_longer_one(backup: Ground) -> None:
    SealLog().run(backup)
    older = backup.directory / "older-log"
    shutil.copytree(backup.bucket / "log", older)
    TakeBackup().run(backup)
    SealLog().run(backup)
    copy(backup)
    newest = (backup.offsite / "log" / "checkpoint").read_bytes()
    shutil.rmtree(backup.bucket / "log")
    shutil.copytree(older, backup.bucket / "log")
    with pytest.raises(CopyIncompleteError, match="it once had"):
        copy(backup)
    assert (backup.offsite / "log" / "checkpoint").read_bytes() == newest


def test_a_copy_that_is_away_fails_loudly_and_is_caught_up_later(backup: Ground) -> None:
    away = backup.offsite.with_name("unmounted")
    backup.offsite.rename(away)
    with pytest.raises(BucketNotFoundError, match="does not exist"):
        copy(backup)
    assert not backup.offsite.exists()
    away.rename(backup.offsite)
    assert copy(backup).new_backups


def test_a_name_that_nobody_defined_is_refused(backup: Ground) -> None:
    with backup.services() as services, pytest.raises(UnknownCopyError, match="There are: offsite"):
        services.replicator.run(ACTOR, PLAN, "elsewhere")


def test_an_auditor_may_not_copy(backup: Ground) -> None:
    auditor = Actor("reader", ActorKind.TASK, frozenset({Role.AUDITOR}))
    with backup.services() as services, pytest.raises(AccessDeniedError):
        services.replicator.run(auditor, PLAN, "offsite")
    refused = backup.rows(
        "SELECT convert_from(entry, 'UTF8') FROM public.audit_queue ORDER BY id DESC LIMIT 1"
    )
    assert '"copy_objects"' in refused[0][0]


def test_a_copy_in_the_same_place_is_refused(backup: Ground) -> None:
    same = LocalStoreSettings(kind="local", directory=backup.bucket / ".." / "bucket")
    with pytest.raises(ValueError, match="the same place as store"):
        Settings(store=backup.settings.store, copies={"offsite": same})


def test_a_copy_in_a_locked_bucket_cannot_be_deleted(backup: Ground, s3_store: S3ObjectStore) -> None:
    plan = CopyPlan("shop", "00" * 32, "compliance", 3)
    with without_private_key(backup) as services:
        services.stores._copies["offsite"] = s3_store
        report = services.replicator.run(ACTOR, plan, "offsite")
        status = services.replicator.status("shop", "offsite")
    assert status.locked_until == report.locked_until is not None
    for item in s3_store.list("backups/"):
        found = s3_store.head(item.key)
        assert found.retention is not None
        assert (found.retention.mode, found.retention.until) == ("compliance", report.locked_until)
        with pytest.raises(ObjectLockedError):
            s3_store.delete_version(item.key, found.version_id)


def test_a_stream_that_breaks_off_leaves_nothing_in_a_bucket(backup: Ground, s3_store: S3ObjectStore) -> None:
    with without_private_key(backup) as services:
        counted = Faults()
        services.stores._copies["offsite"] = FaultyStore(s3_store, counted)
        services.replicator.run(ACTOR, PLAN, "offsite")
        position = next(
            place for place, step in enumerate(counted.steps, 1) if step.name.endswith("base.tar.zst.age")
        )
        for item in list(s3_store.list("")):
            s3_store.delete_version(item.key, s3_store.head(item.key).version_id)
        broken = FaultyStore(s3_store, Faults(Fault(position, "middle", "error")))
        services.stores._copies["offsite"] = broken
        with pytest.raises(StoreUnavailableError):
            services.replicator.run(ACTOR, PLAN, "offsite")
        assert list(s3_store.list("backups/")) == []
        assert s3_store.abort_incomplete_uploads("") == 0
        services.stores._copies["offsite"] = s3_store
        assert services.replicator.run(ACTOR, PLAN, "offsite").backups


def test_a_copy_is_proven_by_what_it_holds_alone(backup: Ground) -> None:
    copy(backup)
    damage(backup.bucket / base_of(backup))
    with backup.services() as services:
        of_store = RestoreVerifier(services._verification_parts(), levels=LADDER[:2])
        proof = of_store.verify_checks(ACTOR, "shop", VerificationChecks())
        assert proof.problems() != []
        of_copy = services.verifier_of_copy("offsite")
        of_copy._levels = LADDER[:2]
        proof = of_copy.verify_checks(ACTOR, "shop", VerificationChecks())
        assert (proof.problems(), proof.copy) == ([], "offsite")
        assert read_proof(services.store.get_bytes(proof.key), services.verifier_key) == proof
        assert services.replicator.status("shop", "offsite").proven_backup == proof.backup_id
    assert backup.rows("SELECT count(*) FROM public.proof")[0][0] == 1
    copy(backup)
    assert proof.key in backup.object_keys(backup.offsite)

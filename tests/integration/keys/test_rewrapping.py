"""Rewrapping: the new key opens, the old one does not, every signed document still holds, at every instant."""

import io
import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from strongroom.access import Actor, ActorKind, Role
from strongroom.audit import QueueSink
from strongroom.catalog import ObjectRepository
from strongroom.clock import SystemClock
from strongroom.errors import AccessDeniedError
from strongroom.sealing import KeyRing, KmsKeyProvider, LocalKeyProvider, X25519Identity
from strongroom.signing import SignerKey
from strongroom.storage import Condition, LocalObjectStore, Retention
from strongroom.vault import SealedVault, VaultParts
from strongroom.vault.rewrapping import RewrapIncompleteError, RewrapParts, Rewrapper
from strongroom.vault.rotation import KeyRotation, RotationParts
from tests.support import require

ACTOR = Actor("keys", ActorKind.COMMAND, frozenset({Role.OPERATOR}))
SMALL = b"rows " * 1000
LARGE = os.urandom(1 << 20) * 12
KEY, BIG = "backups/shop/20261124T020000Z-0001/a.age", "backups/shop/20261124T020000Z-0001/b.age"


class Place:
    """A vault with keys, a bucket, and two objects in it."""

    def __init__(self, store, engine, folder, provider=None, content=((KEY, SMALL),)):
        self.store, self.engine, self.folder = store, engine, folder
        self.signer = SignerKey.generate("test")
        self.provider = provider or LocalKeyProvider.generate(folder / "local.key")
        self.escrow = X25519Identity.generate()
        self.copies = {}
        self.rotation = KeyRotation(
            RotationParts(self.ring(), self.provider, engine, QueueSink(), self.signer)
        )
        self.first = self.rotation.rotate(ACTOR)
        self.ring().add_escrow(str(self.escrow.recipient), self.signer)
        self.stored = {key: self.keep(key, data) for key, data in content}

    def ring(self, store=None):
        return KeyRing(store or self.store, self.signer.verifier, SystemClock())

    def vault(self, store=None):
        store = store or self.store
        parts = VaultParts(store, self.ring(store), self.provider, self.engine, QueueSink(), SystemClock())
        return SealedVault(parts)

    def keep(self, key, data):
        return self.vault().store(
            ACTOR, key, io.BytesIO(data), kind="backup", database="shop", compress=False
        )

    def rotate(self):
        return self.rotation.rotate(ACTOR)

    def rewrapper(self):
        return Rewrapper(
            RewrapParts(
                self.store, self.copies, self.ring(), self.provider, self.engine, QueueSink(), self.signer,
                SystemClock(),
            )
        )  # fmt: skip

    def identity(self, epoch):
        return self.ring().identities(self.provider, [epoch.id])[0]

    def read(self, key, store=None):
        """Read an object as a manifest of before the rewrap names it."""
        expect = replace(self.stored[key], version_id=None)
        with self.vault(store).fetch(ACTOR, key, expect=expect) as opened:
            return b"".join(bytes(part) for part in opened)

    def age(self, key, identity):
        """Open an object with the `age` command."""
        require("The age command", shutil.which("age") is not None)
        sealed, file = self.folder / "sealed", self.folder / "identity"
        with self.store.open_range(key) as stream:
            sealed.write_bytes(stream.read())
        file.write_text(f"{identity}\n")
        return subprocess.run(
            ["age", "-d", "-i", str(file), str(sealed)], capture_output=True, timeout=60, check=False
        )


@pytest.fixture
def place(s3_store, control_database, tmp_path):
    return Place(s3_store, control_database, tmp_path)


@pytest.fixture
def local(local_store, control_database, tmp_path):
    return Place(local_store, control_database, tmp_path)


@pytest.mark.parametrize("kind", ["local_store", "s3_store"])
def test_the_new_key_opens_it_and_the_old_one_does_not(kind, request, control_database, tmp_path):
    store = request.getfixturevalue(kind)
    place = Place(store, control_database, tmp_path, content=((KEY, SMALL), (BIG, LARGE)))
    second = place.rotate()
    report = place.rewrapper().run(ACTOR)
    assert (report.rewrapped, report.problems) == (2, [])
    for key, content in ((KEY, SMALL), (BIG, LARGE)):
        assert place.age(key, place.identity(second)).stdout == content
        assert place.age(key, place.escrow).stdout == content
        refused = place.age(key, place.identity(place.first))
        assert (refused.returncode != 0, b"no identity matched" in refused.stderr) == (True, True)
        assert place.read(key) == content
        assert len(list(store.list_versions(key))) == 1


def test_the_index_knows_the_new_form_and_a_second_run_does_nothing(place):
    second = place.rotate()
    place.rewrapper().run(ACTOR)
    with place.engine.connect() as connection:
        record = ObjectRepository().find(connection, KEY)
    assert second.id in record.epoch_ids
    assert place.first.id not in record.epoch_ids
    assert record.version_id == place.store.head(KEY).version_id
    again = place.rewrapper().run(ACTOR)
    assert (again.rewrapped, again.old_versions) == (0, 0)
    with place.vault().fetch(ACTOR, KEY) as opened:
        assert b"".join(bytes(part) for part in opened) == SMALL


def test_it_can_be_rewrapped_again_and_again(place):
    for _ in range(2):
        newest = place.rotate()
        place.rewrapper().run(ACTOR)
    assert place.age(KEY, place.identity(newest)).stdout == SMALL
    assert place.read(KEY) == SMALL


def test_the_payload_is_copied_by_the_store_and_never_sent_again(place, monkeypatch):
    place.stored[BIG] = place.keep(BIG, LARGE)
    place.rotate()
    sent = []
    client = place.store._client
    real = client.upload_part
    monkeypatch.setattr(
        client, "upload_part", lambda **options: sent.append(len(options["Body"])) or real(**options)
    )
    place.rewrapper().run(ACTOR)
    assert sum(sent) < 6 << 20
    assert place.read(BIG) == LARGE


def test_a_locked_version_stays_and_is_deleted_once_it_may(place):
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=7)
    place.store.extend_retention(KEY, Retention("compliance", until))
    place.rotate()
    report = place.rewrapper().run(ACTOR)
    assert (report.rewrapped, report.old_versions) == (1, 1)
    assert place.store.head(KEY).retention == Retention("compliance", until)
    assert len(list(place.store.list_versions(KEY))) == 2
    time.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()) + 1)
    assert place.rewrapper().run(ACTOR).old_versions == 0
    assert len(list(place.store.list_versions(KEY))) == 1


def test_a_legal_hold_goes_over_to_the_new_version_and_the_old_one_stays(place):
    place.store.set_hold(KEY, True)
    place.rotate()
    assert place.rewrapper().run(ACTOR).old_versions == 1
    versions = [info.version_id for info in place.store.list_versions(KEY)]
    assert len(versions) == 2
    assert all(place.store.head(KEY, version_id=version).legal_hold for version in versions)


def test_a_damaged_object_is_left_as_it_is_and_told(place):
    place.stored[BIG] = place.keep(BIG, SMALL)
    sealed = bytearray(place.store.get_bytes(KEY))
    sealed[-1] ^= 1
    place.store.put_bytes(KEY, bytes(sealed), condition=Condition.OVERWRITE)
    place.rotate()
    with pytest.raises(RewrapIncompleteError, match="not the object that was recorded"):
        place.rewrapper().run(ACTOR)
    assert place.store.get_bytes(KEY) == bytes(sealed)
    assert place.read(BIG) == SMALL


def test_a_record_of_a_stranger_makes_nothing_believed(place):
    from strongroom.sealing.rewraps import Rewraps, sign_rewrap
    from strongroom.signing import SignatureError

    place.rotate()
    place.rewrapper().run(ACTOR)
    record = Rewraps(place.store, place.signer.verifier).find(KEY)
    forged = sign_rewrap(record, SignerKey.generate("test"))
    place.store.put_bytes(f"rewraps/{KEY}.json", forged, condition=Condition.OVERWRITE)
    with pytest.raises(SignatureError):
        place.read(KEY)


def test_an_object_that_was_put_in_its_place_is_still_found_out(place):
    from strongroom.errors import IntegrityError

    place.rotate()
    place.rewrapper().run(ACTOR)
    other = place.keep("backups/shop/20261124T020000Z-0001/c.age", b"else")
    place.store.put_bytes(KEY, place.store.get_bytes(other.key), condition=Condition.OVERWRITE)
    with pytest.raises(IntegrityError):
        place.read(KEY)


def test_copies_get_the_same_header_and_open_by_themselves(local, tmp_path):
    from strongroom.backup.copying.areas import SealedObject
    from strongroom.backup.copying.transfer import transfer

    copy = LocalObjectStore(tmp_path / "copy")
    stored = local.stored[KEY]
    transfer(local.store, copy, SealedObject(KEY, stored.size_bytes, stored.sha256))
    for info in local.store.list("keys/"):
        copy.put_bytes(info.key, local.store.get_bytes(info.key))
    local.copies["offsite"] = lambda: copy
    second = local.rotate()
    report = local.rewrapper().run(ACTOR)
    assert report.rewrapped == 2
    assert copy.get_bytes(KEY) == local.store.get_bytes(KEY)
    key = f"keys/{second.id}.json"
    copy.put_bytes(key, local.store.get_bytes(key))
    assert local.read(KEY, copy) == SMALL


def test_who_may_not_rewrap_is_refused(local):
    with pytest.raises(AccessDeniedError):
        local.rewrapper().run(Actor("app", ActorKind.TASK, frozenset({Role.APPLICATION})))


def test_keys_that_kms_wraps_are_rotated_and_rewrapped_too(
    local_store, control_database, tmp_path, monkeypatch
):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    import boto3
    from moto import mock_aws

    with mock_aws():
        client = boto3.client("kms", region_name="eu-west-1")
        provider = KmsKeyProvider(client, client.create_key()["KeyMetadata"]["Arn"])
        place = Place(local_store, control_database, tmp_path, provider)
        second = place.rotate()
        place.rewrapper().run(ACTOR)
        assert place.age(KEY, place.identity(second)).stdout == SMALL
        assert place.age(KEY, place.identity(place.first)).returncode != 0


@pytest.mark.parametrize("kind", ["local_store", "s3_store"])
@pytest.mark.parametrize("position", range(10))
def test_killed_at_any_step_nothing_is_lost_and_the_next_run_goes_on(
    kind, position, request, control_database, tmp_path
):
    store = request.getfixturevalue(kind)
    place = Place(store, control_database, tmp_path)
    place.rotate()
    child = os.fork()
    if child == 0:
        control_database.dispose(close=False)
        _die_at(store, position)
        place.rewrapper().run(ACTOR)
        os._exit(0)
    os.waitpid(child, 0)
    assert place.read(KEY) == SMALL
    assert place.rewrapper().run(ACTOR).problems == []
    assert place.read(KEY) == SMALL
    assert place.age(KEY, place.identity(place.first)).returncode != 0
    assert len(list(store.list_versions(KEY))) == 1
    with control_database.connect() as connection:
        record = ObjectRepository().find(connection, KEY)
        locks = connection.execute(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")).scalar()
    assert record.sha256 == _sha256(store, KEY)
    assert locks == 0


def _sha256(store, key):
    import hashlib

    return hashlib.sha256(store.get_bytes(key)).hexdigest()


def _die_at(store, position):
    """Kill this process before (even) or after (odd) one of its writing calls."""
    calls = iter(range(1000))

    def deadly(real):
        def call(*arguments, **options):
            number = next(calls)
            if number * 2 == position:
                os.kill(os.getpid(), signal.SIGKILL)
            answer = real(*arguments, **options)
            if number * 2 + 1 == position:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return call

    for name in ("put_bytes", "replace_start", "delete_version"):
        setattr(store, name, deadly(getattr(store, name)))

"""Epochs, escrow, and who may open what: with a key file, and with KMS (moto stands in for AWS)."""

import base64
import io
import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from botocore.stub import Stubber

from strongroom.clock import FixedClock
from strongroom.errors import ConfigurationError, InputError
from strongroom.sealing import (
    EpochExpiredError,
    EpochNotFoundError,
    KeyFileError,
    KeyRecordError,
    KeyRing,
    KeyServiceDeniedError,
    KeyServiceUnavailableError,
    KeyTextError,
    KeyUnwrapError,
    KmsKeyProvider,
    LocalKeyProvider,
    WrongKeyError,
    X25519Identity,
    XWingIdentity,
    seal,
    unseal,
)
from strongroom.signing import SignatureError, SignerKey
from strongroom.storage import Condition, LocalObjectStore
from tests.support import require

NOW = datetime(2026, 8, 1, 2, tzinfo=UTC)
CONTEXT = {"key": "backups/shop"}


@pytest.fixture
def signer():
    return SignerKey.generate("strongroom.test")


@pytest.fixture
def clock():
    return FixedClock(NOW)


@pytest.fixture
def store(tmp_path):
    directory = tmp_path / "store"
    directory.mkdir()
    return LocalObjectStore(directory)


@pytest.fixture
def ring(store, signer, clock):
    return KeyRing(store, signer.verifier, clock)


@pytest.fixture
def local(tmp_path):
    return LocalKeyProvider.generate(tmp_path / "local.key")


@pytest.fixture
def kms(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    import boto3
    from moto import mock_aws

    with mock_aws():
        client = boto3.client("kms", region_name="eu-west-1")
        key = client.create_key()["KeyMetadata"]["Arn"]
        yield client, key


def sealed(recipients, data=b"a backup"):
    return b"".join(bytes(piece) for piece in seal([data], recipients, context=CONTEXT))


def opened(data, identities):
    return b"".join(bytes(piece) for piece in unseal(io.BytesIO(data), identities, context=CONTEXT))


def test_a_new_epoch_seals_and_opens(ring, local, signer):
    epoch = ring.create_epoch(purpose="backup", provider=local, signer=signer)
    assert ring.current("backup") == epoch == ring.epochs()[0]
    assert opened(sealed(ring.recipients(["epoch"])), ring.identities(local)) == b"a backup"
    assert opened(sealed(ring.recipients(["epoch"])), ring.identities(local, [epoch.id])) == b"a backup"


def test_sealing_needs_no_private_key(ring, local, signer, store, clock):
    ring.create_epoch(purpose="backup", provider=local, signer=signer)
    local.path.unlink()
    public_only = KeyRing(store, signer.verifier, clock)
    assert sealed(public_only.recipients(["epoch"])).startswith(b"age-encryption.org/v1\n")


def test_with_the_private_half_lost_escrow_alone_recovers(ring, local, signer, store):
    escrow = X25519Identity.generate()
    epoch = ring.create_epoch(purpose="backup", provider=local, signer=signer)
    ring.add_escrow(str(escrow.recipient), signer)
    file = sealed(ring.recipients(["epoch", "escrow"]))
    local.path.unlink()
    with pytest.raises(KeyFileError, match="escrow"):
        ring.identities(LocalKeyProvider(local.path), [epoch.id])
    with pytest.raises(WrongKeyError):
        opened(file, [X25519Identity.generate()])
    assert opened(file, [escrow]) == b"a backup"


def test_the_record_and_the_age_command_recover_without_strongroom(ring, local, signer, store, tmp_path):
    age = shutil.which("age")
    require("the age command", age is not None)
    epoch = ring.create_epoch(purpose="backup", provider=local, signer=signer)
    file = sealed(ring.recipients(["epoch"]))
    record = json.loads(store.get_bytes(f"keys/{epoch.id}.json"))
    wrapped = base64.b64decode(record["wrapped"]["data"])
    key = tmp_path / "epoch.key"
    key.write_bytes(_age(age, local.path, wrapped))
    assert _age(age, key, file) == b"a backup"


def _age(command, key, data):
    return subprocess.run([command, "-d", "-i", str(key)], input=data, capture_output=True, check=True).stdout


def test_the_newest_epoch_seals_and_the_old_one_still_opens(ring, local, signer, clock):
    old = ring.create_epoch(purpose="backup", provider=local, signer=signer, lifetime=timedelta(days=90))
    file = sealed(ring.recipients(["epoch"]))
    clock.moment += timedelta(days=91)
    with pytest.raises(EpochExpiredError, match="past its end"):
        ring.recipients(["epoch"])
    with pytest.raises(EpochExpiredError):
        ring.recipients([old.id])
    new = ring.create_epoch(purpose="backup", provider=local, signer=signer)
    assert ring.current("backup") == new
    assert opened(file, ring.identities(local, [old.id])) == b"a backup"


def test_adding_an_escrow_twice_adds_it_once(ring, signer):
    recipient = str(X25519Identity.generate().recipient)
    assert ring.add_escrow(recipient, signer) == ring.add_escrow(recipient, signer)
    assert len(ring.epochs()) == 1


def test_a_private_key_cannot_become_an_escrow_by_mistake(ring, signer):
    with pytest.raises(KeyTextError):
        ring.add_escrow(str(X25519Identity.generate()), signer)


def test_a_post_quantum_epoch_wants_a_post_quantum_provider(ring, local, signer, tmp_path):
    with pytest.raises(ConfigurationError, match="post-quantum"):
        ring.create_epoch(purpose="archive", provider=local, signer=signer, post_quantum=True)
    strong = LocalKeyProvider.generate(tmp_path / "pq.key", post_quantum=True)
    ring.create_epoch(purpose="archive", provider=strong, signer=signer, post_quantum=True)
    ring.add_escrow(str(XWingIdentity.generate().recipient), signer)
    assert opened(sealed(ring.recipients(["archive", "escrow"])), ring.identities(strong)) == b"a backup"


def test_names_that_stand_for_nothing_are_refused(ring, local, signer):
    for name in ("epoch", "escrow", "nonsense"):
        with pytest.raises(EpochNotFoundError):
            ring.recipients([name])
    with pytest.raises(EpochNotFoundError, match="backup-2020"):
        ring.identities(local, ["backup-2020"])
    with pytest.raises(InputError):
        ring.create_epoch(purpose="Not/A Purpose", provider=local, signer=signer)


def _edit(store, epoch, change):
    key = f"keys/{epoch.id}.json"
    document = json.loads(store.get_bytes(key))
    change(document)
    store.put_bytes(key, json.dumps(document).encode(), condition=Condition.OVERWRITE)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(recipient=str(X25519Identity.generate().recipient)),
        lambda d: d.pop("signature"),
        lambda d: d["signature"].update(value="AAAA"),
        lambda d: d.update(SignerKey.generate("strongroom.test").sign_json(d)),
    ],
    ids=["edited", "unsigned", "no signature", "foreign"],
)
def test_a_record_nobody_trusted_signed_is_refused(ring, local, signer, store, change):
    epoch = ring.create_epoch(purpose="backup", provider=local, signer=signer)
    _edit(store, epoch, change)
    with pytest.raises(SignatureError):
        ring.recipients(["epoch"])


def test_a_record_under_another_name_is_refused(ring, local, signer, store):
    epoch = ring.create_epoch(purpose="backup", provider=local, signer=signer)
    store.put_bytes("keys/backup-copy.json", store.get_bytes(f"keys/{epoch.id}.json"))
    with pytest.raises(KeyRecordError, match="another epoch"):
        ring.epochs()


def test_a_signer_that_is_not_trusted_makes_no_epoch(ring, local):
    with pytest.raises(ConfigurationError, match="not the one"):
        ring.create_epoch(purpose="backup", provider=local, signer=SignerKey.generate("strongroom.test"))
    assert ring.epochs() == []


def test_a_key_file_is_private_and_never_overwritten(tmp_path, local):
    assert local.path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(KeyFileError, match="never overwritten"):
        LocalKeyProvider.generate(local.path)
    local.path.chmod(0o640)
    with pytest.raises(KeyFileError, match="read by others"):
        LocalKeyProvider(local.path).wrap(b"x", {})


def test_a_key_file_with_a_passphrase_opens_with_it_only(tmp_path):
    provider = LocalKeyProvider.generate(tmp_path / "key", "correct horse")
    wrapped = provider.wrap(b"secret", CONTEXT)
    assert b"SECRET-KEY" not in provider.path.read_bytes()
    assert LocalKeyProvider(provider.path, "correct horse").unwrap(wrapped, CONTEXT) == b"secret"
    with pytest.raises(KeyFileError, match="none was given"):
        LocalKeyProvider(provider.path).unwrap(wrapped, CONTEXT)
    with pytest.raises(KeyFileError, match="passphrase does not open"):
        LocalKeyProvider(provider.path, "battery staple").unwrap(wrapped, CONTEXT)


def test_a_wrapped_key_opens_for_its_own_epoch_only(local, tmp_path):
    wrapped = local.wrap(b"secret", CONTEXT)
    with pytest.raises(KeyUnwrapError):
        local.unwrap(wrapped, {"key": "another"})
    with pytest.raises(KeyUnwrapError, match="escrow"):
        LocalKeyProvider.generate(tmp_path / "other").unwrap(wrapped, CONTEXT)


def test_an_epoch_wrapped_by_kms_opens_through_kms(ring, signer, kms):
    client, key = kms
    provider = KmsKeyProvider(client, key)
    epoch = ring.create_epoch(purpose="backup", provider=provider, signer=signer, post_quantum=True)
    assert epoch.wrapped.key == key
    assert opened(sealed(ring.recipients(["epoch"])), ring.identities(provider)) == b"a backup"
    with pytest.raises(KeyUnwrapError):
        provider.unwrap(epoch.wrapped, {**epoch.wrapped.context, "epoch": "another"})


def test_each_provider_opens_its_own_epochs(ring, signer, kms, local):
    provider = KmsKeyProvider(*kms)
    mine = ring.create_epoch(purpose="backup", provider=local, signer=signer)
    theirs = ring.create_epoch(purpose="archive", provider=provider, signer=signer)
    assert [str(i.recipient) for i in ring.identities(local)] == [mine.recipient]
    assert [str(i.recipient) for i in ring.identities(provider)] == [theirs.recipient]
    with pytest.raises(KeyUnwrapError, match="wrapped by aws-kms"):
        ring.identities(local, [theirs.id])


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("DisabledException", KeyServiceDeniedError),
        ("AccessDeniedException", KeyServiceDeniedError),
        ("InvalidCiphertextException", KeyUnwrapError),
        ("ThrottlingException", KeyServiceUnavailableError),
    ],
)
def test_a_refusal_of_kms_is_told_from_damage_and_from_an_outage(kms, code, error):
    client, key = kms
    provider = KmsKeyProvider(client, key)
    wrapped = provider.wrap(b"secret", CONTEXT)
    with Stubber(client) as stubber:
        stubber.add_client_error("decrypt", code)
        with pytest.raises(error):
            provider.unwrap(wrapped, CONTEXT)


def test_an_unknown_kms_key_is_refused(kms):
    client, _ = kms
    with pytest.raises(KeyServiceDeniedError, match="NotFound"):
        KmsKeyProvider(client, "00000000-0000-0000-0000-000000000000").wrap(b"x", CONTEXT)

"""The vault with a real control database: sealed in, authorised out, and recorded each time."""

import json
from dataclasses import replace

import pytest
from sqlalchemy import text

from strongroom.access import Actor, ActorKind, Role
from strongroom.audit import QueueSink
from strongroom.clock import SystemClock
from strongroom.errors import AccessDeniedError, IntegrityError
from strongroom.sealing import ContextMismatchError, KeyRing, LocalKeyProvider
from strongroom.signing import SignerKey
from strongroom.storage import LocalObjectStore, ObjectExistsError
from strongroom.vault import (
    NoPrivateKeyError,
    ObjectKeyError,
    ObjectReplacedError,
    SealedVault,
    UnknownObjectError,
    VaultParts,
)

OPERATOR = Actor("ada", ActorKind.COMMAND, frozenset({Role.OPERATOR}))
APPLICATION = Actor("shop", ActorKind.TASK, frozenset({Role.APPLICATION}))
KEY = "files/letter.txt.zst.age"


@pytest.fixture
def parts(control_database, local_store, tmp_path):
    signer, clock = SignerKey.generate("strongroom.test"), SystemClock()
    provider = LocalKeyProvider.generate(tmp_path / "local.key")
    keyring = KeyRing(local_store, signer.verifier, clock)
    keyring.create_epoch(purpose="backup", provider=provider, signer=signer)
    return VaultParts(local_store, keyring, provider, control_database, QueueSink(clock), clock)


@pytest.fixture
def vault(parts):
    return SealedVault(parts)


def store(vault, key=KEY, content=b"content", **options):
    return vault.store(OPERATOR, key, [content], kind="file", recipients=["epoch"], **options)


def read(vault, key=KEY, **options):
    with vault.fetch(OPERATOR, key, **options) as opened:
        return b"".join(bytes(part) for part in opened)


def events(parts):
    with parts.engine.connect() as connection:
        rows = connection.execute(text("SELECT entry FROM audit_queue ORDER BY id")).scalars()
        return [json.loads(bytes(row)) for row in rows]


def test_what_goes_in_comes_out(vault):
    content = b"a line that repeats\n" * 100_000
    stored = store(vault, content=content)
    assert read(vault) == content
    assert (stored.plaintext_bytes, stored.size_bytes < 100_000) == (len(content), True)


def test_nothing_of_the_content_stands_in_the_bucket(vault, parts):
    store(vault, content=b"meridian secret", key="files/a.age", compress=False)
    assert b"meridian" not in parts.store.get_bytes("files/a.age")
    assert parts.store.get_bytes("files/a.age").startswith(b"age-encryption.org/v1\n")


def test_each_way_is_recorded_before_and_after(vault, parts):
    store(vault)
    read(vault)
    trail = [(event["type"], event["data"]["phase"], event["data"].get("outcome")) for event in events(parts)]
    assert trail == [
        ("vault:object:store", "attempt", None),
        ("vault:object:store", "result", "success"),
        ("vault:object:open", "attempt", None),
        ("vault:object:open", "result", "success"),
    ]


def test_an_object_that_was_not_read_to_its_end_is_recorded_as_partial(vault, parts):
    store(vault)
    with vault.fetch(OPERATOR, KEY):
        pass
    assert events(parts)[-1]["data"]["outcome"] == "partial"


def test_a_refusal_is_recorded_and_opens_nothing(vault, parts):
    store(vault)
    with pytest.raises(AccessDeniedError, match="shop may not open object"), vault.fetch(APPLICATION, KEY):
        pass
    refusal = events(parts)[-1]
    assert (refusal["type"], refusal["data"]["outcome"]) == ("access:permission:refuse", "denied")


def test_an_object_is_never_overwritten(vault):
    store(vault, content=b"first")
    with pytest.raises(ObjectExistsError):
        store(vault, content=b"second")
    assert read(vault) == b"first"


def test_a_failing_source_leaves_nothing(vault, parts):
    def broken():
        yield b"some"
        raise RuntimeError("the source failed")

    with pytest.raises(RuntimeError, match="the source failed"):
        vault.store(OPERATOR, KEY, broken(), kind="file", recipients=["epoch"])
    assert list(parts.store.list("files/")) == []
    assert events(parts)[-1]["data"]["outcome"] == "failure"


def test_an_object_moved_to_another_key_does_not_open(vault, parts):
    store(vault)
    parts.store.put_bytes("files/moved.txt.zst.age", parts.store.get_bytes(KEY))
    with pytest.raises(ContextMismatchError):
        read(vault, "files/moved.txt.zst.age", kind="file")


def test_an_object_replaced_by_another_seal_of_it_is_noticed(vault, parts):
    stored = store(vault, content=b"first")
    parts.store.delete_version(KEY, stored.version_id)
    store(vault, content=b"second one")
    with pytest.raises(ObjectReplacedError):
        read(vault, expect=stored)


def test_an_object_that_is_not_there_is_named(vault):
    with pytest.raises(UnknownObjectError, match=r"files/none\.age"):
        read(vault, "files/none.age")


def test_a_host_without_a_key_writes_and_cannot_read(parts):
    from dataclasses import replace

    writer = SealedVault(replace(parts, provider=None))
    store(writer)
    with pytest.raises(NoPrivateKeyError, match="public keys only"):
        read(writer)


@pytest.mark.parametrize(
    ("key", "options"), [("files/a.age", {}), ("files/a.zst.age", {"compress": False}), ("plain.txt", {})]
)
def test_a_key_tells_how_it_is_opened(vault, key, options):
    with pytest.raises(ObjectKeyError, match="must end in"):
        store(vault, key, **options)


def store_proven(vault, prove, content=b"content"):
    return vault.store_proven(
        OPERATOR, "files/a.age", [content], kind="file", recipients=["epoch"], prove=prove
    )


def test_a_host_with_public_keys_only_reads_back_what_it_wrote(parts):
    writer, found = SealedVault(replace(parts, provider=None)), []
    content = bytes(range(256)) * 40_000  # more than is read at a time
    stored = store_proven(writer, lambda file: found.append(file.read()), content)
    assert found == [content]
    parts.store.delete_version("files/a.age", None)
    stored = store_proven(writer, lambda file: found.append(file.read(len(content) - 1)), content)
    assert found[1] == content[:-1]
    with pytest.raises(NoPrivateKeyError):
        read(writer, "files/a.age")
    assert read(SealedVault(parts), "files/a.age", expect=stored) == content


def test_what_is_read_back_wrongly_is_not_kept(vault, parts):
    def prove(file):
        raise ObjectReplacedError("It is not what it must be.")

    with pytest.raises(ObjectReplacedError):
        store_proven(vault, prove)
    assert [info.key for info in parts.store.list("files/")] == []
    assert events(parts)[-1]["data"]["outcome"] == "failure"


def test_what_the_store_altered_does_not_read_back(vault, parts, monkeypatch):
    put = parts.store.put_stream

    def flipped(key, chunks, **options):
        data = bytearray(b"".join(bytes(chunk) for chunk in chunks))
        data[-1] ^= 1
        return put(key, [bytes(data)], **options)

    monkeypatch.setattr(parts.store, "put_stream", flipped)
    with pytest.raises(IntegrityError):
        store_proven(vault, lambda file: file.read())
    assert [info.key for info in parts.store.list("files/")] == []


def test_the_witness_is_as_strong_as_the_epoch(parts, tmp_path):
    signer, store = SignerKey.generate("strongroom.test"), LocalObjectStore(tmp_path / "quantum")
    provider = LocalKeyProvider.generate(tmp_path / "quantum.key", post_quantum=True)
    keyring = KeyRing(store, signer.verifier, parts.clock)
    keyring.create_epoch(purpose="backup", provider=provider, signer=signer, post_quantum=True)
    found = []
    strong = SealedVault(replace(parts, store=store, keyring=keyring, provider=provider))
    store_proven(strong, lambda file: found.append(file.read()))
    assert found == [b"content"]

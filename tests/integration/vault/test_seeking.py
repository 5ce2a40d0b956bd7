"""Reading from anywhere in a sealed object: of an object that was proven whole, and of no other that took its place."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.access import Actor, ActorKind, Role
from strongroom.audit import QueueSink
from strongroom.clock import SystemClock
from strongroom.errors import IntegrityError
from strongroom.sealing import KeyRing, LocalKeyProvider, SealingPipeline, parse_recipient
from strongroom.signing import SignerKey
from strongroom.vault import (
    ObjectKeyError,
    ObjectReader,
    ObjectReplacedError,
    SealedVault,
    VaultParts,
    object_context,
)

OPERATOR = Actor("ada", ActorKind.COMMAND, frozenset({Role.OPERATOR}))
KEY = "files/numbers.age"
CONTENT = b"".join(number.to_bytes(4, "big") for number in range(100_000))


@pytest.fixture
def parts(control_database, local_store, tmp_path):
    signer, clock = SignerKey.generate("strongroom.test"), SystemClock()
    provider = LocalKeyProvider.generate(tmp_path / "local.key")
    keyring = KeyRing(local_store, signer.verifier, clock)
    keyring.create_epoch(purpose="backup", provider=provider, signer=signer)
    return VaultParts(local_store, keyring, provider, control_database, QueueSink(clock), clock)


@pytest.fixture
def vault(parts) -> SealedVault:
    return SealedVault(parts)


@pytest.fixture
def stored(vault):
    return vault.store(OPERATOR, KEY, [CONTENT], kind="file", recipients=["epoch"], compress=False)


@pytest.fixture
def reader(vault, stored) -> Iterator[ObjectReader]:
    with vault.reading(OPERATOR, "files/", stored.epoch_ids) as reader:
        yield reader


def forge(parts, directory: Path, content: bytes) -> None:
    """Put something else in the object's place, sealed to the same public keys: anybody who can write can do it."""
    recipients = [parse_recipient(epoch.recipient) for epoch in parts.keyring.epochs_for(["epoch"])]
    pipeline = SealingPipeline(
        [content], recipients, context=object_context(KEY, "file"), compression_level=None
    )
    path = next(path for path in directory.rglob("numbers.age*") if path.is_file())
    path.chmod(0o644)
    path.write_bytes(b"".join(bytes(piece) for piece in pipeline))


def test_any_part_can_be_read(reader, stored):
    with reader.open_anywhere(stored) as file:
        file.seek(-4, io.SEEK_END)
        assert file.read(4) == (99_999).to_bytes(4, "big")
        file.seek(4 * 70_000)
        assert file.read(4) == (70_000).to_bytes(4, "big")


def test_an_object_that_was_sealed_anew_does_not_open(parts, reader, stored, tmp_path):
    forge(parts, tmp_path, CONTENT[:-1] + b"!")
    with pytest.raises(ObjectReplacedError, match=KEY), reader.open_anywhere(stored):
        pass


def test_an_object_that_is_replaced_once_it_was_proven_does_not_open(parts, reader, stored, tmp_path):
    with reader.open_anywhere(stored) as file:
        file.seek(0)
        file.read(4)
    forge(parts, tmp_path, CONTENT[:-1] + b"!")
    with pytest.raises(IntegrityError), reader.open_anywhere(stored) as file:
        file.read(4)


def test_what_was_compressed_as_a_whole_is_refused(vault):
    packed = vault.store(OPERATOR, "files/a.zst.age", [CONTENT], kind="file", recipients=["epoch"])
    with (
        vault.reading(OPERATOR, "files/", packed.epoch_ids) as reader,
        pytest.raises(ObjectKeyError, match="only be read from its start"),
        reader.open_anywhere(packed),
    ):
        pass

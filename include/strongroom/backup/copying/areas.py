"""What is copied: folders of signed documents, each of which names the sealed objects that it vouches for.

| area      | documents                              | they name            | locked in the copy            |
|-----------|----------------------------------------|----------------------|-------------------------------|
| keys      | `keys/<epoch>.json`                    | nothing              | as long as in the store       |
| backups   | `…/manifest.json`                      | the backup's objects | by the policy, when complete  |
| WAL       | receipts of segments and of histories  | segments, histories  | by the policy                 |
|           | `coverage.json`, which changes         | nothing              | no                            |
| proofs    | `…/<time>.json`                        | nothing              | no                            |

What no document names is part of something unfinished, and stays behind until one does. A document that changes says
what is there, so it comes after everything else of its area.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from strongroom.backup.continuous.layout import wal_prefix
from strongroom.backup.continuous.receipts import Coverage, HistoryReceipt, SegmentsReceipt, read_receipt
from strongroom.backup.manifest import MANIFEST_NAME, backup_prefix, read_manifest
from strongroom.canonical import parse_object
from strongroom.sealing import RewrapRecord
from strongroom.sealing.keyring import PREFIX as KEYS_PREFIX
from strongroom.sealing.keyring import read_epoch
from strongroom.signing import VerifierKey, verify_json


@dataclass(frozen=True)
class SealedObject:
    """An object that a signed document vouches for."""

    key: str
    size_bytes: int
    sha256: str
    """Of the sealed bytes."""
    rewrapped: RewrapRecord | None = None
    """The record of its other forms, when it was rewrapped since."""

    @property
    def forms(self) -> frozenset[tuple[int, str]]:
        """The sizes and hashes that it may have."""
        named = (self.size_bytes, self.sha256)
        if self.rewrapped is None or not self.rewrapped.knows(*named):
            return frozenset({named})
        return frozenset(form.identity for form in self.rewrapped.forms)


class Area(ABC):
    """One folder of a store."""

    name: str
    prefix: str
    lock: Literal["policy", "source"] | None = None
    """Until when its objects are locked in the copy, where that can: by the policy, or as long as in the source."""

    @abstractmethod
    def is_document(self, key: str) -> bool:
        """Whether the object under that key is a signed document."""

    @abstractmethod
    def read(self, data: bytes, key: str, trusted: VerifierKey) -> Sequence[SealedObject]:
        """What a document names, once its signature and its place were checked.

        Raises:
            IntegrityError: unsigned, altered, signed by another key, malformed or moved.
        """

    def changes(self, key: str) -> bool:
        """Whether that document is written again and again."""
        return False


class KeysArea(Area):
    """The key epochs: public halves, and private halves wrapped."""

    name, prefix = "keys", KEYS_PREFIX
    lock = "source"

    def is_document(self, key: str) -> bool:
        return key.endswith(".json")

    def read(self, data: bytes, key: str, trusted: VerifierKey) -> Sequence[SealedObject]:
        read_epoch(data, key, trusted)
        return ()


class BackupsArea(Area):
    """A database's complete backups."""

    name = "backups"

    def __init__(self, database: str) -> None:
        self.prefix = backup_prefix(database)

    def is_document(self, key: str) -> bool:
        return key.endswith(f"/{MANIFEST_NAME}")

    def read(self, data: bytes, key: str, trusted: VerifierKey) -> Sequence[SealedObject]:
        manifest = read_manifest(data, trusted, f"The manifest {key}")
        check_place(manifest.key, key)
        return [SealedObject(item.key, item.size_bytes, item.sha256) for item in manifest.objects]


class WalArea(Area):
    """A database's continuous WAL, with its timeline histories."""

    name = "wal"
    lock = "policy"

    def __init__(self, database: str) -> None:
        self.prefix = wal_prefix(database)

    def is_document(self, key: str) -> bool:
        return key.endswith(".json")

    def read(self, data: bytes, key: str, trusted: VerifierKey) -> Sequence[SealedObject]:
        if self.changes(key):
            read_receipt(Coverage, data, key, trusted)
            return ()
        if key.endswith(".history.json"):
            files = [read_receipt(HistoryReceipt, data, key, trusted).file]
            return [SealedObject(file.key, file.size_bytes, file.sha256) for file in files]
        segments = read_receipt(SegmentsReceipt, data, key, trusted).segments
        return [SealedObject(item.key, item.size_bytes, item.sha256) for item in segments]

    def changes(self, key: str) -> bool:
        return key.endswith("/coverage.json")


class ProofsArea(Area):
    """What verifications of a database's backups found."""

    name = "proofs"

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def is_document(self, key: str) -> bool:
        return key.endswith(".json")

    def read(self, data: bytes, key: str, trusted: VerifierKey) -> Sequence[SealedObject]:
        what = f"The proof {key}"
        document = verify_json(parse_object(data, what), trusted, what)
        check_place(f"/{document.get('database')}/{document.get('backup_id')}/", key, anywhere=True)
        return ()


def check_place(expected: str, key: str, *, anywhere: bool = False) -> None:
    """Let a document pass that lies where it belongs.

    Raises:
        ManifestError: somebody moved it.
    """
    from strongroom.backup.errors import ManifestError

    if expected != key and not (anywhere and expected in key):
        raise ManifestError(
            f"{key} belongs elsewhere: {expected}.", hint="Somebody moved it; look at who can write there."
        )


def areas_of(database: str, copy: str) -> tuple[Area, ...]:
    """Everything of a database that a copy holds, in the order in which it is copied."""
    from strongroom.backup.verification.proof import copy_proofs_prefix

    return (
        KeysArea(),
        BackupsArea(database),
        WalArea(database),
        ProofsArea(f"proofs/{database}/"),
        ProofsArea(copy_proofs_prefix(copy, database)),
    )

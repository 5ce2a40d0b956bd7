"""One pass over the bucket inside one transaction: what every source of the index works with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from sqlalchemy import Connection

from strongroom.backup.indexing.inventory import Inventory
from strongroom.backup.indexing.report import Findings, Problem, Tally
from strongroom.catalog import ObjectRecord, ObjectRepository
from strongroom.errors import AccessDeniedError, StrongroomError
from strongroom.sealing.rewraps import PREFIX as REWRAPS
from strongroom.sealing.rewraps import Form, read_rewrap, record_key
from strongroom.signing import VerifierKey
from strongroom.storage import ObjectStore

Document = TypeVar("Document")


@dataclass
class Scan:
    """The bucket, the index, and what was found so far."""

    connection: Connection
    store: ObjectStore
    trusted: VerifierKey
    inventory: Inventory
    findings: Findings = field(default_factory=Findings)
    backups: Tally = field(default_factory=Tally)
    proofs: Tally = field(default_factory=Tally)
    objects: Tally = field(default_factory=Tally)
    copies: Tally = field(default_factory=Tally)
    epochs: int = 0

    def document(self, key: str, read: Callable[[bytes, str], Document]) -> tuple[Document, str] | None:
        """A signed document and its SHA-256; None, and a finding, when it cannot be believed.

        Args:
            key: the document's key.
            read: gives the document from its bytes and its name, once its signature was checked.

        Raises:
            TransientError: the store does not answer, which says nothing about the document.
            AccessDeniedError: the store refuses, which says nothing about it either.
        """
        try:
            data = self.store.get_bytes(key)
            return read(data, key), hashlib.sha256(data).hexdigest()
        except StrongroomError as error:
            if error.retryable or isinstance(error, AccessDeniedError):
                raise
            self.findings.add(Problem.NOT_BELIEVED, key, error.message)
            return None

    @cached_property
    def _rewrapped(self) -> frozenset[str]:
        """The keys of the objects that were rewrapped."""
        found = self.inventory.objects(f"{REWRAPS}%.json")
        return frozenset(item.key.removeprefix(REWRAPS).removesuffix(".json") for item in found)

    def newest_form(self, key: str, size_bytes: int, sha256: str) -> Form | None:
        """An object as it is since it was rewrapped to other keys; None for one that never was.

        Args:
            key: the object's.
            size_bytes: as it was stored.
            sha256: as it was stored.
        """
        if key not in self._rewrapped:
            return None
        read = self.document(record_key(key), lambda data, name: read_rewrap(data, name, self.trusted))
        return read[0].forms[-1] if read is not None and read[0].knows(size_bytes, sha256) else None

    def index_object(self, record: ObjectRecord) -> None:
        """Make the index say what a signed document says of an object, where it does not."""
        repository = ObjectRepository()
        old = repository.find(self.connection, record.key)
        if self.objects.count(old and _facts(old), _facts(record)):
            repository.add(self.connection, record)


def _facts(record: ObjectRecord) -> tuple[object, ...]:
    """What a record says of the object itself; when it came and as which version is the index's own knowledge."""
    return (record.kind, record.size_bytes, record.sha256, record.plaintext_bytes, record.compressed,
            sorted(record.epoch_ids))  # fmt: skip

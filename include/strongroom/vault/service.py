"""The vault over an object store, a key ring, the control database and the audit log."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

from strongroom.access import Actor, Permission, require
from strongroom.audit import AuditSink, Event, EventRecorder, EventType, QueueRecorder, Target
from strongroom.catalog import ObjectRecord, ObjectRepository
from strongroom.clock import Clock
from strongroom.errors import AccessDeniedError, StrongroomError
from strongroom.sealing import Epoch, Identity, KeyProvider, KeyRing, Recipient, parse_recipient
from strongroom.sealing.pipeline import SealingPipeline
from strongroom.storage import ObjectStore
from strongroom.vault.errors import NoPrivateKeyError, ObjectKeyError, UnknownObjectError
from strongroom.vault.interface import (
    DEFAULT_RECIPIENTS,
    Content,
    ObjectReader,
    OpenedObject,
    StoredObject,
    Vault,
    object_context,
)
from strongroom.vault.proving import open_as_witness, witness_for
from strongroom.vault.reading import CheckedReader, SeriesReader, accepted_forms, open_sealed

if TYPE_CHECKING:
    from sqlalchemy import Engine

_KIND = re.compile(r"[a-z][a-z0-9_]{0,39}")
_COMPRESSION_LEVEL = 1


@dataclass(frozen=True)
class VaultParts:
    """What the vault works with; the composition root gives it."""

    store: ObjectStore
    keyring: KeyRing
    provider: KeyProvider | None
    """Opens private halves; None on a host that only writes."""
    engine: Engine
    sink: AuditSink
    clock: Clock
    events: EventRecorder | None = None
    """Takes the events that stand alone, where there is no control database: a journal."""

    @property
    def recorder(self) -> EventRecorder:
        """Where events go that stand alone."""
        return self.events or QueueRecorder(lambda: self.engine, self.sink)


class SealedVault(Vault):
    """Keeps everything age-encrypted; there is no way to keep something in clear."""

    def __init__(self, parts: VaultParts) -> None:
        self._parts = parts
        self._objects = ObjectRepository()

    def store(
        self,
        actor: Actor,
        key: str,
        content: Content,
        *,
        kind: str,
        database: str | None = None,
        recipients: Sequence[str] = DEFAULT_RECIPIENTS,
        compress: bool = True,
        correlation_id: str | None = None,
    ) -> StoredObject:
        _check_name(key, kind, compress)
        trail = _Trail(self._parts, EventType.VAULT_OBJECT_STORE, actor, key, database, correlation_id)

        def seal(epochs: Sequence[Epoch]) -> StoredObject:
            return self._seal(key, kind, content, epochs, compress)

        return self._store(trail, recipients, database, seal)

    def store_proven(
        self,
        actor: Actor,
        key: str,
        content: Content,
        *,
        kind: str,
        prove: Callable[[BinaryIO], None],
        database: str | None = None,
        recipients: Sequence[str] = DEFAULT_RECIPIENTS,
        correlation_id: str | None = None,
    ) -> StoredObject:
        _check_name(key, kind, compress=False)
        trail = _Trail(self._parts, EventType.VAULT_OBJECT_STORE, actor, key, database, correlation_id)

        def seal(epochs: Sequence[Epoch]) -> StoredObject:
            witness = witness_for([parse_recipient(epoch.recipient) for epoch in epochs])
            stored = self._seal(key, kind, content, epochs, False, [witness.recipient])
            try:
                with open_as_witness(self._parts.store, stored, witness) as plaintext:
                    prove(plaintext)
            except BaseException:
                with suppress(StrongroomError):  # a lock keeps it for now; whoever cleans up finds it
                    self._parts.store.delete_version(key, stored.version_id)
                raise
            return stored

        return self._store(trail, recipients, database, seal)

    def _store(
        self,
        trail: _Trail,
        recipients: Sequence[str],
        database: str | None,
        seal: Callable[[Sequence[Epoch]], StoredObject],
    ) -> StoredObject:
        self._authorise(trail, Permission.STORE_OBJECT)
        trail.attempt()
        try:
            stored = seal(self._parts.keyring.epochs_for(recipients))
        except BaseException as error:
            trail.failure(error)
            raise
        self._record(trail, stored, database)
        return stored

    def _seal(
        self,
        key: str,
        kind: str,
        content: Content,
        epochs: Sequence[Epoch],
        compress: bool,
        witnesses: Sequence[Recipient] = (),
    ) -> StoredObject:
        pipeline = SealingPipeline(
            content,
            [*(parse_recipient(epoch.recipient) for epoch in epochs), *witnesses],
            context=object_context(key, kind),
            compression_level=_COMPRESSION_LEVEL if compress else None,
        )
        written = self._parts.store.put_stream(key, pipeline)
        report = pipeline.report
        return StoredObject(
            key=key,
            kind=kind,
            size_bytes=report.ciphertext_bytes,
            sha256=report.ciphertext_sha256,
            plaintext_bytes=report.plaintext_bytes,
            compressed=compress,
            version_id=written.version_id,
            epoch_ids=tuple(epoch.id for epoch in epochs),
        )

    def _record(self, trail: _Trail, stored: StoredObject, database: str | None) -> None:
        record = ObjectRecord(
            key=stored.key,
            kind=stored.kind,
            database=database,
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            plaintext_bytes=stored.plaintext_bytes,
            compressed=stored.compressed,
            epoch_ids=stored.epoch_ids,
            version_id=stored.version_id,
            stored_at=self._parts.clock.now(),
        )
        with self._parts.engine.begin() as connection:
            self._objects.add(connection, record)
            event = replace(
                trail.event("result", "success"),
                hashes={"ciphertext_sha256": stored.sha256},
                counts={"stored_bytes": stored.size_bytes, "plaintext_bytes": stored.plaintext_bytes},
                details={"kind": stored.kind, "epoch_ids": stored.epoch_ids},
            )
            self._parts.sink.emit(connection, event)

    @contextmanager
    def fetch(
        self,
        actor: Actor,
        key: str,
        *,
        kind: str | None = None,
        expect: StoredObject | None = None,
        correlation_id: str | None = None,
    ) -> Iterator[OpenedObject]:
        reference, exact = self._reference(key, kind, expect)
        trail = _Trail(self._parts, EventType.VAULT_OBJECT_OPEN, actor, key, None, correlation_id)
        self._authorise(trail, Permission.OPEN_OBJECT)
        trail.attempt()
        try:
            with self._open(reference) as source:
                reader = CheckedReader(
                    source,
                    self._identities(reference),
                    reference,
                    exact=exact,
                    rewrapped=self._parts.keyring.rewraps.find(key),
                )
                yield reader
        except BaseException as error:
            trail.failure(error)
            raise
        trail.success(complete=reader.complete)

    @contextmanager
    def reading(
        self,
        actor: Actor,
        prefix: str,
        epoch_ids: Sequence[str],
        *,
        database: str | None = None,
        correlation_id: str | None = None,
    ) -> Iterator[ObjectReader]:
        trail = _Trail(self._parts, EventType.VAULT_OBJECT_OPEN, actor, prefix, database, correlation_id)
        self._authorise(trail, Permission.OPEN_OBJECT)
        trail.attempt()
        try:
            identities = self._unwrapped(prefix, epoch_ids)
            reader = SeriesReader(self._parts.store, self._parts.keyring.rewraps, identities, prefix)
            yield reader
        except BaseException as error:
            trail.failure(error)
            raise
        trail.success(complete=True, counts=reader.counts())

    def forms(self, expect: StoredObject) -> frozenset[tuple[int, str]]:
        return accepted_forms(expect, self._parts.keyring.rewraps.find(expect.key))

    def _reference(
        self, key: str, kind: str | None, expect: StoredObject | None
    ) -> tuple[StoredObject, bool]:
        """What the object must be, and whether its size and hash are known."""
        if expect is not None:
            return expect, True
        with self._parts.engine.connect() as connection:
            record = self._objects.find(connection, key)
        if record is not None:
            return _stored(record), True
        if kind is None:
            raise UnknownObjectError(
                f"The vault has no object {key}.",
                hint="If the control database is younger than the object, say what kind it is.",
            )
        return StoredObject(key, kind, 0, "", 0, key.endswith(".zst.age"), None, ()), False

    @contextmanager
    def _open(self, reference: StoredObject) -> Iterator[Any]:
        with open_sealed(self._parts.store, reference) as source:
            yield source

    def _identities(self, reference: StoredObject) -> list[Identity]:
        return self._unwrapped(reference.key, reference.epoch_ids)

    def _unwrapped(self, what: str, epoch_ids: Sequence[str]) -> list[Identity]:
        if self._parts.provider is None:
            raise NoPrivateKeyError(
                f"This host cannot open {what}: it holds public keys only.",
                hint="Open it where `keys` is set: the restore and verification workers.",
            )
        keyring, provider = self._parts.keyring, self._parts.provider
        return keyring.openers(provider, epoch_ids) if epoch_ids else keyring.identities(provider)

    def _authorise(self, trail: _Trail, permission: Permission) -> None:
        try:
            require(trail.actor, permission)
        except AccessDeniedError as error:
            trail.refused(permission, error)
            raise


@dataclass(frozen=True)
class _Trail:
    """The events of one operation."""

    parts: VaultParts
    type: EventType
    actor: Actor
    key: str
    database: str | None
    correlation_id: str | None

    def event(self, phase: Any, outcome: Any = None, error: BaseException | None = None) -> Event:
        return Event(
            type=self.type,
            phase=phase,
            actor=self.actor,
            target=Target("object", self.key),
            outcome=outcome,
            database=self.database,
            correlation_id=self.correlation_id,
            error_class=type(error).__name__ if error else None,
        )

    def attempt(self) -> None:
        self._emit(self.event("attempt"))

    def success(self, *, complete: bool, counts: Mapping[str, int] | None = None) -> None:
        event = self.event("result", "success" if complete else "partial")
        self._emit(replace(event, counts=dict(counts or {})))

    def failure(self, error: BaseException) -> None:
        self._emit(self.event("result", "failure", error))

    def refused(self, permission: Permission, error: BaseException) -> None:
        event = replace(self.event("result", "denied", error), details={"permission": str(permission)})
        self._emit(replace(event, type=EventType.ACCESS_PERMISSION_REFUSE))

    def _emit(self, event: Event) -> None:
        self.parts.recorder.record(event)


def _stored(record: ObjectRecord) -> StoredObject:
    return StoredObject(
        key=record.key,
        kind=record.kind,
        size_bytes=record.size_bytes,
        sha256=record.sha256,
        plaintext_bytes=record.plaintext_bytes,
        compressed=record.compressed,
        version_id=record.version_id,
        epoch_ids=record.epoch_ids,
    )


def _check_name(key: str, kind: str, compress: bool) -> None:
    suffix = ".zst.age" if compress else ".age"
    if not key.endswith(suffix) or (not compress and key.endswith(".zst.age")):
        raise ObjectKeyError(f"The key {key} must end in {suffix}, so that anybody can tell how to open it.")
    if not _KIND.fullmatch(kind):
        raise ObjectKeyError(f"A kind is a lower-case word of at most 40 letters; got {kind!r}.")

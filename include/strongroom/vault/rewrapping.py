"""Bringing what the vault holds to the current keys, in the bucket and in its copies, with the index and the log.

    permission → attempt recorded → lock → each object that an older epoch opens: rewrapped, index and log
    → each copy likewise, with the same headers → versions with older headers deleted where nothing forbids it

It can be stopped and run again at any time. What cannot be rewrapped is left as it is and told at the end.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from strongroom.access import Actor, Permission, require
from strongroom.audit import AuditSink, EventType, Target
from strongroom.catalog import (
    HeldVersion,
    HeldVersionRepository,
    LockState,
    ObjectRecord,
    ObjectRepository,
)
from strongroom.clock import Clock
from strongroom.errors import AccessDeniedError, IntegrityError, NotFoundError, RefusedError, StrongroomError
from strongroom.recording import RunLog
from strongroom.sealing import Epoch, Identity, KeyProvider, KeyRing, parse_recipient, rewrap
from strongroom.sealing.epochs import ESCROW
from strongroom.sealing.rewrapping import Known, ObjectRewrapper, Rewrapped
from strongroom.signing import SignerKey
from strongroom.storage import ObjectStore
from strongroom.vault.errors import NoPrivateKeyError

if TYPE_CHECKING:
    from sqlalchemy import Engine

_SHOWN = 5
_STORE = "store"
Progress = Callable[[str], None]


class RewrapIncompleteError(IntegrityError):
    """Some objects could not be rewrapped; everything else was."""


class RewrapInProgressError(RefusedError):
    """Another run rewraps now."""


@dataclass(frozen=True)
class RewrapParts:
    """What rewrapping works with; the composition root gives it."""

    store: ObjectStore
    copies: Mapping[str, Callable[[], ObjectStore]]
    keyring: KeyRing
    provider: KeyProvider | None
    engine: Engine
    sink: AuditSink
    signer: SignerKey
    clock: Clock


@dataclass
class RewrapReport:
    """What a run did."""

    rewrapped: int = 0
    """How many objects got a new header, copies included."""
    current: int = 0
    """How many had it already."""
    old_versions: int = 0
    """How many versions with an older header have to stay, since a lock or a hold forbids to delete them."""
    problems: list[str] = field(default_factory=list)
    """What could not be rewrapped, each as a sentence."""


class Rewrapper:
    """Rewraps objects to the current epochs."""

    def __init__(self, parts: RewrapParts) -> None:
        self._parts = parts
        self._objects, self._held = ObjectRepository(), HeldVersionRepository()

    def run(
        self, actor: Actor, database: str | None = None, *, progress: Progress | None = None
    ) -> RewrapReport:
        """Rewrap everything that an epoch opens which is not the current one of its purpose.

        Args:
            actor: who asks; needs `rewrap_objects`.
            database: whose objects; all without it.
            progress: told the key of each object that got a new header.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            NoPrivateKeyError: this host holds no private keys.
            EpochExpiredError: a purpose has no epoch that may seal: rotate first.
            RewrapInProgressError: another run is at it.
            RewrapIncompleteError: some objects are not what was recorded; the rest was rewrapped.
            TransientError: a store or the control database does not answer; run it again.
        """
        log = RunLog(
            self._parts.engine,
            self._parts.sink,
            actor,
            database,
            Target("key", "keys"),
            None,
            uuid.uuid4().hex,
        )
        self._authorise(log)
        report = RewrapReport()
        log.emit(EventType.KEY_HEADER_REWRAP, "attempt")
        try:
            with self._alone():
                self._run(log, database, report, progress or _silent)
        except BaseException as error:
            log.emit(EventType.KEY_HEADER_REWRAP, "result", "failure", counts=_counts(report), error=error)
            raise
        outcome = "partial" if report.problems else "success"
        log.emit(EventType.KEY_HEADER_REWRAP, "result", outcome, counts=_counts(report))
        if report.problems:
            raise _incomplete(report)
        return report

    def _run(self, log: RunLog, database: str | None, report: RewrapReport, progress: Progress) -> None:
        provider = self._parts.provider
        if provider is None:
            raise NoPrivateKeyError(
                "This host cannot rewrap: it holds public keys only.",
                hint="Rewrap where `keys` is set: the restore and verification workers.",
            )
        keys = _Keys.of(self._parts.keyring, provider)
        main = self._rewrapper(self._parts.store)
        with self._parts.engine.connect() as connection:
            records = self._objects.sealed_to(connection, keys.older, database)
        for record in records:
            with _noted(report, record.key):
                done = self._one(main, record, keys)
                self._record(log, _STORE, record, done)
                _count(report, done, record.key, progress)
        for name, opened in self._parts.copies.items():
            self._copy(log, name, opened(), main, database, report, progress)
        self._clear(main, database, report)

    def _one(self, rewrapper: ObjectRewrapper, record: ObjectRecord, keys: _Keys) -> Rewrapped:
        wanted = keys.wanted(record.epoch_ids)
        recipients = [parse_recipient(epoch.recipient) for epoch in wanted]
        identities = keys.identities(record.epoch_ids)
        return rewrapper.rewrap(
            _known(record),
            [epoch.id for epoch in wanted],
            lambda header: rewrap(header, identities, recipients),
        )

    def _record(self, log: RunLog, store: str, record: ObjectRecord, done: Rewrapped) -> None:
        """Index and log in one transaction; a legal hold of ours on the object is one on its new version too."""
        form = done.form
        current = replace(
            record,
            size_bytes=form.size_bytes,
            sha256=form.sha256,
            epoch_ids=form.epoch_ids,
            version_id=done.version_id,
        )
        with log.transaction() as connection:
            if store == _STORE:
                self._objects.add(connection, current)
            if done.replaced is not None:
                old = HeldVersion(store, record.key, done.replaced.version_id or "")
                state = self._held.of(connection, store).get(old) if done.replaced.legal_hold else None
                if state in (LockState.OURS, LockState.PENDING):
                    new = HeldVersion(store, record.key, done.version_id or "")
                    self._held.note(connection, new, LockState.OURS)
                target = Target("object", record.key, done.version_id)
                event = log.event(
                    EventType.KEY_HEADER_REWRAP,
                    "result",
                    "success",
                    target=target,
                    hashes={"ciphertext_sha256": form.sha256, "replaced_sha256": record.sha256},
                    details={"epoch_ids": form.epoch_ids, "store": store},
                )
                self._parts.sink.emit(connection, event)

    def _copy(
        self,
        log: RunLog,
        name: str,
        store: ObjectStore,
        main: ObjectRewrapper,
        database: str | None,
        report: RewrapReport,
        progress: Progress,
    ) -> None:
        """Give the objects of a copy the headers that the store's have."""
        copy = self._rewrapper(store)
        for record in self._rewrapped(main, database):
            with _noted(report, f"{record.key} in {name}"):
                try:
                    done = self._as_in(main, copy, record)
                except NotFoundError:
                    continue  # the copy does not have it, or not yet
                self._record(log, name, record, done)
                _count(report, done, f"{record.key} in {name}", progress)
        self._clear(copy, database, report)

    def _as_in(self, main: ObjectRewrapper, copy: ObjectRewrapper, record: ObjectRecord) -> Rewrapped:
        header = main.header(record.key)
        forms = main.rewraps.find(record.key)
        if forms is None or (wanted := forms.form_of(header)) is None:
            raise RewrapIncompleteError(f"{record.key} has no record of the form that it is in.")
        found = forms.form_of(copy.header(record.key))
        known = found or forms.forms[0]
        return copy.rewrap(
            Known(record.key, known.size_bytes, known.sha256, known.epoch_ids),
            wanted.epoch_ids,
            lambda _: header,
        )

    def _rewrapped(self, main: ObjectRewrapper, database: str | None) -> Iterator[ObjectRecord]:
        for key in list(main.rewraps.keys()):
            with self._parts.engine.connect() as connection:
                record = self._objects.find(connection, key)
            if record is not None and database in (None, record.database):
                yield record

    def _clear(self, rewrapper: ObjectRewrapper, database: str | None, report: RewrapReport) -> None:
        for key in list(rewrapper.rewraps.keys()):
            if database is None or f"/{database}/" in f"/{key}":
                with _noted(report, key):
                    report.old_versions += rewrapper.clear(key)

    def _rewrapper(self, store: ObjectStore) -> ObjectRewrapper:
        signer = self._parts.signer
        return ObjectRewrapper(store, signer.verifier, signer, self._parts.clock)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A lock in the control database that ends with this session, however that ends."""
        with self._parts.engine.connect() as connection:
            query = "SELECT pg_try_advisory_lock(hashtext('strongroom rewrap'))"
            if not connection.exec_driver_sql(query).scalar():
                raise RewrapInProgressError("Another run rewraps now.", hint="Wait for it; it does the same.")
            connection.commit()
            try:
                yield
            finally:
                connection.exec_driver_sql("SELECT pg_advisory_unlock(hashtext('strongroom rewrap'))")
                connection.commit()

    def _authorise(self, log: RunLog) -> None:
        try:
            require(log.actor, Permission.REWRAP_OBJECTS)
        except AccessDeniedError as error:
            details = {"permission": str(Permission.REWRAP_OBJECTS)}
            log.emit(EventType.ACCESS_PERMISSION_REFUSE, "result", "denied", details=details, error=error)
            raise


@dataclass(frozen=True)
class _Keys:
    """The epochs, and which of them take the place of which."""

    keyring: KeyRing
    provider: KeyProvider
    by_id: Mapping[str, Epoch]
    current: Mapping[str, Epoch]
    """By purpose."""
    escrows: Sequence[Epoch]

    @classmethod
    def of(cls, keyring: KeyRing, provider: KeyProvider) -> _Keys:
        epochs = keyring.epochs()
        purposes = {epoch.purpose for epoch in epochs if epoch.purpose != ESCROW}
        escrows = [epoch for epoch in epochs if epoch.purpose == ESCROW and epoch.destroyed_at is None]
        return cls(
            keyring,
            provider,
            {epoch.id: epoch for epoch in epochs},
            {purpose: keyring.current(purpose) for purpose in purposes},
            escrows,
        )

    @property
    def older(self) -> list[str]:
        """The epochs that another one has taken the place of."""
        now = {epoch.id for epoch in self.current.values()}
        return [epoch.id for epoch in self.by_id.values() if epoch.purpose != ESCROW and epoch.id not in now]

    def wanted(self, epoch_ids: Sequence[str]) -> list[Epoch]:
        """The epochs that are to open an object: the current one of each purpose, and the escrows if it had any."""
        purposes = {self.by_id[one].purpose for one in epoch_ids if one in self.by_id}
        chosen = [self.current[purpose] for purpose in sorted(purposes - {ESCROW})]
        return [*chosen, *(self.escrows if ESCROW in purposes else ())]

    def identities(self, epoch_ids: Sequence[str]) -> list[Identity]:
        return self.keyring.openers(self.provider, epoch_ids)


@contextmanager
def _noted(report: RewrapReport, key: str) -> Iterator[None]:
    """Go on after an object that cannot be rewrapped; stop when nothing can be now."""
    try:
        yield
    except (IntegrityError, NotFoundError, RefusedError) as error:
        report.problems.append(f"{key}: {error.message}")


def _count(report: RewrapReport, done: Rewrapped, key: str, progress: Progress) -> None:
    if not done.changed:
        report.current += 1
        return
    report.rewrapped += 1
    progress(key)


def _known(record: ObjectRecord) -> Known:
    return Known(record.key, record.size_bytes, record.sha256, record.epoch_ids)


def _counts(report: RewrapReport) -> dict[str, Any]:
    return {
        "rewrapped": report.rewrapped,
        "current": report.current,
        "old_versions": report.old_versions,
        "problems": len(report.problems),
    }


def _incomplete(report: RewrapReport) -> StrongroomError:
    shown = "\n".join(f"  {problem}" for problem in report.problems[:_SHOWN])
    return RewrapIncompleteError(
        f"{len(report.problems)} objects could not be rewrapped, the first of them:\n{shown}",
        hint="Everything else was. Verify the backups that these belong to.",
    )


def _silent(key: str) -> None:
    """Tell nobody."""

"""Legal holds in the stores: each version of each object that a hold reaches is put under S3 legal hold.

Which versions are locked is remembered in the control database, so that a run asks the store for a listing and
touches only what changed; and so that a hold that somebody else put on an object is never lifted here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from strongroom.audit import EventType, Target
from strongroom.catalog import HeldVersion, HeldVersionRepository, LockState
from strongroom.recording import RunLog
from strongroom.storage import ObjectNotFoundError, ObjectStore

if TYPE_CHECKING:
    from sqlalchemy import Engine


@dataclass(frozen=True)
class LockReport:
    """What one store's locks were brought to."""

    store: str
    """`store`, or the name of a copy."""
    supported: bool
    """Whether it has legal holds at all. Without them the records of the holds alone keep retention off."""
    held: int
    """How many versions are under legal hold that our holds reach."""
    locked: int
    """How many of them this run locked."""
    unlocked: int
    foreign: int = 0
    """How many were under somebody else's legal hold already, which is never lifted here."""


class HoldLocks:
    """Locks and unlocks object versions.

    Args:
        engine: of the control database.
        log: records what is done.
    """

    def __init__(self, engine: Engine, log: RunLog) -> None:
        self._engine = engine
        self._log = log
        self._versions = HeldVersionRepository()

    def enforce(self, name: str, store: ObjectStore, keys: set[str], *, adopt: bool = False) -> LockReport:
        """Bring one store's locks to what is wanted.

        Args:
            name: how the store is called.
            store: it.
            keys: of the objects that are to be locked, in every version.
            adopt: take legal holds that are there already for ours: after a control database was lost.

        Raises:
            TransientError: the store does not answer; what was done until then is remembered.
        """
        if not store.capabilities().object_lock:
            return LockReport(name, False, 0, 0, 0)
        with self._engine.connect() as connection:
            known = self._versions.of(connection, name)
        there = set(_versions(name, store, keys))
        settled = {one for one, state in known.items() if _settled(state, adopt=adopt)}
        new, old = sorted(there - settled, key=_order), sorted(known.keys() - there, key=_order)
        if new or old:
            self._change(store, name, new, old, known, adopt=adopt)
        with self._engine.connect() as connection:
            states = list(self._versions.of(connection, name).values())
        return LockReport(name, True, len(there), len(new), len(old), states.count(LockState.FOREIGN))

    def _change(
        self,
        store: ObjectStore,
        name: str,
        new: list[HeldVersion],
        old: list[HeldVersion],
        known: Mapping[HeldVersion, LockState],
        *,
        adopt: bool,
    ) -> None:
        target = Target("store", name)
        counts = {"to_lock": len(new), "to_unlock": len(old)}
        self._log.emit(EventType.VAULT_OBJECT_HOLD, "attempt", target=target, counts=counts)
        try:
            for one in new:
                self._lock(store, one, ours=adopt or known.get(one) is LockState.PENDING)
            for one in old:
                self._unlock(store, one, known[one])
        except BaseException as error:
            self._log.emit(EventType.VAULT_OBJECT_HOLD, "result", "failure", target=target, error=error)
            raise
        counts = {"locked": len(new), "unlocked": len(old)}
        self._log.emit(EventType.VAULT_OBJECT_HOLD, "result", "success", target=target, counts=counts)

    def _lock(self, store: ObjectStore, one: HeldVersion, *, ours: bool) -> None:
        """Lock a version: noted before, so that it is known to be ours, and after, so that it is known to be done."""
        try:
            if not ours and store.head(one.key, version_id=one.version_id or None).legal_hold:
                self._note(one, LockState.FOREIGN)
                return
            self._note(one, LockState.PENDING)
            store.set_hold(one.key, True, version_id=one.version_id or None)
            self._note(one, LockState.OURS)
        except ObjectNotFoundError:
            return

    def _unlock(self, store: ObjectStore, one: HeldVersion, state: LockState) -> None:
        """Unlock a version that we have locked; one that is gone needs nothing."""
        if state is not LockState.FOREIGN:
            with suppress(ObjectNotFoundError):
                store.set_hold(one.key, False, version_id=one.version_id or None)
        with self._engine.begin() as connection:
            self._versions.remove(connection, one)

    def _note(self, one: HeldVersion, state: LockState) -> None:
        with self._engine.begin() as connection:
            self._versions.note(connection, one, state)


def _settled(state: LockState, *, adopt: bool) -> bool:
    return state is LockState.OURS or (state is LockState.FOREIGN and not adopt)


def _versions(name: str, store: ObjectStore, keys: set[str]) -> Iterator[HeldVersion]:
    """The versions of the wanted objects: one listing of each folder at the top of the store."""
    for folder in sorted({key.split("/")[0] for key in keys}):
        for info in store.list_versions(f"{folder}/"):
            if info.key in keys:
                yield HeldVersion(name, info.key, info.version_id or "")


def _order(one: HeldVersion) -> tuple[str, str]:
    return (one.key, one.version_id)

"""Backups as things with a lifetime, also those that are unfinished, damaged or of a later format."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from strongroom.backup.lifetimes.place import Place, Protection
from strongroom.backup.lifetimes.proofs import Proven
from strongroom.backup.manifest import MANIFEST_NAME, BackupManifest, backup_prefix, read_manifest
from strongroom.clock import Clock
from strongroom.errors import IntegrityError
from strongroom.lifetimes import Item, ItemObject, Kind, LifetimeSource, LogSpan, live_lease
from strongroom.postgres import parse_lsn
from strongroom.storage import ObjectInfo, ObjectStore

_BUILDING = "a backup is running, and may build on it"
_WRITING = "a backup is running, and may be writing it"


@dataclass(frozen=True)
class _Read:
    """A manifest, and the SHA-256 of its bytes."""

    manifest: BackupManifest
    sha256: str


class BackupLifetimes(LifetimeSource):
    """The backups of one database in one store.

    Args:
        place: where.
        proven: finds what is proven, by backup id.
        clock: the time, for leases.
        leases: the store that the leases of running backups lie in; None where nothing writes backups.
    """

    def __init__(
        self,
        place: Place,
        proven: Callable[[], Mapping[str, Proven]],
        clock: Clock,
        *,
        leases: ObjectStore | None,
    ) -> None:
        self._place, self._find_proven, self._clock, self._leases = place, proven, clock, leases
        self._proven: Mapping[str, Proven] = {}
        self._moments: list[datetime] = []

    def items(self) -> Iterator[Item]:
        place, prefix = self._place, backup_prefix(self._place.database)
        running = self._leases is not None and bool(live_lease(self._leases, self._clock, place.database))
        folders: dict[str, list[ObjectInfo]] = defaultdict(list)
        for info in place.store.list(prefix):
            folders[info.key.removeprefix(prefix).partition("/")[0]].append(info)
        keys = [f"{prefix}{name}/{MANIFEST_NAME}" for name in folders]
        present = {info.key for folder in folders.values() for info in folder}
        keys = [key for key in keys if key in present]
        read = place.documents(keys, self._read)
        locks = place.protections(keys)
        self._proven = self._find_proven()
        items = [self._item(name, folder, read, locks, running) for name, folder in folders.items()]
        yield from _marked_damaged(_with_unknown_parents(_with_running(items, running)))

    def signed_moments(self) -> Iterator[datetime]:
        return iter(self._moments)

    def _read(self, data: bytes, key: str) -> _Read:
        manifest = read_manifest(data, self._place.trusted, f"The manifest {key}")
        if manifest.key != key:
            raise IntegrityError(f"The manifest {key} belongs under {manifest.key}: somebody moved it.")
        return _Read(manifest, hashlib.sha256(data).hexdigest())

    def _item(
        self,
        name: str,
        folder: list[ObjectInfo],
        read: Mapping[str, _Read | IntegrityError],
        locks: Mapping[str, Protection],
        running: bool,
    ) -> Item:
        key = f"{backup_prefix(self._place.database)}{name}/{MANIFEST_NAME}"
        found = read.get(key)
        if isinstance(found, _Read):
            return self._backup(found, folder, locks.get(key, Protection()))
        newest = max(info.modified_at for info in folder)
        objects = tuple(ItemObject(info.key, info.size_bytes) for info in folder)
        if isinstance(found, IntegrityError):
            detail = f"its manifest cannot be read here: {found.message}"
            return Item(
                Kind.UNKNOWN, f"unknown/backup/{name}", self._place.database, newest, objects, detail=detail
            )
        return Item(
            Kind.DEBRIS,
            f"debris/backup/{name}",
            self._place.database,
            newest,
            objects,
            in_use=_WRITING if running else None,
            detail="it has no manifest",
        )

    def _backup(self, read: _Read, folder: list[ObjectInfo], lock: Protection) -> Item:
        manifest = read.manifest
        self._moments.append(manifest.finished_at)
        damage = _damage(manifest, folder)
        proven = self._proven.get(manifest.backup_id)
        counts = proven is not None and proven.manifest_sha256 == read.sha256 and damage is None
        first = [info for info in folder if info.key == manifest.key]
        return Item(
            kind=Kind.BACKUP,
            id=f"backup/{manifest.backup_id}",
            database=manifest.database,
            created_at=manifest.started_at,
            objects=tuple(
                ItemObject(info.key, info.size_bytes)
                for info in (*first, *(info for info in folder if info.key != manifest.key))
            ),
            depends_on=(f"backup/{manifest.chain.parent_id}",) if manifest.chain else (),
            proven_at=proven.verified_at if proven and counts else None,
            locked_until=lock.locked_until,
            legal_hold=lock.legal_hold,
            log=_span(manifest),
            covers=(manifest.started_at, manifest.finished_at),
            detail=f"{manifest.kind} {manifest.method}",
            damage=damage,
        )


def _span(manifest: BackupManifest) -> LogSpan | None:
    """The log that continues a physical backup begins within it; a logical one has no use for log."""
    if manifest.method != "physical":
        return None
    return LogSpan(
        manifest.server.system_identifier,
        manifest.server.timeline,
        parse_lsn(manifest.start_lsn),
        parse_lsn(manifest.restore_point.lsn),
    )


def _damage(manifest: BackupManifest, folder: list[ObjectInfo]) -> str | None:
    sizes = {info.key: info.size_bytes for info in folder}
    wrong = [item.name for item in manifest.objects if sizes.get(item.key) != item.size_bytes]
    if not wrong:
        return None
    return f"{wrong[0]} is missing or cut off" + (f", and {len(wrong) - 1} more" if wrong[1:] else "")


def _with_running(items: list[Item], running: bool) -> list[Item]:
    """While a backup runs, the newest backup is what it may build on; what that builds on follows from it."""
    backups = [item for item in items if item.kind is Kind.BACKUP]
    if not running or not backups:
        return items
    newest = max(backups, key=lambda item: item.id)
    return [replace(item, in_use=_BUILDING) if item is newest else item for item in items]


def _with_unknown_parents(items: list[Item]) -> list[Item]:
    """A backup that cannot be read may build on the newest one before it."""
    backups = sorted(item.id for item in items if item.kind is Kind.BACKUP)

    def before(item: Item) -> tuple[str, ...]:
        name = f"backup/{item.id.rsplit('/', 1)[1]}"
        older = [backup for backup in backups if backup < name]
        return (older[-1],) if older else ()

    return [replace(item, depends_on=before(item)) if item.kind is Kind.UNKNOWN else item for item in items]


def _marked_damaged(items: list[Item]) -> list[Item]:
    """What builds on a damaged or missing backup is damaged too."""
    by_id = {item.id: item for item in items}
    for item in sorted(items, key=lambda item: item.id):  # parents before children
        for parent in item.depends_on:
            if item.kind is not Kind.BACKUP or item.damage is not None:
                continue
            below = by_id.get(parent)
            if below is None or below.damage is not None:
                what = f"{parent.split('/', 1)[1]}, on which it builds, is {'missing' if below is None else 'damaged'}"
                by_id[item.id] = replace(item, damage=what, proven_at=None)
    return list(by_id.values())

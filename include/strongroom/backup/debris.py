"""What killed runs left in the bucket: objects without a manifest, and unfinished uploads.

Only under the lease and the advisory lock: a folder without a manifest is also what a running backup has.
"""

from __future__ import annotations

from dataclasses import dataclass

from strongroom.backup.manifest import MANIFEST_NAME, backup_prefix
from strongroom.storage import ObjectInfo, ObjectLockedError, ObjectStore


@dataclass(frozen=True)
class Debris:
    """What lies about in one database's folder."""

    objects: tuple[ObjectInfo, ...]
    """Every version of every object of incomplete backups."""

    @property
    def backup_ids(self) -> tuple[str, ...]:
        """The incomplete backups."""
        return tuple(sorted({item.key.split("/")[2] for item in self.objects}))


@dataclass(frozen=True)
class Removed:
    """What was cleaned up."""

    object_keys: tuple[str, ...]
    locked_keys: tuple[str, ...]
    """Still there, since the bucket's Object Lock keeps them for now."""
    uploads: int
    size_bytes: int

    def __bool__(self) -> bool:
        return bool(self.object_keys or self.uploads)


def find_debris(store: ObjectStore, database: str) -> Debris:
    """The objects of backups that have no manifest."""
    prefix = backup_prefix(database)
    present = {item.key for item in store.list(prefix)}
    complete = {key.split("/")[2] for key in present if key.endswith(f"/{MANIFEST_NAME}")}
    return Debris(
        tuple(
            item
            for item in store.list_versions(prefix)
            if item.key in present and item.key.split("/")[2] not in complete
        )
    )


def complete_backups(store: ObjectStore, database: str) -> list[str]:
    """The ids of the backups whose manifest is in the bucket, oldest first."""
    keys = (item.key for item in store.list(backup_prefix(database)))
    return sorted(key.split("/")[2] for key in keys if key.endswith(f"/{MANIFEST_NAME}"))


def remove_debris(store: ObjectStore, database: str, debris: Debris) -> Removed:
    """Delete the debris, and the unfinished uploads below the database's folder."""
    uploads = store.abort_incomplete_uploads(backup_prefix(database))
    gone: list[ObjectInfo] = []
    locked: list[str] = []
    for item in debris.objects:
        try:
            store.delete_version(item.key, item.version_id)
            gone.append(item)
        except ObjectLockedError:
            locked.append(item.key)
    return Removed(
        tuple(sorted({item.key for item in gone})),
        tuple(sorted(set(locked))),
        uploads,
        sum(item.size_bytes for item in gone),
    )

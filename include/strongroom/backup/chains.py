"""Chains of backups: a full one, and incremental ones that each build on the one before.

    full ← incremental 1 ← incremental 2 ← …

Every incremental manifest names its parent and the SHA-256 of the parent's manifest as it is stored, so a chain is
signed as a whole: none of its backups can be replaced by another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from strongroom.backup.errors import BrokenChainError
from strongroom.backup.manifest import BackupManifest, ManifestObject, Role, manifest_key, read_manifest
from strongroom.errors import IntegrityError, NotFoundError
from strongroom.signing import VerifierKey
from strongroom.storage import ObjectStore
from strongroom.storage.errors import ObjectNotFoundError

LONGEST_CHAIN = 30
"""How many incremental backups may build on one full backup: each makes a restore longer."""

COMBINED_ROLES: tuple[Role, ...] = ("base", "tablespace")
"""The objects of a backup that the ones above it in the chain need."""

_OLDER = (
    "Restore a backup of another chain, and take a new full backup: `strongroom backup run DATABASE --full`."
)


def ancestors(
    manifest: BackupManifest, read: Callable[[str], bytes], trusted: VerifierKey
) -> tuple[BackupManifest, ...]:
    """The backups that one builds on, the full one first; none for a full backup.

    Args:
        manifest: of the backup, its signature checked.
        read: gives the stored manifest of another backup of the same database, by id.
        trusted: the key that must have signed the manifests.

    Raises:
        BrokenChainError: one is missing, altered, or not the one that was built on.
    """
    found: list[BackupManifest] = []
    child = manifest
    while child.chain is not None:
        child = _parent(child, read, trusted)
        found.append(child)
    return tuple(reversed(found))


def _parent(child: BackupManifest, read: Callable[[str], bytes], trusted: VerifierKey) -> BackupManifest:
    link = child.chain
    if link is None:
        raise BrokenChainError(f"The full backup {child.backup_id} builds on nothing.")
    what = f"The backup {link.parent_id}, on which {child.backup_id} builds,"
    try:
        data = read(link.parent_id)
    except NotFoundError as error:
        raise BrokenChainError(f"{what} is not in the bucket.", hint=_OLDER) from error
    if hashlib.sha256(data).hexdigest() != link.parent_manifest_sha256:
        raise BrokenChainError(f"{what} has another manifest than it had then.", hint=_OLDER)
    try:
        parent = read_manifest(data, trusted, manifest_key(child.database, link.parent_id))
    except IntegrityError as error:
        raise BrokenChainError(f"{what} cannot be believed: {error.message}", hint=_OLDER) from error
    if not _fits(child, parent):
        raise BrokenChainError(f"{what} does not fit into its chain.", hint=_OLDER)
    return parent


def _fits(child: BackupManifest, parent: BackupManifest) -> bool:
    link, above = child.chain, parent.chain
    same = (parent.database, parent.backup_id) == (child.database, link and link.parent_id)
    position, full_id = (above.position, above.full_id) if above else (0, parent.backup_id)
    return bool(same and link and (position + 1, full_id) == (link.position, link.full_id))


def missing_objects(store: ObjectStore, manifest: BackupManifest) -> list[ManifestObject]:
    """The objects of a backup that are not in the bucket with their size.

    Raises:
        StorageError: the bucket does not answer, which says nothing about the objects.
    """
    return [item for item in manifest.objects if not _present(store, item)]


def _present(store: ObjectStore, item: ManifestObject) -> bool:
    try:
        return store.head(item.key).size_bytes == item.size_bytes
    except ObjectNotFoundError:
        return False

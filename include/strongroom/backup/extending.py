"""Whether the next backup may be incremental, and what it builds on; where it may not, why.

A full backup is always right, so every doubt ends in one. What is asked, in this order:

    the caller      did not ask for a full one, and the policy has `full_every`
    the newest      backup is complete, physical and signed by us, and so are all that it builds on
    the bucket      holds every object of all of them, with its size
    the chain       is not too long, and its full backup is younger than `full_every`
    the source      is the same cluster on the same timeline, with the same checksums, and keeps WAL summaries
    its manifest    of the newest backup is at hand: in the control database, or sealed, for a host with keys
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta

from strongroom.access import Actor
from strongroom.backup.chains import LONGEST_CHAIN, ancestors, missing_objects
from strongroom.backup.debris import complete_backups
from strongroom.backup.errors import BrokenChainError
from strongroom.backup.manifest import BackupManifest, ChainLink, manifest_key, read_manifest
from strongroom.backup.reasons import FullReason, WhyFull
from strongroom.backup.server_manifest import ServerManifest
from strongroom.durations import Duration
from strongroom.errors import AccessDeniedError, IntegrityError, NotFoundError
from strongroom.signing import VerifierKey
from strongroom.storage import ObjectStore
from strongroom.storage.errors import ObjectNotFoundError
from strongroom.vault import NoPrivateKeyError, Vault

_SLACK_SHARE = 20
_LONGEST_SLACK = timedelta(hours=1)
ManifestOpener = Callable[[BackupManifest], ServerManifest | WhyFull]
"""Gives PostgreSQL's manifest of a backup, or says why it is not to be had."""


@dataclass(frozen=True)
class Extension:
    """What an incremental backup builds on."""

    parent: BackupManifest
    link: ChainLink
    open: Callable[[], ServerManifest | WhyFull]
    """PostgreSQL's manifest of the parent, or why it is not to be had."""


@dataclass(frozen=True)
class Basis:
    """Whether a backup may be incremental as far as the bucket and the policy are concerned."""

    extension: Extension | None = None
    why_full: WhyFull | None = None
    """Why it must be full, where an incremental one might have been expected."""


NO_BASIS = Basis()


@dataclass(frozen=True)
class ChainWish:
    """What is asked of the next backup."""

    database: str
    backup_id: str
    now: datetime
    """By the source's clock, as all moments in manifests."""
    full_every: Duration | None
    full: bool
    """Whether the caller wants a full backup."""


def find_basis(store: ObjectStore, trusted: VerifierKey, wish: ChainWish, opener: ManifestOpener) -> Basis:
    """What the next backup of a database may build on.

    Args:
        store: the bucket.
        trusted: the key that must have signed the manifests.
        wish: what is asked.
        opener: finds PostgreSQL's manifest of the newest backup.

    Raises:
        StorageError: the bucket does not answer.
    """
    if wish.full_every is None:
        return Basis()
    if wish.full:
        return _full(FullReason.ASKED_FOR, "a full backup was asked for")
    known = complete_backups(store, wish.database)
    if not known:
        return _full(FullReason.FIRST_BACKUP, "the database has no complete backup yet")
    try:
        parent, digest = _newest(store, trusted, wish.database, known[-1])
        chain = (*ancestors(parent, lambda name: _read(store, wish.database, name), trusted), parent)
    except IntegrityError as error:
        return _full(FullReason.CHAIN_BROKEN, f"the chain is broken: {error.message}")
    why_full = _why_full(store, wish, chain)
    if why_full is not None:
        return Basis(why_full=why_full)
    link = ChainLink(parent.backup_id, digest, chain[0].backup_id, len(chain))
    return Basis(Extension(parent, link, lambda: opener(parent)))


def sealed_manifest(vault: Vault, actor: Actor, parent: BackupManifest) -> ServerManifest | WhyFull:
    """PostgreSQL's manifest out of the sealed backup, where this host has the key; else why it is not to be had.

    Raises:
        TransientError: the bucket or the control database failed.
    """
    try:
        item = parent.object("server_manifest")
        with ExitStack() as stack:
            with vault.fetch(actor, item.key, expect=item.stored()) as content:
                found = ServerManifest.of(content, parent.server_manifest_sha256 or "")
                stack.callback(found.close)
            stack.pop_all()  # the caller closes it
            return found
    except (NoPrivateKeyError, AccessDeniedError):
        return WhyFull(
            FullReason.NO_SERVER_MANIFEST,
            f"PostgreSQL's manifest of {parent.backup_id} is not in the control database, and cannot be opened here",
        )
    except (IntegrityError, NotFoundError) as error:
        return WhyFull(
            FullReason.CHAIN_BROKEN,
            f"the chain is broken: PostgreSQL's manifest of {parent.backup_id} cannot be read: {error.message}",
        )


def _full(reason: FullReason, text: str) -> Basis:
    return Basis(why_full=WhyFull(reason, text))


def _newest(
    store: ObjectStore, trusted: VerifierKey, database: str, backup_id: str
) -> tuple[BackupManifest, str]:
    try:
        data = _read(store, database, backup_id)
    except ObjectNotFoundError as error:
        raise BrokenChainError(f"The backup {backup_id} went away.") from error
    what = f"The manifest of {backup_id}"
    manifest = read_manifest(data, trusted, what)
    if (manifest.database, manifest.backup_id) != (database, backup_id):
        raise BrokenChainError(f"{what} belongs to another backup.")
    return manifest, hashlib.sha256(data).hexdigest()


def _read(store: ObjectStore, database: str, backup_id: str) -> bytes:
    return store.get_bytes(manifest_key(database, backup_id))


def _why_full(store: ObjectStore, wish: ChainWish, chain: tuple[BackupManifest, ...]) -> WhyFull | None:
    full, parent = chain[0], chain[-1]
    if parent.method != "physical":
        text = f"the newest backup, {parent.backup_id}, is a logical one"
        return WhyFull(FullReason.PARENT_LOGICAL, text)
    if wish.backup_id <= parent.backup_id or wish.now < full.started_at:
        text = f"the source's clock is behind the newest backup, {parent.backup_id}"
        return WhyFull(FullReason.CLOCK_BACK, text)
    if len(chain) > LONGEST_CHAIN:
        text = f"the chain of {full.backup_id} has {LONGEST_CHAIN} incremental backups already"
        return WhyFull(FullReason.CHAIN_LONG, text)
    if wish.full_every is not None and _due(full.started_at, wish.full_every, wish.now):
        text = f"the last full backup, {full.backup_id}, is as old as full_every allows ({wish.full_every})"
        return WhyFull(FullReason.FULL_DUE, text)
    for manifest in chain:
        for item in missing_objects(store, manifest):
            text = f"the chain is broken: {item.key} is missing or cut off"
            return WhyFull(FullReason.CHAIN_BROKEN, text)
    return None


def _due(full: datetime, every: Duration, now: datetime) -> bool:
    """Whether the time has come. A run that starts a moment earlier than last week's does not wait another day."""
    slack = min(every.approximate / _SLACK_SHARE, _LONGEST_SLACK)
    return now + slack >= every.after(full)

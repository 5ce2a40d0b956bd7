"""What a restore can be made of, read from the bucket alone: backups, their proofs, and the archived log.

No control database is needed: manifests, proofs and receipts are signed, and count only with a good signature.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from strongroom.backup.continuous import (
    HistoryMissingError,
    HistoryReceipt,
    TimelineFacts,
    TimelineHistory,
    WalArchive,
)
from strongroom.backup.debris import complete_backups
from strongroom.backup.manifest import BackupManifest, manifest_key, read_manifest
from strongroom.backup.restoring.errors import NotThisBackupError
from strongroom.canonical import parse_object
from strongroom.errors import IntegrityError, StrongroomError
from strongroom.signing import VerifierKey, verify_json
from strongroom.storage import ObjectNotFoundError, ObjectStore

_PROOFS_READ = 5


@dataclass(frozen=True)
class StoredManifest:
    """A complete backup."""

    manifest: BackupManifest
    sha256: str
    """Of the manifest as it is stored."""

    @property
    def id(self) -> str:
        """The backup's id."""
        return self.manifest.backup_id


@dataclass(frozen=True)
class ClusterLog:
    """The archived log of one cluster."""

    system_identifier: str
    timelines: Mapping[int, TimelineFacts] = field(default_factory=dict)
    receipts: Mapping[int, HistoryReceipt] = field(default_factory=dict)
    """Of the timelines' histories, where the sealed file is there too."""

    def history(self, timeline: int) -> TimelineHistory:
        """The way to a timeline.

        Raises:
            HistoryMissingError: the archive does not know it.
        """
        if timeline == 1:
            return TimelineHistory(1)
        if timeline not in self.receipts:
            raise HistoryMissingError(
                f"The archive has no history of timeline {timeline}, so nobody can say how the log came there.",
                hint="Ship its WAL again while the server has the history, or restore with --timeline"
                " to an older one.",
            )
        return self.receipts[timeline].history


@dataclass(frozen=True)
class Rates:
    """How fast earlier restores of this database were."""

    unpacked_bytes_per_second: float
    recovery_seconds: float
    """To start the server and replay the log of the backup itself."""
    proofs: int
    """How many proofs this is taken from."""


@dataclass(frozen=True)
class RestoreFacts:
    """Everything that a plan is made from."""

    database: str
    backups: tuple[StoredManifest, ...]
    """Of the wanted method, oldest first."""
    logs: Mapping[str, ClusterLog] = field(default_factory=dict)
    """By system identifier."""
    results: Mapping[str, str] = field(default_factory=dict)
    """`proven` or `failed` by backup: its newest proof."""
    rates: Rates | None = None
    unusable: Mapping[str, str] = field(default_factory=dict)
    """Backups whose manifest cannot be believed, with the reason."""

    def backup(self, backup_id: str) -> StoredManifest | None:
        """The backup of that id."""
        return next((item for item in self.backups if item.id == backup_id), None)


def gather(
    store: ObjectStore,
    database: str,
    trusted: VerifierKey,
    *,
    with_log: bool = True,
    method: Literal["physical", "logical"] = "physical",
) -> RestoreFacts:
    """Read the facts about one database. A manifest that cannot be believed is set aside, and named.

    Args:
        store: the bucket.
        database: the database's name in its policy.
        trusted: the key that everything must be signed with.
        with_log: whether the archived log matters; a backup's own restore point needs none of it.
        method: which backups matter.

    Raises:
        SignatureError, ReceiptError: a receipt of the log cannot be believed.
        StoreUnavailableError: the bucket does not answer, also in the middle of a listing.
    """
    backups: list[StoredManifest] = []
    unusable: dict[str, str] = {}
    for backup_id in complete_backups(store, database):
        try:
            found = stored_manifest(store, database, backup_id, trusted)
        except IntegrityError as error:
            unusable[backup_id] = error.message
        else:
            backups += [found] if found.manifest.method == method else []
    results, rates = _proofs(store, database, trusted, {item.id for item in backups})
    logs = _logs(store, database, trusted, backups) if with_log else {}
    return RestoreFacts(database, tuple(backups), logs, results, rates, unusable)


def stored_manifest(
    store: ObjectStore, database: str, backup_id: str, trusted: VerifierKey
) -> StoredManifest:
    """One backup's manifest, its signature and its place checked.

    Raises:
        SignatureError, ManifestError: it cannot be believed.
        NotThisBackupError: it belongs to another backup.
        ObjectNotFoundError: there is none.
    """
    key = manifest_key(database, backup_id)
    data = store.get_bytes(key)
    manifest = read_manifest(data, trusted, f"The manifest {key}")
    if (manifest.database, manifest.backup_id) != (database, backup_id):
        raise NotThisBackupError(
            f"The manifest {key} belongs to the backup {manifest.backup_id} of {manifest.database}.",
            hint="Somebody moved it; look at who can write to the bucket.",
        )
    return StoredManifest(manifest, hashlib.sha256(data).hexdigest())


def _logs(
    store: ObjectStore, database: str, trusted: VerifierKey, backups: Iterable[StoredManifest]
) -> dict[str, ClusterLog]:
    archive = WalArchive(store, database, trusted)
    clusters = {item.manifest.server.system_identifier for item in backups}
    return {name: _log(store, archive, name) for name in archive.system_ids() if name in clusters}


def _log(store: ObjectStore, archive: WalArchive, system_identifier: str) -> ClusterLog:
    receipts: dict[int, HistoryReceipt] = {}
    timelines: dict[int, TimelineFacts] = {}
    for timeline in archive.timelines(system_identifier):
        timelines[timeline] = archive.facts(system_identifier, timeline)
        if timeline > 1 and (receipt := _history(store, archive, system_identifier, timeline)):
            receipts[timeline] = receipt
    return ClusterLog(system_identifier, timelines, receipts)


def _history(
    store: ObjectStore, archive: WalArchive, system_identifier: str, timeline: int
) -> HistoryReceipt | None:
    """The receipt, when the file that it names is there too: PostgreSQL needs the file itself."""
    try:
        receipt = archive.history_receipt(system_identifier, timeline)
        found = store.head(receipt.file.key)
    except (HistoryMissingError, ObjectNotFoundError):
        return None
    return receipt if found.size_bytes == receipt.file.size_bytes else None


def _proofs(
    store: ObjectStore, database: str, trusted: VerifierKey, backups: Collection[str]
) -> tuple[dict[str, str], Rates | None]:
    """Each backup's last result, and the rates that the newest proofs measured."""
    keys = sorted(item.key for item in store.list(f"proofs/{database}/"))
    newest = {name: key for key in keys if (name := key.split("/")[2]) in backups}
    documents = {backup_id: _proof(store, key, trusted) for backup_id, key in newest.items()}
    results = {name: str(proof["result"]) for name, proof in documents.items() if proof}
    measured = [proof["restore"] for _, proof in sorted(documents.items()) if proof][-_PROOFS_READ:]
    return results, _rates(measured)


def _proof(store: ObjectStore, key: str, trusted: VerifierKey) -> dict[str, object] | None:
    """A proof's document; one that cannot be believed proves nothing, and is no reason not to restore."""
    what = f"The proof {key}"
    try:
        return verify_json(parse_object(store.get_bytes(key), what), trusted, what)
    except ObjectNotFoundError:
        return None
    except StrongroomError as error:
        if error.retryable:
            raise
        return None


def _rates(measured: list[object]) -> Rates | None:
    sums = [0.0, 0.0, 0.0]
    count = 0
    for item in measured:
        if not isinstance(item, dict):
            continue
        values = [
            item.get(name) for name in ("restored_bytes", "fetch_and_unpack_seconds", "recovery_seconds")
        ]
        if all(isinstance(value, int | float) and value > 0 for value in values):
            sums = [total + float(value or 0) for total, value in zip(sums, values, strict=True)]
            count += 1
    return Rates(sums[0] / sums[1], sums[2] / count, count) if count else None

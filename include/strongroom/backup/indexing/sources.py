"""Where the index comes from: each kind of signed document in the bucket, and the rows that follow from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

from strongroom.backup.indexing.inventory import Listed
from strongroom.backup.indexing.report import Problem
from strongroom.backup.indexing.scan import Scan
from strongroom.backup.manifest import (
    MANIFEST_NAME,
    BackupManifest,
    manifest_key,
    read_manifest,
)
from strongroom.backup.records import backup_record
from strongroom.backup.verification.proof import Proof, read_proof
from strongroom.catalog import BackupRepository, CopyRepository, ObjectRecord, ProofRepository
from strongroom.sealing import read_epoch
from strongroom.vault import StoredObject


class IndexSource(ABC):
    """One kind of signed document."""

    @abstractmethod
    def read(self, scan: Scan) -> None:
        """Read all documents of this kind, and index what they say.

        Raises:
            TransientError: the store does not answer; nothing of this scan may be kept.
        """


class KeyRecords(IndexSource):
    """The key epochs: they stay in the bucket, and are read to know that they can be believed."""

    def __init__(self) -> None:
        self.ids: set[str] = set()

    def read(self, scan: Scan) -> None:
        for item in scan.inventory.objects("keys/%.json"):
            read = scan.document(item.key, lambda data, key: read_epoch(data, key, scan.trusted))
            if read is not None:
                self.ids.add(read[0].id)
        scan.epochs = len(self.ids)


def index_objects(
    scan: Scan, objects: Sequence[StoredObject], database: str, named_by: Listed, keys: KeyRecords
) -> None:
    """Index the objects that a signed document names, and tell which of them are missing or different."""
    sizes = scan.inventory.sizes(item.key for item in objects)
    for named in objects:
        item = _as_it_is(scan, named)
        if item.key not in sizes:
            scan.findings.add(
                Problem.MISSING, item.key, f"{named_by.key} names it, and it is not in the bucket."
            )
            continue
        if sizes[item.key] not in (item.size_bytes, named.size_bytes):
            detail = f"It has {sizes[item.key]} bytes; {named_by.key} says {named.size_bytes}."
            scan.findings.add(Problem.DIFFERENT, item.key, detail)
        for epoch_id in sorted(set(item.epoch_ids) - keys.ids):
            detail = f"{item.key} was sealed for this key epoch."
            scan.findings.add(Problem.MISSING, f"keys/{epoch_id}.json", detail)
        scan.index_object(_record(item, database, named_by))
    scan.inventory.claim([named_by.key, *(item.key for item in objects)])


def _as_it_is(scan: Scan, item: StoredObject) -> StoredObject:
    """An object with the size, hash and epochs that it has since it was rewrapped to other keys, if it was."""
    form = scan.newest_form(item.key, item.size_bytes, item.sha256)
    if form is None:
        return item
    return replace(item, size_bytes=form.size_bytes, sha256=form.sha256, epoch_ids=form.epoch_ids)


class Manifests(IndexSource):
    """The backups and their objects."""

    def __init__(self, keys: KeyRecords) -> None:
        self._keys = keys
        self.sha256: dict[tuple[str, str], str] = {}
        """Of each believed manifest, by database and backup id."""

    def read(self, scan: Scan) -> None:
        for item in scan.inventory.objects(f"backups/%/{MANIFEST_NAME}"):
            read = scan.document(
                item.key, lambda data, key: read_manifest(data, scan.trusted, f"The manifest {key}")
            )
            if read is None:
                continue
            manifest, sha256 = read
            if manifest.key != item.key:
                scan.findings.add(
                    Problem.NOT_BELIEVED,
                    item.key,
                    f"It is the manifest of {manifest.backup_id} of {manifest.database}: somebody moved it.",
                )
                continue
            self.sha256[manifest.database, manifest.backup_id] = sha256
            self._index(scan, manifest, sha256, item)

    def _index(self, scan: Scan, manifest: BackupManifest, sha256: str, item: Listed) -> None:
        record, repository = backup_record(manifest, sha256), BackupRepository()
        old = repository.find(scan.connection, manifest.backup_id)
        if scan.backups.count(old, record):
            repository.add(scan.connection, record)
        self._check_chain(scan, manifest)
        parts = [part.stored() for part in manifest.objects]
        index_objects(scan, parts, manifest.database, item, self._keys)

    def _check_chain(self, scan: Scan, manifest: BackupManifest) -> None:
        """An incremental backup without its parent restores nothing; the parent's key sorts before its own."""
        chain = manifest.chain
        if chain is None:
            return
        parent = self.sha256.get((manifest.database, chain.parent_id))
        if parent != chain.parent_manifest_sha256:
            scan.findings.add(
                Problem.MISSING if parent is None else Problem.DIFFERENT,
                manifest_key(manifest.database, chain.parent_id),
                f"The incremental backup {manifest.backup_id} builds on it and cannot be restored without it.",
            )


class Proofs(IndexSource):
    """What verifications found, of the backups here and of those in copies."""

    def __init__(self, manifests: Manifests) -> None:
        self._manifests = manifests

    def read(self, scan: Scan) -> None:
        repository = ProofRepository()
        for item in scan.inventory.objects("proofs/%.json"):
            read = scan.document(
                item.key, lambda data, key: read_proof(data, scan.trusted, f"The proof {key}")
            )
            if read is None or not self._belongs(scan, item.key, read[0]):
                continue
            scan.inventory.claim([item.key])
            record = read[0].record()
            if scan.proofs.count(repository.find(scan.connection, item.key), record):
                repository.add(scan.connection, record)
        self._read_of_copies(scan)

    def _read_of_copies(self, scan: Scan) -> None:
        repository = CopyRepository()
        for item in scan.inventory.objects("copies/%/proofs/%.json"):
            read = scan.document(
                item.key, lambda data, key: read_proof(data, scan.trusted, f"The proof {key}")
            )
            if read is None or not self._belongs(scan, item.key, read[0]) or read[0].copy is None:
                continue
            scan.inventory.claim([item.key])
            known = repository.has_proof(scan.connection, item.key)
            if scan.proofs.count(item.key if known else None, item.key):
                repository.add_proof(scan.connection, read[0].copy, read[0].record())

    def _belongs(self, scan: Scan, key: str, proof: Proof) -> bool:
        """Whether the proof lies where it belongs, and is about the manifest that is there, if one is."""
        manifest = self._manifests.sha256.get((proof.database, proof.backup_id))
        if proof.key != key:
            detail = f"It is a proof of {proof.backup_id} of {proof.database}: somebody moved it."
        elif proof.proven and manifest is not None and manifest != proof.manifest_sha256:
            detail = f"It proves another manifest than the one that {proof.backup_id} has."
        else:
            return True
        scan.findings.add(Problem.NOT_BELIEVED, key, detail)
        return False


def _record(stored: StoredObject, database: str, named_by: Listed) -> ObjectRecord:
    """An object's row, from what a signed document says of it."""
    return ObjectRecord(
        key=stored.key,
        kind=stored.kind,
        database=database,
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
        plaintext_bytes=stored.plaintext_bytes,
        compressed=stored.compressed,
        epoch_ids=stored.epoch_ids,
        version_id=None,
        stored_at=named_by.modified_at,
    )

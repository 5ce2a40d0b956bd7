"""Where the index comes from: each kind of signed document in the bucket, and the rows that follow from it."""

from __future__ import annotations

from abc import ABC, abstractmethod

from strongroom.backup.indexing.inventory import Listed
from strongroom.backup.indexing.report import Problem
from strongroom.backup.indexing.scan import Scan
from strongroom.backup.manifest import (
    MANIFEST_NAME,
    OBJECT_KIND,
    BackupManifest,
    manifest_key,
    read_manifest,
)
from strongroom.backup.records import backup_record
from strongroom.backup.verification.proof import Proof, read_proof
from strongroom.catalog import BackupRepository, ObjectRecord, ProofRepository
from strongroom.sealing import read_epoch


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
        self._index_objects(scan, manifest, item)
        self._check_chain(scan, manifest)
        scan.inventory.claim([item.key, *(part.key for part in manifest.objects)])

    def _index_objects(self, scan: Scan, manifest: BackupManifest, item: Listed) -> None:
        sizes = scan.inventory.sizes(part.key for part in manifest.objects)
        for part in manifest.objects:
            if part.key not in sizes:
                detail = f"The manifest of {manifest.backup_id} names it, and it is not in the bucket."
                scan.findings.add(Problem.MISSING, part.key, detail)
                continue
            if sizes[part.key] != part.size_bytes:
                detail = f"It has {sizes[part.key]} bytes; the manifest says {part.size_bytes}."
                scan.findings.add(Problem.DIFFERENT, part.key, detail)
            for epoch_id in sorted(set(part.epoch_ids) - self._keys.ids):
                scan.findings.add(
                    Problem.MISSING, f"keys/{epoch_id}.json", f"{part.key} was sealed for this key epoch."
                )
            scan.index_object(
                ObjectRecord(
                    key=part.key,
                    kind=OBJECT_KIND,
                    database=manifest.database,
                    size_bytes=part.size_bytes,
                    sha256=part.sha256,
                    plaintext_bytes=part.plaintext_bytes,
                    compressed=part.stored().compressed,
                    epoch_ids=part.epoch_ids,
                    version_id=None,
                    stored_at=item.modified_at,
                )
            )

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
    """What verifications found."""

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

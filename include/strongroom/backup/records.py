"""What a backup run records: its events, its rows in the control database, and the summary for its caller."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from strongroom.access import Actor
from strongroom.audit import AuditSink, EventType, Target
from strongroom.backup.debris import Removed, complete_backups, find_debris, remove_debris
from strongroom.backup.errors import ManifestError
from strongroom.backup.manifest import BackupManifest, backup_prefix, manifest_key, read_manifest
from strongroom.backup.server_manifest import ServerManifest
from strongroom.catalog import (
    BackupRecord,
    BackupRepository,
    ObjectRepository,
    ServerManifestRepository,
)
from strongroom.errors import IntegrityError, StrongroomError
from strongroom.recording import RunLog
from strongroom.storage import ObjectStore

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from strongroom.backup.interface import EngineResult
    from strongroom.backup.service import BackupPlan
    from strongroom.signing import VerifierKey


@dataclass(frozen=True)
class BackupSummary:
    """A backup that was taken: references and sizes, safe to log and to pass between tasks."""

    backup_id: str
    database: str
    manifest_key: str
    manifest_sha256: str
    started_at: datetime
    finished_at: datetime
    restore_point: str
    stored_bytes: int
    plaintext_bytes: int
    object_keys: tuple[str, ...]
    locked_until: datetime | None
    """Until when the bucket refuses to delete it; None without Object Lock."""
    debris_removed: int
    """How many objects and uploads of killed runs were cleaned up first."""
    seconds: float
    """How long the whole run took."""
    kind: Literal["full", "incremental"] = "full"
    parent_id: str | None = None
    """The backup that it builds on, when it is incremental."""
    kind_reason: str | None = None
    """Why it is full, where an incremental backup might have been expected."""


class Recorder:
    """Records one run."""

    def __init__(
        self, engine: Engine, sink: AuditSink, actor: Actor, plan: BackupPlan, correlation_id: str
    ) -> None:
        self.correlation_id = correlation_id
        target = Target("backup", backup_prefix(plan.database))
        self._log = RunLog(engine, sink, actor, plan.database, target, plan.policy_sha256, correlation_id)
        self._plan = plan
        self._removed = Removed((), (), 0, 0)
        self._backups = BackupRepository()
        self._objects = ObjectRepository()
        self._manifests = ServerManifestRepository()

    def attempt(self) -> None:
        """The run is about to begin."""
        self._log.emit(EventType.BACKUP_RUN_EXECUTE, "attempt")

    def refused(self, error: BaseException) -> None:
        """The actor may not."""
        details = {"permission": "run_backup"}
        self._log.emit(EventType.ACCESS_PERMISSION_REFUSE, "result", "denied", error=error, details=details)

    def failure(self, error: BaseException) -> None:
        """The run failed. When even that cannot be recorded, the error says so."""
        try:
            self._log.emit(EventType.BACKUP_RUN_EXECUTE, "result", "failure", error=error)
        except StrongroomError as unrecorded:
            error.add_note(f"This failure could not be recorded: {unrecorded.message}")

    def clean_up(self, store: ObjectStore, trusted: VerifierKey) -> None:
        """Remove what killed runs left, and record backups that a run completed and could not record."""
        debris = find_debris(store, self._plan.database)
        if debris.objects:
            counts = {"objects": len(debris.objects), "backups": len(debris.backup_ids)}
            self._log.emit(EventType.BACKUP_DEBRIS_REMOVE, "attempt", counts=counts)
        self._removed = remove_debris(store, self._plan.database, debris)
        if self._removed or self._removed.locked_keys:
            self._record_removal(self._removed)
        self._record_unrecorded(store, trusted)

    def success(
        self,
        manifest: BackupManifest,
        manifest_sha256: str,
        locked_until: datetime | None,
        began: float,
        result: EngineResult,
    ) -> BackupSummary:
        """The backup is complete: its record, its event and PostgreSQL's manifest of it are written together."""
        chain = manifest.chain
        with self._log.transaction() as connection:
            self._backups.add(connection, backup_record(manifest, manifest_sha256))
            pieces = result.server_manifest.pieces if result.server_manifest else ()
            self._manifests.keep(connection, manifest.database, manifest.backup_id, pieces)
            event = self._log.event(
                EventType.BACKUP_RUN_EXECUTE,
                "result",
                "success",
                target=Target("backup", manifest.key),
                counts={
                    "stored_bytes": manifest.stored_bytes,
                    "plaintext_bytes": manifest.plaintext_bytes,
                    "objects": len(manifest.objects),
                },
                hashes={"manifest_sha256": manifest_sha256},
                details={
                    "backup_id": manifest.backup_id,
                    "fencing_number": manifest.fencing_number,
                    "locked": locked_until is not None,
                    "kind": manifest.kind,
                    "parent_id": chain.parent_id if chain else None,
                    "why_full": str(result.why_full.reason) if result.why_full else None,
                },
            )
            self._log.sink.emit(connection, event)
        return BackupSummary(
            backup_id=manifest.backup_id,
            database=manifest.database,
            manifest_key=manifest.key,
            manifest_sha256=manifest_sha256,
            started_at=manifest.started_at,
            finished_at=manifest.finished_at,
            restore_point=manifest.restore_point.name,
            stored_bytes=manifest.stored_bytes,
            plaintext_bytes=manifest.plaintext_bytes,
            object_keys=tuple(item.key for item in manifest.objects),
            locked_until=locked_until,
            debris_removed=len(self._removed.object_keys) + self._removed.uploads,
            seconds=time.monotonic() - began,
            kind=manifest.kind,
            parent_id=chain.parent_id if chain else None,
            kind_reason=manifest.kind_reason,
        )

    def server_manifest(self, manifest: BackupManifest) -> ServerManifest | None:
        """PostgreSQL's manifest of a backup from the control database; None when it has none or another one."""
        with ExitStack() as stack:
            with self._log.transaction() as connection:
                pieces = self._manifests.pieces(connection, manifest.backup_id)
                try:
                    found = ServerManifest.decompressed(pieces, manifest.server_manifest_sha256 or "")
                except ManifestError:
                    return None
                stack.callback(found.close)
            stack.pop_all()  # the caller closes it
            return found

    def _record_removal(self, removed: Removed) -> None:
        with self._log.transaction() as connection:
            for key in removed.object_keys:
                self._objects.remove(connection, key)
            event = self._log.event(
                EventType.BACKUP_DEBRIS_REMOVE,
                "result",
                "partial" if removed.locked_keys else "success",
                counts={
                    "objects": len(removed.object_keys),
                    "uploads": removed.uploads,
                    "locked_objects": len(removed.locked_keys),
                    "removed_bytes": removed.size_bytes,
                },
            )
            self._log.sink.emit(connection, event)

    def _record_unrecorded(self, store: ObjectStore, trusted: VerifierKey) -> None:
        with self._log.transaction() as connection:
            known = {record.backup_id for record in self._backups.list(connection, self._plan.database)}
        for backup_id in complete_backups(store, self._plan.database):
            if backup_id not in known:
                self._record_found(store, trusted, manifest_key(self._plan.database, backup_id))

    def _record_found(self, store: ObjectStore, trusted: VerifierKey, key: str) -> None:
        import hashlib

        data = store.get_bytes(key)
        try:
            manifest = read_manifest(data, trusted)
        except IntegrityError:
            return  # of another installation or altered: not ours to index, and a verification says so
        with self._log.transaction() as connection:
            self._backups.add(connection, backup_record(manifest, hashlib.sha256(data).hexdigest()))


def backup_record(manifest: BackupManifest, manifest_sha256: str) -> BackupRecord:
    """A backup's row in the control database."""
    return BackupRecord(
        backup_id=manifest.backup_id,
        database=manifest.database,
        method=manifest.method,
        kind=manifest.kind,
        started_at=manifest.started_at,
        finished_at=manifest.finished_at,
        system_identifier=manifest.server.system_identifier,
        timeline=manifest.server.timeline,
        start_lsn=manifest.start_lsn,
        stop_lsn=manifest.stop_lsn,
        restore_point=manifest.restore_point.name,
        stored_bytes=manifest.stored_bytes,
        plaintext_bytes=manifest.plaintext_bytes,
        manifest_key=manifest.key,
        manifest_sha256=manifest_sha256,
        parent_id=manifest.chain.parent_id if manifest.chain else None,
        full_id=manifest.chain.full_id if manifest.chain else None,
    )

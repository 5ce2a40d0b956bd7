"""Taking one backup of one database, from the lock to the record of what was made.

    permission → attempt recorded → advisory lock → lease → debris of killed runs removed → engine
    → lease confirmed → manifest signed and written → Object Lock → catalogue and result recorded

A run that dies anywhere leaves objects without a manifest: not a backup, and gone with the next run.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from strongroom import __version__
from strongroom.access import Actor, Permission, require
from strongroom.backup.debris import complete_backups
from strongroom.backup.errors import BackupInProgressError
from strongroom.backup.extending import Basis, ChainWish, find_basis, sealed_manifest
from strongroom.backup.interface import BackupEngine, BackupRequest, EngineResult, ObjectWriter
from strongroom.backup.lease import Lease
from strongroom.backup.logical import LogicalEngine
from strongroom.backup.manifest import (
    OBJECT_KIND,
    REASON_LENGTH,
    BackupManifest,
    ManifestObject,
    Role,
    backup_prefix,
)
from strongroom.backup.physical import PhysicalEngine
from strongroom.backup.reasons import WhyFull
from strongroom.backup.records import BackupSummary, Recorder
from strongroom.backup.server_manifest import ServerManifest
from strongroom.clock import Clock
from strongroom.durations import Duration
from strongroom.errors import AccessDeniedError
from strongroom.postgres import Connection, LockHeldError, advisory_lock, connect, server_errors
from strongroom.storage import ObjectStore, Retention
from strongroom.vault import Content, Vault

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from strongroom.audit import AuditSink
    from strongroom.policy import Policy
    from strongroom.signing import SignerKey

_LOCK = "backup"
_LOCK_PATIENCE_SECONDS = 3.0
Progress = Callable[[str, int], None]
Method = Literal["physical", "logical"]


@dataclass(frozen=True)
class BackupParts:
    """What backups work with; the composition root gives it."""

    store: ObjectStore
    vault: Vault
    engine: Engine
    sink: AuditSink
    signer: SignerKey
    clock: Clock
    postgres_directories: Sequence[Path] = ()


@dataclass(frozen=True)
class BackupPlan:
    """What a policy says about the backups of one database."""

    database: str
    policy_sha256: str
    recipients: tuple[str, ...] = ("epoch", "escrow")
    fingerprint: Literal["all", "none"] | tuple[str, ...] = "all"
    full_every: Duration | None = None
    """Time between full backups; without it, every backup is full."""
    lock_mode: Literal["governance", "compliance"] | None = None
    lock_days: int = 0
    method: Method = "physical"

    @classmethod
    def from_policy(cls, policy: Policy) -> BackupPlan:
        """The part of a policy that this is about."""
        chosen = policy.verify.fingerprint
        lock = policy.backup.lock
        return cls(
            database=policy.database,
            policy_sha256=policy.sha256,
            recipients=tuple(policy.backup.recipients),
            fingerprint=chosen,
            full_every=policy.backup.full_every,
            lock_mode=lock.mode if lock else None,
            lock_days=lock.days if lock else 0,
            method=policy.backup.method,
        )


class BackupService:
    """Takes backups.

    Args:
        parts: what it works with.
        backup_engine: how; without it, as each plan's method says.
    """

    def __init__(self, parts: BackupParts, backup_engine: BackupEngine | None = None) -> None:
        self._parts = parts
        self._only_engine = backup_engine

    def run(
        self,
        actor: Actor,
        policy: Policy | BackupPlan,
        conninfo: str,
        *,
        full: bool = False,
        progress: Progress | None = None,
    ) -> BackupSummary:
        """Take a backup.

        Args:
            actor: who asks; needs `run_backup` and `store_object`.
            policy: of the database.
            conninfo: of the source; its database is where the control session goes.
            full: whether to take a full backup although the policy would have an incremental one.
            progress: told a stage and how much of it has passed.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            BackupInProgressError: another run backs up this database now.
            SourceNotReadyError: the source does not allow it; the hint says what to change.
            TransientError: source, bucket or control database failed; the next run starts anew.
        """
        plan = policy if isinstance(policy, BackupPlan) else BackupPlan.from_policy(policy)
        recorder = Recorder(self._parts.engine, self._parts.sink, actor, plan, uuid.uuid4().hex)
        try:
            require(actor, Permission.RUN_BACKUP)
        except AccessDeniedError as error:
            recorder.refused(error)
            raise
        recorder.attempt()
        try:
            return self._locked_run(actor, plan, conninfo, recorder, progress or _silent, full=full)
        except BaseException as error:
            recorder.failure(error)
            raise

    def _engine(self, plan: BackupPlan) -> BackupEngine:
        if self._only_engine is not None:
            return self._only_engine
        kind = LogicalEngine if plan.method == "logical" else PhysicalEngine
        return kind(self._parts.postgres_directories)

    def _locked_run(
        self,
        actor: Actor,
        plan: BackupPlan,
        conninfo: str,
        recorder: Recorder,
        progress: Progress,
        *,
        full: bool,
    ) -> BackupSummary:
        began = time.monotonic()
        engine = self._engine(plan)
        with connect(conninfo, application_name="strongroom backup") as control, _exclusive(control):
            lease = Lease(self._parts.store, self._parts.clock, plan.database, _source(control))
            with lease:
                request = BackupRequest(
                    self._new_id(control, plan.database),
                    conninfo,
                    control,
                    plan.fingerprint,
                    lease.alive,
                    progress,
                )
                engine.check(request)
                recorder.clean_up(self._parts.store, self._parts.signer.verifier)
                request = replace(request, basis=self._basis(actor, plan, request, recorder, full=full))
                result = engine.run(request, self._writer(actor, plan, request, recorder))
                lease.confirm()
                manifest = _manifest(plan, request, result, engine, lease.fencing_number)
                locked_until = self._publish(plan, manifest)
        digest = self._manifest_sha256(manifest)
        return recorder.success(manifest, digest, locked_until, began, result)

    def _basis(
        self, actor: Actor, plan: BackupPlan, request: BackupRequest, recorder: Recorder, *, full: bool
    ) -> Basis:
        """What the backup may build on."""
        wish = ChainWish(plan.database, request.backup_id, _now(request.control), plan.full_every, full)

        def open_manifest(parent: BackupManifest) -> ServerManifest | WhyFull:
            return recorder.server_manifest(parent) or sealed_manifest(self._parts.vault, actor, parent)

        return find_basis(self._parts.store, self._parts.signer.verifier, wish, open_manifest)

    def _writer(
        self, actor: Actor, plan: BackupPlan, request: BackupRequest, recorder: Recorder
    ) -> ObjectWriter:
        def write(name: str, role: Role, content: Content) -> ManifestObject:
            request.alive()
            stored = self._parts.vault.store(
                actor,
                backup_prefix(plan.database, request.backup_id) + name,
                content,
                kind=OBJECT_KIND,
                database=plan.database,
                recipients=plan.recipients,
                compress=name.endswith(".zst.age"),
                correlation_id=recorder.correlation_id,
            )
            return ManifestObject(
                name=name,
                role=role,
                key=stored.key,
                size_bytes=stored.size_bytes,
                sha256=stored.sha256,
                plaintext_bytes=stored.plaintext_bytes,
                epoch_ids=stored.epoch_ids,
            )

        return write

    def _publish(self, plan: BackupPlan, manifest: BackupManifest) -> datetime | None:
        """Write the manifest, which makes it a backup; then lock its objects, where the bucket can."""
        retention = self._retention(plan)
        self._parts.store.put_bytes(manifest.key, manifest.sign(self._parts.signer), retention=retention)
        if retention is None:
            return None
        for item in manifest.objects:
            self._parts.store.extend_retention(item.key, retention)
        return retention.until

    def _retention(self, plan: BackupPlan) -> Retention | None:
        if plan.lock_mode is None or not self._parts.store.capabilities().object_lock:
            return None
        until = self._parts.clock.now() + timedelta(days=plan.lock_days)
        return Retention(plan.lock_mode, until.replace(microsecond=0))

    def _manifest_sha256(self, manifest: BackupManifest) -> str:
        import hashlib

        return hashlib.sha256(manifest.sign(self._parts.signer)).hexdigest()

    def _new_id(self, control: Connection, database: str) -> str:
        """An id by the source's clock, in a later second than any backup there is."""
        known = complete_backups(self._parts.store, database)
        newest = known[-1][:16] if known else ""
        for _ in range(10):
            moment = _moment(control)
            if moment != newest:
                break
            time.sleep(0.2)
        return f"{moment}-{secrets.token_hex(2)}"


def _manifest(
    plan: BackupPlan, request: BackupRequest, result: EngineResult, engine: BackupEngine, fencing_number: int
) -> BackupManifest:
    return BackupManifest(
        backup_id=request.backup_id,
        database=plan.database,
        method=engine.method,
        kind=result.kind,
        started_at=result.started_at,
        finished_at=result.finished_at,
        server=result.server,
        start_lsn=result.start_lsn,
        stop_lsn=result.stop_lsn,
        restore_point=result.restore_point,
        objects=result.objects,
        chain=result.chain,
        server_manifest_sha256=result.server_manifest.sha256 if result.server_manifest else None,
        kind_reason=result.why_full.text[:REASON_LENGTH] if result.why_full else None,
        policy_sha256=plan.policy_sha256,
        fencing_number=fencing_number,
        software={"strongroom": __version__},
    )


@contextmanager
def _exclusive(control: Connection) -> Iterator[None]:
    """The source's advisory lock, with a little patience for a killed run's session to end."""
    with ExitStack() as stack:
        try:
            stack.enter_context(advisory_lock(control, _LOCK, patience_seconds=_LOCK_PATIENCE_SECONDS))
        except LockHeldError as error:
            raise BackupInProgressError(
                "A backup of this database is in progress: another session holds the source's lock.",
                hint="Wait for it; pg_locks on the source shows who it is.",
            ) from error
        yield


def _source(control: Connection) -> str:
    query = "SELECT system_identifier || '/' || current_database() FROM pg_catalog.pg_control_system()"
    return _text(control, query)


def _moment(control: Connection) -> str:
    query = """SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS"Z"')"""
    return _text(control, query)


def _now(control: Connection) -> datetime:
    return datetime.fromisoformat(_text(control, "SELECT clock_timestamp()::text"))


def _text(control: Connection, query: str) -> str:
    with server_errors("The source"):
        row = control.execute(query.encode()).fetchone()
    return str(row[0]) if row else ""


def _silent(stage: str, amount: int) -> None:
    """Tell nobody."""

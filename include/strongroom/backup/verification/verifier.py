"""Proving a backup: restore it into a scratch server, climb the ladder, sign and keep what was found.

    attempt recorded → manifest checked → scratch directory → L0 … L5 → everything destroyed
    → proof signed and stored → proof and result recorded in one transaction

Whatever happens the scratch server and its files are gone afterwards; what a killed run left is removed by the next.
"""

from __future__ import annotations

import platform
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from strongroom import __version__
from strongroom.access import Actor, Permission, require
from strongroom.audit import AuditSink, Event, EventType, PolicyReference, Target
from strongroom.backup.chains import ancestors
from strongroom.backup.errors import BrokenChainError
from strongroom.backup.manifest import BackupManifest, manifest_key, read_manifest
from strongroom.backup.restoring.errors import NotThisBackupError
from strongroom.backup.restoring.facts import gather
from strongroom.backup.restoring.objects import BackupObjects, VaultObjects
from strongroom.backup.verification.checks import VerificationChecks
from strongroom.backup.verification.expectations import load_expectations
from strongroom.backup.verification.levels import LADDER, Level, climb
from strongroom.backup.verification.logical import LOGICAL_LADDER
from strongroom.backup.verification.moment import CHECK, RandomPoint
from strongroom.backup.verification.proof import Measures, NotComparable, Proof, document_sha256
from strongroom.backup.verification.recorder import Recorder
from strongroom.backup.verification.records import record_found_proofs
from strongroom.backup.verification.run import RestoreRun
from strongroom.catalog import CopyRepository, ProofRepository
from strongroom.clock import Clock
from strongroom.errors import AccessDeniedError, IntegrityError
from strongroom.lifetimes import LogFrom, Readers
from strongroom.postgres import find_binaries, parse_lsn, remove_stale_scratch, scratch_cluster
from strongroom.signing import SignerKey
from strongroom.storage import ObjectStore
from strongroom.vault import Vault

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from strongroom.policy import Policy

_SCRATCH_NAME = "verify"
LADDERS: dict[str, Sequence[Level]] = {"physical": LADDER, "logical": LOGICAL_LADDER}


@dataclass(frozen=True)
class VerificationParts:
    """What a verifier works with; the composition root gives it."""

    store: ObjectStore
    vault: Vault
    engine: Engine
    sink: AuditSink
    signer: SignerKey
    """Signs proofs; manifests must be signed by the same key."""
    clock: Clock
    scratch_root: Path
    expectations_directory: Path
    postgres_directories: Sequence[Path] = ()
    copy: str | None = None
    """The name of the copy that `store` is; None for the store itself. The proof is about it."""
    proofs: ObjectStore | None = None
    """Where proofs are kept; `store` without it."""

    @property
    def proof_store(self) -> ObjectStore:
        """Where proofs are kept."""
        return self.proofs or self.store


class BackupVerifier(ABC):
    """Finds out whether a backup is one."""

    @abstractmethod
    def verify(self, actor: Actor, policy: Policy, backup_id: str | None = None) -> Proof:
        """Restore a backup and check it.

        Args:
            actor: who asks; needs `verify_backup`, and `open_object` for the backup's objects.
            policy: of the database; its `verify` part says what is checked.
            backup_id: the backup; the newest complete one without it.

        Returns:
            The proof, which is stored and recorded already. It may say `failed`.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            BackupMissingError: there is no such backup.
            ScratchFullError: the scratch area has no room for it.
            ConfigurationError: the policy, the expectations, a key or a server program is missing or wrong.
            TransientError: the store or the control database failed; nothing was proven either way.
        """


class RestoreVerifier(BackupVerifier):
    """Proves backups by restoring them.

    Args:
        parts: what it works with.
        levels: the ladder; without it, the one for the backup's method.
        objects: where objects come from, by actor; the vault without it.
    """

    def __init__(
        self,
        parts: VerificationParts,
        *,
        levels: Sequence[Level] | None = None,
        objects: Callable[[Actor], BackupObjects] | None = None,
    ) -> None:
        self._parts = parts
        self._levels = levels
        self._objects = objects or (lambda actor: VaultObjects(parts.store, parts.vault, actor))

    def verify(self, actor: Actor, policy: Policy, backup_id: str | None = None) -> Proof:
        checks = checks_of(policy, self._parts.expectations_directory)
        return self.verify_checks(actor, policy.database, checks, backup_id)

    def verify_checks(
        self, actor: Actor, database: str, checks: VerificationChecks, backup_id: str | None = None
    ) -> Proof:
        """As `verify`, with the checks given in place of a policy."""
        objects = self._objects(actor)
        trail = _Trail(self._parts, actor, database, checks)
        trail.authorise()
        backup_id = backup_id or objects.newest(database)
        trail.attempt(backup_id)
        try:
            remove_stale_scratch(self._parts.scratch_root)
            record_found_proofs(
                self._parts.proof_store, self._parts.engine, self._parts.signer.verifier, database
            )
            data = objects.manifest(database, backup_id)
            proof = self._prove(actor, objects, database, backup_id, data, checks)
            self._keep(proof, trail)
        except BaseException as error:
            trail.failure(backup_id, error)
            raise
        return proof

    def _prove(
        self,
        actor: Actor,
        objects: BackupObjects,
        database: str,
        backup_id: str,
        data: bytes,
        checks: VerificationChecks,
    ) -> Proof:
        recorder = Recorder(self._parts.clock)
        try:
            manifest = self._manifest(data, database, backup_id)
        except IntegrityError as error:
            self._refuse(recorder, error, "L1", "manifest signature")
            return self._proof(recorder, database, backup_id, data, checks, None)
        try:
            read = lambda name: objects.manifest(database, name)  # noqa: E731
            chain = ancestors(manifest, read, self._parts.signer.verifier)
        except BrokenChainError as error:
            self._refuse(recorder, error, "L0", "chain")
            return self._proof(recorder, database, backup_id, data, checks, None)
        with self._reading(manifest, chain):
            run = self._restore(manifest, chain, objects, checks, recorder)
            self._random_point(actor, objects, run, recorder)
        return self._proof(recorder, database, backup_id, data, checks, run)

    def _reading(
        self, manifest: BackupManifest, chain: tuple[BackupManifest, ...]
    ) -> AbstractContextManager[None]:
        """Keep purges away from the backup, what it builds on, and the log after it."""
        items = [f"backup/{one.backup_id}" for one in (*chain, manifest)]
        log = None
        if manifest.method == "physical":
            log = LogFrom(manifest.server.system_identifier, parse_lsn(manifest.start_lsn))
        readers = Readers(lambda: self._parts.proof_store, self._parts.clock)
        return readers.reading(manifest.database, "verification", items, log)

    def _manifest(self, data: bytes, database: str, backup_id: str) -> BackupManifest:
        what = f"The manifest {manifest_key(database, backup_id)}"
        manifest = read_manifest(data, self._parts.signer.verifier, what)
        if (manifest.database, manifest.backup_id) != (database, backup_id):
            raise NotThisBackupError(
                f"{what} belongs to the backup {manifest.backup_id} of {manifest.database}.",
                hint="Somebody moved it. Verify an older backup, and look at who can write to the bucket.",
            )
        return manifest

    def _refuse(self, recorder: Recorder, error: IntegrityError, failed: str, check: str) -> None:
        """Without manifests that can be believed, the chain's included, nothing is fetched at all."""
        for level in self._levels or LADDER:
            with recorder.level(level.name, level.title) as report:
                if level.name == failed:
                    report.failed_with(check, error)
                else:
                    report.skipped("whole level", "not possible, because the manifest cannot be believed")

    def _restore(
        self,
        manifest: BackupManifest,
        chain: tuple[BackupManifest, ...],
        objects: BackupObjects,
        checks: VerificationChecks,
        recorder: Recorder,
    ) -> RestoreRun:
        suite = load_expectations(checks.expectations) if checks.expectations else None
        binaries = find_binaries(manifest.server.major, self._parts.postgres_directories)
        root = self._parts.scratch_root
        root.mkdir(parents=True, exist_ok=True)
        with scratch_cluster(root, binaries, _SCRATCH_NAME) as scratch:
            search = self._parts.postgres_directories
            run = RestoreRun(manifest, objects, checks, scratch, suite, search, chain)
            run.gather_facts = lambda: gather(
                self._parts.store, manifest.database, self._parts.signer.verifier
            )
            with closing(run):
                climb(run, recorder, self._levels or LADDERS[manifest.method])
            return run

    def _random_point(
        self, actor: Actor, objects: BackupObjects, run: RestoreRun, recorder: Recorder
    ) -> None:
        """Restore a random moment too, once the backup's own scratch server has made room."""
        if not run.checks.random_point or run.manifest.method != "physical" or not recorder.has("L3"):
            return
        with recorder.level("L3", "") as report:
            failed = recorder.failed_level()
            facts = run.facts if failed is None else None
            if facts is None:
                report.skipped(CHECK, f"not possible, because {failed} failed")
                return
            RandomPoint(actor, self._parts, objects, facts).check(run, report)

    def _proof(
        self,
        recorder: Recorder,
        database: str,
        backup_id: str,
        data: bytes,
        checks: VerificationChecks,
        run: RestoreRun | None,
    ) -> Proof:
        return Proof(
            database=database,
            backup_id=backup_id,
            manifest_sha256=document_sha256(data),
            policy_sha256=checks.policy_sha256,
            levels=recorder.results(),
            restore=run.measures if run else Measures(),
            not_comparable=_sorted(run.not_comparable) if run else (),
            server_version=run.scratch.binaries.version if run else "unknown",
            software={"strongroom": __version__, "python": platform.python_version()},
            host=platform.node(),
            verified_at=self._parts.clock.now(),
            copy=self._parts.copy,
        )

    def _keep(self, proof: Proof, trail: _Trail) -> None:
        data = proof.signed(self._parts.signer)
        self._parts.proof_store.put_bytes(proof.key, data)
        trail.result(proof, document_sha256(data))


@dataclass(frozen=True)
class _Trail:
    """The events of one verification."""

    parts: VerificationParts
    actor: Actor
    database: str
    checks: VerificationChecks

    def authorise(self) -> None:
        try:
            require(self.actor, Permission.VERIFY_BACKUP)
        except AccessDeniedError as error:
            event = Event(
                type=EventType.ACCESS_PERMISSION_REFUSE,
                phase="result",
                outcome="denied",
                actor=self.actor,
                target=Target("database", self.database),
                database=self.database,
                details={"permission": str(Permission.VERIFY_BACKUP)},
                error_class=type(error).__name__,
            )
            self._emit(event)
            raise

    def attempt(self, backup_id: str) -> None:
        self._emit(self._event(backup_id))

    def failure(self, backup_id: str, error: BaseException) -> None:
        event = replace(self._event(backup_id), phase="result", outcome="failure")
        self._emit(replace(event, error_class=type(error).__name__))

    def result(self, proof: Proof, proof_sha256: str) -> None:
        """Record the proof, that it was signed, and how the verification ended, in one transaction."""
        record = proof.record()
        ended = replace(
            self._event(proof.backup_id),
            phase="result",
            outcome="success" if proof.proven else "failure",
            hashes={"proof_sha256": proof_sha256, "manifest_sha256": proof.manifest_sha256},
            details={name.lower(): status for name, status in record.levels.items()},
        )
        signed = replace(
            ended,
            type=EventType.VERIFICATION_PROOF_SIGN,
            outcome="success",
            target=Target("proof", proof.key),
        )
        with self.parts.engine.begin() as connection:
            if proof.copy is None:
                ProofRepository().add(connection, record)
            else:
                CopyRepository().add_proof(connection, proof.copy, record)
            self.parts.sink.emit(connection, signed)
            self.parts.sink.emit(connection, ended)

    def _event(self, backup_id: str) -> Event:
        policy = self.checks.policy_sha256
        return Event(
            type=EventType.VERIFICATION_RUN_EXECUTE,
            phase="attempt",
            actor=self.actor,
            target=Target("backup", manifest_key(self.database, backup_id)),
            database=self.database,
            policy=PolicyReference(policy) if policy else None,
            correlation_id=backup_id,
        )

    def _emit(self, event: Event) -> None:
        with self.parts.engine.begin() as connection:
            self.parts.sink.emit(connection, event)


def checks_of(policy: Policy, directory: Path) -> VerificationChecks:
    """What a policy wants, with its file of expectations looked for in a directory."""
    wanted = policy.verify
    return VerificationChecks(
        expectations=directory / wanted.expectations if wanted.expectations else None,
        amcheck=wanted.amcheck,
        fingerprints=wanted.fingerprint,
        smoke_sql=tuple(wanted.smoke_sql),
        random_point=wanted.random_point,
        policy_sha256=policy.sha256,
    )


def _sorted(tables: Sequence[NotComparable]) -> tuple[NotComparable, ...]:
    return tuple(sorted(tables, key=lambda table: (table.database, table.schema, table.table)))

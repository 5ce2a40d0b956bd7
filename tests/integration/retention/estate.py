"""An installation whose bucket has a history: backups, log and proofs of many days, signed, with little content.

What is tested here is what is kept and deleted, not how it was made; so the sealed objects are a few bytes each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from strongroom.access import Actor, ActorKind, Decision, Role
from strongroom.audit import QueueSink
from strongroom.backup.continuous.layout import segment_key
from strongroom.backup.continuous.receipts import ArchivedSegment, Covered, SegmentsReceipt
from strongroom.backup.lifetimes import lifetimes_in_copy, lifetimes_in_store
from strongroom.backup.manifest import (
    BackupManifest,
    ChainLink,
    ManifestObject,
    RestorePoint,
    ServerFacts,
    backup_prefix,
)
from strongroom.backup.records import backup_record
from strongroom.backup.verification.proof import Check, LevelResult, Measures, Proof, Status
from strongroom.catalog import BackupRepository
from strongroom.clock import FixedClock
from strongroom.lifetimes import LifetimeSource
from strongroom.policy import Policy, load_policy
from strongroom.postgres import format_lsn, segment_name
from strongroom.retention import Purge
from strongroom.retention.approvals import PlanApprovals
from strongroom.retention.row_deleting import RowDeleter
from strongroom.retention.row_lifetimes import RowLifetimes
from strongroom.retention.service import PolicyRetentionService, PurgeReport, RetentionParts, sought
from strongroom.signing import SignerKey
from strongroom.storage import LocalObjectStore, ObjectInfo, ObjectStore, Retention, S3ObjectStore

NOW = datetime.now(UTC).replace(microsecond=0)
CLUSTER = "7000000000000000001"
SEGMENT = 16 << 20
TASK = Actor("retention_purge.apply", ActorKind.TASK, frozenset({Role.OPERATOR}))
RUN = "retention_purge/manual__1"
POLICY = """
database: shop
controller: {name: Meridian}
backup:
  schedule: "0 2 * * *"
  wal: {ship_every: 5m, keep: 3d}
  keep: {last: 2, daily: 3, weekly: 0, monthly: 0, yearly: 0, proven: 1}
"""


def no_objection(policy: Policy) -> None:
    """The policy and the database agree."""


@dataclass
class Estate:
    """The installation.

    Args:
        directory: for policy and keys.
        engine: of the control database.
        store: the bucket.
        offsite: a copy.
    """

    directory: Path
    engine: Engine
    store: Timed
    signer: SignerKey
    policy_text: str = POLICY
    offsite: ObjectStore | None = None
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    agree: Callable[[Policy], None] = no_objection
    rows: str | None = None
    """How to connect to the database whose rows have a time; None where nothing is told of rows."""

    @property
    def policy(self) -> Policy:
        path = self.directory / "shop.yaml"
        path.write_text(self.policy_text)
        return load_policy(path)

    def approvals(self) -> PlanApprovals:
        def person(account: str) -> Actor:
            return Actor(account, ActorKind.PERSON, frozenset({Role.PRIVACY_OFFICER}))

        return PlanApprovals(self.engine, QueueSink(self.clock), person)

    def service(self, store: ObjectStore | None = None) -> PolicyRetentionService:
        bucket = store or self.store

        def sources(database: str, copy: str | None) -> Sequence[LifetimeSource]:
            trusted = self.signer.verifier
            if copy is None:
                rows = [RowLifetimes(self.policy, lambda: str(self.rows), self.clock)] if self.rows else []
                return [*lifetimes_in_store(bucket, database, trusted, self.clock), *rows]
            assert self.offsite is not None
            return lifetimes_in_copy(bucket, self.offsite, copy, database, trusted, self.clock)

        def copies(name: str) -> ObjectStore:
            assert self.offsite is not None
            return self.offsite

        return PolicyRetentionService(
            RetentionParts(
                store=bucket,
                copies=copies,
                engine=self.engine,
                sink=QueueSink(self.clock),
                signer=self.signer,
                clock=self.clock,
                sources=sources,
                approvals=self.approvals(),
                agree=self.agree,
                rows=lambda policy, alive: RowDeleter(policy, lambda: str(self.rows), self.clock, alive),
            )
        )

    def plan(self) -> Purge:
        return self.service().plan(TASK, self.policy)

    def approve(self, purge: Purge, run: str = RUN, by: str = "petra") -> None:
        decision = Decision(True, purge.sha256, "olaf", by, self.clock.now(), run)
        self.approvals().decide(sought(purge), decision)

    def apply(self, purge: Purge, run: str = RUN, store: ObjectStore | None = None) -> PurgeReport:
        return self.service(store).apply(TASK, self.policy, purge.sha256, run)

    def purge(self) -> PurgeReport:
        """Plan, have it approved, and carry it out."""
        made = self.plan()
        self.approve(made)
        return self.apply(made)

    def wait(self, **time: float) -> None:
        """Let time pass, for the store too."""
        self.clock.moment += timedelta(**time)

    def backup(
        self,
        days: float,
        *,
        parent: BackupManifest | None = None,
        proven: bool = True,
        locked: Retention | None = None,
        store: ObjectStore | None = None,
    ) -> BackupManifest:
        """Put a backup of that many days ago into the bucket, and into the index."""
        bucket = store or self.store
        manifest = self.manifest(days, parent)
        for item in manifest.objects:
            bucket.put_bytes(item.key, b"x" * item.size_bytes, retention=locked)
        data = manifest.sign(self.signer)
        bucket.put_bytes(manifest.key, data, retention=locked)
        digest = hashlib.sha256(data).hexdigest()
        if store is None:
            with self.engine.begin() as connection:
                BackupRepository().add(connection, backup_record(manifest, digest))
        if proven:
            self.prove(manifest, digest, bucket)
        return manifest

    def manifest(self, days: float, parent: BackupManifest | None = None) -> BackupManifest:
        began = NOW - timedelta(days=days, minutes=30)
        backup_id = f"{began:%Y%m%dT%H%M%SZ}-{int(days * 10) % 65536:04x}"
        prefix = backup_prefix("shop", backup_id)
        objects = tuple(
            ManifestObject(
                f"{role}.tar.zst.age", role, f"{prefix}{role}.tar.zst.age", 40, "0" * 64, 80, ("e",)
            )
            for role in ("base", "wal")
        )
        start = self.position(began)
        return BackupManifest(
            backup_id=backup_id,
            database="shop",
            method="physical",
            kind="incremental" if parent else "full",
            started_at=began,
            finished_at=began + timedelta(minutes=5),
            server=ServerFacts("18.6", 18, CLUSTER, 1, SEGMENT, True),
            start_lsn=format_lsn(start + 40),
            stop_lsn=format_lsn(start + 5000),
            restore_point=RestorePoint(f"strongroom_{backup_id}"[:63], format_lsn(start + 6000)),
            objects=objects,
            policy_sha256="0" * 64,
            fencing_number=1,
            software={},
            chain=self._link(parent) if parent else None,
        )

    def _link(self, parent: BackupManifest) -> ChainLink:
        digest = hashlib.sha256(parent.sign(self.signer)).hexdigest()
        above = parent.chain
        return ChainLink(
            parent.backup_id,
            digest,
            above.full_id if above else parent.backup_id,
            above.position + 1 if above else 1,
        )

    def prove(self, manifest: BackupManifest, digest: str, store: ObjectStore | None = None) -> None:
        """Put a proof that a backup was restored into the bucket."""
        proof = self.proof(manifest, Status.PASSED, digest)
        (store or self.store).put_bytes(proof.key, proof.signed(self.signer))

    @staticmethod
    def proof(
        manifest: BackupManifest, status: Status, digest: str = "0" * 64, copy: str | None = None
    ) -> Proof:
        """What an attempt to restore a backup came to."""
        when = manifest.finished_at + timedelta(minutes=10)
        check = Check("all of it", status, "It was tried.")
        levels = tuple(LevelResult(f"L{number}", "a level", when, 1.0, (check,)) for number in range(6))
        measures = Measures()
        return Proof(
            "shop", manifest.backup_id, digest, None, levels, measures, (), "18.6", {}, "here", when, copy
        )

    @staticmethod
    def position(moment: datetime) -> int:
        """Where the log was at a moment: one segment for each six hours."""
        return (2000 + int((moment - NOW) // timedelta(hours=6))) * SEGMENT

    def log(self, from_days: float, to_days: float = 0) -> None:
        """Ship the log of some days: a receipt for each half day, of two segments."""
        moment, end = NOW - timedelta(days=from_days), NOW - timedelta(days=to_days)
        while moment < end:
            self._ship(moment)
            moment += timedelta(hours=12)

    def _ship(self, moment: datetime) -> None:
        start = self.position(moment)
        names = [segment_name(1, start + number * SEGMENT, SEGMENT) for number in range(2)]
        segments = []
        for name in names:
            key = segment_key("shop", CLUSTER, name)
            self.store.put_bytes(key, b"segment")
            segments.append(ArchivedSegment(name, key, 7, "0" * 64, SEGMENT, ("e",)))
        covered = Covered(moment + timedelta(hours=12), format_lsn(start + 2 * SEGMENT))
        receipt = SegmentsReceipt(
            "shop", CLUSTER, 1, SEGMENT, "18.6", tuple(segments), covered, 1, "0" * 64, {}
        )
        self.store.put_bytes(receipt.key, receipt.sign(self.signer))

    def backups(self, store: ObjectStore | None = None) -> list[str]:
        """The ids of the backups that have a manifest."""
        keys = [info.key for info in (store or self.store).list("backups/shop/")]
        return sorted(key.split("/")[2] for key in keys if key.endswith("/manifest.json"))

    def keys(self, prefix: str = "", store: ObjectStore | None = None) -> list[str]:
        return [info.key for info in (store or self.store).list(prefix)]

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The data of the recorded events of a type."""
        import json

        statement = text("SELECT convert_from(entry, 'UTF8') FROM audit_queue ORDER BY 1")
        with self.engine.connect() as connection:
            entries = [json.loads(row[0]) for row in connection.execute(statement)]
        return [entry["data"] for entry in entries if entry["type"] == kind]


class Timed(ObjectStore):
    """A store whose clock is the test's: it received each object when that said so."""

    clock: FixedClock

    @cached_property
    def times(self) -> dict[str, datetime]:
        return {}

    def put_bytes(self, key: str, data: bytes, **options: Any) -> ObjectInfo:
        self.times[key] = self.clock.now()
        return super().put_bytes(key, data, **options)  # type: ignore[safe-super]

    def head(self, key: str, **options: Any) -> ObjectInfo:
        return self._told(super().head(key, **options))  # type: ignore[safe-super]

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return (self._told(info) for info in super().list(prefix))  # type: ignore[safe-super]

    def _told(self, info: ObjectInfo) -> ObjectInfo:
        return replace(info, modified_at=self.times.get(info.key, info.modified_at))


class TimedDirectory(Timed, LocalObjectStore):
    """A directory: no versions, no locks."""


class TimedBucket(Timed, S3ObjectStore):
    """A bucket with versions and Object Lock."""


def estate_in(directory: Path, engine: Engine, store: Timed) -> Estate:
    """A new installation without a history."""
    clock = store.clock = FixedClock(NOW)
    return Estate(directory, engine, store, SignerKey.generate("strongroom.test"), clock=clock)

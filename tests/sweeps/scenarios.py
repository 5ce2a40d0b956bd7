"""What is swept: the commands of an installation, as small as they can be without leaving out a step.

The cluster's bytes are not what a sweep is about, so most backups here are taken by an engine that seals three
small objects; everything around them (locks, lease, vault, manifest, records) is what every backup goes through.
"""

from __future__ import annotations

import io
import secrets
import tarfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from strongroom.audit.verify import verify_log
from strongroom.backup import BackupParts, BackupPlan, BackupService
from strongroom.backup.copying import CopyPlan
from strongroom.backup.interface import BackupEngine, BackupRequest, EngineResult, ObjectWriter
from strongroom.backup.logical import LogicalEngine
from strongroom.backup.manifest import RestorePoint, ServerFacts
from strongroom.backup.physical import PhysicalEngine
from strongroom.backup.restoring.plan import RestorePlan
from strongroom.backup.restoring.request import RestoreRequest, RestoreTarget
from strongroom.backup.verification import RestoreVerifier, VerificationChecks, VerificationParts
from strongroom.backup.verification.levels import LADDER
from strongroom.clock import SystemClock
from strongroom.durations import Duration
from strongroom.installation import initialise_keys
from strongroom.postgres import connect
from strongroom.services import Services
from tests.sweeps.faults import Faults
from tests.sweeps.ground import ACTOR, Ground
from tests.sweeps.sweep import Scenario

PLAN = BackupPlan("shop", "00" * 32)
CHAIN_PLAN = BackupPlan("shop", "00" * 32, full_every=Duration.parse("7d"))
LOGICAL_PLAN = BackupPlan("shop", "00" * 32, method="logical")
_FACTS = ServerFacts("18.6", 18, "7000000000000000001", 1, 16 << 20, True)


class SmallEngine(BackupEngine):
    """Seals three small objects in the place of a cluster, its WAL and its fingerprints."""

    method: Literal["physical", "logical"] = "physical"

    def check(self, request: BackupRequest) -> None:
        """Any source will do."""

    def run(self, request: BackupRequest, write: ObjectWriter) -> EngineResult:
        now = SystemClock().now()
        base = write("base.tar.zst.age", "base", [_tar("PG_VERSION", secrets.token_bytes(300_000))])
        wal = write("wal.tar.zst.age", "wal", [_tar("000000010000000000000002", b"\0" * 8192)])
        point = RestorePoint(f"strongroom_{request.backup_id}", "0/3000060")
        return EngineResult("full", now, now, _FACTS, "0/2000028", "0/2000120", point, (base, wal))


def _tar(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o600
        archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


@dataclass(frozen=True)
class TakeBackup(Scenario):
    """`strongroom backup run shop`."""

    whole_cluster: bool = False
    """Back up the real source instead of three small objects."""

    def run(self, ground: Ground, faults: Faults | None = None) -> None:
        with ground.services(faults) as services:
            engine = PhysicalEngine() if self.whole_cluster else SmallEngine()
            BackupService(_backup_parts(services), engine).run(ACTOR, PLAN, ground.source)

    def check(self, ground: Ground) -> None:
        assert ground.manifests()
        with connect(ground.source, application_name="sweep") as connection:
            assert connection.execute("SELECT count(*) FROM pg_replication_slots").fetchone() == (0,)


@dataclass(frozen=True)
class ExtendChain(Scenario):
    """`strongroom backup run shop`, where the policy has `full_every` and there is a full backup."""

    def run(self, ground: Ground, faults: Faults | None = None) -> None:
        with ground.services(faults) as services:
            BackupService(_backup_parts(services)).run(ACTOR, CHAIN_PLAN, ground.source)

    def check(self, ground: Ground) -> None:
        kinds = [manifest.kind for manifest in sorted(ground.manifests(), key=lambda one: one.backup_id)]
        assert kinds == ["full", *["incremental"] * (len(kinds) - 1)]


@dataclass(frozen=True)
class TakeLogicalBackup(Scenario):
    """`strongroom backup run shop`, where the policy asks for logical backups; one stream after the other."""

    def run(self, ground: Ground, faults: Faults | None = None) -> None:
        with ground.services(faults) as services:
            BackupService(_backup_parts(services), LogicalEngine(streams=1)).run(
                ACTOR, LOGICAL_PLAN, ground.source
            )

    def check(self, ground: Ground) -> None:
        assert ground.manifests()


@dataclass(frozen=True)
class Verify(Scenario):
    """`strongroom verify run shop`, up to the last level that reads the bucket."""

    def run(self, ground: Ground, faults: Faults | None = None) -> None:
        with ground.services(faults) as services:
            parts = VerificationParts(
                services.store,
                services.vault,
                services.engine,
                services.sink,
                services.signer,
                services.clock,
                ground.scratch,
                ground.directory,
            )
            verifier = RestoreVerifier(parts, levels=LADDER[:2])
            proof = verifier.verify_checks(ACTOR, "shop", VerificationChecks())
            assert proof.problems() == []

    def check(self, ground: Ground) -> None:
        assert {row[0] for row in ground.rows("SELECT backup_id FROM public.proof")} == {
            manifest.backup_id for manifest in ground.manifests()
        }


@dataclass(frozen=True)
class PlanRestore(Scenario):
    """`strongroom restore plan shop --backup …`."""

    def run(self, ground: Ground, faults: Faults | None = None) -> None:
        with ground.services(faults) as services:
            _plan(services, ground.directory / "restored")

    def check(self, ground: Ground) -> None:
        assert not (ground.directory / "restored").exists()


@dataclass(frozen=True)
class Restore(Scenario):
    """`strongroom restore run shop --backup …`, into a directory of its own each time that one succeeds."""

    def run(self, ground: Ground, faults: Faults | None = None) -> None:
        place = next(place for place in _places(ground) if not (place / "data").exists())
        with ground.services(faults) as services:
            plan = _plan(services, place)
            services.restores.run(ACTOR, plan, plan.sha256)

    def check(self, ground: Ground) -> None:
        restored = [place for place in _places(ground) if place.exists()]
        assert restored
        for place in restored:
            assert (place / "data" / "PG_VERSION").is_file()
            assert not any((place / name).exists() for name in ("data.incomplete", "data.failed", "spool"))


def _places(ground: Ground) -> list[Path]:
    return [ground.directory / f"restored-{number}" for number in range(4)]


def _plan(services: Services, directory: Path) -> RestorePlan:
    request = RestoreRequest("shop", RestoreTarget("backup"), directory)
    return services.restores.plan(ACTOR, request).plan


@dataclass(frozen=True)
class Copy(Scenario):
    """`strongroom copy run shop`, by a worker that has no private key."""

    def run(self, ground: Ground, faults: Faults | None = None) -> None:
        with ground.services(faults) as services:
            services.provider = None  # type: ignore[misc]
            services.replicator.run(ACTOR, CopyPlan("shop", "00" * 32), "offsite")

    def check(self, ground: Ground) -> None:
        copied, kept = ground.object_keys(ground.offsite), ground.object_keys()
        for area in ("keys/", "backups/", "proofs/"):
            assert [key for key in copied if key.startswith(area)] == [
                key for key in kept if key.startswith(area)
            ]
        with ground.services() as services:
            assert verify_log(services.stores.copy("offsite"), services.verifier_key).size > 0


@dataclass(frozen=True)
class MakeKeys(Scenario):
    """`strongroom keys init`."""

    escrow: str

    def run(self, ground: Ground, faults: Faults | None = None) -> None:
        with ground.services(faults) as services:
            initialise_keys(
                services, ACTOR, name="strongroom.test", escrow=self.escrow, lifetime=timedelta(days=30)
            )

    def check(self, ground: Ground) -> None:
        with ground.services() as services:
            epochs = services.keyring.epochs()
            assert sorted(epoch.purpose for epoch in epochs) == ["backup", "escrow"]
            assert services.provider is not None
            assert len(services.keyring.identities(services.provider)) == 1
        log = ground.rows("SELECT convert_from(entry, 'UTF8') FROM public.audit_entry")
        for epoch in epochs:
            assert any(f"keys/{epoch.id}" in row[0] for row in log), "a key was made unrecorded"


@dataclass(frozen=True)
class SealLog(Scenario):
    """`strongroom audit seal`, with events waiting."""

    def run(self, ground: Ground, faults: Faults | None = None) -> None:
        with ground.services(faults) as services:
            services.seal_audit_log(ACTOR)

    def check(self, ground: Ground) -> None:
        assert ground.rows("SELECT count(*) FROM public.audit_queue")[0][0] == 0


def _backup_parts(services: Services) -> BackupParts:
    return BackupParts(
        services.store, services.vault, services.engine, services.sink, services.signer, services.clock
    )

"""The random point: a moment of the archive's window that is restored too, from whatever backup leads to it.

A backup's own restore point shows that the backup is good. Only a restore in between shows that the log is, and
that the planner, the archive and recovery fit together. The moment is drawn with the backup's id as the seed, so
that nobody chooses it and everybody can draw it again; the proof names it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from strongroom.access import Actor
from strongroom.backup.fingerprints import FingerprintDocument
from strongroom.backup.manifest import BackupManifest
from strongroom.backup.restoring.choosing import archived_window
from strongroom.backup.restoring.errors import TargetError
from strongroom.backup.restoring.facts import RestoreFacts
from strongroom.backup.restoring.objects import BackupObjects
from strongroom.backup.restoring.place import RestorePlace
from strongroom.backup.restoring.plan import RestorePlan
from strongroom.backup.restoring.planning import make_plan
from strongroom.backup.restoring.report import RestoreReport
from strongroom.backup.restoring.request import RestoreRequest, RestoreTarget
from strongroom.backup.restoring.runner import run_plan
from strongroom.backup.restoring.sourcing import SourceParts, sources_of
from strongroom.backup.verification.fetching import read_fingerprints
from strongroom.backup.verification.quiet import compare_quiet
from strongroom.backup.verification.recorder import LevelReport
from strongroom.backup.verification.run import RestoreRun
from strongroom.clock import timestamp
from strongroom.errors import IntegrityError
from strongroom.postgres import (
    Cluster,
    PostgresError,
    Scratch,
    ScratchFullError,
    find_binaries,
    free_bytes,
    parse_lsn,
    scratch_cluster,
)

if TYPE_CHECKING:
    from strongroom.backup.verification.verifier import VerificationParts

CHECK = "random point"
_NAMED = 5
_NO_LOG = "no WAL is shipped: set `backup.wal` and run its pipeline, or set `verify: random_point: false`"


@dataclass(frozen=True)
class RandomPoint:
    """What restoring a random moment needs."""

    actor: Actor
    parts: VerificationParts
    objects: BackupObjects
    facts: RestoreFacts

    def check(self, run: RestoreRun, report: LevelReport) -> None:
        """Draw a moment, restore it, and compare what was quiet since the backup that it came from.

        Args:
            run: of the backup that is verified; its id is the seed. The moment is noted in it.
            report: L3's.

        Raises:
            ScratchFullError: the scratch area has no room for it.
            TransientError: the bucket or the control database failed; there is no verdict.
        """
        window = archived_window(run.manifest.backup_id, self.facts)
        if run.manifest.server.system_identifier not in self.facts.logs:
            report.skipped(CHECK, _NO_LOG)
            return
        if window is None:
            report.not_applicable(CHECK, "the shipped WAL covers no moment after a backup yet")
            return
        run.random_point = drawn(run.manifest.backup_id, *window)
        try:
            self._restore(run.random_point, report)
        except (IntegrityError, PostgresError, TargetError) as error:
            report.failed(CHECK, f"{timestamp(run.random_point)}: {type(error).__name__}: {error}")

    def _restore(self, moment: datetime, report: LevelReport) -> None:
        root = self.parts.scratch_root
        request = RestoreRequest(
            self.facts.database, RestoreTarget("time", timestamp(moment)), root / "unused"
        )
        plan, _ = make_plan(request, self.facts)
        _require_room(root, plan)
        binaries = find_binaries(plan.server.major, self.parts.postgres_directories)
        with scratch_cluster(root, binaries, "moment") as scratch:
            done, source = self._run(plan, scratch)
            self._compare(moment, done, source, scratch, report)

    def _run(self, plan: RestorePlan, scratch: Scratch) -> tuple[RestoreReport, BackupManifest]:
        parts = SourceParts(
            self.parts.store,
            self.parts.signer.verifier,
            self.parts.vault,
            self.objects,
            self.parts.clock,
            self.parts.postgres_directories,
        )
        place = RestorePlace(scratch.directory / "restore", scratch.account)
        with sources_of(self.actor, plan, self.facts, parts) as sources:
            return run_plan(plan, place, sources), sources.chain[-1]

    def _compare(
        self,
        moment: datetime,
        done: RestoreReport,
        source: BackupManifest,
        scratch: Scratch,
        report: LevelReport,
    ) -> None:
        counts = {"archived_segments": done.archived_segments, "milliseconds": round(done.seconds * 1000)}
        what = (
            f"{timestamp(moment)} was restored from {source.backup_id} and {done.archived_segments} segments"
        )
        fingerprints = self._fingerprints(source)
        if fingerprints is None:
            report.passed(CHECK, f"{what}; that backup holds no fingerprints to compare with", counts)
            return
        with _opened(done, scratch) as cluster:
            found = compare_quiet(cluster, fingerprints, parse_lsn(source.restore_point.lsn))
        counts |= {"equal": found.equal, "not_comparable": len(found.not_comparable)}
        if found.differences:
            shown = "; ".join(found.differences[:_NAMED])
            report.failed(CHECK, f"{what}, and what nobody wrote to is not equal: {shown}", counts)
        else:
            report.passed(CHECK, f"{what}; {found.equal} tables that were quiet since are equal", counts)

    def _fingerprints(self, source: BackupManifest) -> FingerprintDocument | None:
        for item in source.having("fingerprints"):
            with self.objects.open(item) as content:
                return read_fingerprints(content)
        return None


def drawn(seed: str, earliest: datetime, latest: datetime) -> datetime:
    """A moment between two, in whole milliseconds, the same for the same seed."""
    span = int((latest - earliest) / timedelta(milliseconds=1))
    return earliest + timedelta(milliseconds=random.Random(seed).randint(0, max(0, span)))  # noqa: S311 - no secret


@contextmanager
def _opened(done: RestoreReport, scratch: Scratch) -> Iterator[Cluster]:
    """The restored server while the block is entered."""
    data = Path(done.data_directory)
    server = Cluster(
        data,
        scratch.binaries,
        socket_dir=Path(done.socket_directory),
        log_path=data.parent / "server.log",
        account=scratch.account,
        settings={"autovacuum": "off"},
    )
    server.start()
    try:
        yield server
    finally:
        server.stop("immediate")


def _require_room(root: Path, plan: RestorePlan) -> None:
    available = free_bytes(root)
    if available < plan.needed_bytes:
        raise ScratchFullError(
            f"The scratch area {root} has {available >> 20:,} MiB free; restoring a random moment needs"
            f" {plan.needed_bytes >> 20:,} MiB.",
            hint="Free some room, name a larger place with the setting `scratch_directory`, or set"
            " `verify: random_point: false`.",
        )

"""Executing a plan: unpack, replay to the target, prove that it was reached, hand over. All or nothing.

    the directory is claimed → the backup's objects are unpacked → the log is fetched ahead of recovery
    → recovery stops at its target → that is checked → the server is stopped → the directory gets its name

Whatever happens before the last step leaves no directory called `data`.
"""

from __future__ import annotations

import errno
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from strongroom.backup.continuous import ArchivedSegment
from strongroom.backup.manifest import BackupManifest
from strongroom.backup.restoring.configuration import (
    CONFIGURATION_FILES,
    RecoveryTarget,
    configure,
    finish_configuration,
)
from strongroom.backup.restoring.control import control_data
from strongroom.backup.restoring.copied import Uses
from strongroom.backup.restoring.errors import (
    DiskFullError,
    NotThisBackupError,
    TargetMissedError,
    WalGapError,
)
from strongroom.backup.restoring.filling import Filling, fill
from strongroom.backup.restoring.guarding import refuse_created_tablespace
from strongroom.backup.restoring.objects import BackupObjects
from strongroom.backup.restoring.place import (
    RestorePlace,
    claimed,
    mark_done,
    mark_failed,
    prepare_place,
)
from strongroom.backup.restoring.plan import RestorePlan
from strongroom.backup.restoring.prefetch import LogSource, Opener, Prefetcher
from strongroom.backup.restoring.reaching import last_record_target, require_reached
from strongroom.backup.restoring.recovery import RecoveryEnd, recover, recover_and_stay
from strongroom.backup.restoring.report import RestoreReport
from strongroom.backup.restoring.sizes import SPOOL_BYTES
from strongroom.backup.restoring.spool import Spool
from strongroom.backup.restoring.wal import WalRange, wal_problems
from strongroom.clock import Clock
from strongroom.postgres import SUPERUSER, Cluster, ScratchFullError, ServerBinaries, parse_lsn
from strongroom.vault import StoredObject

Progress = Callable[[str, int, int], None]
"""Told a stage (`unpack`, `log`), how much of it is done, and how much it is in all."""


@dataclass(frozen=True)
class RestoreSources:
    """What a plan is executed with.

    Args:
        chain: the manifests of the plan's backups, the full one first.
        objects: where the backups' objects come from.
        segments: the archived segments of the plan, in order.
        open_log: opens a sealed segment or history.
        find_history: the archive's copy of a timeline history; None where it confirms that there is none.
        own_log: the log that the last backup holds itself.
        binaries: the programs of the server's major version.
        clock: for the record.
        progress: told how far it is.
        from_copies: gives what was taken from copies so far.
    """

    chain: tuple[BackupManifest, ...]
    objects: BackupObjects
    segments: tuple[ArchivedSegment, ...]
    open_log: Opener
    find_history: Callable[[str], StoredObject | None]
    own_log: WalRange
    binaries: ServerBinaries
    clock: Clock
    progress: Progress = lambda stage, done, total: None
    from_copies: Callable[[], Uses] = tuple


def run_plan(plan: RestorePlan, place: RestorePlace, sources: RestoreSources) -> RestoreReport:
    """Execute a plan.

    Args:
        plan: checked by its caller against its hash and the archive.
        place: its directory.
        sources: what it is executed with.

    Raises:
        DirectoryInUseError: the directory is not free.
        DiskFullError: the disk filled up; what was written is marked as failed.
        IntegrityError: something stored is not what it was, or the target was not reached.
        TransientError: the bucket does not answer any more.
    """
    with claimed(place):
        prepare_place(place, plan, sources.clock.now())
        try:
            with _full_disk_named(place):
                return _Run(plan, place, sources).execute()
        except BaseException as error:
            mark_failed(place, plan, error, sources.clock.now())
            raise


@contextmanager
def _full_disk_named(place: RestorePlace) -> Iterator[None]:
    """A disk that fills up, met by us or by the server, under one name."""
    try:
        yield
    except (OSError, ScratchFullError) as error:
        if isinstance(error, OSError) and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFullError(
            f"The disk of {place.directory} filled up during the restore.",
            hint="Free some room, or choose a larger place; then run the same restore again.",
        ) from error


class _Run:
    """One execution."""

    def __init__(self, plan: RestorePlan, place: RestorePlace, sources: RestoreSources) -> None:
        self._plan = plan
        self._place = place
        self._sources = sources
        self._spool = Spool(place.spool, place.account)
        self._cluster = self._cluster_of(place.incomplete)

    def execute(self) -> RestoreReport:
        began = time.perf_counter()
        self._spool.make()
        restored_bytes = self._unpack()
        unpacked = time.perf_counter()
        target, end = self._recover()
        self._cluster.stop()
        recovered = time.perf_counter()
        finish_configuration(self._cluster, target, self._place.sockets, self._place.data)
        report = self._report(end, unpacked - began, recovered - unpacked, restored_bytes)
        mark_done(self._place, self._plan, report.document())
        if self._plan.start:
            self._cluster_of(self._place.data).start()
        return report

    def _cluster_of(self, data_dir: Path) -> Cluster:
        place = self._place
        return Cluster(
            data_dir,
            self._sources.binaries,
            socket_dir=place.sockets,
            log_path=place.log,
            account=place.account,
            setting_name="--into",
        )

    def _unpack(self) -> int:
        total = self._plan.written_bytes
        told = lambda done: self._sources.progress("unpack", min(done, total), total)  # noqa: E731
        filling = Filling(self._sources.chain, self._sources.objects, self._sources.binaries, told)
        restored_bytes = fill(self._place, filling, self._spool.own)
        self._spool.adopt(self._place.incomplete / "pg_wal")
        self._check_unpacked()
        return restored_bytes

    def _check_unpacked(self) -> None:
        """The backup's own log is whole, and its control file is that of the plan's cluster."""
        problems = list(wal_problems(self._sources.own_log, [self._spool.own]))
        if problems:
            raise WalGapError(
                f"The backup {self._plan.backup_id} lacks some of its own log: {'; '.join(problems[:3])}.",
                hint="Restore from an older backup, and take a new one.",
            )
        for name in self._sources.own_log.segments():
            self._check_segment(self._spool.own / name)
        found = str(control_data(self._cluster).system_identifier)
        if found != self._plan.server.system_identifier:
            raise NotThisBackupError(
                f"The backup {self._plan.backup_id} holds the cluster {found},"
                f" not {self._plan.server.system_identifier}."
            )

    def _recover(self) -> tuple[RecoveryTarget, RecoveryEnd]:
        _keep_originals(self._place.incomplete)
        target = self._plan.target
        source = LogSource(
            self._sources.segments,
            self._sources.open_log,
            self._sources.own_log,
            self._plan.log.last,
            self._check_segment,
            self._sources.find_history,
        )
        with Prefetcher(self._spool, source, SPOOL_BYTES, self._log_progress) as prefetcher:
            try:
                end = self._replay(target, prefetcher)
            except TargetMissedError as missed:
                if not prefetcher.came_to_the_end:
                    raise
                target = last_record_target(target, missed)
                end = self._replay(target, prefetcher)
        own_point = self._sources.chain[-1].restore_point
        require_reached(target, end, own_point.lsn if target.value == own_point.name else None)
        return target, end

    def _replay(self, target: RecoveryTarget, prefetcher: Prefetcher) -> RecoveryEnd:
        """Recover once. What broke in fetching explains a recovery that failed; the server only saw its end."""
        staying = target.action != "promote"
        told = replace(target, action="shutdown" if staying else "promote")
        configure(self._cluster, told, self._spool.restore_command)
        try:
            return (recover_and_stay if staying else recover)(self._cluster, prefetcher.check)
        except BaseException:
            self._cluster.stop("immediate")
            prefetcher.check()
            raise

    def _check_segment(self, path: Path) -> None:
        target = self._plan.target
        until = parse_lsn(target.value) if target.kind == "lsn" and not target.inclusive else None
        refuse_created_tablespace(path, self._sources.binaries, until)

    def _log_progress(self, count: int) -> None:
        self._sources.progress("log", count, self._plan.log.archived)

    def _report(
        self, end: RecoveryEnd, fetch_seconds: float, recovery_seconds: float, restored_bytes: int
    ) -> RestoreReport:
        plan = self._plan
        return RestoreReport(
            database=plan.database,
            backup_id=plan.backup_id,
            plan_sha256=plan.sha256,
            data_directory=str(self._place.data),
            server_version=self._sources.binaries.version,
            stopped=end.reason,
            lsn=end.lsn,
            stopped_at=end.time,
            timeline=end.timeline,
            running=plan.start,
            socket_directory=str(self._place.sockets),
            fetch_seconds=round(fetch_seconds, 3),
            recovery_seconds=round(recovery_seconds, 3),
            restored_bytes=restored_bytes,
            archived_segments=plan.log.archived,
            start_command=_server_command(self._place, self._sources.binaries, "start"),
            stop_command=_server_command(self._place, self._sources.binaries, "stop"),
            look_command=_look_command(self._place, self._sources.binaries),
            from_copies=self._sources.from_copies(),
        )


def _keep_originals(data_dir: Path) -> None:
    """Keep the source's own configuration beside, where the backup holds it."""
    for name in CONFIGURATION_FILES:
        path = data_dir / name
        if path.is_file():
            path.rename(data_dir / f"{name}.original")


def _server_command(place: RestorePlace, binaries: ServerBinaries, verb: Literal["start", "stop"]) -> str:
    """How to start or stop the finished cluster from a shell; by root, as the user that owns it."""
    log = ["-l", str(place.log)] if verb == "start" else []
    user = ["runuser", "-u", place.account.name, "--"] if place.account else []
    return shlex.join([*user, str(binaries.tool("pg_ctl")), verb, "-w", "-D", str(place.data), *log])


def _look_command(place: RestorePlace, binaries: ServerBinaries) -> str:
    """How to open a session."""
    return shlex.join([str(binaries.tool("psql")), "-h", str(place.sockets), "-U", SUPERUSER])

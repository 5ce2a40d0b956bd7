"""The ladder: what each level does, in the order of what it can catch."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from strongroom.backup.restoring import RecoveryTarget, configure, control_data, directory_command, recover
from strongroom.backup.restoring.chains import combine
from strongroom.backup.restoring.errors import TablespaceInLogError
from strongroom.backup.restoring.guarding import refuse_created_tablespace
from strongroom.backup.restoring.recovery import reached
from strongroom.backup.restoring.tablespaces import settle_tablespaces
from strongroom.backup.restoring.wal import WalRange, wal_files, wal_problems
from strongroom.backup.verification import contents
from strongroom.backup.verification.archived import check_archived_log
from strongroom.backup.verification.comparing import check_expectations, check_fingerprints, check_smoke_sql
from strongroom.backup.verification.expectations_run import ExpectationProcess
from strongroom.backup.verification.fetching import check_presence, check_room, fetch_all
from strongroom.backup.verification.recorder import LevelReport, Recorder
from strongroom.backup.verification.run import RestoreRun
from strongroom.errors import IntegrityError, StrongroomError
from strongroom.postgres import (
    Cluster,
    DatabaseUnreachableError,
    NoSuchServerVersionError,
    PostgresError,
    ScratchFullError,
    ServerBinaries,
    find_binaries,
    parse_lsn,
    run_as,
)

_AMCHECK_SINCE = 14
_NAMED_PROBLEMS = 10


class Level(ABC):
    """One level of the ladder."""

    name: ClassVar[str]
    title: ClassVar[str]
    blocking: ClassVar[bool] = True
    """Whether the levels above make no sense when this one failed."""

    @abstractmethod
    def run(self, restore: RestoreRun, recorder: Recorder, report: LevelReport) -> None:
        """Make the level's checks and report each.

        Raises:
            IntegrityError, PostgresError: a check ended so; it is reported as failed.
            TransientError, ConfigurationError: no verdict is possible.
        """


class ObjectsPresent(Level):
    """L0."""

    name, title = "L0", "every object is there, with its size and hash"

    def run(self, restore: RestoreRun, recorder: Recorder, report: LevelReport) -> None:
        check_presence(restore, report)


class ObjectsOpen(Level):
    """L1; fetches everything once, which completes L0's hashes and unpacks."""

    name, title = "L1", "everything decrypts and decompresses; the manifest's signature holds"

    def run(self, restore: RestoreRun, recorder: Recorder, report: LevelReport) -> None:
        report.passed("manifest signature", "signed by the trusted key")
        check_room(restore)
        fetch_all(restore, recorder.report(ObjectsPresent.name), report)


class WalComplete(Level):
    """L2."""

    name, title = "L2", "the write-ahead log is complete from the start to the restore point"

    def run(self, restore: RestoreRun, recorder: Recorder, report: LevelReport) -> None:
        server = restore.manifest.server
        wanted = WalRange(
            server.timeline,
            parse_lsn(restore.manifest.start_lsn),
            parse_lsn(restore.manifest.restore_point.lsn),
            server.wal_segment_bytes,
            int(server.system_identifier),
        )
        places = [restore.layout.newest / "pg_wal", restore.wal_dir]
        problems = list(wal_problems(wanted, places))
        if problems:
            report.failed("WAL continuity", named(problems) + ". Verify an older backup, and take a new one.")
            return
        report.passed("WAL continuity", "no segment is missing", {"segments": len(wanted.segments())})
        try:
            for path in wal_files(wanted, places):
                refuse_created_tablespace(path, restore.scratch.binaries)
        except TablespaceInLogError as error:
            report.failed_with("tablespaces", error)
        else:
            report.passed("tablespaces", "none is created on the way, which would write to the source's own")
        check_archived_log(restore, report)


class RecoversToPoint(Level):
    """L3."""

    name, title = "L3", "the files are whole, and recovery reaches the named restore point"

    def run(self, restore: RestoreRun, recorder: Recorder, report: LevelReport) -> None:
        self._combine(restore, report)
        if not _verify_files(restore, report):
            return
        settle_tablespaces(
            restore.scratch.data_dir, restore.scratch.directory / "tablespaces", restore.scratch.account
        )
        self._check_identity(restore, report)
        point = restore.manifest.restore_point
        start = time.perf_counter()
        cluster = restore.scratch.cluster()
        command = directory_command(restore.scratch.directory / "restore-wal.sh", restore.wal_dir)
        configure(cluster, RecoveryTarget.at_name(point.name), command)
        end = recover(cluster)
        restore.recovery_seconds = time.perf_counter() - start
        restore.restored_to = end.time
        restore.cluster = cluster
        if reached(end, point.name, point.lsn):
            report.passed("recovery", f"stopped at the restore point {point.name}, at {end.lsn}")
        else:
            report.failed(
                "recovery",
                f"stopped {end.reason!r}, at {end.lsn}, instead of {point.name!r},"
                f" at {point.lsn}. The manifest and the log do not belong together; verify an older backup.",
            )

    def _combine(self, restore: RestoreRun, report: LevelReport) -> None:
        if not restore.ancestors:
            return
        start = time.perf_counter()
        combine(restore.layout, restore.scratch.binaries, durable=False)
        spent = time.perf_counter() - start
        restore.fetch_and_unpack_seconds = (restore.fetch_and_unpack_seconds or 0.0) + spent
        count = len(restore.ancestors) + 1
        report.passed("pg_combinebackup", "the chain makes one cluster", {"backups": count})

    def _check_identity(self, restore: RestoreRun, report: LevelReport) -> None:
        found = str(control_data(restore.scratch.cluster()).system_identifier)
        wanted = restore.manifest.server.system_identifier
        if found == wanted:
            report.passed("cluster identity", "the system identifier of the manifest")
        else:
            report.failed("cluster identity", f"is {found}; the manifest says {wanted}")


class ContentsSound(Level):
    """L4."""

    name, title = "L4", "pages, indexes and tables are sound and readable"
    blocking = False

    def run(self, restore: RestoreRun, recorder: Recorder, report: LevelReport) -> None:
        if restore.suite is not None:
            restore.expectation_process = ExpectationProcess()
        cluster = running(restore)
        _check_checksums(restore, cluster, report)
        _check_amcheck(restore, cluster, report)
        _check_reading(cluster, report)


class SameAsSource(Level):
    """L5."""

    name, title = "L5", "the content is what it was at the source, and makes sense"

    def run(self, restore: RestoreRun, recorder: Recorder, report: LevelReport) -> None:
        cluster = running(restore)
        check_fingerprints(restore, cluster, report)
        check_expectations(restore, cluster, report)
        check_smoke_sql(restore, cluster, report)


LADDER: tuple[Level, ...] = (
    ObjectsPresent(),
    ObjectsOpen(),
    WalComplete(),
    RecoversToPoint(),
    ContentsSound(),
    SameAsSource(),
)


def climb(restore: RestoreRun, recorder: Recorder, levels: Sequence[Level] = LADDER) -> None:
    """Run the levels from the lowest up; what a failure makes impossible is reported as skipped."""
    blocked: str | None = None
    for level in levels:
        with recorder.level(level.name, level.title) as report:
            if blocked is not None:
                report.skipped("whole level", f"not possible, because {blocked} failed")
                continue
            try:
                level.run(restore, recorder, report)
            except DatabaseUnreachableError as error:
                report.failed("scratch server", f"it stopped answering: {error.message}")
            except (IntegrityError, PostgresError) as error:
                _refuse_full_disk(restore, error)
                report.failed_with("whole level", error)
        failed = recorder.failed_level()
        if failed is not None and level.blocking:
            blocked = failed


def _refuse_full_disk(restore: RestoreRun, error: StrongroomError) -> None:
    """A scratch area that is full says nothing about the backup.

    Raises:
        ScratchFullError: the error is about that.
    """
    if "No space left on device" in error.message:
        raise ScratchFullError(
            f"The scratch area {restore.scratch.directory.parent} filled up during the checks.",
            hint="Free some room, or name a larger place with the setting `scratch_directory`.",
        ) from error


def running(restore: RestoreRun) -> Cluster:
    """The restored server.

    Raises:
        PostgresError: no level before has started it.
    """
    if restore.cluster is None:
        raise PostgresError("The restored server does not run.")
    return restore.cluster


def named(problems: Sequence[str]) -> str:
    """The first of many problems, and how many there are."""
    rest = len(problems) - _NAMED_PROBLEMS
    return "; ".join(problems[:_NAMED_PROBLEMS]) + (f"; and {rest} more" if rest > 0 else "")


def _verify_files(restore: RestoreRun, report: LevelReport) -> bool:
    scratch = restore.scratch
    done = run_as(scratch.account, [scratch.binaries.tool("pg_verifybackup"), "--quiet", scratch.data_dir])
    if done.returncode == 0:
        report.passed("pg_verifybackup", "every file and the log match the server's own backup manifest")
        return True
    said = named([line for line in (done.stderr + done.stdout).splitlines() if line.strip()])
    report.failed("pg_verifybackup", f"{said}. Verify an older backup, and take a new one.")
    return False


def _check_checksums(restore: RestoreRun, cluster: Cluster, report: LevelReport) -> None:
    if not contents.checksums_enabled(control_data(cluster)):
        report.not_applicable("page checksums", "the source cluster has none (initdb --data-checksums)")
        return
    _report_tool(report, "page checksums", contents.page_checksums(cluster))


def _check_amcheck(restore: RestoreRun, cluster: Cluster, report: LevelReport) -> None:
    if not restore.checks.amcheck:
        report.switched_off("amcheck", "switched off by the policy (verify: amcheck)")
        return
    binaries = _amcheck_binaries(restore)
    if binaries is None:
        report.skipped("amcheck", "no pg_amcheck on this machine: install PostgreSQL 14 or later")
        return
    _report_tool(report, "amcheck", contents.amcheck(cluster, binaries))


def _amcheck_binaries(restore: RestoreRun) -> ServerBinaries | None:
    own = restore.scratch.binaries
    if own.major >= _AMCHECK_SINCE:
        return own
    try:
        newest = find_binaries(None, restore.search)
    except NoSuchServerVersionError:
        return None
    return newest if newest.major >= _AMCHECK_SINCE else None


def _check_reading(cluster: Cluster, report: LevelReport) -> None:
    tables = list(contents.read_everything(cluster))
    counts = {"tables": len(tables), "rows": sum(table.rows for table in tables)}
    report.passed("every table readable", "read from the first to the last row", counts)
    for database in contents.all_databases(cluster):
        finding = contents.catalogues_readable(cluster, database)
        _report_tool(report, f"definitions of {database}", finding)


def _report_tool(report: LevelReport, name: str, finding: contents.ToolFinding) -> None:
    if finding.sound:
        report.passed(name, finding.summary)
    else:
        report.failed(name, f"{finding.summary}. Restore an older backup; look at the source's disks.")

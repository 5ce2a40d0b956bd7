"""L2's other half: whether the archived log continues the backup without a hole, and up to when."""

from __future__ import annotations

from strongroom.backup.restoring.choosing import way_to
from strongroom.backup.restoring.errors import TimelineError
from strongroom.backup.restoring.facts import RestoreFacts, StoredManifest
from strongroom.backup.restoring.way import Way
from strongroom.backup.verification.recorder import LevelReport
from strongroom.backup.verification.run import RestoreRun
from strongroom.clock import timestamp
from strongroom.errors import IntegrityError
from strongroom.postgres import format_lsn

_CHECK = "archived WAL"
_BEYOND = (
    "The backup itself can be restored; moments after that cannot, from this backup. A later one begins anew."
)


def check_archived_log(restore: RestoreRun, report: LevelReport) -> None:
    """Follow the archived log from the backup to where it ends.

    A hole does not keep the backup itself from being restored and checked; it does keep it from being proven.

    Raises:
        StoreUnavailableError: the bucket does not answer; there is no verdict.
    """
    try:
        facts = restore.facts
        if facts is None or restore.manifest.server.system_identifier not in facts.logs:
            report.not_applicable(_CHECK, "the source ships none (policy: backup.wal)")
            return
        backup = facts.backup(restore.manifest.backup_id)
        if backup is not None:
            _follow(restore, backup, _way(backup, facts), report)
    except (IntegrityError, TimelineError) as error:
        report.failed(_CHECK, f"{type(error).__name__}: {error}", blocking=False)


def _way(backup: StoredManifest, facts: RestoreFacts) -> Way:
    """The way to the newest timeline; the backup's own when that has been left behind."""
    own = backup.manifest.server.timeline
    way = way_to(backup, None, facts)
    return way if way.leads_from(backup.manifest) else way_to(backup, own, facts)


def _follow(restore: RestoreRun, backup: StoredManifest, way: Way, report: LevelReport) -> None:
    reach = way.reach(backup)
    restore.covered_until = way.covered_until(reach.end)
    end = format_lsn(reach.end)
    if reach.broken:
        report.failed(_CHECK, f"{reach.missing} is missing, after {end}. {_BEYOND}", blocking=False)
    elif restore.covered_until is None:
        report.passed(_CHECK, f"nothing is missing up to {end}")
    else:
        report.passed(
            _CHECK,
            f"nothing is missing up to {end}; everything up to {timestamp(restore.covered_until)} is there",
        )

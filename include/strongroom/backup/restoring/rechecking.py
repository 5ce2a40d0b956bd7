"""Before a plan is executed: whether everything it rests on is still there, and still the same."""

from __future__ import annotations

from strongroom.backup.continuous import ArchivedSegment, HistoryMissingError, TimelineHistory
from strongroom.backup.manifest import BackupManifest
from strongroom.backup.restoring.choosing import Chosen
from strongroom.backup.restoring.errors import PlanChangedError, WalGapError
from strongroom.backup.restoring.facts import ClusterLog, RestoreFacts, StoredManifest
from strongroom.backup.restoring.plan import RestorePlan
from strongroom.backup.restoring.planning import planned_log
from strongroom.backup.restoring.way import Way
from strongroom.postgres import segment_start

_AGAIN = "Make a new plan, look at it, and approve that one."


def recheck(
    plan: RestorePlan, facts: RestoreFacts
) -> tuple[tuple[BackupManifest, ...], tuple[ArchivedSegment, ...]]:
    """The manifests of the plan's backups and the archived segments, in order, when nothing has changed.

    Args:
        plan: as it was approved.
        facts: gathered just now.

    Raises:
        PlanChangedError: a backup, the log or the history is not what the plan was made with.
        WalGapError: a segment of the plan is missing now.
    """
    chain = [_backup(item.id, item.manifest_sha256, facts) for item in plan.backups]
    log = facts.logs.get(plan.server.system_identifier, ClusterLog(plan.server.system_identifier))
    way = Way(log, _history(plan, log), plan.server.segment_bytes)
    end = segment_start(plan.log.last, plan.server.segment_bytes) + plan.server.segment_bytes
    archived, found = planned_log(Chosen(chain[-1], way, plan.target, end, plan.requested))
    if found.archived < plan.log.archived:
        missing = next(name for name in _names(plan, chain[-1], way) if way.archived(name) is None)
        raise WalGapError(
            f"The segment {missing} was in the archive when the plan was made, and is missing now.",
            hint="Look at who can delete from the bucket; make a new plan to an earlier target.",
        )
    if found != plan.log:
        raise PlanChangedError("The archived log is not the one that the plan was made with.", hint=_AGAIN)
    return tuple(item.manifest for item in chain), tuple(archived)


def _backup(backup_id: str, sha256: str, facts: RestoreFacts) -> StoredManifest:
    found = facts.backup(backup_id)
    if found is None or found.sha256 != sha256:
        what = "is missing" if found is None else "is not the one that the plan was made with"
        raise PlanChangedError(f"The backup {backup_id} {what}.", hint=_AGAIN)
    return found


def _history(plan: RestorePlan, log: ClusterLog) -> TimelineHistory:
    """The way that the plan takes; without a history in the plan it is the backup's own timeline."""
    if plan.history is None:
        return TimelineHistory(plan.timeline)
    try:
        return log.history(plan.timeline)
    except HistoryMissingError as error:
        raise PlanChangedError(
            f"The history of timeline {plan.timeline} was there when the plan was made, and is missing now.",
            hint=_AGAIN,
        ) from error


def _names(plan: RestorePlan, backup: StoredManifest, way: Way) -> list[str]:
    """The plan's archived segments by name: those after the backup's own."""
    first = segment_start(plan.log.last, way.segment_bytes) - (plan.log.archived - 1) * way.segment_bytes
    return way.segments(first, first + plan.log.archived * way.segment_bytes)

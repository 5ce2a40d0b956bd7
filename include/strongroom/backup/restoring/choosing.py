"""Which backup leads to the target, on which way, and how far the log is needed; or why nothing does.

Time is the source's own throughout, and order is by position in the log: a wrong clock on the machine that backs up
or restores changes nothing. What leads to a target is the newest backup whose end lies at or before it, on a
timeline that the way to the target takes; then every segment up to it must be there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from strongroom.backup.continuous import HistoryMissingError, TimelineHistory
from strongroom.backup.restoring.configuration import RecoveryTarget
from strongroom.backup.restoring.errors import (
    BackupMissingError,
    NotThisBackupError,
    TargetError,
    TargetNotCoveredError,
    TimelineError,
    WalGapError,
)
from strongroom.backup.restoring.facts import ClusterLog, RestoreFacts, StoredManifest
from strongroom.backup.restoring.request import RestoreRequest
from strongroom.backup.restoring.way import Reach, Way
from strongroom.clock import timestamp
from strongroom.postgres import format_lsn, parse_lsn


@dataclass(frozen=True)
class Chosen:
    """What leads to the target."""

    backup: StoredManifest
    way: Way
    target: RecoveryTarget
    end: int
    """The position up to which the log is needed."""
    requested: str
    notes: tuple[str, ...] = ()


def choose(request: RestoreRequest, facts: RestoreFacts) -> Chosen:
    """What leads to the wanted target.

    Raises:
        StrongroomError: nothing does; see `make_plan`.
    """
    if request.target.kind in ("backup", "point"):
        own = _own_point(request, facts)
        if own is not None:
            return _at_own_point(own, request, facts)
        return _at_foreign_point(request, facts)
    chooser = {"time": _at_time, "lsn": _at_lsn, "latest": _at_end}[request.target.kind]
    return chooser(request, facts)


def _own_point(request: RestoreRequest, facts: RestoreFacts) -> StoredManifest | None:
    """The backup whose own restore point is wanted."""
    if request.target.kind == "backup":
        return _named(request, facts) if request.backup_id else _newest(facts)
    for item in facts.backups:
        if item.manifest.restore_point.name == request.target.value:
            return item
    return None


def _at_own_point(backup: StoredManifest, request: RestoreRequest, facts: RestoreFacts) -> Chosen:
    manifest = backup.manifest
    timeline = manifest.server.timeline
    if request.timeline not in (None, timeline):
        raise TimelineError(
            f"The restore point of {backup.id} lies on timeline {timeline}, not {request.timeline}.",
            hint="Leave --timeline out.",
        )
    if request.backup_id not in (None, backup.id):
        raise TargetError(
            f"The restore point {manifest.restore_point.name} is the backup {backup.id}'s own.",
            hint="Leave --backup out.",
        )
    target = RecoveryTarget.at_name(manifest.restore_point.name, timeline=str(timeline))
    way = Way(log_of(backup, facts), TimelineHistory(timeline), manifest.server.wal_segment_bytes)
    end = parse_lsn(manifest.restore_point.lsn)
    requested = f"to the restore point of the backup {backup.id}"
    return Chosen(backup, way, target, end, requested)


def _at_foreign_point(request: RestoreRequest, facts: RestoreFacts) -> Chosen:
    """Only the log itself knows the names that others gave: whether it is there shows when recovery gets to it."""
    if request.backup_id is None:
        raise TargetError(
            f"{request.target.value!r} is no backup's own restore point, so where it lies is not known.",
            hint="Name with --backup the backup to begin from; it must be older than the restore point.",
        )
    backup = _named(request, facts)
    way = way_to(backup, request.timeline, facts)
    reach = _whole_reach(backup, way)
    target = RecoveryTarget.at_name(request.target.value, timeline=str(way.history.timeline))
    note = "whether the log holds this restore point shows only when recovery gets to it"
    return Chosen(backup, way, target, reach.end, str(request.target), (note,))


def _at_time(request: RestoreRequest, facts: RestoreFacts) -> Chosen:
    way = way_to(_pinned(request, facts), request.timeline, facts)
    moment = request.target.moment
    leading = _leading(request, facts, way)
    mark = next((item for item in way.marks() if item.clock >= moment), None)
    if mark is None:
        raise _not_yet(leading[-1], way, f"the moment {request.target.value}")
    usable = [
        item
        for item in leading
        if item.manifest.finished_at <= moment and parse_lsn(item.manifest.stop_lsn) <= mark.position
    ]
    if not usable:
        raise _too_early(request, f"{timestamp(leading[0].manifest.finished_at)} on")
    backup = _best(usable, request, facts)
    _require_unbroken(backup, way, mark.position)
    target = RecoveryTarget("time", request.target.value, timeline=str(way.history.timeline))
    return Chosen(backup, way, target, mark.position, str(request.target))


def _at_lsn(request: RestoreRequest, facts: RestoreFacts) -> Chosen:
    way = way_to(_pinned(request, facts), request.timeline, facts)
    position = parse_lsn(request.target.value)
    leading = _leading(request, facts, way)
    usable = [item for item in leading if parse_lsn(item.manifest.stop_lsn) <= position]
    if not usable:
        raise _too_early(request, f"{leading[0].manifest.stop_lsn} on")
    backup = _best(usable, request, facts)
    _require_unbroken(backup, way, position)
    return Chosen(backup, way, _before(position, way), position, str(request.target))


def _at_end(request: RestoreRequest, facts: RestoreFacts) -> Chosen:
    way = way_to(_pinned(request, facts), request.timeline, facts)
    leading = _leading(request, facts, way)
    backup = _best(leading, request, facts)
    reach = _whole_reach(backup, way)
    if reach.end <= parse_lsn(backup.manifest.restore_point.lsn):
        return replace(_at_own_point(backup, request, facts), requested=str(request.target))
    return Chosen(backup, way, _before(reach.end, way), reach.end, str(request.target))


def _before(position: int, way: Way) -> RecoveryTarget:
    """Everything that was written before a position. The record that begins there is not replayed."""
    return RecoveryTarget("lsn", format_lsn(position), inclusive=False, timeline=str(way.history.timeline))


def _named(request: RestoreRequest, facts: RestoreFacts) -> StoredManifest:
    backup_id = request.backup_id or ""
    found = facts.backup(backup_id)
    if found is not None:
        return found
    if backup_id in facts.unusable:
        raise NotThisBackupError(
            f"The manifest of the backup {backup_id} cannot be believed: {facts.unusable[backup_id]}",
            hint="Choose another backup; look at who can write to the bucket.",
        )
    raise BackupMissingError(
        f"There is no complete physical backup {backup_id} of {facts.database}.",
        hint="`strongroom backup list` shows what there is.",
    )


def _newest(facts: RestoreFacts) -> StoredManifest:
    if not facts.backups:
        raise BackupMissingError(
            f"The database {facts.database} has no complete physical backup.",
            hint=f"`strongroom backup run {facts.database}` takes one.",
        )
    return facts.backups[-1]


def _pinned(request: RestoreRequest, facts: RestoreFacts) -> StoredManifest:
    """The backup that says which cluster is meant."""
    return _named(request, facts) if request.backup_id else _newest(facts)


def log_of(backup: StoredManifest, facts: RestoreFacts) -> ClusterLog:
    """The archived log of a backup's cluster, which may be empty."""
    identifier = backup.manifest.server.system_identifier
    return facts.logs.get(identifier, ClusterLog(identifier))


def way_to(backup: StoredManifest, wanted: int | None, facts: RestoreFacts) -> Way:
    """The way of a backup's cluster to a timeline; without it, to the newest of which anything is there.

    A timeline whose history was shipped and nothing else yet is not one to follow: the old one reaches further.

    Raises:
        TimelineError: nothing of that timeline is known.
        HistoryMissingError: nobody knows how the log came there.
    """
    log = log_of(backup, facts)
    archived = {number for number, found in log.timelines.items() if found.segments or found.missing}
    known = {item.manifest.server.timeline for item in _of_cluster(backup, facts)} | archived
    timeline = wanted or max(known)
    if timeline not in known:
        raise TimelineError(
            f"Nothing of timeline {timeline} is known; there are {', '.join(map(str, sorted(known)))}.",
            hint="Leave --timeline out to follow the newest.",
        )
    return Way(log, _history(backup, log, timeline), backup.manifest.server.wal_segment_bytes)


def _history(backup: StoredManifest, log: ClusterLog, timeline: int) -> TimelineHistory:
    try:
        return log.history(timeline)
    except HistoryMissingError:
        if not log.timelines and timeline == backup.manifest.server.timeline:
            return TimelineHistory(timeline)
        raise


def _of_cluster(backup: StoredManifest, facts: RestoreFacts) -> list[StoredManifest]:
    identifier = backup.manifest.server.system_identifier
    return [item for item in facts.backups if item.manifest.server.system_identifier == identifier]


def _leading(request: RestoreRequest, facts: RestoreFacts, way: Way) -> list[StoredManifest]:
    """The backups from which the way can be taken, by position; the pinned one alone where one is."""
    pinned = _pinned(request, facts)
    if request.backup_id is not None and not way.leads_from(pinned.manifest):
        raise TimelineError(
            f"The backup {pinned.id} ended at {pinned.manifest.stop_lsn} on timeline"
            f" {pinned.manifest.server.timeline}, which the way to timeline {way.history.timeline} had left"
            " by then or never took.",
            hint="Choose an older backup, or the backup's own timeline with --timeline.",
        )
    candidates = [pinned] if request.backup_id else _of_cluster(pinned, facts)
    found = [item for item in candidates if way.leads_from(item.manifest) and _chain_whole(item, facts)]
    if not found:
        raise TimelineError(
            f"No backup leads to timeline {way.history.timeline}.",
            hint="Take a backup on it, or restore to an older timeline with --timeline.",
        )
    return sorted(found, key=lambda item: (parse_lsn(item.manifest.stop_lsn), item.id))


def _best(usable: Sequence[StoredManifest], request: RestoreRequest, facts: RestoreFacts) -> StoredManifest:
    """The newest; one that a proof found broken only when it was asked for or there is no other."""
    sound = [item for item in usable if facts.results.get(item.id) != "failed"]
    return (sound or usable)[-1]


def _whole_reach(backup: StoredManifest, way: Way) -> Reach:
    reach = way.reach(backup)
    if reach.broken:
        raise _gap(reach.missing, backup, reach.end)
    return reach


def _require_unbroken(backup: StoredManifest, way: Way, end: int) -> None:
    reach = way.reach(backup)
    if reach.end >= end:
        return
    if reach.broken:
        raise _gap(reach.missing, backup, reach.end)
    raise _not_yet(backup, way, f"the position {format_lsn(end)}")


def _gap(missing: str, backup: StoredManifest, end: int) -> WalGapError:
    return WalGapError(
        f"The log has a gap: the segment {missing} is missing, and later ones are there. Nothing after"
        f" {format_lsn(end)} can be restored from the backup {backup.id}.",
        hint=f"Restore to before the gap with --to-lsn {format_lsn(end)}, or to a moment after a later backup.",
    )


def _not_yet(backup: StoredManifest, way: Way, what: str) -> TargetNotCoveredError | WalGapError:
    """The target lies beyond what is archived: in the future, or not shipped yet."""
    reach = way.reach(backup)
    if reach.broken:
        return _gap(reach.missing, backup, reach.end)
    covered = way.covered_until(reach.end)
    until = f", everything up to {timestamp(covered)}" if covered else ""
    hint = "Choose an earlier target, --latest, or ship the log first: strongroom wal ship DATABASE."
    if covered is None:
        hint = f"No log is archived yet. `--backup {backup.id}` restores to that backup's own restore point."
    return TargetNotCoveredError(
        f"The archive does not reach {what}: it ends at {format_lsn(reach.end)}{until}.", hint=hint
    )


def _too_early(request: RestoreRequest, since: str) -> TargetNotCoveredError:
    which = f"the backup {request.backup_id}" if request.backup_id else "the first backup that leads there"
    return TargetNotCoveredError(
        f"Nothing can be restored {request.target}: {which} can be restored from {since}.",
        hint="Choose a later target, or an older backup where there is one.",
    )


def archived_window(backup_id: str, facts: RestoreFacts) -> tuple[datetime, datetime] | None:
    """From when to when any moment can be restored, by the source's clock; None when the archive covers none.

    It begins with the oldest backup from which the log reaches the archive's end without a hole.

    Args:
        backup_id: a backup of the cluster that is meant.
        facts: as gathered.

    Raises:
        HistoryMissingError: nobody knows how the log came to the newest timeline.
    """
    backup = facts.backup(backup_id)
    if backup is None:
        return None
    way = way_to(backup, None, facts)
    leading = [item for item in _of_cluster(backup, facts) if way.leads_from(item.manifest)]
    leading.sort(key=lambda item: parse_lsn(item.manifest.stop_lsn), reverse=True)
    return _window(leading, way, facts)


def _window(
    newest_first: Sequence[StoredManifest], way: Way, facts: RestoreFacts
) -> tuple[datetime, datetime] | None:
    """Backups whose log is not shipped yet, as those just taken, have no window of their own and are passed over."""
    end = earliest = latest = None
    for item in newest_first:
        reached = way.reach(item).end
        covered = way.covered_until(reached)
        if end is None and covered is not None and covered > item.manifest.finished_at:
            end, latest = reached, covered
        if end is not None and reached != end:
            break
        if end is not None and _chain_whole(item, facts):
            earliest = item.manifest.finished_at
    return (earliest, latest) if earliest is not None and latest is not None else None


def backup_chain(backup: StoredManifest, facts: RestoreFacts) -> list[StoredManifest]:
    """The backups that a restore combines, the full one first.

    Raises:
        BackupMissingError: one of them is missing.
        NotThisBackupError: one of them is another than the chain was built on.
    """
    chain = [backup]
    while (link := chain[0].manifest.chain) is not None:
        parent = facts.backup(link.parent_id)
        if parent is None:
            raise BackupMissingError(
                f"The backup {backup.id} is incremental, and {link.parent_id} below it is missing.",
                hint="Choose an older backup.",
            )
        if parent.sha256 != link.parent_manifest_sha256:
            raise NotThisBackupError(
                f"The backup {link.parent_id} is not the one that {chain[0].id} builds on.",
                hint="Somebody replaced its manifest. Choose an older backup.",
            )
        chain.insert(0, parent)
    return chain


def _chain_whole(backup: StoredManifest, facts: RestoreFacts) -> bool:
    try:
        return bool(backup_chain(backup, facts))
    except (BackupMissingError, NotThisBackupError):
        return False

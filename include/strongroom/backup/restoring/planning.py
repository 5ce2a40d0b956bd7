"""The planner: facts and a wish become a plan, or a refusal that says why. It reads and writes nothing."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from strongroom.backup.continuous import ArchivedSegment
from strongroom.backup.restoring.choosing import Chosen, backup_chain, choose, log_of
from strongroom.backup.restoring.facts import RestoreFacts, StoredManifest
from strongroom.backup.restoring.plan import (
    Estimate,
    PlannedBackup,
    PlannedHistory,
    PlannedLog,
    PlannedServer,
    RestorePlan,
)
from strongroom.backup.restoring.request import RestoreRequest
from strongroom.backup.restoring.sizes import estimated_seconds, fetched_bytes, needed_bytes, written_bytes
from strongroom.backup.restoring.way import own_segments
from strongroom.postgres import format_lsn, parse_lsn


def make_plan(request: RestoreRequest, facts: RestoreFacts) -> tuple[RestorePlan, Estimate]:
    """The plan that fulfils a wish.

    Raises:
        BackupMissingError: the database has no such backup, or none at all.
        TargetNotCoveredError: the target lies before the first backup or beyond the archive's end.
        TimelineError: no backup leads to it on that timeline.
        HistoryMissingError: nobody knows how the log came to that timeline.
        WalGapError: a segment on the way is missing; the message names the first.
    """
    chosen = choose(request, facts)
    chain = backup_chain(chosen.backup, facts)
    archived, log = planned_log(chosen)
    plan = RestorePlan(
        database=request.database,
        directory=str(request.directory.absolute()),
        requested=chosen.requested,
        target=replace(chosen.target, action=request.then),
        start=request.start,
        server=_server(chosen.backup),
        backups=tuple(PlannedBackup(item.id, item.sha256) for item in chain),
        log=log,
        history=planned_history(chosen, facts),
        fetched_bytes=fetched_bytes(chain) + log.sealed_bytes,
        written_bytes=written_bytes(chain) + sum(item.plaintext_bytes for item in archived),
        needed_bytes=needed_bytes(chain, archived, facts),
    )
    return plan, _estimate(plan, chosen, facts)


def planned_log(chosen: Chosen) -> tuple[list[ArchivedSegment], PlannedLog]:
    """The log between the backup's start and the end: what of it comes from the archive, and what it is."""
    way, manifest = chosen.way, chosen.backup.manifest
    own = own_segments(manifest)
    names = way.segments(parse_lsn(manifest.start_lsn), chosen.end)
    archived = [found for name in names if name not in own and (found := way.archived(name)) is not None]
    lines = "".join(f"{item.name} {item.sha256}\n" for item in archived)
    planned = PlannedLog(
        first=names[0],
        last=names[-1],
        own=sum(name in own for name in names),
        archived=len(archived),
        sealed_bytes=sum(item.size_bytes for item in archived),
        sha256=hashlib.sha256(lines.encode()).hexdigest(),
    )
    return archived, planned


def planned_history(chosen: Chosen, facts: RestoreFacts) -> PlannedHistory | None:
    """The history that recovery needs; a backup of the same timeline brings its own."""
    timeline = chosen.way.history.timeline
    if timeline == 1:
        return None
    receipt = log_of(chosen.backup, facts).receipts.get(timeline)
    return PlannedHistory(timeline, receipt.file.sha256) if receipt else None


def _server(backup: StoredManifest) -> PlannedServer:
    server = backup.manifest.server
    return PlannedServer(server.major, server.version, server.system_identifier, server.wal_segment_bytes)


def _estimate(plan: RestorePlan, chosen: Chosen, facts: RestoreFacts) -> Estimate:
    reach = chosen.way.reach(chosen.backup)
    seconds, basis = estimated_seconds(plan, facts.rates)
    covered = chosen.way.covered_until(reach.end)
    return Estimate(seconds, basis, format_lsn(reach.end), covered, notes=_notes(chosen, facts))


def _notes(chosen: Chosen, facts: RestoreFacts) -> tuple[str, ...]:
    result = facts.results.get(chosen.backup.id)
    notes = list(chosen.notes)
    if result != "proven":
        why = "its last proof failed" if result == "failed" else "it was never verified"
        notes.append(f"the backup {chosen.backup.id} is not proven: {why}")
    if facts.unusable:
        notes.append(f"set aside, because their manifests cannot be believed: {', '.join(facts.unusable)}")
    return tuple(notes)

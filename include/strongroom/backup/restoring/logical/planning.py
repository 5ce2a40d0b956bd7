"""The planner: a restore of which nothing is left to be refused becomes a plan."""

from __future__ import annotations

from collections.abc import Iterator

from strongroom.backup.manifest import ManifestObject, Role
from strongroom.backup.restoring.facts import RestoreFacts
from strongroom.backup.restoring.logical.loading import SEQUENCES_NAME
from strongroom.backup.restoring.logical.plan import (
    LogicalEstimate,
    LogicalRestorePlan,
    PlannedSource,
    PlannedTarget,
)
from strongroom.backup.restoring.logical.readiness import Ready

_ASSUMED_LOADING = 20e6
_STAGING_SECONDS = 3.0
_ALWAYS: tuple[Role, ...] = ("contents", "globals", "pre", "post", "fingerprints")


def make_plan(ready: Ready) -> LogicalRestorePlan:
    """The plan that does what was asked for; the same again as long as nothing of it has changed."""
    staged, contents, request = ready.staged, ready.loader.contents, ready.request
    extensions = staged.extensions if staged else contents.extensions
    owners = staged is None and request.owners
    return LogicalRestorePlan(
        kind="tables" if staged else "database",
        database=request.database,
        backup_id=ready.stored.id,
        manifest_sha256=ready.stored.sha256,
        source=_source(ready),
        target=PlannedTarget(
            connection=request.connection,
            database=ready.target.database,
            system_identifier=ready.target.system_identifier,
            major=ready.target.major,
            is_source=ready.is_source,
        ),
        new_name=request.new_name,
        rename_to=request.rename_to,
        owners=owners,
        selection=request.selection,
        tables=tuple(sorted(staged.tables)) if staged else (),
        table_count=len(staged.tables) if staged else len(contents.tables),
        brought_along=tuple(sorted(staged.brought_along)) if staged else (),
        left_out=tuple(sorted(staged.left_out)) if staged else (),
        extensions=tuple(sorted(f"{item.name} in {item.schema}" for item in extensions)),
        roles=tuple(sorted(contents.roles)) if owners else (),
        fetched_bytes=sum(item.size_bytes for item in _fetched(ready)),
        written_bytes=ready.written_bytes,
        needed_bytes=ready.needed_bytes,
    )


def make_estimate(ready: Ready, facts: RestoreFacts) -> LogicalEstimate:
    """What is known besides the plan.

    Args:
        ready: what was planned.
        facts: of the database's logical backups.
    """
    loaded = sum(item.plaintext_bytes for item in _fetched(ready))
    preparing = _STAGING_SECONDS if ready.staged else 0.0
    if facts.rates is None:
        seconds, basis = loaded / _ASSUMED_LOADING, "assumed: no proof has measured it yet"
    else:
        share = loaded / max(1, ready.stored.manifest.plaintext_bytes)
        rates = facts.rates
        seconds = loaded / rates.unpacked_bytes_per_second + rates.recovery_seconds * share
        basis = f"measured by {rates.proofs} proof{'s' * (rates.proofs > 1)}"
    proof = {"proven": "it was restored and proven", "failed": "NOT proven: its last proof failed"}.get(
        facts.results.get(ready.stored.id, ""), "NOT proven: it was never verified"
    )
    return LogicalEstimate(
        seconds=round(seconds + preparing, 1),
        basis=basis,
        taken_at=ready.stored.manifest.started_at,
        proof=proof,
        available_bytes=ready.target.available_bytes,
        notes=tuple(_notes(ready, facts)),
    )


def _source(ready: Ready) -> PlannedSource:
    server = ready.stored.manifest.server
    return PlannedSource(
        ready.loader.contents.database.name, server.system_identifier, server.major, server.version
    )


def _fetched(ready: Ready) -> list[ManifestObject]:
    """The objects that the restore reads."""
    contents, chosen = ready.loader.contents, ready.chosen
    holding = {table.object for table in contents.tables if table.label in chosen} | {SEQUENCES_NAME}
    roles = _ALWAYS if ready.staged else (*_ALWAYS, "large_objects")
    return [
        item
        for item in ready.stored.manifest.objects
        if item.role in roles or (item.role == "data" and item.name in holding)
    ]


def _notes(ready: Ready, facts: RestoreFacts) -> Iterator[str]:
    if ready.is_source:
        yield "the target is the living source: the new schema comes beside what is there, which stays as it is"
    if ready.staged is None and ready.request.owners and not ready.target.superuser:
        yield (
            "the connection's user is no superuser: it must be a member of the roles that own something, or the"
            " restore fails and leaves nothing; without owners it needs neither"
        )
    if facts.unusable:
        yield f"set aside, because their manifests cannot be believed: {', '.join(facts.unusable)}"

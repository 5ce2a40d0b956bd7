"""What a plan is executed with: the backups' manifests and objects, the archived log, the server's programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from strongroom.access import Actor
from strongroom.backup.continuous import HistoryMissingError, WalArchive
from strongroom.backup.continuous.history import timeline_of_history
from strongroom.backup.continuous.layout import wal_prefix
from strongroom.backup.restoring.errors import PlanChangedError
from strongroom.backup.restoring.facts import RestoreFacts
from strongroom.backup.restoring.objects import BackupObjects
from strongroom.backup.restoring.plan import RestorePlan
from strongroom.backup.restoring.rechecking import recheck
from strongroom.backup.restoring.runner import RestoreSources
from strongroom.backup.restoring.sizes import data_objects
from strongroom.backup.restoring.way import own_range
from strongroom.clock import Clock
from strongroom.postgres import find_binaries
from strongroom.signing import VerifierKey
from strongroom.storage import ObjectStore
from strongroom.vault import StoredObject, Vault


@dataclass(frozen=True)
class SourceParts:
    """Where everything comes from."""

    store: ObjectStore
    verifier: VerifierKey
    vault: Vault
    objects: BackupObjects
    clock: Clock
    postgres_directories: Sequence[Path] = ()


@contextmanager
def sources_of(
    actor: Actor,
    plan: RestorePlan,
    facts: RestoreFacts,
    parts: SourceParts,
    correlation_id: str | None = None,
) -> Iterator[RestoreSources]:
    """What a plan is executed with, once it was compared with facts that were gathered just now.

    Raises:
        PlanChangedError, WalGapError: what the plan rests on has changed.
        AccessDeniedError, NoPrivateKeyError: the actor, or this host, cannot open what is needed.
        NoSuchServerVersionError: the server's major version is not installed here.
    """
    chain, segments = recheck(plan, facts)
    archive = WalArchive(parts.store, plan.database, parts.verifier)
    epochs = sorted({epoch for epoch_ids in epochs_of(plan, facts) for epoch in epoch_ids})
    with parts.vault.reading(
        actor, wal_prefix(plan.database), epochs, database=plan.database, correlation_id=correlation_id
    ) as reader:
        yield RestoreSources(
            chain=chain,
            objects=parts.objects,
            segments=segments,
            open_log=reader.open,
            find_history=lambda name: _find_history(archive, plan, name),
            own_log=own_range(chain[-1]),
            binaries=find_binaries(plan.server.major, parts.postgres_directories),
            clock=parts.clock,
        )


def epochs_of(plan: RestorePlan, facts: RestoreFacts) -> set[tuple[str, ...]]:
    """The different sets of epochs that objects of the plan are sealed to."""
    found: set[tuple[str, ...]] = set()
    for item in plan.backups:
        backup = facts.backup(item.id)
        objects = data_objects(backup.manifest) if backup else []
        found |= {one.epoch_ids for one in objects}
    log = facts.logs.get(plan.server.system_identifier)
    if log is not None and plan.log.archived:
        for timeline in log.timelines.values():
            wanted = (
                one for one in timeline.segments if plan.log.first[8:] <= one.name[8:] <= plan.log.last[8:]
            )
            found |= {one.epoch_ids for one in wanted}
    return found


def _find_history(archive: WalArchive, plan: RestorePlan, name: str) -> StoredObject | None:
    """The archive's history of that name; asked afresh, since only a confirmed absence may be told.

    Raises:
        PlanChangedError: it is not the one of the plan any more.
    """
    timeline = timeline_of_history(name)
    if timeline is None or timeline == 1:
        return None
    try:
        receipt = archive.history_receipt(plan.server.system_identifier, timeline)
    except HistoryMissingError:
        if plan.history is not None and plan.history.timeline == timeline:
            raise
        return None
    if plan.history and plan.history.timeline == timeline and plan.history.sha256 != receipt.file.sha256:
        raise PlanChangedError(f"The history {name} is not the one that the plan was made with.")
    return receipt.file.stored()

"""Taking published entries back into a control database that was restored from an older state.

The bucket is ahead and signed; the control database must be a beginning of it. The published entries after
that beginning are checked against the signed root and inserted in one transaction; those of them that the
restored queue holds again are taken out of it, so that nothing appears twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Engine

from strongroom.audit.database import LogDatabase, LogState, SequencedEntry, sealing_session
from strongroom.audit.entries import parse_entry
from strongroom.audit.errors import LogForkedError, LogIntegrityError, SealInterruptedError
from strongroom.audit.events import Event, Target, event_bytes
from strongroom.audit.identifiers import uuid7
from strongroom.audit.merkle import leaf_hash
from strongroom.audit.published import PublishedLog
from strongroom.audit.sequencer import SEALER
from strongroom.audit.taxonomy import EventType
from strongroom.audit.tiles import TILE_WIDTH, TileTree, TreeEdge
from strongroom.clock import Clock
from strongroom.signing import VerifierKey
from strongroom.storage.interface import ObjectStore


@dataclass(frozen=True)
class RecoveryReport:
    """How many entries were taken back, and how many the log has."""

    recovered: int
    size: int


@dataclass(frozen=True)
class PublishedGap:
    """How many entries are published, and how many of them the control database lacks."""

    size: int
    behind: int


def recover_log(engine: Engine, store: ObjectStore, verifier: VerifierKey, clock: Clock) -> RecoveryReport:
    """Bring the control database up to the published log. Needs no private key.

    Raises:
        LogForkedError: the published log does not extend what the control database has.
        LogIntegrityError: the published entries do not give the signed root. Nothing was changed.
        SealInterruptedError: a sealer is at work.
    """
    with sealing_session(engine) as database:
        if database is None:
            raise SealInterruptedError("Another sealer is at work; try again.")
        return recover_from_bucket(database, PublishedLog(store, verifier), clock)


def published_gap(engine: Engine, store: ObjectStore, verifier: VerifierKey) -> PublishedGap:
    """Compare the sizes of the published log and of the control database's.

    Raises:
        CheckpointError: the checkpoint is malformed, or not signed by the trusted key.
    """
    size = PublishedLog(store, verifier).head().checkpoint.size
    with engine.connect() as connection:
        known = connection.exec_driver_sql("SELECT size FROM audit_state").scalar_one()
    return PublishedGap(size, max(0, size - known))


def recover_from_bucket(database: LogDatabase, published: PublishedLog, clock: Clock) -> RecoveryReport:
    """Bring the control database up to the published log.

    Raises:
        LogForkedError: the published log does not extend what the control database has.
        LogIntegrityError: the published entries do not give the signed root. Nothing was changed.
    """
    head = published.head()
    size = head.checkpoint.size
    with database.transaction():
        state = database.state(lock=True)
        if size <= state.size:
            return RecoveryReport(0, state.size)
        _check_beginning(state, TileTree(size, published.tile))
        edge = TreeEdge.load(state.size, database.tile)
        for bundle in _missing_bundles(published, state.size, size):
            database.append(bundle)
            database.put_tiles(edge.append(entry.leaf_hash for entry in bundle))
            database.forget_queued([entry.event_id for entry in bundle])
        if edge.root() != head.checkpoint.root:
            raise LogIntegrityError("The published entries do not give the signed root. Nothing was changed.")
        database.put_tiles(edge.partial_tiles())
        database.advance(size, edge.root())
        database.keep_checkpoint(head.note)
        database.mark_published(size, clock.now())
        _record(database, clock, size - state.size)
    return RecoveryReport(size - state.size, size)


def _check_beginning(state: LogState, tree: TileTree) -> None:
    if state.size and tree.subtree(0, state.size) != state.root:
        raise LogForkedError(
            f"The published log does not extend the control database's {state.size} audit entries: these are two "
            "histories. Nothing was changed.",
            hint="Events were sealed on a restored control database, or this is another installation's bucket.",
        )


def _missing_bundles(published: PublishedLog, start: int, size: int) -> Iterator[list[SequencedEntry]]:
    for index in range(start // TILE_WIDTH, -(-size // TILE_WIDTH)):
        bundle = []
        for place, entry in enumerate(published.bundle(index, size)):
            seq = index * TILE_WIDTH + place
            if seq >= start:
                event_id, _ = parse_entry(entry, f"Entry {seq} of the audit log")
                bundle.append(SequencedEntry(seq, entry, leaf_hash(entry), event_id))
        yield bundle


def _record(database: LogDatabase, clock: Clock, recovered: int) -> None:
    moment = clock.now()
    event = Event(
        type=EventType.AUDIT_LOG_RECOVER,
        phase="result",
        outcome="success",
        actor=SEALER,
        target=Target("log", "log"),
        counts={"entries": recovered},
    )
    event_id = uuid7(moment)
    database.enqueue(event_bytes(event, event_id, moment, SEALER.name), event_id)

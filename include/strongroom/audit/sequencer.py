"""Giving events their places: from the queue into the log's tables, one batch in one transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.errors import UniqueViolation

from strongroom.access import Actor, ActorKind
from strongroom.audit.database import (
    MAX_BATCH_BYTES,
    MAX_BATCH_ENTRIES,
    LogDatabase,
    QueuedEntry,
    SequencedEntry,
)
from strongroom.audit.entries import check_entry
from strongroom.audit.errors import EntryError
from strongroom.audit.events import MAX_EVENT_BYTES, Event, Target, event_bytes
from strongroom.audit.identifiers import uuid7
from strongroom.audit.merkle import leaf_hash
from strongroom.audit.taxonomy import EventType
from strongroom.audit.tiles import TreeEdge
from strongroom.clock import Clock

SEALER = Actor("audit.seal", ActorKind.TASK, frozenset())
"""In whose name the sealer records what it had to do."""


@dataclass(frozen=True)
class Batch:
    """What one transaction moved."""

    sequenced: int
    more: bool
    """Whether there may be more in the queue."""


def sequence_batch(database: LogDatabase, edge: TreeEdge, clock: Clock) -> Batch:
    """Move the next events from the queue to the end of the log, which `edge` follows.

    What is no event, or repeats an identifier, is set aside in `audit_rejected`, and that is recorded.

    Raises:
        SealInterruptedError: another sealer has moved the log; nothing was changed.
    """
    try:
        return _sequence(database, edge, clock, check_known=False)
    except UniqueViolation:
        return _sequence(database, edge, clock, check_known=True)


def _sequence(database: LogDatabase, edge: TreeEdge, clock: Clock, *, check_known: bool) -> Batch:
    with database.transaction():
        database.expect_size(edge.size)
        queued = database.take()
        if not queued:
            return Batch(0, more=False)
        known = database.known([item.event_id for item in queued]) if check_known else set()
        sieve = _Sieve(edge.size, known)
        database.append(sieve.sequenced(queued))
        full_tiles = list(edge.append(sieve.leaves))
        database.put_tiles([*full_tiles, *edge.partial_tiles()])
        database.advance(edge.size, edge.root())
        for item, fault in sieve.rejected:
            database.reject(item, fault)
            _record_rejection(database, item, clock.now())
    return Batch(len(sieve.leaves), more=bool(sieve.rejected) or _is_full(queued))


def _is_full(queued: list[QueuedEntry]) -> bool:
    taken_bytes = sum(len(item.entry) for item in queued)
    return len(queued) == MAX_BATCH_ENTRIES or taken_bytes > MAX_BATCH_BYTES - MAX_EVENT_BYTES


class _Sieve:
    """Lets events through with their places, one by one, so that the server writes while we read the next."""

    def __init__(self, first: int, known: set[UUID]) -> None:
        self._first, self._known = first, known
        self.leaves: list[bytes] = []
        self.rejected: list[tuple[QueuedEntry, str]] = []

    def sequenced(self, queued: list[QueuedEntry]) -> Iterator[SequencedEntry]:
        for item in queued:
            fault = _fault(item, self._known)
            if fault is None:
                seq, leaf = self._first + len(self.leaves), leaf_hash(item.entry)
                self.leaves.append(leaf)
                yield SequencedEntry(seq, item.entry, leaf, item.event_id)
            else:
                self.rejected.append((item, fault))


def _fault(item: QueuedEntry, known: set[UUID]) -> str | None:
    if item.event_id in known:
        return "its identifier is in the log already"
    try:
        check_entry(item.entry, item.event_id, "the entry")
    except EntryError as error:
        return error.message
    return None


def _record_rejection(database: LogDatabase, item: QueuedEntry, moment: datetime) -> None:
    event = Event(
        type=EventType.AUDIT_ENTRY_REJECT,
        phase="result",
        outcome="denied",
        actor=SEALER,
        target=Target("log", f"audit_rejected/{item.queue_id}", size_bytes=len(item.entry)),
        hashes={"entry_sha256": hashlib.sha256(item.entry).hexdigest()},
    )
    event_id = uuid7(moment)
    database.enqueue(event_bytes(event, event_id, moment, SEALER.name), event_id)

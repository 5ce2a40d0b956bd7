"""Facts about what the bucket holds, as values: what a thing is, what it needs, and what forbids its deletion.

An item is the smallest thing that is kept or deleted as a whole: a backup, a run of log segments under one receipt,
a part group of an archive, a proof. It says what is, never what should become of it: that is the planner's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What an item is."""

    BACKUP = "backup"
    WAL = "wal"
    """A run of log segments under one receipt."""
    TIMELINE = "timeline"
    """A timeline's history, or what says up to when it is complete."""
    PROOF = "proof"
    ARCHIVE = "archive"
    """Rows that moved out of a table, under one manifest."""
    ROWS = "rows"
    """Rows in the database whose time is over."""
    EXPORT = "export"
    REPORT = "report"
    LOG = "log"
    """A tile of the audit log that a fuller one has replaced."""
    DEBRIS = "debris"
    """What a killed run left: no signed document names it, and nobody is writing it."""
    UNKNOWN = "unknown"
    """Nobody here can tell what it is: a later format, an altered document, a stranger's object. Never touched."""


@dataclass(frozen=True, slots=True)
class ItemObject:
    """One object of an item."""

    key: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class LogSpan:
    """A piece of a cluster's log; for a backup, from where to where it needs the log to be consistent."""

    system_identifier: str
    timeline: int
    start: int
    """Byte position, as `parse_lsn` gives it."""
    end: int


@dataclass(frozen=True, slots=True)
class Item:
    """A thing with a lifetime.

    Args:
        kind: what it is.
        id: its name, unique in its database: `backup/<backup id>`, `wal/<cluster>/<timeline>/<first>-<last>`,
            `archive/<table>/<partition>/<part group>`, `proof/<backup id>/<time>`.
        database: whose data it is; None for what belongs to the whole installation.
        created_at: the moment that its age counts from, by the clock of the database that it came from.
        objects: in the order in which they are deleted: the signed document that makes it count comes first.
        depends_on: ids of the items without which it is worth nothing. A backup names its parent.
        about: id of the item that it is evidence of: it stays at least as long as that one.
        proven_at: when it was last restored and proven; None when it never was.
        locked_until: until when the store refuses its deletion; None without a lock.
        legal_hold: whether the store itself has it under legal hold.
        log: which part of the log it is, or needs.
        expires_at: when its own rule ends its time; None where the planner's rules decide.
        table: the table that the rows of an archive came from.
        covers: the period that its data is from; None for a single moment, `created_at`.
        people: keyed hashes of the people in it, where it has an index of them; None where nobody can tell.
        damage: what of it is missing or altered, in words; such an item stands for no rule. None for a sound one.
        in_use: who uses it now, in words; None when nobody does.
        waits_for: what has to happen before it may go although its time is over, in words; None where nothing has.
        detail: what else a person should know of it, in words.
        counts: sizes that are no objects, such as `rows`.
    """

    kind: Kind
    id: str
    database: str | None
    created_at: datetime
    objects: tuple[ItemObject, ...] = ()
    depends_on: tuple[str, ...] = ()
    about: str | None = None
    proven_at: datetime | None = None
    locked_until: datetime | None = None
    legal_hold: bool = False
    log: LogSpan | None = None
    expires_at: datetime | None = None
    table: str | None = None
    covers: tuple[datetime, datetime] | None = None
    people: frozenset[str] | None = None
    damage: str | None = None
    in_use: str | None = None
    waits_for: str | None = None
    detail: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """How much room its objects take."""
        return sum(one.size_bytes for one in self.objects)

"""What a plan rests on: the items of one store and one database, and everything that is known besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from strongroom.lifetimes import Item

STORE = "store"
"""The place of what lies in the store itself; a copy's place is its name."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that an earlier purge marked for deletion.

    Args:
        item_id: what.
        marked_at: when.
        delete_after: before which moment it is not deleted.
        plan_sha256: the plan that decided it.
    """

    item_id: str
    marked_at: datetime
    delete_after: datetime
    plan_sha256: str


@dataclass(frozen=True, slots=True)
class LastPurge:
    """The newest purge of this database that was carried out."""

    finished_at: datetime
    policy_sha256: str


@dataclass(frozen=True)
class Facts:
    """All that is known of one database in one store.

    Args:
        database: whose things they are.
        place: `store`, or the copy's name.
        items: everything there is.
        held: for items under a legal hold, the holds.
        blocked: for items that something else forbids to delete, what, in words: an open request of a person.
        marks: what earlier purges marked, by item.
        newest_signed_at: the newest moment that a signed document states as past.
        store_now: the store's own clock, when it was asked; None where it has none.
        last_purge: None before the first one.
        kept_in_store: for a copy: ids that the store itself keeps.
        object_lock: whether the store has Object Lock.
    """

    database: str
    items: tuple[Item, ...]
    place: str = STORE
    held: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    blocked: Mapping[str, str] = field(default_factory=dict)
    marks: Mapping[str, Mark] = field(default_factory=dict)
    newest_signed_at: datetime | None = None
    store_now: datetime | None = None
    last_purge: LastPurge | None = None
    kept_in_store: frozenset[str] = frozenset()
    object_lock: bool = False

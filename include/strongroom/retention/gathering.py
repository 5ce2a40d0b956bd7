"""Gathering the facts of one database in one place: what its sources tell, the holds, who uses what, what is marked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from strongroom.clock import Clock
from strongroom.lifetimes import Item, Kind, LifetimeSource, uses_of
from strongroom.lifetimes.uses import UseRecord
from strongroom.retention.facts import STORE, Facts
from strongroom.retention.hold_records import BucketHolds, all_holds
from strongroom.retention.holds import held
from strongroom.retention.marks import MarkStore
from strongroom.signing import VerifierKey
from strongroom.storage import ObjectStore

if TYPE_CHECKING:
    from sqlalchemy import Engine

Sources = Callable[[str, str | None], Sequence[LifetimeSource]]
"""Gives what tells of a database's things, in the store (None) or in a copy by its name."""


@dataclass(frozen=True)
class Gatherer:
    """Gathers facts.

    Args:
        store: the store: it keeps holds, uses and marks, also those that are about copies.
        trusted: the key that documents must be signed with.
        clock: the time.
        sources: what tells of the things that are there.
        engine: the control database, which knows holds whose record somebody removed from the bucket.
    """

    store: ObjectStore
    trusted: VerifierKey
    clock: Clock
    sources: Sources
    engine: Engine

    def facts(
        self,
        database: str,
        place: str = STORE,
        *,
        object_lock: bool,
        kept_in_store: frozenset[str] = frozenset(),
        store_now: datetime | None = None,
    ) -> Facts:
        """All that is known.

        Args:
            database: its name in the policy.
            place: `store`, or a copy's name.
            object_lock: whether that place has Object Lock.
            kept_in_store: for a copy, what the store keeps.
            store_now: the store's own clock, where it was asked.

        Raises:
            TransientError: a store does not answer, also in the middle of a listing: then nothing is known.
            IntegrityError: the marks or a hold's record are not what was written.
        """
        sources = list(self.sources(database, None if place == STORE else place))
        items = tuple(item for source in sources for item in source.items())
        moments = [moment for source in sources for moment in source.signed_moments()]
        book = MarkStore(self.store, database, self.trusted).book(place)
        moments += [mark.marked_at for mark in book.marks.values()]
        items = with_uses(items, uses_of(self.store, self.clock, database))
        return Facts(
            database=database,
            items=items,
            place=place,
            held=self.held(items),
            marks=book.marks,
            newest_signed_at=max(moments, default=None),
            store_now=store_now,
            last_purge=book.last_purge,
            kept_in_store=kept_in_store,
            object_lock=object_lock,
        )

    def held(self, items: Iterable[Item]) -> dict[str, tuple[str, ...]]:
        """The standing holds that reach each of all items of a database, as they are now."""
        return held(items, all_holds(self.engine, BucketHolds(self.store, self.trusted)))


def with_uses(items: Iterable[Item], uses: Iterable[UseRecord]) -> tuple[Item, ...]:
    """The items, each with who uses it."""
    readers = list(uses)
    if not readers:
        return tuple(items)
    return tuple(_used(item, readers) for item in items)


def _used(item: Item, readers: Sequence[UseRecord]) -> Item:
    for use in readers:
        if item.id in use.items or _reads_log(use, item):
            return replace(item, in_use=f"a {use.purpose} reads it until {use.expires_at:%H:%M} UTC or later")
    return item


def _reads_log(use: UseRecord, item: Item) -> bool:
    if use.log is None or item.log is None or item.kind not in (Kind.WAL, Kind.TIMELINE):
        return False
    same = item.log.system_identifier == use.log.system_identifier
    return same and (item.kind is Kind.TIMELINE or item.log.end > use.log.start)

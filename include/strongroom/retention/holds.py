"""Legal holds as values, and what they reach: a pure function of what the bucket holds and of the holds.

| a hold on a | reaches                                                                                         |
|-------------|-------------------------------------------------------------------------------------------------|
| database    | its backups, WAL, histories, proofs, archives, exports, reports, and rows whose time is over     |
| table       | the table's archives and rows; every backup and all WAL of its database, for each holds the table |
| person      | archives and rows that hold the person or cannot tell; every backup and all WAL likewise         |
| period      | whatever is needed to bring back each moment of it, and what was archived from it                |
| backup      | the backup                                                                                       |

And then whatever those need or are proven by: the backups below one of a chain, the WAL that makes a backup consistent,
timeline histories, proofs. What is unknown or unfinished is nobody's evidence; it is left to its own rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from strongroom.errors import InputError
from strongroom.lifetimes import Item, Kind

_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/#-]{0,99}")
_HOLD_ID = re.compile(r"hold-\d{8}T\d{6}Z-[0-9a-f]{4}")
_PERSON = re.compile(r"[0-9a-f]{32,128}")
_BACKUP_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4}")
_DATABASE = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_UNREACHED = frozenset({Kind.DEBRIS, Kind.UNKNOWN, Kind.LOG})
_WHOLE = frozenset({Kind.BACKUP, Kind.WAL, Kind.TIMELINE, Kind.PROOF})
"""What holds every table and every person of its database, and cannot be taken apart."""


class ScopeKind(StrEnum):
    """What a hold is on."""

    DATABASE = "database"
    TABLE = "table"
    PERSON = "person"
    PERIOD = "period"
    BACKUP = "backup"


@dataclass(frozen=True)
class HoldScope:
    """What a hold is on: exactly the members that its kind needs.

    Raises:
        InputError: a member is missing, does not belong, or is malformed.
    """

    kind: ScopeKind
    database: str
    """By its name in the policy."""
    table: str | None = None
    """Schema and table, as the policy writes them."""
    person: str | None = None
    """A keyed hash of the person, as archives index it: no identifier of a person is ever kept here."""
    since: datetime | None = None
    until: datetime | None = None
    backup_id: str | None = None

    def __post_init__(self) -> None:
        if not _DATABASE.fullmatch(self.database):
            raise InputError("A hold names a database by its name in the policy.")
        members = {
            "table": self.table,
            "person": self.person,
            "since": self.since,
            "until": self.until,
            "backup_id": self.backup_id,
        }
        given = {name for name, value in members.items() if value is not None}
        if given != _MEMBERS[self.kind]:
            needed = ", ".join(sorted(_MEMBERS[self.kind])) or "nothing else"
            raise InputError(f"A hold on a {self.kind} names the database and {needed}.")
        for problem in self._malformed():
            raise InputError(f"A hold on a {self.kind} cannot be placed: {problem}.")

    def _malformed(self) -> Iterator[str]:
        if self.table is not None and not 3 <= len(self.table) <= 200:
            yield "a table is written as schema.table"
        if self.person is not None and not _PERSON.fullmatch(self.person):
            yield "a person is named by the keyed hash, in hexadecimal, never by an identifier of theirs"
        if self.backup_id is not None and not _BACKUP_ID.fullmatch(self.backup_id):
            yield "a backup's id looks like 20261124T020000Z-1f3a"
        if self.since is not None and self.until is not None:
            if self.since.tzinfo is None or self.until.tzinfo is None:
                yield "its moments need a time zone"
            elif self.since > self.until:
                yield "it ends before it begins"

    @property
    def words(self) -> str:
        """What it is on, for people."""
        match self.kind:
            case ScopeKind.TABLE:
                return f"the table {self.table} of {self.database}"
            case ScopeKind.PERSON:
                return f"the person {str(self.person)[:12]}… in {self.database}"
            case ScopeKind.PERIOD:
                return f"{self.database} from {self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC"
            case ScopeKind.BACKUP:
                return f"the backup {self.backup_id} of {self.database}"
        return f"the database {self.database}"


_MEMBERS: Mapping[ScopeKind, set[str]] = {
    ScopeKind.DATABASE: set(),
    ScopeKind.TABLE: {"table"},
    ScopeKind.PERSON: {"person"},
    ScopeKind.PERIOD: {"since", "until"},
    ScopeKind.BACKUP: {"backup_id"},
}


def scope_of(kind: str, database: str, **members: Any) -> HoldScope:
    """The scope that a form or a command names, without the members that it left empty.

    Raises:
        InputError: there is no such kind, or the members are not its own.
    """
    if kind not in list(ScopeKind):
        raise InputError(f"A hold is on a {', '.join(ScopeKind)}; not on a {kind[:20]!r}.")
    given = {name: value for name, value in members.items() if value not in (None, "")}
    return HoldScope(ScopeKind(kind), database, **given)


@dataclass(frozen=True)
class Hold:
    """A legal hold: until it is released, nothing that it reaches is deleted."""

    id: str
    scope: HoldScope
    reason: str
    """The case's reference: an identifier without white space, never a person's name."""
    placed_by: str | None
    """The account of the person who placed it; None where the index was made again from the bucket."""
    placed_at: datetime
    released_at: datetime | None = None

    def __post_init__(self) -> None:
        if not _HOLD_ID.fullmatch(self.id):
            raise InputError("A hold's id looks like hold-20261124T020000Z-1f3a.")
        check_reason(self.reason)

    @property
    def standing(self) -> bool:
        """Whether it has not been released."""
        return self.released_at is None

    def release(self, at: datetime) -> Hold:
        """The same hold, released."""
        return replace(self, released_at=at)


def check_reason(reason: str) -> str:
    """The reason, when it is a case's reference.

    Raises:
        InputError: it is a text, which might name a person.
    """
    if not _REFERENCE.fullmatch(reason):
        raise InputError(
            "A hold's reason is the reference of its case: letters, digits and _.:/#- , at most 100 of them.",
            hint="For instance case-2026-114. What the case is about, and whom, stands in its own file.",
        )
    return reason


def held(items: Iterable[Item], holds: Iterable[Hold]) -> dict[str, tuple[str, ...]]:
    """What must not be deleted, and for which holds.

    Args:
        items: everything of one database.
        holds: of any database; those that were released reach nothing.

    Returns:
        The ids of the standing holds by the id of each item that they reach.
    """
    everything = tuple(items)
    estate = _Estate(everything)
    found: dict[str, list[str]] = {}
    for hold in sorted((hold for hold in holds if hold.standing), key=lambda hold: hold.id):
        for item_id in estate.reached(hold.scope):
            found.setdefault(item_id, []).append(hold.id)
    return {item_id: tuple(ids) for item_id, ids in found.items()}


def people_held(holds: Iterable[Hold], database: str) -> frozenset[str]:
    """The keyed hashes of the people of a database whose rows must stay as they are."""
    scopes = (hold.scope for hold in holds if hold.standing)
    return frozenset(
        scope.person for scope in scopes if scope.database == database and scope.person is not None
    )


class _Estate:
    """The items of a database, and what needs what."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = {item.id: item for item in items if item.kind not in _UNREACHED}
        self._evidence: dict[str, list[str]] = {}
        for item in self._items.values():
            if item.about is not None:
                self._evidence.setdefault(item.about, []).append(item.id)
        self._backups = sorted(self._of(Kind.BACKUP), key=lambda item: (item.created_at, item.id))
        self._wal = sorted(self._of(Kind.WAL), key=lambda item: (item.created_at, item.id))
        self._timelines = list(self._of(Kind.TIMELINE))

    def reached(self, scope: HoldScope) -> set[str]:
        """The ids of what a hold reaches."""
        direct = [item for item in self._direct(scope) if item.database == scope.database]
        return self._closed(direct)

    def _of(self, kind: Kind) -> Iterator[Item]:
        return (item for item in self._items.values() if item.kind is kind)

    def _direct(self, scope: HoldScope) -> Iterator[Item]:
        if scope.kind is ScopeKind.PERIOD and scope.since is not None and scope.until is not None:
            yield from self._of_period(scope.since, scope.until)
            return
        for item in self._items.values():
            if scope.kind is ScopeKind.BACKUP:
                reached = item.kind is Kind.BACKUP and item.id == f"backup/{scope.backup_id}"
            else:
                reached = scope.kind is ScopeKind.DATABASE or item.kind in _WHOLE or _names(item, scope)
            if reached:
                yield item

    def _of_period(self, since: datetime, until: datetime) -> Iterator[Item]:
        for item in self._items.values():
            first, last = item.covers or (item.created_at, item.created_at)
            timeless = item.kind is Kind.ROWS and item.covers is None
            if item.kind is not Kind.WAL and (timeless or (first <= until and last >= since)):
                yield item
        yield from self._recovery(since, until)

    def _recovery(self, since: datetime, until: datetime) -> Iterator[Item]:
        """What brings back any moment of a period: of each cluster the backup before it, and the log from there."""
        clusters = {item.log.system_identifier if item.log else "" for item in (*self._backups, *self._wal)}
        for cluster in clusters:
            backups = [item for item in self._backups if _cluster(item) == cluster]
            before = [item for item in backups if (item.covers or (None, item.created_at))[1] <= since]
            within = [item for item in backups if since <= item.created_at <= until]
            yield from before[-1:]
            first = next(iter(before[-1:] or within[:1]), None)
            yield from self._log(cluster, first, since, until)

    def _log(self, cluster: str, first: Item | None, since: datetime, until: datetime) -> Iterator[Item]:
        """The log from a backup on, to the first piece that was written after the period: it holds its last moment."""
        start = first.log.start if first is not None and first.log is not None else None
        for item in self._wal:
            if _cluster(item) != cluster:
                continue
            begins, ends = item.covers or (item.created_at, item.created_at)
            needed = ends >= since if start is None or item.log is None else item.log.end > start
            if needed:
                yield item
            if begins > until:
                return

    def _closed(self, direct: Iterable[Item]) -> set[str]:
        """The items with everything that they need, and the proofs of it all."""
        found: set[str] = set()
        waiting = [item.id for item in direct]
        while waiting:
            item = self._items.get(waiting.pop())
            if item is None or item.id in found:
                continue
            found.add(item.id)
            waiting += [*item.depends_on, *self._evidence.get(item.id, ()), *self._log_of(item)]
        return found

    def _log_of(self, item: Item) -> Iterator[str]:
        """The log that makes a backup consistent, and the histories that say how its timelines hang together."""
        span = item.log
        if span is None or item.kind not in (Kind.BACKUP, Kind.WAL):
            return
        yield from (one.id for one in self._timelines if _cluster(one) in ("", span.system_identifier))
        if item.kind is Kind.BACKUP:
            for piece in self._wal:
                log = piece.log
                same = log is not None and log.system_identifier == span.system_identifier
                if log is not None and same and log.start <= span.end and log.end >= span.start:
                    yield piece.id


def _names(item: Item, scope: HoldScope) -> bool:
    """Whether something smaller than the database is about the scope's table or person, or cannot tell."""
    if scope.kind is ScopeKind.TABLE:
        return item.table is None or item.table == scope.table
    return item.people is None or scope.person in item.people


def _cluster(item: Item) -> str:
    return item.log.system_identifier if item.log is not None else ""

"""Carrying out an approved plan in one place: only what it says, and only what is still true.

fresh facts → fresh plan → nothing that is to go has to stay by now → locks extended → marked, unmarked
→ what was marked long enough ago is deleted → the marks and the day of this purge written
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal
from urllib.parse import quote

from strongroom.clock import Clock
from strongroom.lifetimes import Item, Kind, uses_of
from strongroom.retention.deleting import Deleter, Outcome
from strongroom.retention.errors import PlanChangedError
from strongroom.retention.facts import Facts, LastPurge, Mark
from strongroom.retention.gathering import Gatherer, with_uses
from strongroom.retention.marks import DeletedItem, MarkBook, MarkStore
from strongroom.retention.plan import SharedKeys, plan
from strongroom.retention.row_deleting import RowDeleter
from strongroom.retention.rules import RetentionRules, later
from strongroom.retention.trail import PurgeTrail
from strongroom.retention.unusual import clock_doubts
from strongroom.retention.values import Action, Decision, LockExtension, Plan
from strongroom.signing import SignerKey
from strongroom.storage import ObjectLockedError, ObjectNotFoundError, ObjectStore, Retention

_SHOWN = 5


@dataclass
class PlaceReport:
    """What a purge did in one place."""

    place: str
    marked: list[str] = field(default_factory=list)
    unmarked: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    locked: list[str] = field(default_factory=list)
    """Whose locks last longer now."""
    spared: dict[str, str] = field(default_factory=dict)
    """What the plan would have deleted and is still there, and why."""
    objects: int = 0
    size_bytes: int = 0


@dataclass(frozen=True)
class PlaceParts:
    """What is needed to carry out a plan in one place."""

    store: ObjectStore
    """The place itself."""
    marks: MarkStore
    gatherer: Gatherer
    rules: RetentionRules
    signer: SignerKey
    clock: Clock
    trail: PurgeTrail
    alive: Callable[[], None]
    rows: RowDeleter | None = None
    """Deletes rows of the database; None for a copy, where there are none."""


class Applier:
    """Carries out the plan of one place.

    Args:
        parts: what it works with.
        approved: the plan.
        purge_sha256: the hash that was approved, of the purge that the plan is part of.
    """

    def __init__(self, parts: PlaceParts, approved: Plan, purge_sha256: str) -> None:
        self._parts, self._approved, self._sha256 = parts, approved, purge_sha256

    def run(self, facts: Facts) -> PlaceReport:
        """Do it.

        Args:
            facts: as they are now.

        Raises:
            PlanChangedError: something that the plan lets go has to stay by now; nothing was done.
            NotGoneError: something is still there after it was deleted.
            TransientError: the store or the control database failed; the same plan can be carried out again.
        """
        parts = self._parts
        fresh = plan(facts, parts.rules, parts.clock.now())
        refuse_changes(self._approved, fresh, facts, parts.clock)
        report = PlaceReport(self._approved.place)
        self._extend_locks(fresh, facts, report)
        book = self._mark(fresh, facts, report)
        outcome = self._delete(fresh, facts)
        report.deleted, report.spared = outcome.deleted, outcome.spared
        report.objects, report.size_bytes = outcome.objects, outcome.size_bytes
        gone = set(outcome.deleted)
        marks = {name: mark for name, mark in book.marks.items() if name not in gone}
        last: LastPurge | None = LastPurge(parts.clock.now(), parts.rules.policy_sha256)
        if facts.last_purge is None and not report.marked:
            last = None  # the first purge is the first that lets something go: somebody looks at that one
        parts.marks.keep(self._approved.place, MarkBook(marks, last), parts.signer)
        return report

    def _extend_locks(self, fresh: Plan, facts: Facts, report: PlaceReport) -> None:
        wanted = {lock.item for lock in self._approved.locks}
        locks = [lock for lock in fresh.locks if lock.item in wanted]
        if not locks:
            return
        items = {item.id: item for item in facts.items}
        names = [lock.item for lock in locks]
        self._parts.trail.locks(self._approved.place, names, "attempt")
        for lock in locks:
            self._parts.alive()
            self._extend(items[lock.item], lock)
        report.locked = names
        self._parts.trail.locks(self._approved.place, names, "result")

    def _extend(self, item: Item, lock: LockExtension) -> None:
        """Lock all objects of an item; one whose lock lasts longer already keeps it."""
        mode: Literal["governance", "compliance"] = (
            "compliance" if lock.mode == "compliance" else "governance"
        )
        for one in item.objects:
            try:
                self._parts.store.extend_retention(one.key, Retention(mode, lock.until))
            except (ObjectLockedError, ObjectNotFoundError):
                continue

    def _mark(self, fresh: Plan, facts: Facts, report: PlaceReport) -> MarkBook:
        """Write what is marked now: new marks, without those of things that stay or are gone."""
        parts, place = self._parts, self._approved.place
        now = parts.clock.now()
        wanted = {one.item for one in self._approved.having(Action.MARK)}
        report.marked = [one.item for one in fresh.having(Action.MARK) if one.item in wanted]
        report.unmarked = [one.item for one in fresh.having(Action.UNMARK)]
        present = {item.id for item in facts.items} - set(report.unmarked)
        marks = {name: mark for name, mark in facts.marks.items() if name in present}
        for name in report.marked:
            marks[name] = Mark(name, now, later(now, parts.rules.grace), self._sha256)
        book = MarkBook(marks, facts.last_purge)
        if report.marked or report.unmarked or len(marks) != len(facts.marks):
            parts.trail.marking(place, report.marked, report.unmarked, "attempt")
            parts.marks.keep(place, book, parts.signer)
            parts.trail.marking(place, report.marked, report.unmarked, "result")
        return book

    def _delete(self, fresh: Plan, facts: Facts) -> Outcome:
        parts = self._parts
        approved = {one.item: one for one in self._approved.having(Action.DELETE)}
        going = {one.item: one.action for one in fresh.having(Action.MARK, Action.WAIT, Action.DELETE)}
        shared = SharedKeys(facts.items, going)
        by_id = {item.id: item for item in facts.items}
        doomed: list[tuple[Item, tuple[str, ...]]] = []
        spared: dict[str, str] = {}
        for name, before in approved.items():
            now = fresh.by_item.get(name)
            if now is None:
                continue
            if now.action is not Action.DELETE:
                spared[name] = now.reason
            elif now.objects_sha256 != before.objects_sha256:
                spared[name] = "it has other objects than the plan saw"
            else:
                item = by_id[name]
                doomed.append((item, tuple(one.key for one in shared.own(item, Action.DELETE))))
        rows = [item for item, _ in doomed if item.kind is Kind.ROWS]
        doomed = [(item, keys) for item, keys in doomed if item.kind is not Kind.ROWS]
        free = partial(self._free, facts.items)
        deleter = Deleter(parts.store, parts.marks, parts.signer, parts.trail, parts.alive, free)
        outcome = deleter.delete(self._approved.place, self._sha256, doomed)
        outcome.spared = {**spared, **outcome.spared}
        for item in rows:
            self._delete_rows(facts.items, item, outcome)
        return outcome

    def _delete_rows(self, everything: Sequence[Item], item: Item, outcome: Outcome) -> None:
        """Rows go one item after the other, each with its attempt and its result."""
        parts = self._parts
        stays = self._free(everything, [item]).get(item.id)
        if parts.rows is None or stays is not None:
            outcome.spared[item.id] = stays or "rows are deleted in the database itself, not in a copy"
            return
        entry = DeletedItem.of(item, ())
        with parts.trail.deletion(self._approved.place, _reference(item.id), [entry]) as done:
            gone = parts.rows.delete(item)
            done.objects = gone.rows + gone.others
            done.items = [] if gone.spared else [entry]
        if gone.spared:
            outcome.spared[item.id] = gone.spared
        else:
            outcome.deleted.append(item.id)

    def _free(self, everything: Sequence[Item], items: Sequence[Item]) -> Mapping[str, str]:
        """Which of the items somebody uses or holds by now, asked after it was announced that they go.

        What a hold reaches follows from everything there is: from a backup that stays, it reaches log that was to go.
        """
        gatherer = self._parts.gatherer
        held = gatherer.held(everything)
        used = with_uses(items, uses_of(gatherer.store, gatherer.clock, self._approved.database))
        stays = {item.id: f"the legal hold {held[item.id][0]}" for item in items if item.id in held}
        return {**{item.id: item.in_use for item in used if item.in_use}, **stays}


def refuse_changes(approved: Plan, fresh: Plan, facts: Facts, clock: Clock) -> None:
    """Let a plan pass whose every mark and deletion is still right.

    What was deleted or marked meanwhile, by this plan's own first try or by hand, is no change that matters.

    Raises:
        PlanChangedError: something has to stay by now, or the clock is not to be trusted.
    """
    doubts = list(clock_doubts(facts, clock.now()))
    if doubts and not set(_topics(doubts)) <= set(_topics(approved.unusual)):
        raise PlanChangedError(
            f"The purge of {approved.database} stops before it has done anything: {doubts[0]}.",
            hint="Set the clock right; or plan again, and let a second person approve what the clock makes of it.",
        )
    changed = list(_changed(approved.having(Action.MARK, Action.DELETE), fresh))
    if changed:
        shown = "\n".join(f"  {one.item}: {one.reason}" for one in changed[:_SHOWN])
        more = f"\n  and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        raise PlanChangedError(
            f"The plan lets go what has to stay by now; nothing was done:\n{shown}{more}",
            hint="Plan again: `strongroom retention plan`.",
        )


def _changed(decisions: Iterable[Decision], fresh: Plan) -> Iterable[Decision]:
    for one in decisions:
        now = fresh.by_item.get(one.item)
        if now is not None and now.action in (Action.KEEP, Action.UNMARK):
            yield now


def _topics(sentences: Iterable[str]) -> list[str]:
    return [sentence.partition(":")[0] for sentence in sentences]


def _reference(item_id: str) -> str:
    """The item's name as the audit log takes it: without quotes and white space, which a table's name may have."""
    return quote(item_id, safe="/.").replace("%", "=")

"""Random histories of a bucket, with a purge after each day, and what must hold after each purge.

    python -m tests.unit.retention.histories COUNT

lives through that many, on all cores; `make histories` takes ten thousand.
"""

from __future__ import annotations

import multiprocessing
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from strongroom.durations import Duration
from strongroom.lifetimes import Item, ItemObject, Kind, LogSpan
from strongroom.retention import Action, Facts, LastPurge, Mark, Plan, RetentionRules, plan
from strongroom.retention.holds import Hold, HoldScope, ScopeKind, held

BEGIN = datetime(2026, 1, 1, 2, tzinfo=UTC)
POLICY = "a" * 64


@dataclass
class World:
    """A bucket over time. Every choice comes from one seed."""

    seed: int
    now: datetime = BEGIN
    items: dict[str, Item] = field(default_factory=dict)
    marks: dict[str, Mark] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    last_purge: LastPurge | None = None
    position: int = 0
    serial: int = 0
    chain: str | None = None
    proving: bool = True

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        pick = self.chance.randint
        self.rules = RetentionRules(
            POLICY,
            last=pick(1, 3),
            daily=pick(0, 5),
            weekly=pick(0, 3),
            monthly=pick(0, 3),
            yearly=pick(0, 2),
            proven=pick(1, 2),
            timezone=self.chance.choice(["UTC", "Europe/Brussels", "America/New_York"]),
            wal_keep=self.chance.choice([None, Duration(days=2), Duration(days=9)]),
            grace=Duration(days=pick(1, 3)),
            evidence=Duration(days=pick(5, 40)),
            lock_mode=self.chance.choice([None, "compliance"]),
            lock_days=pick(1, 8),
        )

    def live(self, days: int) -> Iterator[tuple[dict[str, Item], Plan]]:
        """Live that many days; after each one give what was there before the purge, and the plan it followed."""
        for _ in range(days):
            self._day()
            before = dict(self.items)
            yield before, self.purge()

    def facts(self) -> Facts:
        everything = tuple(self.items.values())
        return Facts(
            "shop",
            everything,
            held=held(everything, self.holds.values()),
            marks=self.marks,
            newest_signed_at=self.now,
            last_purge=self.last_purge,
            object_lock=self.rules.lock_mode is not None,
        )

    def purge(self) -> Plan:
        made = plan(self.facts(), self.rules, self.now)
        for lock in made.locks:
            self.items[lock.item] = replace(self.items[lock.item], locked_until=lock.until)
        for one in made.decisions:
            if one.action is Action.MARK:
                grace = self.rules.grace.after(self.now)
                self.marks[one.item] = Mark(one.item, self.now, grace, made.sha256)
            elif one.action is Action.UNMARK:
                del self.marks[one.item]
            elif one.action is Action.DELETE:
                del self.items[one.item], self.marks[one.item]
        self.last_purge = LastPurge(self.now, POLICY)
        return made

    def _day(self) -> None:
        self.now += timedelta(days=self.chance.choice([1, 1, 1, 1, 2, 8]))
        if self.chance.random() < 0.06:  # the worker that proves backups is away for some time, or is back
            self.proving = not self.proving
        for act, odds in (
            (self._backup, 0.8),
            (self._log, 0.9),
            (self._prove, 0.7),
            (self._hold, 0.05),
            (self._release, 0.1),
            (self._strange, 0.03),
            (self._debris, 0.05),
            (self._damage, 0.03),
        ):
            if self.chance.random() < odds:
                act()

    def _add(self, kind: Kind, name: str, **members: object) -> Item:
        self.serial += 1
        objects = tuple(ItemObject(f"{kind}/{self.serial}/{number}", 10) for number in range(2))
        item = Item(kind, name, "shop", self.now, objects, **members)  # type: ignore[arg-type]
        self.items[name] = item
        return item

    def _backup(self) -> None:
        parent = self.chain if self.chance.random() < 0.6 and self.chain in self.items else None
        name = f"backup/{self.now:%Y%m%dT%H%M%SZ}-{self.serial % 65536:04x}"
        locked = self.rules.lock_mode and self.now + timedelta(days=self.rules.lock_days)
        self._add(
            Kind.BACKUP,
            name,
            depends_on=(parent,) if parent else (),
            locked_until=locked or None,
            log=LogSpan("7", 1, self.position, self.position + 1),
        )
        self.chain = name

    def _log(self) -> None:
        name = f"wal/7/1/{self.position:08d}"
        self._add(Kind.WAL, name, log=LogSpan("7", 1, self.position, self.position + 2))
        self.position += 2

    def _prove(self) -> None:
        if self.proving and self.chain in self.items and self.items[self.chain].damage is None:
            self.items[self.chain] = replace(self.items[self.chain], proven_at=self.now)
            self._add(Kind.PROOF, f"proof/{self.chain}/{self.serial}", about=self.chain)

    def _hold(self) -> None:
        backups = [name for name, item in self.items.items() if item.kind is Kind.BACKUP]
        if not backups:
            return
        hold_id = f"hold-{self.now:%Y%m%dT%H%M%SZ}-{self.serial % 65536:04x}"
        chosen = self.chance.choice(backups).removeprefix("backup/")
        scope = HoldScope(ScopeKind.BACKUP, "shop", backup_id=chosen)
        if self.chance.random() < 0.3:
            since = self.now - timedelta(days=self.chance.randint(1, 30))
            scope = HoldScope(ScopeKind.PERIOD, "shop", since=since, until=since + timedelta(days=2))
        self.holds[hold_id] = Hold(hold_id, scope, "case-1", None, self.now)

    def _release(self) -> None:
        if self.holds:
            del self.holds[self.chance.choice(list(self.holds))]

    def _strange(self) -> None:
        older = self.chain if self.chain in self.items else None
        self._add(Kind.UNKNOWN, f"unknown/{self.serial}", depends_on=(older,) if older else ())

    def _debris(self) -> None:
        self._add(Kind.DEBRIS, f"debris/{self.serial}")

    def _damage(self) -> None:
        backups = [name for name, item in self.items.items() if item.kind is Kind.BACKUP]
        if backups:
            name = self.chance.choice(backups)
            self.items[name] = replace(self.items[name], damage="a hand deleted it", proven_at=None)


def check(world: World, before: dict[str, Item], made: Plan) -> None:
    """What must hold after a purge.

    Raises:
        AssertionError: it does not.
    """
    gone = {one.item for one in made.having(Action.DELETE)}
    assert set(world.items) == set(before) - gone, "only what the plan deletes is gone"
    _check_proven(before, world.items)
    for item in world.items.values():
        for parent in item.depends_on:
            assert parent in world.items or parent not in before, f"{item.id} lost {parent}"
    reached = held(before.values(), world.holds.values())
    assert not gone & set(reached), "something under a hold was deleted"
    for name in gone:
        lock = before[name].locked_until
        assert lock is None or lock <= world.now, f"{name} was locked"
        assert before[name].kind is not Kind.UNKNOWN
    for one in made.decisions:
        assert one.reason.strip(), f"{one.item} has no reason"
        if one.action is Action.KEEP:
            assert one.rule != "expired"
            assert one.until is None or one.until > made.made_at, f"{one.item} is kept past its time"
    _check_log(world, before)


def _check_proven(before: dict[str, Item], after: dict[str, Item]) -> None:
    def proven(items: dict[str, Item]) -> list[str]:
        return sorted(
            (item.id for item in items.values() if item.proven_at is not None),
            key=lambda name: items[name].created_at,
        )

    if proven(before):
        assert proven(after)[-1:] == proven(before)[-1:], "the last proven backup is gone"


def _check_log(world: World, before: dict[str, Item]) -> None:
    """What of the log is there after the newest proven backup from before the window has no hole."""
    if world.rules.wal_keep is None:
        return
    start = world.rules.wal_keep.before(world.now)
    anchors = [
        item
        for item in world.items.values()
        if item.kind is Kind.BACKUP and item.proven_at is not None and item.created_at <= start
    ]
    if anchors:
        anchor = max(anchors, key=lambda item: item.created_at)
        assert anchor.log is not None
        needed = {
            item.id
            for item in before.values()
            if item.kind is Kind.WAL and item.log is not None and item.log.end > anchor.log.start
        }
        assert needed <= set(world.items), "log of the window is gone"


DAYS = 45


def live(seed: int) -> int:
    """One history from its seed; the number of purges in it.

    Raises:
        AssertionError: something that must hold does not; the seed repeats it.
    """
    world = World(seed)
    purges = 0
    for before, made in world.live(DAYS):
        try:
            check(world, before, made)
        except AssertionError as error:
            raise AssertionError(f"history {seed}, {world.now}: {error}") from error
        purges += 1
    return purges


def _main(count: int) -> None:
    with multiprocessing.Pool() as pool:
        purges = sum(pool.imap_unordered(live, range(count), chunksize=50))
    print(f"{count:,} histories with {purges:,} purges: nothing was lost, and everything had a reason.")


if __name__ == "__main__":
    _main(int(sys.argv[1]))

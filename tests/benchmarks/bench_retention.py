"""How long the retention planner takes for a bucket of a hundred thousand objects, its plan's hash included."""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime, timedelta

from strongroom.durations import Duration
from strongroom.lifetimes import Item, ItemObject, Kind, LogSpan
from strongroom.retention import Facts, LastPurge, RetentionRules, plan
from tests.benchmarks.rows import Row

LIMIT_SECONDS = 2.0
OBJECTS = 100_000
_ROUNDS = 3
_NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
_POLICY = "a" * 64
_RULES = RetentionRules(_POLICY, yearly=7, wal_keep=Duration(days=14))


def measure() -> list[Row]:
    """Seconds for one plan, beside the limit."""
    facts = bucket()
    assert sum(len(item.objects) for item in facts.items) >= OBJECTS
    seconds = statistics.median(_plan(facts) for _ in range(_ROUNDS))
    ratio = seconds / LIMIT_SECONDS
    return [Row("planning 100,000 objects", seconds, LIMIT_SECONDS, "s", ratio, 1.0, ratio <= 1.0)]


def bucket() -> Facts:
    """Three years of nightly backups in weekly chains with a proof each, and three months of log, each five minutes."""
    items: list[Item] = []
    for number in range(3 * 365):
        day = _NOW - timedelta(days=number, hours=1)
        parent = f"backup/{_NOW - timedelta(days=number + 1):%Y%m%d}"
        items.append(
            Item(
                Kind.BACKUP,
                f"backup/{_NOW - timedelta(days=number):%Y%m%d}",
                "shop",
                day,
                _objects(f"backups/shop/{day:%Y%m%dT%H%M%SZ}-0000", 22),
                depends_on=(parent,) if number % 7 else (),
                proven_at=day,
                log=LogSpan("7000", 1, (100_000 - number * 288) << 24, (100_001 - number * 288) << 24),
            )
        )
        name = f"proof/{day:%Y%m%d}"
        items.append(Item(Kind.PROOF, name, "shop", day, _objects(name, 1), about=items[-1].id))
    number = 0
    while len(items) < 3 * 365 * 2 + 26_000:
        at = _NOW - timedelta(minutes=5 * number)
        position = (100_000 - number) << 24
        name = f"wal/7000/00000001/{position:024X}"
        items.append(
            Item(
                Kind.WAL,
                name,
                "shop",
                at,
                _objects(name, 3),
                log=LogSpan("7000", 1, position, position + (1 << 24)),
            )
        )
        number += 1
    return Facts("shop", tuple(items), newest_signed_at=_NOW, last_purge=LastPurge(_NOW, _POLICY))


def _objects(prefix: str, count: int) -> tuple[ItemObject, ...]:
    return tuple(ItemObject(f"{prefix}/{number}", 1_000_000) for number in range(count))


def _plan(facts: Facts) -> float:
    start = time.perf_counter()
    made = plan(facts, _RULES, _NOW)
    assert len(made.sha256) == 64
    return time.perf_counter() - start


if __name__ == "__main__":
    from tests.benchmarks.rows import table

    print(table(measure()))

"""Facts to plan from, written briefly."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from strongroom.lifetimes import Item, ItemObject, Kind, LogSpan
from strongroom.retention import Facts, LastPurge, RetentionRules

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
POLICY = "a" * 64
RULES = RetentionRules(POLICY, last=2, daily=3, weekly=2, monthly=2, yearly=1, proven=1)
CLUSTER = "7000000000000000001"
SEGMENT = 16 * 1024 * 1024


def ago(days: float) -> datetime:
    """That many days before now."""
    return NOW - timedelta(days=days)


def objects(name: str, count: int = 2) -> tuple[ItemObject, ...]:
    """Objects of an item."""
    return tuple(ItemObject(f"{name}/{number}", 100) for number in range(count))


def backup(name: str, days: float, *, proven: bool = True, at: int = 0, **members: Any) -> Item:
    """A backup of that many days ago, beginning in that segment of the log."""
    created = ago(days)
    members.setdefault("log", LogSpan(CLUSTER, 1, at * SEGMENT, (at + 1) * SEGMENT))
    return Item(
        kind=Kind.BACKUP,
        id=f"backup/{name}",
        database="shop",
        created_at=created,
        objects=members.pop("objects", objects(f"backups/shop/{name}")),
        proven_at=created + timedelta(hours=1) if proven else None,
        **members,
    )


def wal(first: int, days: float, *, timeline: int = 1, cluster: str = CLUSTER, **members: Any) -> Item:
    """One segment of the log, of that many days ago."""
    return Item(
        kind=Kind.WAL,
        id=f"wal/{cluster}/{timeline}/{first:08d}",
        database="shop",
        created_at=ago(days),
        objects=objects(f"wal/shop/{cluster}/{timeline}/{first}"),
        log=LogSpan(cluster, timeline, first * SEGMENT, (first + 1) * SEGMENT),
        **members,
    )


def facts(items: Iterable[Item], **members: Any) -> Facts:
    """Facts of a bucket that was purged yesterday."""
    members.setdefault("last_purge", LastPurge(ago(1), POLICY))
    members.setdefault("newest_signed_at", ago(0.1))
    return Facts("shop", tuple(items), **members)

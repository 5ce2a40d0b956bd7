"""Which log stays: what restores any moment of the window, which has nothing to do with how long backups stay.

    ── window ────────────────────────────────►  now
       ▲ its beginning
    B1 … B2 ─┼─ B3 … B4        B2 is the newest proven backup from before it: from there on, all log stays

For each cluster (system identifier) on its own: after a major upgrade the old cluster's log goes once the window has
passed its end. The newest log of each timeline stays, since shipping goes on from there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from strongroom.lifetimes import Item, Kind, LogSpan
from strongroom.retention.keeping import Keeping, Reason
from strongroom.retention.rules import RetentionRules, earlier


def keep_log(keeping: Keeping, items: Sequence[Item], rules: RetentionRules, now: datetime) -> None:
    """Keep the log of the window, and the backup that it begins from.

    Args:
        keeping: takes the reasons.
        items: all items of one database.
        rules: the policy's.
        now: the planner's clock.
    """
    log = _by_cluster(item for item in items if item.kind is Kind.WAL)
    backups = _by_cluster(item for item in items if item.kind is Kind.BACKUP)
    newest = max((item for cluster in backups.values() for item, _ in cluster), key=_age, default=None)
    for cluster, pieces in log.items():
        _keep_newest_of_timelines(keeping, pieces)
        if rules.wal_keep is None:
            _keep_all(keeping, pieces, "the policy does not say how long the log stays")
            continue
        start = earlier(now.astimezone(rules.zone), rules.wal_keep)
        own = backups.get(cluster, [])
        current = newest is None or any(item is newest for item, _ in own)
        if not current and all(item.created_at < start for item, _ in pieces):
            continue
        _keep_window(keeping, pieces, own, start, rules)


def keep_timelines(keeping: Keeping, items: Sequence[Item]) -> None:
    """Keep the histories of timelines that kept backups or kept log lie on, or came from."""
    kept: dict[str, int] = {}
    for item in items:
        if item.log is not None and item.kind in (Kind.BACKUP, Kind.WAL) and item.id in keeping:
            cluster = item.log.system_identifier
            kept[cluster] = max(kept.get(cluster, 0), item.log.timeline)
    for item in items:
        if item.kind is Kind.TIMELINE and item.log is not None:
            highest = kept.get(item.log.system_identifier, 0)
            if item.log.timeline <= highest:
                text = f"the way to timeline {highest} leads over it, on which something is kept"
                keeping.add(item.id, Reason("timeline", text))


def _keep_window(
    keeping: Keeping,
    pieces: Sequence[tuple[Item, LogSpan]],
    backups: Sequence[tuple[Item, LogSpan]],
    start: datetime,
    rules: RetentionRules,
) -> None:
    if not backups:
        _keep_all(keeping, pieces, "there is no backup of this cluster that says which log is still needed")
        return
    anchor, span = _anchor(backups, start)
    window = f"any moment since {start:%Y-%m-%d %H:%M %Z} can be restored ({rules.wal_keep})"
    keeping.add(anchor.id, Reason("window", f"with the log after it, {window}"))
    for item, piece in pieces:
        if _needed(item, piece, span, start):
            keeping.add(item.id, Reason("window", f"with the backup {_name(anchor)}, {window}"))


def _anchor(backups: Sequence[tuple[Item, LogSpan]], start: datetime) -> tuple[Item, LogSpan]:
    """The newest proven backup from before the window; the newest sound one, where none is proven, or the newest of
    all; else the oldest of all."""
    before = [pair for pair in backups if pair[0].created_at <= start]
    proven = [pair for pair in before if pair[0].proven_at is not None]
    sound = [pair for pair in before if pair[0].damage is None]
    if before:
        return max(proven or sound or before, key=lambda pair: _age(pair[0]))
    return min(backups, key=lambda pair: _age(pair[0]))


def _needed(item: Item, piece: LogSpan, anchor: LogSpan, start: datetime) -> bool:
    if piece.timeline >= anchor.timeline and piece.end > anchor.start:
        return True
    return piece.timeline != anchor.timeline and item.created_at >= start


def _keep_newest_of_timelines(keeping: Keeping, pieces: Iterable[tuple[Item, LogSpan]]) -> None:
    newest: dict[int, tuple[Item, LogSpan]] = {}
    for pair in pieces:
        best = newest.get(pair[1].timeline)
        if best is None or pair[1].end > best[1].end:
            newest[pair[1].timeline] = pair
    highest = max(newest, default=0)
    if highest:
        text = "it is the newest log of its timeline: shipping goes on after it"
        keeping.add(newest[highest][0].id, Reason("newest_log", text))


def _keep_all(keeping: Keeping, pieces: Iterable[tuple[Item, LogSpan]], text: str) -> None:
    for item, _ in pieces:
        keeping.add(item.id, Reason("window", text))


def _by_cluster(items: Iterable[Item]) -> dict[str, list[tuple[Item, LogSpan]]]:
    found: dict[str, list[tuple[Item, LogSpan]]] = defaultdict(list)
    for item in items:
        if item.log is not None:
            found[item.log.system_identifier].append((item, item.log))
    return found


def _age(item: Item) -> tuple[datetime, str]:
    return item.created_at, item.id


def _name(item: Item) -> str:
    return item.id.split("/", 1)[-1]

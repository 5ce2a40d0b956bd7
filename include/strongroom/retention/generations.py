"""Which backups stay: the newest, the newest proven ones, and one of each day, week, month and year.

A calendar rule looks back from now: `weekly: 4` covers this ISO week and the three before it. A flood of new backups
can therefore not push old ones out, and a clock that is behind cannot either: a backup of the future counts for no
rule, and stays. Of each period the newest proven backup stays; the newest, where none is proven.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from strongroom.lifetimes import Item
from strongroom.retention.keeping import Keeping, Reason
from strongroom.retention.rules import RetentionRules

FUTURE = timedelta(minutes=10)
"""How far ahead of the planner's clock a backup's may be."""


@dataclass(frozen=True)
class _Period:
    """One kind of calendar period."""

    rule: str
    begin: Callable[[date], date]
    """The first day of the period that a day lies in."""
    move: Callable[[date, int], date]
    """The first day of the period that many periods later."""
    text: Callable[[date], str]


def keep_generations(keeping: Keeping, backups: Sequence[Item], rules: RetentionRules, now: datetime) -> None:
    """Keep what the policy's `keep` keeps.

    Args:
        keeping: takes the reasons.
        backups: all backups of one database.
        rules: the policy's.
        now: the planner's clock.
    """
    for item in backups:
        if item.created_at > now + FUTURE:
            text = "its date lies in the future, so it counts for no rule; look at the clocks"
            keeping.add(item.id, Reason("future", text))
    present = [item for item in backups if item.created_at <= now + FUTURE]
    sound = [item for item in present if item.damage is None]
    _keep_by_rules(keeping, sound, rules, now)
    if len(sound) < len(
        present
    ):  # as if nothing were damaged: what a rule would have kept, it keeps damaged too
        _keep_by_rules(keeping, present, rules, now)


def _keep_by_rules(keeping: Keeping, present: Sequence[Item], rules: RetentionRules, now: datetime) -> None:
    newest_first = sorted(present, key=lambda item: (item.created_at, item.id), reverse=True)
    for item in newest_first[: rules.last]:
        keeping.add(item.id, Reason("last", _newest(rules.last)))
    proven = [item for item in newest_first if item.proven_at is not None]
    for item in proven[: max(1, rules.proven)]:
        keeping.add(item.id, Reason("proven", _newest(max(1, rules.proven), "proven ")))
    for period, count in zip(_PERIODS, (rules.daily, rules.weekly, rules.monthly, rules.yearly), strict=True):
        _keep_periods(keeping, newest_first, period, count, rules, now)


def _keep_periods(
    keeping: Keeping,
    newest_first: Sequence[Item],
    period: _Period,
    count: int,
    rules: RetentionRules,
    now: datetime,
) -> None:
    if count == 0:
        return
    zone = rules.zone
    first = period.move(period.begin(now.astimezone(zone).date()), 1 - count)
    chosen: dict[date, Item] = {}
    for item in newest_first:
        begin = period.begin(item.created_at.astimezone(zone).date())
        if begin < first:
            continue
        best = chosen.get(begin)
        if best is None or (best.proven_at is None and item.proven_at is not None):
            chosen[begin] = item
    for begin, item in chosen.items():
        end = datetime.combine(period.move(begin, count), time(), zone)
        which = "newest proven" if item.proven_at is not None else "newest"
        text = f"it is the {which} one of {period.text(begin)} ({period.rule}: {count})"
        keeping.add(item.id, Reason(period.rule, text, end))


def _newest(count: int, what: str = "") -> str:
    return f"it is one of the {count} newest {what}backups" if count > 1 else f"it is the newest {what}backup"


def _month(day: date, count: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + count, 12)
    return date(max(year, 1), month + 1, 1)


_PERIODS = (
    _Period("daily", lambda day: day, lambda day, count: day + timedelta(days=count), lambda day: f"{day}"),
    _Period(
        "weekly",
        lambda day: day - timedelta(days=day.weekday()),
        lambda day, count: day + timedelta(weeks=count),
        lambda day: f"the week from {day}",
    ),
    _Period("monthly", lambda day: day.replace(day=1), _month, lambda day: f"{day:%B %Y}"),
    _Period(
        "yearly",
        lambda day: day.replace(month=1, day=1),
        lambda day, count: date(min(max(day.year + count, 1), 9999), 1, 1),
        lambda day: f"the year {day.year}",
    ),
)

"""What makes a purge unusual, so that a second person has to look at it first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from datetime import datetime, timedelta

from strongroom.lifetimes import Kind
from strongroom.retention.facts import Facts
from strongroom.retention.rules import RetentionRules
from strongroom.retention.values import Action, Decision

CLOCK_TOLERANCE = timedelta(minutes=10)
"""How far two clocks may differ."""

ABOUT_THE_CLOCK = "the clock "
"""How the reasons begin that doubt the planner's clock."""

LONGEST_SILENCE = timedelta(days=8)
"""For how long nothing signed may have come into the bucket, before a clock that jumped ahead is the better guess."""

_COUNTED = (Kind.BACKUP, Kind.WAL, Kind.ARCHIVE)


def unusual(
    facts: Facts, rules: RetentionRules, decisions: Sequence[Decision], now: datetime
) -> Iterator[str]:
    """Why a person has to look; nothing where there is nothing to delete.

    Deleting what was marked by a plan that was carried out needs no second look, unless the clock is wrong.
    """
    marked = [one for one in decisions if one.action is Action.MARK]
    deleted = [one for one in decisions if one.action is Action.DELETE]
    if not marked and not deleted:
        return
    yield from clock_doubts(facts, now)
    if not marked:
        return
    if facts.last_purge is None:
        yield f"it is the first purge of {facts.database} in this {_place(facts)}"
    elif facts.last_purge.policy_sha256 != rules.policy_sha256:
        yield "the policy has changed since the last purge"
    yield from _share(marked, decisions, rules)
    yield from _share_of_tables(facts, {one.item for one in marked}, rules)


def clock_doubts(facts: Facts, now: datetime) -> Iterator[str]:
    """Why the planner's clock may be wrong: each sentence begins with what is the matter, up to a colon."""
    newest = facts.newest_signed_at
    if newest is not None and newest > now + CLOCK_TOLERANCE:
        yield f"the clock may be behind: it says {_moment(now)}, and something was signed at {_moment(newest)}"
    if newest is not None and newest < now - LONGEST_SILENCE:
        yield (
            f"the clock may be ahead: it says {_moment(now)}, and the newest signed document is of"
            f" {_moment(newest)}"
        )
    store = facts.store_now
    if store is not None and abs(store - now) > CLOCK_TOLERANCE:
        yield f"the clock differs from the store's own: it says {_moment(now)}, the store's {_moment(store)}"
    last = facts.last_purge
    if last is not None and last.finished_at > now + CLOCK_TOLERANCE:
        ended = _moment(last.finished_at)
        yield f"the clock has gone back: it says {_moment(now)}, and the last purge ended at {ended}"


def _share(marked: Iterable[Decision], decisions: Iterable[Decision], rules: RetentionRules) -> Iterator[str]:
    for kind in _COUNTED:
        of_kind = [one for one in decisions if one.kind is kind]
        going = [one for one in marked if one.kind is kind]
        for what, part, whole in (
            (f"{kind} items", len(going), len(of_kind)),
            (f"bytes of {kind}", sum(o.size_bytes for o in going), sum(o.size_bytes for o in of_kind)),
        ):
            if part > whole * rules.approve_above:
                yield (f"it marks {part:,} of {whole:,} {what}, more than {rules.approve_above:.0%} at once")


def _share_of_tables(facts: Facts, marked: Set[str], rules: RetentionRules) -> Iterator[str]:
    """Much of a table at once is a mistake in its moments more often than the passing of time."""
    going: Counter[str] = Counter()
    whole: dict[str, int] = {}
    for item in facts.items:
        if item.id in marked and item.kind is Kind.ROWS and item.table is not None:
            going[item.table] += item.counts["rows"]
            whole[item.table] = item.counts["table_rows"]
    for table, rows in going.items():
        if rows > whole[table] * rules.approve_above:
            yield (
                f"it marks {rows:,} of about {max(rows, whole[table]):,} rows of {table}, more than "
                f"{rules.approve_above:.0%} at once"
            )


def _place(facts: Facts) -> str:
    return "store" if facts.place == "store" else f"copy ({facts.place})"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"

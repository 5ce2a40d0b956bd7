"""A purge as a document that a person reads and signs, in Markdown: what goes, what stays, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from strongroom.lifetimes import Kind
from strongroom.retention.facts import STORE
from strongroom.retention.purge import Purge
from strongroom.retention.values import Action, Decision, Plan

_TITLES = {
    Action.DELETE: "Deleted now",
    Action.MARK: "Marked now, deleted after the grace period",
    Action.WAIT: "Marked before, not deleted yet",
    Action.UNMARK: "Marked before, kept after all",
    Action.KEEP: "Kept",
}
_MANY = frozenset({Kind.WAL, Kind.PROOF, Kind.LOG, Kind.TIMELINE})
"""Kinds of which many have the same reason; they are told together."""


def markdown(purge: Purge, *, most: int | None = None) -> str:
    """The document.

    Args:
        purge: what is planned.
        most: how many lines each table has at most; the rest is counted. None shows all.
    """
    return "\n".join(_lines(purge, most)) + "\n"


def summary(purge: Purge) -> str:
    """One sentence: what would be deleted and marked."""
    parts = []
    for action, word in (
        (Action.DELETE, "deletes"),
        (Action.MARK, "marks"),
        (Action.UNMARK, "keeps after all"),
    ):
        found = [one for plan in purge.plans for one in plan.having(action)]
        if found:
            size = human_size(sum(one.size_bytes for one in found))
            parts.append(f"{word} {len(found):,} {_things(found)} ({size})")
    locks = sum(len(plan.locks) for plan in purge.plans)
    if locks:
        parts.append(f"extends {locks:,} lock{'s' if locks > 1 else ''}")
    if not parts:
        return f"The purge of {purge.database} has nothing to do."
    return f"The purge of {purge.database} {', '.join(parts)}."


def _lines(purge: Purge, most: int | None) -> Iterator[str]:
    yield f"# Retention plan for {purge.database}"
    yield ""
    yield summary(purge)
    yield ""
    yield f"* Made: {_moment(purge.made_at)}"
    yield f"* Policy: `{purge.policy_sha256}`"
    yield f"* Grace period: {purge.plans[0].grace}; what is marked can still be restored until then"
    yield f"* Plan hash: `{purge.sha256}`"
    reasons = [(plan, reason) for plan in purge.plans for reason in plan.unusual]
    if reasons:
        yield ""
        yield "## A second person has to look, because"
        yield ""
        yield from (f"* {_in_place(plan, reason)}" for plan, reason in reasons)
    for plan in purge.plans:
        yield from _plan_lines(plan, most)


def _plan_lines(plan: Plan, most: int | None) -> Iterator[str]:
    yield ""
    yield f"## In the {'store' if plan.place == STORE else f'copy {plan.place}'}"
    for action, title in _TITLES.items():
        found = list(plan.having(action))
        if found:
            size = human_size(sum(one.size_bytes for one in found))
            yield ""
            yield f"### {title}: {len(found):,} {_things(found)}, {size}"
            yield ""
            yield from _table(found, action, most)
    if plan.locks:
        yield ""
        yield "### Locked for longer"
        yield ""
        yield "| what | until | because |"
        yield "|---|---|---|"
        yield from (f"| {lock.item} | {_moment(lock.until)} | {lock.reason} |" for lock in plan.locks)


def _table(decisions: Sequence[Decision], action: Action, most: int | None) -> Iterator[str]:
    last = "until" if action is Action.KEEP else "not before"
    yield f"| what | of | size | {last} | why |"
    yield "|---|---|---|---|---|"
    rows = list(_rows(decisions))
    shown = rows if most is None else rows[:most]
    for row in shown:
        end = _moment(row.until) if row.until else ("" if action is Action.MARK else "-")
        yield f"| {row.what} | {row.of} | {human_size(row.size_bytes)} | {end} | {row.why} |"
    if len(rows) > len(shown):
        yield f"| and {len(rows) - len(shown):,} lines more | | | | `strongroom retention show` has them all |"


@dataclass(frozen=True)
class _Row:
    what: str
    of: str
    size_bytes: int
    until: datetime | None
    why: str


def _rows(decisions: Iterable[Decision]) -> Iterator[_Row]:
    """One row for each thing; what follows one another with the same reason is one row, where there are many."""
    group: list[Decision] = []
    for one in decisions:
        if group and not (one.kind in _MANY and (one.kind, one.reason) == (group[0].kind, group[0].reason)):
            yield _row(group)
            group = []
        group.append(one)
    if group:
        yield _row(group)


def _row(group: Sequence[Decision]) -> _Row:
    first, last = group[0], group[-1]
    size = sum(one.size_bytes for one in group)
    ends = [one.until for one in group]
    until = None if None in ends else max(end for end in ends if end is not None)
    if len(group) == 1:
        return _Row(first.item, _day(first.created_at), size, until, first.reason)
    what = f"{len(group):,} {first.kind} items"
    return _Row(what, f"{_day(first.created_at)} to {_day(last.created_at)}", size, until, first.reason)


def _in_place(plan: Plan, reason: str) -> str:
    return reason if plan.place == STORE else f"{reason} (in the copy {plan.place})"


def _things(found: Sequence[Decision]) -> str:
    return "thing" if len(found) == 1 else "things"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} {moment.tzname()}"


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def human_size(count: int) -> str:
    """A number of bytes with a decimal unit."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"

"""The retention planner: one pure function from facts, rules and a clock to a plan with a reason for everything.

It computes what is kept and deletes the complement: a rule that is missing, or that nobody thought of, keeps. In this
order: what the policy keeps, what its log window needs, what others are waiting for, what holds and locks forbid,
what all that builds on; then, of what nothing keeps, what was marked long enough ago goes, dependants first.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from strongroom.lifetimes import Item, ItemObject, Kind
from strongroom.retention.facts import STORE, Facts, Mark
from strongroom.retention.generations import keep_generations
from strongroom.retention.keeping import Keeping, Reason, close_over_dependencies
from strongroom.retention.log_window import keep_log, keep_timelines
from strongroom.retention.rules import RetentionRules, later
from strongroom.retention.unusual import unusual
from strongroom.retention.values import Action, Decision, LockExtension, Plan

_ORDER = {kind: number for number, kind in enumerate(Kind)}
_AGED = (Kind.ARCHIVE, Kind.ROWS, Kind.EXPORT, Kind.REPORT, Kind.LOG)
_GONE = {
    Kind.BACKUP: "no rule keeps it any more: {keep}",
    Kind.WAL: "it is older than the window in which any moment can be restored ({wal}), and no kept backup needs it",
    Kind.TIMELINE: "nothing that is kept lies on its timeline or came from it",
    Kind.PROOF: "its backup is gone, and it is older than proofs are kept as evidence ({evidence})",
    Kind.DEBRIS: "a killed run left it, nothing names it, and it is older than the grace period ({grace})",
}


def plan(facts: Facts, rules: RetentionRules, now: datetime) -> Plan:
    """Decide what becomes of everything.

    Args:
        facts: all that is known of one database in one store.
        rules: its policy's.
        now: the planner's clock.

    Returns:
        The plan. It depends on nothing but the arguments.
    """
    keeping = _kept(facts, rules, now)
    going = _going(facts, keeping, now)
    shared = SharedKeys(facts.items, going)
    decisions = tuple(
        _decision(item, facts, rules, keeping, going.get(item.id), shared)
        for item in sorted(facts.items, key=lambda item: (_ORDER[item.kind], item.created_at, item.id))
    )
    return Plan(
        database=facts.database,
        place=facts.place,
        made_at=now,
        policy_sha256=rules.policy_sha256,
        grace=str(rules.grace),
        decisions=decisions,
        locks=tuple(_locks(facts, rules, keeping, now)),
        unusual=tuple(unusual(facts, rules, decisions, now)),
    )


class SharedKeys:
    """Which objects go with an item: not those that something names which stays, or goes later.

    Args:
        items: everything there is.
        going: what goes, and how far it is on its way.
    """

    def __init__(self, items: Iterable[Item], going: Mapping[str, Action]) -> None:
        everything = tuple(items)
        self._kept = {one.key for item in everything if item.id not in going for one in item.objects}
        self._longer = self._kept | {
            one.key
            for item in everything
            if going.get(item.id) not in (None, Action.DELETE)
            for one in item.objects
        }

    def own(self, item: Item, action: Action) -> tuple[ItemObject, ...]:
        """The objects of an item that go with it."""
        others = self._longer if action is Action.DELETE else self._kept
        if others.isdisjoint(one.key for one in item.objects):
            return item.objects
        return tuple(one for one in item.objects if one.key not in others)


def _kept(facts: Facts, rules: RetentionRules, now: datetime) -> Keeping:
    keeping = Keeping()
    keep_generations(keeping, [item for item in facts.items if item.kind is Kind.BACKUP], rules, now)
    keep_log(keeping, facts.items, rules, now)
    for item in facts.items:
        for reason in _own_reasons(item, facts, rules, now):
            keeping.add(item.id, reason)
    close_over_dependencies(keeping, facts.items)
    keep_timelines(keeping, facts.items)
    _keep_evidence(keeping, facts.items, rules, now)
    return keeping


def _own_reasons(item: Item, facts: Facts, rules: RetentionRules, now: datetime) -> Iterable[Reason]:
    if item.kind is Kind.UNKNOWN:
        yield Reason("unknown", f"it is never touched: {item.detail or 'nobody here can tell what it is'}")
    if item.kind is Kind.DEBRIS and item.in_use is not None:
        yield Reason("debris", item.in_use, binding=False)
    if item.kind is Kind.DEBRIS and later(item.created_at, rules.grace) > now:
        text = f"nothing names it, and it may still be in the making; it is left alone for {rules.grace}"
        yield Reason("debris", text, later(item.created_at, rules.grace), binding=False)
    if item.expires_at is not None and item.expires_at > now:
        text = item.detail or f"its own rule keeps it until {_day(item.expires_at)}"
        yield Reason("age", text, item.expires_at)
    if item.expires_at is None and item.kind in _AGED:
        yield Reason("age", "no rule says how long it stays")
    if item.waits_for is not None:
        yield Reason("waits", item.waits_for, binding=False)
    yield from _obstacles(item, facts, now)


def _obstacles(item: Item, facts: Facts, now: datetime) -> Iterable[Reason]:
    """What forbids to delete an item, whatever its rules say."""
    for hold in facts.held.get(item.id, ()):
        yield Reason("hold", f"the legal hold {hold} forbids its deletion until it is released")
    if item.id in facts.blocked:
        yield Reason("frozen", facts.blocked[item.id], binding=False)
    if item.legal_hold:
        text = "the store itself has it under legal hold"
        yield Reason("store_hold", text, binding=False)
    if item.locked_until is not None and item.locked_until > now:
        text = f"Object Lock: the store refuses its deletion until {_day(item.locked_until)}"
        yield Reason("lock", text, item.locked_until, binding=False)
    if item.id in facts.kept_in_store:
        yield Reason("copy", "the store itself still has it, and would have it copied again", binding=False)


def _keep_evidence(keeping: Keeping, items: Iterable[Item], rules: RetentionRules, now: datetime) -> None:
    present = {item.id for item in items}
    for item in items:
        if item.kind is not Kind.PROOF or item.about is None:
            continue
        end = later(item.created_at, rules.evidence)
        if item.about in present:
            keeping.add(item.id, Reason("evidence", f"it is evidence about {item.about}, which is there"))
        elif end > now:
            text = f"proofs stay as evidence for {rules.evidence} when their backup is gone"
            keeping.add(item.id, Reason("evidence", text, end))


def _going(facts: Facts, keeping: Keeping, now: datetime) -> dict[str, Action]:
    """What nothing keeps, and how far it is on its way."""
    going = {
        item.id: _step(facts.marks.get(item.id), item, now) for item in facts.items if item.id not in keeping
    }
    dependants = _dependants(facts.items)
    waiting = [item_id for item_id, action in going.items() if action is not Action.DELETE]
    while waiting:  # what others build on goes after them
        child = waiting.pop()
        for parent in dependants.get(child, ()):
            if going.get(parent) is Action.DELETE:
                going[parent] = Action.WAIT
                waiting.append(parent)
    return going


def _step(mark: Mark | None, item: Item, now: datetime) -> Action:
    if mark is None:
        return Action.MARK
    return Action.DELETE if mark.delete_after <= now and item.in_use is None else Action.WAIT


def _dependants(items: Iterable[Item]) -> Mapping[str, list[str]]:
    """What each item builds on, without those that are not there."""
    needs: dict[str, list[str]] = defaultdict(list)
    for item in items:
        needs[item.id].extend(item.depends_on)
    return needs


def _decision(
    item: Item,
    facts: Facts,
    rules: RetentionRules,
    keeping: Keeping,
    action: Action | None,
    shared: SharedKeys,
) -> Decision:
    if action is None:
        return _keep(item, facts, keeping.reasons(item.id))
    own = shared.own(item, action)
    mark = facts.marks.get(item.id)
    return Decision(
        item=item.id,
        kind=item.kind,
        action=action,
        rule="expired",
        reason=_why_gone(item, facts, rules) + _progress(item, action, mark),
        created_at=item.created_at,
        objects=len(own),
        size_bytes=sum(one.size_bytes for one in own),
        until=mark.delete_after if mark else None,
        objects_sha256=objects_sha256(one.key for one in own),
    )


def _keep(item: Item, facts: Facts, reasons: list[Reason]) -> Decision:
    mark = facts.marks.get(item.id)
    ends = [reason.until for reason in reasons]
    until = None if None in ends else max((end for end in ends if end is not None), default=None)
    return Decision(
        item=item.id,
        kind=item.kind,
        action=Action.UNMARK if mark else Action.KEEP,
        rule=reasons[0].rule,
        reason="; ".join(_few(reason.text for reason in reasons)),
        created_at=item.created_at,
        objects=len(item.objects),
        size_bytes=item.size_bytes,
        until=until,
    )


def _few(texts: Iterable[str]) -> list[str]:
    """The reasons once each, and not all of them where there are many."""
    once = list(dict.fromkeys(texts))
    return once if len(once) <= 4 else [*once[:4], f"and {len(once) - 4} more reasons"]


def _why_gone(item: Item, facts: Facts, rules: RetentionRules) -> str:
    if item.expires_at is not None:
        return f"its time ended on {_day(item.expires_at)}" + (f" ({item.detail})" if item.detail else "")
    text = _GONE[item.kind].format(
        keep=_keep_rules(rules), wal=rules.wal_keep, evidence=rules.evidence, grace=rules.grace
    )
    return text if facts.place == STORE else f"{text}; and the store has given it up"


def _keep_rules(rules: RetentionRules) -> str:
    counts = {
        name: getattr(rules, name) for name in ("last", "proven", "daily", "weekly", "monthly", "yearly")
    }
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count)


def _progress(item: Item, action: Action, mark: Mark | None) -> str:
    if mark is None:
        return ""
    text = f"; marked on {_day(mark.marked_at)}"
    if action is Action.WAIT:
        if item.in_use is not None:
            return f"{text}; it stays while it is in use: {item.in_use}"
        return f"{text}; it goes on {_day(mark.delete_after)}, after what builds on it"
    return text


def objects_sha256(keys: Iterable[str]) -> str:
    """SHA-256 over the keys in their order, each with a newline."""
    return hashlib.sha256("".join(f"{key}\n" for key in sorted(keys)).encode()).hexdigest()


def _locks(facts: Facts, rules: RetentionRules, keeping: Keeping, now: datetime) -> Iterable[LockExtension]:
    """Locks of kept backups that would end before half of the policy's days are over, though they must stay.

    Never beyond the day on which their time is over: a lock that lasts longer would keep what has to go.
    """
    if rules.lock_mode is None or not facts.object_lock:
        return
    full, soon = now + timedelta(days=rules.lock_days), now + timedelta(days=rules.lock_days) / 2
    for item in facts.items:
        binding = [reason for reason in keeping.reasons(item.id) if reason.binding]
        if item.kind is not Kind.BACKUP or not binding:
            continue
        ends = [reason.until for reason in binding]
        stays = full if None in ends else min(full, max(end for end in ends if end is not None))
        until = stays.replace(microsecond=0)
        if (item.locked_until or now) < min(soon, until) and until > now:
            yield LockExtension(item.id, rules.lock_mode, until, binding[0].text)


def _day(moment: datetime) -> str:
    return (
        f"{moment:%Y-%m-%d %H:%M} UTC"
        if moment.utcoffset() == timedelta(0)
        else moment.isoformat(" ", "minutes")
    )

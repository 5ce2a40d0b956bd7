"""What a plan keeps and what it lets go, rule by rule, each with its reason."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from strongroom.durations import Duration
from strongroom.lifetimes import Item, Kind, LogSpan
from strongroom.retention import Action, Decision, Facts, Mark, PlanChangedError, parse_plan, plan
from strongroom.retention.rules import RetentionRules
from tests.unit.retention.facts_of import CLUSTER, NOW, POLICY, RULES, SEGMENT, ago, backup, facts, wal

FEW = RetentionRules(POLICY, last=1, daily=0, weekly=0, monthly=0, yearly=0, proven=1)
WINDOW = RetentionRules(
    POLICY, last=1, daily=0, weekly=0, monthly=0, yearly=0, proven=1, wal_keep=Duration(days=14)
)


def decided(known: Facts, rules: RetentionRules = RULES) -> dict[str, Decision]:
    return {decision.item: decision for decision in plan(known, rules, NOW).decisions}


def going(known: Facts, rules: RetentionRules = RULES) -> set[str]:
    return {name for name, one in decided(known, rules).items() if one.action is not Action.KEEP}


def test_one_of_each_period_stays_and_the_rest_is_marked_with_its_reason() -> None:
    backups = [backup(f"{days:03d}", days) for days in range(100)]

    decisions = decided(facts(backups))

    kept = {name for name, one in decisions.items() if one.action is Action.KEEP}
    assert kept == {f"backup/{days:03d}" for days in (0, 1, 2, 24)}
    assert "daily: 3" in decisions["backup/002"].reason
    assert "October 2026" in decisions["backup/024"].reason
    assert decisions["backup/050"].action is Action.MARK
    assert "last 2" in decisions["backup/050"].reason


def test_the_day_begins_where_the_policy_says() -> None:
    late, early = (
        backup("late", 1.1),
        backup("early", 1.16),
    )  # 00:36 and 23:09 UTC: both on the 23rd in Brussels
    rules = RetentionRules(POLICY, last=1, daily=3, weekly=0, monthly=0, yearly=0, proven=1)
    known = facts([backup("now", 0), late, early])

    assert going(known, rules) == set()
    assert going(known, RetentionRules(**{**vars(rules), "timezone": "Europe/Brussels"})) == {"backup/early"}


def test_the_last_proven_backup_stays_whatever_its_age() -> None:
    backups = [backup("old", 4000), *(backup(f"{days}", days, proven=False) for days in range(30))]

    decision = decided(facts(backups), FEW)["backup/old"]

    assert (decision.action, decision.rule) == (Action.KEEP, "proven")
    assert decision.reason == "it is the newest proven backup"


def test_a_proven_backup_stands_for_its_period_before_a_newer_unproven_one() -> None:
    proven, newer = backup("proven", 10.5), backup("newer", 10.2, proven=False)
    rules = RetentionRules(POLICY, last=1, daily=12, weekly=0, monthly=0, yearly=0, proven=1)

    assert going(facts([backup("now", 0), proven, newer]), rules) == {"backup/newer"}


def test_what_a_kept_backup_builds_on_stays() -> None:
    full = backup("full", 40, proven=False)
    first = backup("first", 39, depends_on=("backup/full",), proven=False)
    second = backup("second", 0, depends_on=("backup/first",))
    alone = backup("alone", 38, depends_on=("backup/first",), proven=False)

    decisions = decided(facts([full, first, second, alone]), FEW)

    assert {name for name, one in decisions.items() if one.action is Action.MARK} == {"backup/alone"}
    assert decisions["backup/full"].reason == "the backup first is kept and builds on it"


def test_a_backup_of_the_future_stays_and_counts_for_no_rule() -> None:
    decisions = decided(facts([backup("future", -3), backup("now", 0), backup("old", 5)]), FEW)

    assert decisions["backup/future"].rule == "future"
    assert decisions["backup/now"].action is Action.KEEP
    assert decisions["backup/old"].action is Action.MARK


def test_the_window_keeps_the_log_and_the_backup_it_begins_from() -> None:
    backups = [backup("a", 30, at=10), backup("b", 15, at=20), backup("c", 2, at=30)]
    log = [wal(number, 40 - number) for number in range(8, 40)]

    decisions = decided(facts([*backups, *log]), WINDOW)

    assert "any moment since 2026-11-10" in decisions["backup/b"].reason
    assert decisions["backup/a"].action is Action.MARK
    gone = {name for name, one in decisions.items() if one.kind is Kind.WAL and one.action is Action.MARK}
    assert gone == {f"wal/{CLUSTER}/1/{number:08d}" for number in range(8, 20)}


def test_without_a_backup_of_the_cluster_all_its_log_stays() -> None:
    assert going(facts([wal(number, 400) for number in range(5)]), WINDOW) == set()


def test_the_log_of_a_cluster_that_was_replaced_goes_after_the_window() -> None:
    old = [wal(number, 60, cluster="6") for number in range(3)]
    new = backup("new", 1, at=2)

    assert len(going(facts([*old, new, wal(3, 0.5)]), WINDOW)) == 2, "all but the newest of the timeline"


def test_a_timelines_history_stays_with_what_came_over_it() -> None:
    def history(timeline: int, cluster: str) -> Item:
        span = LogSpan(cluster, timeline, 0, 0)
        return Item(Kind.TIMELINE, f"timeline/{cluster}/{timeline}", "shop", ago(90), log=span)

    items = [
        backup("now", 0, log=LogSpan(CLUSTER, 3, SEGMENT, 2 * SEGMENT)),
        history(2, CLUSTER),
        history(2, "6"),
    ]

    assert going(facts(items), WINDOW) == {"timeline/6/2"}


def test_holds_locks_and_frozen_things_stay_in_words() -> None:
    items = [
        backup("now", 0),
        backup("held", 60),
        backup("locked", 61, locked_until=ago(-5)),
        backup("store", 62, legal_hold=True),
        backup("frozen", 63),
    ]
    known = facts(
        items, held={"backup/held": ("H-7",)}, blocked={"backup/frozen": "an open request needs it"}
    )

    decisions = decided(known, FEW)

    assert going(known, FEW) == set()
    assert decisions["backup/held"].reason == "the legal hold H-7 forbids its deletion until it is released"
    assert "Object Lock: the store refuses its deletion until 2026-11-29" in decisions["backup/locked"].reason
    assert decisions["backup/locked"].until == ago(-5)
    assert "legal hold" in decisions["backup/store"].reason
    assert decisions["backup/frozen"].reason == "an open request needs it"


def test_nothing_of_an_unknown_kind_is_touched() -> None:
    strange = Item(
        Kind.UNKNOWN, "unknown/backups/shop/x", "shop", ago(9000), detail="a later format wrote it"
    )
    builds = Item(Kind.UNKNOWN, "unknown/y", "shop", ago(50), depends_on=("backup/old",))

    decisions = decided(facts([strange, builds, backup("old", 51), backup("now", 0)]), FEW)

    assert decisions["unknown/backups/shop/x"].reason == "it is never touched: a later format wrote it"
    assert decisions["backup/old"].action is Action.KEEP


def test_proofs_stay_with_their_backup_and_then_as_evidence() -> None:
    def proof(name: str, days: float) -> Item:
        return Item(Kind.PROOF, f"proof/{name}/1", "shop", ago(days), about=f"backup/{name}")

    known = facts([backup("now", 0), proof("now", 3000), proof("gone", 300), proof("long-gone", 1200)])

    assert going(known, FEW) == {"proof/long-gone/1"}


def test_debris_waits_for_the_grace_period() -> None:
    def left(days: float) -> Item:
        return Item(Kind.DEBRIS, f"debris/{days}", "shop", ago(days))

    assert going(facts([left(2), left(4)])) == {"debris/4"}


def test_what_has_a_rule_of_its_own_goes_by_it_and_what_has_none_stays() -> None:
    def part(name: str, **members: object) -> Item:
        return Item(Kind.ARCHIVE, f"archive/{name}", "shop", ago(4000), **members)  # type: ignore[arg-type]

    known = facts([part("over", expires_at=ago(1)), part("stays", expires_at=ago(-9)), part("none")])

    assert going(known) == {"archive/over"}
    assert decided(known)["archive/over"].reason.startswith("its time ended on 2026-11-23")


def test_what_is_marked_waits_for_its_grace_period_and_then_goes() -> None:
    marks = {
        "backup/fresh": Mark("backup/fresh", ago(1), ago(-2), POLICY),
        "backup/due": Mark("backup/due", ago(4), ago(1), POLICY),
        "backup/now": Mark("backup/now", ago(4), ago(1), POLICY),
        "backup/used": Mark("backup/used", ago(4), ago(1), POLICY),
    }
    items = [backup("now", 0), backup("fresh", 60), backup("due", 61), backup("used", 62, in_use="a restore")]

    decisions = decided(facts(items, marks=marks), FEW)

    assert [decisions[f"backup/{name}"].action for name in ("fresh", "due", "now", "used")] == [
        Action.WAIT,
        Action.DELETE,
        Action.UNMARK,
        Action.WAIT,
    ]
    assert decisions["backup/used"].reason.endswith("it stays while it is in use: a restore")


def test_what_others_build_on_waits_until_they_are_gone() -> None:
    full, child = backup("full", 60), backup("child", 59, depends_on=("backup/full",))
    marks = {"backup/full": Mark("backup/full", ago(4), ago(1), POLICY)}

    decisions = decided(facts([backup("now", 0), full, child], marks=marks), FEW)

    assert decisions["backup/full"].action is Action.WAIT
    assert decisions["backup/child"].action is Action.MARK


def test_an_object_that_a_kept_item_names_too_is_no_part_of_what_goes() -> None:
    shared = backup("now", 0).objects
    twin = backup("twin", 60, objects=(*shared, *backup("twin", 60).objects))

    decision = decided(facts([backup("now", 0), twin]), FEW)["backup/twin"]

    assert (decision.objects, decision.size_bytes) == (2, 200)


def test_a_lock_lasts_as_long_as_something_must_stay_and_no_longer() -> None:
    rules = RetentionRules(
        POLICY, last=1, daily=3, weekly=0, monthly=0, yearly=0, proven=1, lock_mode="compliance", lock_days=10
    )
    items = [backup("now", 0, locked_until=ago(-9)), backup("one", 1), backup("two", 2, locked_until=ago(-4))]

    locks = {lock.item: lock.until for lock in plan(facts(items, object_lock=True), rules, NOW).locks}

    assert locks == {"backup/one": datetime(2026, 11, 26, tzinfo=UTC)}, "not beyond the day on which it goes"
    assert plan(facts(items), rules, NOW).locks == (), "a store without Object Lock"


def test_a_copy_keeps_what_the_store_keeps() -> None:
    known = facts(
        [backup("now", 0), backup("old", 60)], place="offsite", kept_in_store=frozenset({"backup/old"})
    )

    assert going(known, FEW) == set()


def test_a_plan_is_the_same_for_the_same_facts_and_survives_storage() -> None:
    known = facts([backup(f"{days}", days) for days in range(40)])
    first, second = plan(known, RULES, NOW), plan(known, RULES, NOW)

    assert first.sha256 == second.sha256
    stored = parse_plan(first.document())
    assert stored == first
    stored.require(first.sha256.upper())
    with pytest.raises(PlanChangedError, match="another plan"):
        stored.require("0" * 64)


def test_log_is_kept_from_a_sound_backup_where_none_is_proven() -> None:
    """A damaged backup restores nothing, so the window cannot begin from it."""
    backups = [
        backup("old", 30, proven=False, at=10),
        backup("bad", 20, proven=False, at=20, damage="base is missing"),
        backup("new", 1, proven=False, at=39),
    ]
    log = [wal(number, 40 - number) for number in range(10, 40)]

    assert going(facts([*backups, *log]), WINDOW) == {"backup/bad"}

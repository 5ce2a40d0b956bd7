"""Random histories: whatever happens, no purge loses what it must not, and nothing stays without a reason.

`make histories` runs ten thousand of them; every run of the tests runs some hundred.
"""

from __future__ import annotations

import os
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strongroom.retention import Action, plan
from tests.unit.retention.histories import World, live

HISTORIES = int(os.environ.get("STRONGROOM_HISTORIES", "100"))


@settings(
    max_examples=HISTORIES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.integers(0, 2**32))
def test_no_history_loses_what_must_stay(seed: int) -> None:
    live(seed)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32))
def test_what_nothing_keeps_is_gone_in_the_end(seed: int) -> None:
    """After backups and holds have ended, only what the rules still name is left, once the grace period has passed."""
    world = World(seed)
    for _ in world.live(30):
        pass
    world.holds.clear()
    for _ in range(3):
        world.now = world.rules.grace.after(world.now)
        made = world.purge()

    assert not list(made.having(Action.UNMARK))
    needed = {parent for item in world.items.values() for parent in item.depends_on}
    late = [name for name, mark in world.marks.items() if mark.delete_after <= made.made_at]
    assert set(late) <= needed, "only what something else builds on waits longer than its grace period"


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_a_plan_does_not_depend_on_the_order_of_the_facts(seed: int, chance: object) -> None:
    world = World(seed)
    for _ in world.live(20):
        pass
    facts = world.facts()
    items = list(facts.items)
    chance.shuffle(items)  # type: ignore[attr-defined]

    first = plan(facts, world.rules, world.now)
    second = plan(replace(facts, items=tuple(items)), world.rules, world.now)

    actions = {one.item: one.action for one in first.decisions}
    assert {one.item: one.action for one in second.decisions} == actions


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32))
def test_a_new_hold_never_lets_more_go(seed: int) -> None:
    world = World(seed)
    for _ in world.live(25):
        pass
    going = {one.item for one in plan(world.facts(), world.rules, world.now).having(Action.DELETE)}
    world._hold()

    held = {one.item for one in plan(world.facts(), world.rules, world.now).having(Action.DELETE)}

    assert held <= going

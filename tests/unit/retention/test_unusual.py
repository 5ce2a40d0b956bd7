"""What makes a second person look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from strongroom.retention import LastPurge, Mark, RetentionRules, plan
from tests.unit.retention.facts_of import NOW, POLICY, ago, backup, facts

RULES = RetentionRules(POLICY, last=20, daily=0, weekly=0, monthly=0, yearly=0, proven=1)


def reasons(count: int = 22, **members: Any) -> tuple[str, ...]:
    return plan(facts([backup(f"{days:03d}", days) for days in range(count)], **members), RULES, NOW).unusual


def test_an_everyday_purge_needs_nobody() -> None:
    assert reasons() == ()


def test_nothing_to_delete_needs_nobody() -> None:
    assert reasons(10, last_purge=None, newest_signed_at=ago(100)) == ()


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"last_purge": None}, "the first purge"),
        ({"last_purge": LastPurge(ago(1), "b" * 64)}, "the policy has changed"),
        ({"newest_signed_at": ago(-1)}, "the clock may be behind"),
        ({"newest_signed_at": ago(30)}, "the clock may be ahead"),
        ({"store_now": ago(2)}, "the clock differs from the store"),
        ({"last_purge": LastPurge(ago(-1), POLICY)}, "the last purge ended at"),
    ],
)
def test_what_is_strange_is_said(members: Mapping[str, Any], words: str) -> None:
    assert any(words in reason for reason in reasons(**members))


def test_much_at_once_is_said() -> None:
    assert reasons(28)[0] == "it marks 8 of 28 backup items, more than 25% at once"


def test_deleting_what_was_marked_before_needs_nobody_unless_the_clock_is_wrong() -> None:
    marks = {
        f"backup/{days:03d}": Mark(f"backup/{days:03d}", ago(9), ago(5), POLICY) for days in range(20, 40)
    }

    assert reasons(40, marks=marks) == ()
    assert "the clock may be ahead" in reasons(40, marks=marks, newest_signed_at=ago(30))[0]

"""Which rows leave together, and what holds them."""

from __future__ import annotations

import pytest

from strongroom.archive import NoArchiveRuleError, SweepBlockedError
from strongroom.archive.family import Family, check_moment_type, family_of
from strongroom.archive.references import Pair, Reference
from strongroom.archive.sweeping import archived_tables
from tests.integration.sweeping.estate import LINE, RULE, shop_policy

ORDERS, LINES, TICKETS = ("public", "orders"), ("public", "line"), ("public", "ticket")
KEYS = {"public.orders": ("order_id",), "public.customer": ("customer_id",)}


def key(child: tuple[str, str], parent: tuple[str, str], action: str = "a") -> Reference:
    return Reference(child, parent, (Pair("order_id", "order_id"),), action, f"{child[1]}_fkey")


def family(*keys: Reference) -> Family:
    return family_of(shop_policy(), "public.orders", keys, KEYS)


def test_what_belongs_to_a_row_goes_with_it() -> None:
    found = family(key(LINES, ORDERS))
    assert [member.policy_name for member in found.members] == ["public.orders", "public.line"]
    assert found.edges == (key(LINES, ORDERS),)
    assert found.blockers == ()


def test_every_other_foreign_key_holds_it() -> None:
    found = family(key(LINES, ORDERS), key(TICKETS, ORDERS, "c"), key(TICKETS, LINES))
    assert found.blockers == (key(TICKETS, ORDERS, "c"), key(TICKETS, LINES))


def test_a_cycle_in_which_the_database_acts_by_itself_is_refused() -> None:
    with pytest.raises(SweepBlockedError, match="without being archived"):
        family(key(LINES, ORDERS), key(ORDERS, LINES, "n"))


def test_a_rule_must_go_by_a_moment() -> None:
    member = family().root
    assert check_moment_type(member, "date") == "date"
    with pytest.raises(NoArchiveRuleError, match="numeric"):
        check_moment_type(member, "numeric")
    with pytest.raises(NoArchiveRuleError, match="does not exist"):
        check_moment_type(member, None)


def test_owners_are_swept_before_what_belongs_to_them() -> None:
    assert archived_tables(shop_policy()) == ("public.orders", "public.line")
    apart = shop_policy(line={**LINE, "archive": {**RULE, "keep": "9y"}})
    assert archived_tables(apart) == ("public.orders", "public.line")

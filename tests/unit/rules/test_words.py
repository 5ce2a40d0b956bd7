"""What a policy says, and what changed in it, in words that need no YAML."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.policy import load_policy
from strongroom.rules.differing import policy_changes, policy_document
from strongroom.rules.telling import UnknownTableError, duration_words, explain_table
from tests.support import REPOSITORY

SHOP = REPOSITORY / "include/policy/shop.yaml"


def changed(folder: Path, *changes: tuple[str, str]) -> tuple[str, ...]:
    """What is different after words of the sample's policy were replaced."""
    text = SHOP.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    (folder / "shop.yaml").write_text(text)
    return policy_changes(
        policy_document(load_policy(SHOP)), policy_document(load_policy(folder / "shop.yaml"))
    )


def test_a_table_is_explained_in_sentences() -> None:
    assert explain_table(load_policy(SHOP), "public.orders") == (
        "Used for order_fulfilment (Delivering what was ordered, and answering questions about it), lawful by "
        "contract; it is given to carrier and payment provider.",
        "Used for bookkeeping (Keeping the books as tax law asks), lawful by legal obligation; it is given "
        "to tax adviser.",
        "Each row belongs to the public.customer row that customer_id names, and is part of what that person is given.",
        'ship_to holds user.contact.address (provided); erasing leaves the text "[erased]".',
        "gift_note holds user.content.private (provided, about somebody else than the row's owner); erasing "
        "leaves NULL.",
        "Not personal: order_id, ordered_at, status, total, currency, reference.",
        "A row moves into the encrypted archive 2 years after ordered_at, for bookkeeping, and is deleted there 8 "
        "years after ordered_at.",
        "When the person is erased, ship_to and gift_note are replaced at once.",
        "When the person is erased, the row stays until 7 years after ordered_at: legal obligation (AWR art. 52).",
    )


def test_every_table_of_the_sample_can_be_explained() -> None:
    policy = load_policy(SHOP)

    assert all(explain_table(policy, name) for name in policy.tables)


def test_a_misspelt_table_is_met_with_a_suggestion() -> None:
    with pytest.raises(UnknownTableError, match="did you mean 'public.orders'"):
        explain_table(load_policy(SHOP), "public.order")


@pytest.mark.parametrize(
    ("text", "words"),
    [("6y", "6 years"), ("1y6mo", "1 year and 6 months"), ("1d", "1 day"), ("5m", "5 minutes")],
)
def test_durations_are_told_as_people_say_them(text: str, words: str) -> None:
    assert duration_words(text) == words


def test_the_same_policy_has_no_changes(tmp_path: Path) -> None:
    assert changed(tmp_path, ("# Households share a row", "# Households")) == ()


def test_changes_are_told_with_what_was_and_what_is(tmp_path: Path) -> None:
    assert changed(
        tmp_path,
        (
            "retain: {for: 6mo, from: occurred_at, then: delete}",
            "retain: {for: 1y, from: occurred_at, then: delete}",
        ),
        ("      phone: {category: user.contact.phone_number, erase: set_null}\n", ""),
        ("not_personal: [status, created_at]", "not_personal: [status, created_at, phone]"),
        (
            "[product_id], to: public.product, kind: lookup}",
            "[product_id], to: public.product, kind: lookup, on_access: exclude}",
        ),
    ) == (
        'tables["public.customer"].columns.phone is gone; it was {category: user.contact.phone_number, erase: '
        "set_null, origin: provided, third_party: false}",
        'tables["public.customer"].not_personal: phone is new',
        'tables["public.order_line"].links[1].on_access was include, is exclude',
        'tables["public.login_event"].retain.for was 6mo, is 1y',
    )

"""Data maps of other programs: read whole, or refused with every part that is not known."""

from __future__ import annotations

import pytest

from strongroom.policy.categories import CATEGORIES
from strongroom.rules.drafting import as_policy
from strongroom.rules.errors import ExchangeError
from strongroom.rules.guessing import _STRONG, _WEAK
from strongroom.rules.importing import import_fideslang

MAP = """
dataset:
  - fides_key: shop
    name: Web shop
    collections:
      - name: customer
        fields:
          - {name: id, data_categories: [user.unique_id], fides_meta: {primary_key: true, data_type: integer}}
          - {name: mail, data_categories: [user.contact.email], fides_meta: {identity: email, data_type: string}}
      - name: ticket
        fields:
          - {name: id, data_categories: [system.operations], fides_meta: {primary_key: true}}
          - name: opened_by
            data_categories: [user.unique_id]
            fides_meta: {references: [{dataset: shop, field: customer.id, direction: from}]}
          - name: body
            data_categories: [user.content]
            fides_meta: {masking_strategy_override: {strategy: string_rewrite, configuration: {rewrite_value: gone}}}
      - name: country
        fields:
          - {name: code, data_categories: [system.operations]}
"""


def test_a_data_map_becomes_a_policy_that_loads() -> None:
    policy = as_policy(import_fideslang(MAP.encode(), "shop", "sales"))

    assert policy.subjects["customer"].table == "sales.customer"
    assert policy.subjects["customer"].identifiers["mail"].normalise == "email"
    ticket = policy.tables["sales.ticket"]
    assert [(link.columns, link.to, link.to_columns, link.kind) for link in ticket.links] == [
        (("opened_by",), "sales.customer", ("id",), "owns")
    ]
    assert ticket.columns["body"].erase == "[gone]"
    assert policy.tables["sales.country"].exempt


def test_a_reference_from_the_other_side_is_the_same_link() -> None:
    turned = MAP.replace(
        "{identity: email, data_type: string}", "{identity: email}"
    ).replace(
        "fides_meta: {primary_key: true, data_type: integer}",
        "fides_meta: {primary_key: true, references: [{dataset: shop, field: ticket.opened_by, direction: to}]}",
    )  # fmt: skip
    kept = as_policy(import_fideslang(MAP.encode(), "shop"))

    assert (
        as_policy(import_fideslang(turned.encode(), "shop")).tables["public.ticket"]
        == kept.tables["public.ticket"]
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("user.contact.email]", "user.contact.emial]", "did you mean 'user.contact.email'"),
        ("dataset: shop, field: customer.id", "dataset: shpo, field: customer.id", "shpo: customer.id"),
        ("name: ticket", "name: customer", "stands in the data map twice"),
    ],
)
def test_what_is_not_known_is_refused_by_name(old: str, new: str, said: str) -> None:
    with pytest.raises(ExchangeError) as caught:
        import_fideslang(MAP.replace(old, new, 1).encode(), "shop")

    assert said in caught.value.message


@pytest.mark.parametrize(
    "data", [b"", b"a: [", b"dataset: 1", b"system: []", b"a: &x 1\nb: *x", b"\xff\xfe\x00"]
)
def test_what_is_no_data_map_is_refused(data: bytes) -> None:
    with pytest.raises(ExchangeError):
        import_fideslang(data, "shop")


def test_every_guess_is_a_category_of_the_taxonomy() -> None:
    assert {category for _, category in (*_STRONG, *_WEAK)} <= set(CATEGORIES)

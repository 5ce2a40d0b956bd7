"""A policy and a live database: they agree, or everything in which they do not is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.policy import Policy, load_policy
from strongroom.postgres import Connection, connect
from strongroom.rules import RulesError, examine, read_catalogue, require_agreement
from tests.integration.rules.conftest import SHOP_POLICY


def found(policy: Policy, shop: Connection, *statements: str) -> list[tuple[str, str, str | None]]:
    """Table, code and column of each finding after the database was changed."""
    for statement in statements:
        shop.execute(statement)  # type: ignore[call-overload]
    findings = examine(policy, shop, read_catalogue(shop))
    return [(finding.table, finding.code, finding.column) for finding in findings]


def changed(folder: Path, *changes: tuple[str, str]) -> Policy:
    """The sample's policy with other words in it."""
    text = SHOP_POLICY.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    (folder / "shop.yaml").write_text(text)
    return load_policy(folder / "shop.yaml")


def test_the_sample_agrees_with_its_policy(policy: Policy, shop: Connection) -> None:
    catalogue = require_agreement(policy, shop)

    assert catalogue.find("public.orders") is not None


def test_the_sample_agrees_with_its_policy_on_postgresql_15_too(policy: Policy, shop_on_15: str) -> None:
    with connect(shop_on_15, application_name="test") as connection:
        require_agreement(policy, connection)


def test_nothing_is_written_while_asking(policy: Policy, shop: Connection) -> None:
    shop.execute("SET TRANSACTION READ ONLY")

    require_agreement(policy, shop)


def test_a_new_table_a_new_column_and_a_detached_partition_are_named(
    policy: Policy, shop: Connection
) -> None:
    assert found(
        policy,
        shop,
        "CREATE TABLE public.wish (wish text)",
        "ALTER TABLE public.customer ADD COLUMN nickname text",
        "CREATE TABLE public.orders_2015 (LIKE public.orders)",
    ) == [
        ("public.customer", "unclassified_column", "nickname"),
        ("public.orders_2015", "unclassified_partition", None),
        ("public.wish", "unclassified_table", None),
    ]


def test_a_table_or_column_that_is_gone_is_named(policy: Policy, shop: Connection) -> None:
    assert found(
        policy,
        shop,
        "DROP TABLE public.exchange_rate",
        "ALTER TABLE public.login_event RENAME COLUMN user_agent TO agent",
    ) == [
        ("public.exchange_rate", "missing_table", None),
        ("public.login_event", "unclassified_column", "agent"),
        ("public.login_event", "missing_column", "user_agent"),
    ]


def test_a_partition_needs_no_words_of_its_own(shop: Connection, tmp_path: Path) -> None:
    extra = '  public.product: {exempt: "no personal data: what the shop sells"}\n'
    policy = changed(tmp_path, (extra, extra + "  public.orders_2019: {exempt: no}\n".replace("no}", '"x"}')))

    assert found(policy, shop) == [("public.orders_2019", "partition_declared", None)]


def test_a_dropped_and_a_new_foreign_key_are_named(policy: Policy, shop: Connection) -> None:
    assert found(
        policy,
        shop,
        "ALTER TABLE public.consent DROP CONSTRAINT consent_customer_id_fkey",
        "ALTER TABLE public.product_view ADD COLUMN viewer bigint REFERENCES public.customer",
        "ALTER TABLE public.login_event ADD FOREIGN KEY (login_event_id) REFERENCES public.payment NOT VALID",
    ) == [
        ("public.consent", "link_without_foreign_key", None),
        ("public.login_event", "foreign_key_without_link", None),
        ("public.product_view", "foreign_key_without_link", None),
    ]


def test_a_cascade_that_deletes_what_the_policy_keeps_is_named(policy: Policy, shop: Connection) -> None:
    assert found(
        policy,
        shop,
        "ALTER TABLE public.payment DROP CONSTRAINT payment_order_id_ordered_at_fkey, "
        "ADD FOREIGN KEY (order_id, ordered_at) REFERENCES public.orders ON DELETE CASCADE",
        "ALTER TABLE public.consent DROP CONSTRAINT consent_customer_id_fkey, "
        "ADD FOREIGN KEY (customer_id) REFERENCES public.customer ON DELETE CASCADE",
    ) == [("public.payment", "cascade_deletes_more", None)]


def test_a_link_that_clashes_with_its_foreign_key_is_named(shop: Connection, tmp_path: Path) -> None:
    old = "- {columns: [customer_id], to: public.customer, kind: owns}\n    retain: {for: 6mo"
    new = (
        "- {columns: [customer_id], to: public.customer, to_columns: [customer_id], kind: identity, role: owns}\n"
        "    retain: {for: 6mo"
    )

    assert found(changed(tmp_path, (old, new)), shop) == [("public.login_event", "clashing_link", None)]


@pytest.mark.parametrize(
    ("column", "before", "after"),
    [
        ("birth_date", "date_of_birth, erase: set_null", "date_of_birth, erase: random_email"),
        ("email", "erase: random_email", 'erase: "[erased]"'),
        ("email_domain", "erase: generated", "erase: set_null"),
        ("full_name", 'erase: "[erased]"', "erase: set_null"),
    ],
    ids=["type", "domain", "generated", "not null"],
)
def test_a_replacement_that_does_not_fit_its_column_is_named(
    shop: Connection, tmp_path: Path, column: str, before: str, after: str
) -> None:
    policy = changed(tmp_path, (before, after))

    assert ("public.customer", "erase_misfit", column) in found(policy, shop)


def test_a_replacement_that_is_longer_than_its_column_is_named(policy: Policy, shop: Connection) -> None:
    assert found(
        policy,
        shop,
        "DROP VIEW public.customer_contact",
        "ALTER TABLE public.address ALTER street TYPE varchar(7) USING left(street, 7)",
        "ALTER TABLE public.address ALTER city TYPE varchar(8) USING left(city, 8)",
    ) == [("public.address", "erase_misfit", "street")]


def test_a_constant_in_a_unique_column_is_named(policy: Policy, shop: Connection) -> None:
    assert found(policy, shop, "CREATE UNIQUE INDEX ON support.staff (lower(full_name))") == [
        ("support.staff", "erase_not_unique", "full_name")
    ]


def test_a_check_that_refuses_the_replacement_is_named(policy: Policy, shop: Connection) -> None:
    assert found(
        policy,
        shop,
        "ALTER TABLE support.ticket ADD CHECK (subject !~ '[[]')",
        "ALTER TABLE public.customer ADD CHECK (last_order_at IS NOT NULL OR status <> 'active')",
        "ALTER TABLE support.staff ADD CHECK (hired_on <> date_trunc('year', hired_on)) NOT VALID",
    ) == [
        ("public.customer", "erase_breaks_check", "last_order_at"),
        ("support.staff", "erase_breaks_check", "hired_on"),
        ("support.ticket", "erase_breaks_check", "subject"),
    ]


def test_a_check_is_tried_even_on_an_empty_table(policy: Policy, shop: Connection) -> None:
    assert found(
        policy,
        shop,
        "TRUNCATE public.login_event",
        "ALTER TABLE public.login_event ADD CHECK (user_agent ~ '^Mozilla')",
    ) == [("public.login_event", "erase_breaks_check", "user_agent")]


def test_a_rule_about_time_needs_a_column_with_a_time(shop: Connection, tmp_path: Path) -> None:
    policy = changed(
        tmp_path,
        ("retain: {for: 3y, from: closed_at", "retain: {for: 3y, from: status"),
        ("retain: {for: 6mo, from: occurred_at", "retain: {for: 6mo, from: ocurred_at"),
    )

    assert found(policy, shop, "ALTER TABLE support.ticket_message ALTER body DROP NOT NULL") == [
        ("public.login_event", "missing_column", "ocurred_at"),
        ("support.ticket", "not_a_moment", "status"),
    ]


def test_what_the_law_keeps_cannot_belong_to_a_row_that_goes_earlier(
    shop: Connection, tmp_path: Path
) -> None:
    policy = changed(
        tmp_path, ("from: last_order_at, then: erase_subject", "from: last_order_at, then: delete")
    )

    assert ("public.orders", "lifetimes_clash", None) in found(policy, shop)


def test_a_disagreement_stops_whoever_asks_and_names_every_point(policy: Policy, shop: Connection) -> None:
    shop.execute("ALTER TABLE public.customer ADD COLUMN nickname text, ADD COLUMN shoe_size int")

    with pytest.raises(RulesError) as caught:
        require_agreement(policy, shop)

    assert "public.customer.nickname" in caught.value.message
    assert "public.customer.shoe_size" in caught.value.message
    assert "in 2 points" in caught.value.message


def test_the_hash_of_a_catalogue_changes_with_it_and_only_with_it(shop: Connection) -> None:
    first, second = read_catalogue(shop), read_catalogue(shop)
    shop.execute("ALTER TABLE public.customer ADD nickname text")

    assert first.sha256 == second.sha256
    assert read_catalogue(shop).sha256 != first.sha256

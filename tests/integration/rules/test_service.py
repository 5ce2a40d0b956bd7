"""Checking as a recorded act: what changed since last time, what agreed last, and what is in the log."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from psycopg import sql
from sqlalchemy import Engine, text

from strongroom.access import Actor, ActorKind, Role
from strongroom.audit import QueueSink
from strongroom.canonical import canonical_sha256
from strongroom.clock import SystemClock
from strongroom.errors import AccessDeniedError
from strongroom.policy import Policy
from strongroom.postgres import Cluster, DatabaseLoginError, connect
from strongroom.rules.service import Memory, RulesParts, RulesService

OPERATOR = Actor("tests", ActorKind.TASK, frozenset({Role.OPERATOR}))
STRANGER = Actor("stranger", ActorKind.TASK, frozenset({Role.APPLICATION}))


@pytest.fixture
def own_shop(control_server: Cluster, shop_database: str) -> Iterator[str]:
    """A copy of the sample company's database, to be changed for good."""
    with connect(control_server.conninfo(), application_name="test") as connection:
        connection.execute("CREATE DATABASE rules_own TEMPLATE rules_shop")
    yield control_server.conninfo("rules_own")
    with connect(control_server.conninfo(), application_name="test") as connection:
        connection.execute(sql.SQL("DROP DATABASE rules_own WITH (FORCE)"))


def service(engine: Engine, conninfo: str) -> RulesService:
    memory = Memory(lambda: engine, QueueSink())
    return RulesService(RulesParts(lambda database: conninfo, memory, SystemClock()))


def events(engine: Engine) -> list[dict]:  # type: ignore[type-arg]
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT entry FROM audit_queue ORDER BY id")).scalars()
        return [json.loads(bytes(row)) for row in rows]


def test_what_changed_since_last_time_is_told_in_words(
    control_database: Engine, own_shop: str, policy: Policy
) -> None:
    rules = service(control_database, own_shop)
    first = rules.check(OPERATOR, policy)
    with connect(own_shop, application_name="test") as connection:
        connection.execute(
            "ALTER TABLE public.address ALTER city DROP NOT NULL, ADD COLUMN region varchar(20)"
        )
        connection.execute("ALTER TABLE public.consent DROP CONSTRAINT consent_customer_id_fkey")
        connection.execute(
            "CREATE TABLE public.orders_new PARTITION OF public.orders "
            "FOR VALUES FROM ('2090-01-01') TO ('2091-01-01')"
        )

    second, third = rules.check(OPERATOR, policy), rules.check(OPERATOR, policy)

    assert first.agrees
    assert (first.seen_before, first.changes) == (None, ())
    assert second.seen_before == first.checked_at
    assert second.changes == (
        "public.address: column city: NOT NULL was yes, is no",
        "public.address: a new column region (character varying(20))",
        "public.consent: the foreign key consent_customer_id_fkey is gone",
        "public.orders_new: a new partition of public.orders, FOR VALUES FROM ('2090-01-01 00:00:00+00') TO "
        "('2091-01-01 00:00:00+00')",
    )
    assert {finding.code for finding in second.findings} == {
        "unclassified_column",
        "link_without_foreign_key",
    }
    assert third.changes == ()
    assert third.findings == second.findings


def test_the_policy_that_agreed_last_is_remembered(
    control_database: Engine, own_shop: str, policy: Policy
) -> None:
    rules = service(control_database, own_shop)
    agreed = rules.check(OPERATOR, policy)
    with connect(own_shop, application_name="test") as connection:
        connection.execute("CREATE TABLE public.wish (wish text)")
    rules.check(OPERATOR, policy)

    record = rules.last_agreed("shop")

    assert record is not None
    assert record.agreed_at == agreed.checked_at
    assert record.policy_sha256 == policy.sha256
    assert record.findings == 1
    assert record.policy is not None
    assert canonical_sha256(record.policy).hex() == policy.sha256


def test_each_check_is_an_event_that_counts_and_names_nothing(
    control_database: Engine, own_shop: str, policy: Policy
) -> None:
    with connect(own_shop, application_name="test") as connection:
        connection.execute("CREATE TABLE public.wish_of_mrs_smith (wish text)")

    report = service(control_database, own_shop).check(OPERATOR, policy)

    (event,) = events(control_database)
    assert event["type"] == "policy:agreement:check"
    assert event["data"]["outcome"] == "failure"
    assert event["data"]["counts"] == {"findings": 1, "changes": 0, "unclassified_table": 1}
    assert event["data"]["hashes"] == {"catalogue_sha256": report.catalogue_sha256}
    assert "smith" not in json.dumps(event)


def test_a_database_that_does_not_answer_is_a_failure_and_recorded(
    control_database: Engine, control_server: Cluster, policy: Policy
) -> None:
    rules = service(control_database, control_server.conninfo("no_such_database"))

    with pytest.raises(DatabaseLoginError):
        rules.check(OPERATOR, policy)

    (event,) = events(control_database)
    assert event["data"]["outcome"] == "failure"
    assert event["data"]["error_class"] == "DatabaseLoginError"


def test_who_may_not_check_is_refused_and_recorded(
    control_database: Engine, own_shop: str, policy: Policy
) -> None:
    with pytest.raises(AccessDeniedError):
        service(control_database, own_shop).check(STRANGER, policy)

    assert [event["type"] for event in events(control_database)] == ["access:permission:refuse"]


def test_without_a_control_database_findings_are_told_all_the_same(
    shop_database: str, policy: Policy
) -> None:
    rules = RulesService(RulesParts(lambda database: shop_database, None, SystemClock()))

    assert rules.check(OPERATOR, policy).agrees
    assert rules.last_agreed("shop") is None

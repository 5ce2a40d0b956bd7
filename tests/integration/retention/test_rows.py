"""Rows whose time is over: they go as planned, with what belongs to them, and what has to stay keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest
from psycopg import sql

from strongroom.lifetimes import Item
from strongroom.postgres import Cluster, Connection, connect
from strongroom.retention import Action, PlanChangedError
from strongroom.retention.hold_records import BucketHolds
from strongroom.retention.holds import Hold, HoldScope, ScopeKind
from strongroom.retention.row_deleting import RowDeleter
from strongroom.retention.row_lifetimes import RowLifetimes
from strongroom.rules import RulesError
from tests.integration.retention.estate import NOW, POLICY, TASK, Estate

SCHEMA = """
CREATE TABLE person (id int PRIMARY KEY);
CREATE TABLE ticket (
    id int PRIMARY KEY, closed_at timestamptz, merged_into int REFERENCES ticket, person int REFERENCES person);
CREATE TABLE message (id int PRIMARY KEY, ticket int NOT NULL REFERENCES ticket, sent date NOT NULL);
CREATE TABLE attachment (id int, message int NOT NULL REFERENCES message, PRIMARY KEY (message, id));
CREATE TABLE invoice (id int PRIMARY KEY, ticket int REFERENCES ticket, paid_at timestamptz);
CREATE TABLE visit (day timestamp NOT NULL, id int NOT NULL, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
CREATE TABLE "Odd Note" (id int PRIMARY KEY, "at" timestamptz);
CREATE TABLE visit_all PARTITION OF visit DEFAULT;
"""

TABLES = """
purposes: {support: {lawful_basis: contract}}
tables:
  public.person: {not_personal: [id]}
  public.ticket:
    not_personal: [id, closed_at]
    links:
      - {columns: [merged_into], to: public.ticket, kind: mentions, on_erase: set_null}
      - {columns: [person], to: public.person, kind: owns}
    retain: {for: 6mo, from: closed_at, then: delete}
  public.message:
    not_personal: [id, sent]
    links: [{columns: [ticket], to: public.ticket, kind: owns}]
  public.attachment:
    not_personal: [id]
    links: [{columns: [message], to: public.message, kind: owns}]
  public.invoice:
    not_personal: [id, paid_at]
    links: [{columns: [ticket], to: public.ticket, kind: lookup}]
  public."Odd Note":
    not_personal: [id, at]
    retain: {for: 1y, from: at, then: delete}
  public.visit:
    not_personal: [day, id]
    retain: {for: 1y, from: day, then: delete}
"""


@dataclass
class Desk:
    """A database with rows, and the bucket of its purges."""

    estate: Estate
    conninfo: str
    connection: Connection

    def tell(self) -> dict[str, Item]:
        """The items of rows there are, by their names."""
        source = RowLifetimes(self.estate.policy, lambda: self.conninfo, self.estate.clock)
        return {item.id: item for item in source.items()}

    def deleter(self, batch_rows: int = 1000) -> RowDeleter:
        return RowDeleter(
            self.estate.policy, lambda: self.conninfo, self.estate.clock, lambda: None, batch_rows
        )

    def count(self, table: str) -> int:
        row = self.connection.execute(
            sql.SQL("SELECT count(*) FROM public.{}").format(sql.Identifier(table))
        ).fetchone()
        assert row is not None
        return int(row[0])

    def run(self, statement: str) -> None:
        self.connection.execute(statement)  # type: ignore[call-overload]

    @property
    def period(self) -> str:
        """The month that old tickets are from."""
        return f"{OLD:%Y-%m}"


OLD = (NOW - timedelta(days=400)).replace(day=10, hour=12)
"""Long over, in a month that is."""


@pytest.fixture
def desk(estate: Estate, control_server: Cluster) -> Iterator[Desk]:
    """Ten old tickets with two messages each, one of them with an attachment, and five that were closed yesterday."""
    name = f"rows_{uuid4().hex[:8]}"
    with connect(control_server.conninfo(), application_name="test") as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    conninfo = control_server.conninfo(name)
    estate.policy_text = POLICY + TABLES
    with connect(conninfo, application_name="test") as connection:
        connection.execute("SET search_path = public")
        connection.execute(SCHEMA)
        connection.execute("INSERT INTO ticket SELECT n, %s FROM generate_series(1, 10) AS n", (OLD,))
        yesterday = NOW - timedelta(days=1)
        connection.execute("INSERT INTO ticket SELECT n, %s FROM generate_series(11, 15) AS n", (yesterday,))
        connection.execute(
            "INSERT INTO message SELECT 10 * t.id + n, t.id, %s FROM ticket AS t, generate_series(1, 2) AS n",
            (OLD,),
        )
        connection.execute("INSERT INTO attachment SELECT 1, id FROM message WHERE id %% 10 = 1", ())
        estate.rows = conninfo
        yield Desk(estate, conninfo, connection)
    with connect(control_server.conninfo(), application_name="test") as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_rows_whose_time_is_over_are_counted_by_month(desk: Desk) -> None:
    (item,) = desk.tell().values()

    assert item.id == f"rows/public.ticket/{desk.period}"
    assert item.counts == {"rows": 10, "table_rows": 15}
    assert item.expires_at is not None
    assert item.expires_at < NOW


def test_rows_go_in_batches_with_what_belongs_to_them(desk: Desk) -> None:
    (item,) = desk.tell().values()

    gone = desk.deleter(batch_rows=3).delete(item)

    assert (gone.rows, gone.others, gone.spared) == (10, 30, None)
    assert [desk.count(table) for table in ("ticket", "message", "attachment")] == [5, 10, 5]
    assert desk.tell() == {}


def test_a_row_that_others_look_up_stays_and_says_why(desk: Desk) -> None:
    desk.run("INSERT INTO invoice VALUES (1, 3, NULL)")

    items = desk.tell()

    kept = items[f"rows/public.ticket/{desk.period}/kept"]
    assert kept.counts["rows"] == 1
    assert kept.waits_for is not None
    assert "rows of public.invoice refer to them and stay" in kept.waits_for
    assert desk.deleter().delete(items[f"rows/public.ticket/{desk.period}"]).rows == 9
    assert desk.count("ticket") == 6


def test_a_reference_that_only_mentions_the_row_is_emptied(desk: Desk) -> None:
    desk.run("UPDATE ticket SET merged_into = 1 WHERE id IN (2, 12)")
    (item,) = desk.tell().values()

    assert desk.deleter(batch_rows=1).delete(item).rows == 10
    assert desk.connection.execute("SELECT merged_into FROM ticket WHERE id = 12").fetchone() == (None,)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (
            "then: delete}\n  public.message",
            "then: erase_subject}\n  public.message",
            "the person has to be erased",
        ),
        (
            "    not_personal: [id, sent]\n",
            "    not_personal: [id, sent]\n    on_erasure: {keep_until: {for: 6mo, from: sent, basis: legal_claims}}\n",
            None,
        ),
        (
            "    not_personal: [id, sent]\n",
            "    not_personal: [id, sent]\n    archive: {older_than: 1y, by: sent, keep: 3y, purpose: support}\n",
            "have to be archived first",
        ),
        (
            "    not_personal: [id, sent]\n",
            "    not_personal: [id, sent]\n    retain: {for: 5y, from: sent, then: delete}\n",
            "their own time is not over",
        ),
    ],
    ids=["erase", "kept by law, and over", "archive", "own time"],
)
def test_what_has_to_happen_first_is_told(desk: Desk, old: str, new: str, why: str | None) -> None:
    if "erase_subject" in new:
        desk.estate.policy_text = desk.estate.policy_text.replace(
            "purposes:",
            "subjects: {asker: {table: public.ticket, identifiers: {id: {column: id, direct: false}}}}\npurposes:",
        )
    assert old in desk.estate.policy_text
    desk.estate.policy_text = desk.estate.policy_text.replace(old, new)

    (item,) = (item for item in desk.tell().values() if item.table == "public.ticket")

    assert (item.waits_for is None) == (why is None)
    assert why is None or why in str(item.waits_for)


def test_rows_that_came_since_the_plan_are_noticed(desk: Desk) -> None:
    (item,) = desk.tell().values()
    desk.connection.execute("INSERT INTO ticket VALUES (99, %s)", (OLD,))

    assert desk.deleter().delete(item).spared == "it is 11 rows by now, and the plan saw 10"
    assert desk.count("ticket") == 16


def test_a_row_that_was_opened_again_stays(desk: Desk) -> None:
    (item,) = desk.tell().values()
    desk.run("UPDATE ticket SET closed_at = NULL WHERE id = 1")

    assert desk.deleter().delete(item).spared is not None
    (fresh,) = desk.tell().values()
    assert desk.deleter().delete(fresh).rows == 9


def test_a_killed_run_leaves_whole_batches_and_the_next_one_goes_on(desk: Desk) -> None:
    (item,) = desk.tell().values()
    left = iter([None, None])

    def die_on_the_third() -> None:
        if next(left, "dead") == "dead":
            raise KeyboardInterrupt

    dying = RowDeleter(desk.estate.policy, lambda: desk.conninfo, desk.estate.clock, die_on_the_third, 3)
    with pytest.raises(KeyboardInterrupt):
        dying.delete(item)

    assert [desk.count(table) for table in ("ticket", "message", "attachment")] == [9, 18, 9]
    (rest,) = desk.tell().values()
    assert desk.deleter().delete(rest).rows == 4


def test_a_policy_that_does_not_agree_deletes_nothing(desk: Desk) -> None:
    (item,) = desk.tell().values()
    desk.run("ALTER TABLE ticket ADD COLUMN shoe_size int")

    with pytest.raises(RulesError):
        desk.deleter().delete(item)

    assert desk.count("ticket") == 15


def test_partitions_moments_without_a_zone_and_odd_moments(desk: Desk) -> None:
    desk.connection.execute(
        "INSERT INTO visit SELECT %s::timestamptz AT TIME ZONE 'UTC', n FROM generate_series(1, 4) AS n",
        (OLD,),
    )
    desk.run("INSERT INTO visit VALUES ('-infinity', 1), ('infinity', 2), (now(), 3), ('0044-03-15 BC', 4)")
    desk.run("DELETE FROM attachment")
    desk.run("DELETE FROM message")
    desk.run("DELETE FROM ticket")

    items = desk.tell()
    assert sum(item.counts["rows"] for item in items.values()) == 4

    for item in items.values():
        desk.deleter().delete(item)
    assert desk.count("visit") == 4


def test_a_purge_marks_rows_then_deletes_them_and_finds_nothing_left(desk: Desk) -> None:
    estate = desk.estate
    desk.connection.execute('INSERT INTO "Odd Note" VALUES (1, %s)', (OLD - timedelta(days=99),))
    first = estate.plan()
    odd, decision = first.plans[0].decisions
    assert decision.action is odd.action is Action.MARK
    assert "10 rows of public.ticket" in decision.reason
    estate.approve(first)
    estate.apply(first)
    assert desk.count("ticket") == 15, "marking deletes nothing"

    estate.wait(days=3, hours=1)
    second = estate.plan()
    estate.approve(second)
    report = estate.apply(second)

    assert f"rows/public.ticket/{desk.period}" in report.places[0].deleted
    assert desk.count("Odd Note") == 0
    service = estate.service()
    assert service.verify(TASK, estate.policy, second.sha256) == 2
    assert [desk.count(table) for table in ("ticket", "message", "attachment")] == [5, 10, 5]
    assert not [one for one in estate.plan().plans[0].decisions if one.action is not Action.KEEP]


def test_much_of_a_table_at_once_needs_a_second_person(desk: Desk) -> None:
    desk.run("DELETE FROM attachment; DELETE FROM message; DELETE FROM ticket WHERE id > 1")
    desk.estate.purge()
    desk.run("INSERT INTO ticket SELECT n, now() FROM generate_series(2, 90) AS n")
    assert desk.estate.plan().plans[0].unusual == ()

    desk.connection.execute("UPDATE ticket SET closed_at = %s WHERE id > 10", (OLD - timedelta(days=60),))

    assert desk.estate.plan().plans[0].unusual == (
        "it marks 80 of about 90 rows of public.ticket, more than 25% at once",
    )


def test_a_hold_that_comes_after_the_plan_keeps_the_rows(desk: Desk) -> None:
    estate = desk.estate
    estate.purge()
    estate.wait(days=3, hours=1)
    planned = estate.plan()
    estate.approve(planned)
    scope = HoldScope(ScopeKind.TABLE, "shop", table="public.ticket")
    hold = Hold("hold-20261124T020000Z-1f3a", scope, "case-2026-114", "petra", estate.clock.now())
    BucketHolds(estate.store, estate.signer.verifier).write(hold, estate.signer)

    with pytest.raises(PlanChangedError, match="hold-20261124T020000Z-1f3a"):
        estate.apply(planned)

    assert desk.count("ticket") == 15

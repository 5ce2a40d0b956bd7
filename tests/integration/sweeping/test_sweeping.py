"""Rows past their time move into sealed files, and none is lost or kept twice."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from strongroom.access import Actor, ActorKind, Role
from strongroom.archive import NoArchiveRuleError, PersonIndex
from strongroom.archive.errors import UnsupportedTypeError
from strongroom.catalog import ArchivePartRepository, ArchiveSweepRepository
from strongroom.errors import AccessDeniedError
from strongroom.postgres import MissingPrivilegeError
from strongroom.rules import RulesError
from tests.integration.sweeping.estate import ACTOR, LINE, ORDERS, OWNED, RULE, Estate, shop_policy


def test_old_rows_leave_and_nothing_is_lost(estate: Estate) -> None:
    before = estate.everything()
    summary = estate.sweep()
    assert estate.everything() == before
    assert estate.run("SELECT count(*) FROM orders WHERE ordered_at < '2024-08-24'") == [(0,)]
    assert estate.run("SELECT min(ordered_at)::date::text FROM orders") == [("2024-08-24",)]
    assert (
        summary.rows
        == estate.archived("public.orders").total() + estate.archived("public.line").total()
        == 352
    )


def test_each_month_is_a_part_with_what_belongs_to_it(estate: Estate) -> None:
    estate.sweep()
    first, *_ = estate.parts()
    tables = {item.table: item.rows for item in first.manifest.tables}
    assert first.manifest.period == "2024-07"
    assert tables == {"public.orders": 42, "public.line": 126}
    assert first.manifest.tables[0].last == "2024-07-31 12:00:00+00"
    assert first.manifest.delete_after.isoformat() == "2032-07-31T12:00:00+00:00"
    assert [part.manifest.period for part in estate.parts()][-1] == "2024-08"


def test_sweeping_again_moves_nothing(estate: Estate) -> None:
    estate.sweep()
    assert estate.sweep().parts == ()


def test_a_dry_run_tells_and_moves_nothing(estate: Estate) -> None:
    before = estate.live("orders")
    foreseen = estate.sweep(dry_run=True)
    assert estate.live("orders") == before
    assert list(estate.store.list("archive/")) == []
    moved = estate.sweep()
    assert [part.period for part in foreseen.parts] == [part.period for part in moved.parts]
    assert foreseen.rows == estate.archived("public.orders").total()


def test_many_rows_of_a_month_are_split_and_rows_of_one_moment_stay_together(estate: Estate) -> None:
    estate.run(
        "INSERT INTO orders SELECT 1000 + g, 1, timestamptz '2024-05-05' + (g / 40) * interval '1 hour', 1"
        " FROM generate_series(0, 159) g"
    )
    before = estate.everything()
    estate.archiver(part_rows=30).sweep(ACTOR, estate.policy, estate.conninfo, "public.orders")
    sizes = [part.manifest.tables[0].rows for part in estate.parts() if part.manifest.period == "2024-05"]
    assert estate.everything() == before
    assert len(sizes) > 3
    assert max(sizes) == 40


def test_rows_before_1900_and_rows_without_a_moment(estate: Estate) -> None:
    estate.run(
        "INSERT INTO orders VALUES (900, 1, '-infinity', 1), (901, 1, '0044-03-15 BC', 1), (902, 1, NULL, 1),"
        " (903, 1, 'infinity', 1)"
    )
    before = estate.everything()
    estate.sweep()
    assert estate.everything() == before
    (part,) = [part for part in estate.parts() if part.manifest.period == "before-1900"]
    assert (part.manifest.tables[0].rows, part.manifest.tables[0].first) == (2, "-infinity")
    assert estate.run("SELECT count(*) FROM orders WHERE order_id IN (902, 903)") == [(2,)]


def test_rows_that_something_else_refers_to_stay_with_a_reason(estate: Estate) -> None:
    estate.run("INSERT INTO ticket VALUES (1, 5), (2, 5), (3, 6), (4, NULL), (5, 199)")
    before = estate.everything()
    summary = estate.sweep()
    assert estate.everything() == before
    assert estate.run("SELECT order_id FROM orders WHERE order_id < 80 ORDER BY 1") == [(5,), (6,)]
    assert estate.run("SELECT count(*) FROM line WHERE order_id < 80") == [(6,)]
    (held,) = summary.held
    assert (held.table, held.rows) == ("public.ticket", 2)
    assert "ticket_order_id_fkey" in held.reason


def test_held_rows_leave_once_nothing_refers_to_them(estate: Estate) -> None:
    estate.run("INSERT INTO ticket VALUES (1, 5)")
    estate.sweep()
    estate.run("DELETE FROM ticket")
    assert estate.sweep().rows == 4


def test_a_foreign_key_that_was_added_after_the_policy_was_written_stops_the_sweep(estate: Estate) -> None:
    estate.run("CREATE TABLE parcel (order_id bigint REFERENCES orders)")
    with pytest.raises(RulesError, match=r"public\.parcel"):
        estate.sweep()
    assert list(estate.store.list("archive/")) == []


@pytest.mark.parametrize("action", ["NO ACTION", "CASCADE", "SET NULL", "RESTRICT"])
def test_whatever_refers_to_rows_that_would_go_along_holds_them(estate: Estate, action: str) -> None:
    estate.run(
        f"CREATE TABLE parcel (line_order bigint, line_number int,"
        f" FOREIGN KEY (line_order, line_number) REFERENCES line ON DELETE {action})"
    )
    estate.run("INSERT INTO parcel VALUES (3, 2)")
    kind = "owns" if action == "CASCADE" else "lookup"
    link = {"columns": ["line_order", "line_number"], "to": "public.line", "kind": kind}
    before = estate.everything()
    summary = estate.under(shop_policy(parcel={"links": [link]})).sweep()
    assert estate.everything() == before
    assert estate.run("SELECT line_order, line_number FROM parcel") == [(3, 2)]
    assert estate.run("SELECT order_id FROM orders WHERE order_id < 80") == [(3,)]
    (held,) = summary.held
    assert (held.table, held.rows) == ("public.parcel", 1)
    assert "public.line" in held.reason


def test_a_child_with_another_rule_holds_its_owner(estate: Estate) -> None:
    line = {**LINE, "archive": {**RULE, "keep": "9y"}}
    summary = estate.under(shop_policy(line=line)).sweep()
    assert summary.parts == ()
    assert [(held.table, held.rows) for held in summary.held] == [("public.line", 88)]


def test_rows_that_belong_to_nothing_leave_by_their_own_age(estate: Estate) -> None:
    estate.run(
        "ALTER TABLE line DROP CONSTRAINT line_pkey, ALTER order_id DROP NOT NULL, ADD id serial PRIMARY KEY"
    )
    estate.run("UPDATE line SET order_id = NULL WHERE order_id IN (7, 150)")
    before = estate.everything()
    under = estate.under(shop_policy(line={**LINE, "not_personal": [*LINE["not_personal"], "id"]}))
    assert under.sweep("public.line").rows == 3
    under.sweep()
    assert estate.everything() == before


FOLLOWS = {
    **ORDERS,
    "links": [*OWNED, {"columns": ["follows"], "to": "public.orders", "kind": "lookup"}],
}


def test_a_table_that_refers_to_itself(estate: Estate) -> None:
    estate.run("ALTER TABLE orders ADD follows bigint REFERENCES orders")
    estate.run("UPDATE orders SET follows = order_id - 1 WHERE order_id BETWEEN 2 AND 60 OR order_id = 195")
    before = estate.everything()
    estate.under(shop_policy(orders=FOLLOWS)).sweep()
    assert estate.everything() == before
    assert estate.run("SELECT count(*) FROM orders WHERE order_id < 80") == [(0,)]


def test_a_cascade_that_would_delete_what_stays_is_refused(estate: Estate) -> None:
    estate.run("ALTER TABLE orders ADD follows bigint REFERENCES orders ON DELETE CASCADE")
    link = {"columns": ["follows"], "to": "public.orders", "kind": "owns"}
    with pytest.raises(RulesError, match="ON DELETE CASCADE"):
        estate.under(shop_policy(orders={**ORDERS, "links": [*OWNED, link]})).sweep()


def test_a_part_answers_for_its_people(estate: Estate) -> None:
    estate.sweep()
    first, *_ = estate.parts()
    reference = first.manifest.stored_persons()
    assert reference is not None
    index = PersonIndex(estate.content(reference), reference.key)
    there = set(range(2, 44))
    for person in range(1, 51):
        assert index.holds("customer", "customer_id", str(person)) == (person in there)


def test_people_who_are_archived_themselves_are_found_by_each_identifier(estate: Estate) -> None:
    customer = {
        "purpose": ["bookkeeping"],
        "columns": {
            "customer_id": {"category": "user.unique_id", "erase": "with_row"},
            "email": {"category": "user.contact.email", "erase": "random_email"},
        },
        "not_personal": ["since"],
        "archive": {**RULE, "by": "since", "older_than": "1y"},
    }
    estate.run("ALTER TABLE customer ADD since date")
    estate.run("INSERT INTO customer VALUES (77, ' ADA@Example.org', '2020-02-29')")
    estate.under(shop_policy(customer=customer)).sweep("public.customer")
    (part,) = estate.parts()
    reference = part.manifest.stored_persons()
    assert reference is not None
    index = PersonIndex(estate.content(reference), reference.key)
    assert index.holds("customer", "email", "ada@example.org")
    assert index.holds("customer", "customer_id", "77")


def test_no_value_of_a_row_stands_outside_of_the_sealed_files(estate: Estate) -> None:
    estate.run("UPDATE orders SET note = 'Meridian secret' WHERE order_id = 1")
    estate.sweep()
    with estate.engine.connect() as connection:
        recorded = b"".join(connection.execute(text("SELECT entry FROM audit_queue")).scalars())
    stored = b"".join(estate.store.get_bytes(info.key) for info in estate.store.list(""))
    assert b"Meridian" not in recorded + stored
    assert b"PAR1" not in stored


def test_names_that_need_quotes(estate: Estate) -> None:
    estate.run('CREATE TABLE "Old Notes; é" ("The ""Key" int PRIMARY KEY, "When" date, "100%" text)')
    estate.run("""INSERT INTO "Old Notes; é" VALUES (1, '2020-02-29', '50%'), (2, '2026-08-01', NULL)""")
    notes = {"not_personal": ['The "Key', "When", "100%"], "archive": {**RULE, "by": "When"}}
    name = '"Old Notes; é"'
    before = estate.live(name)
    there = estate.under(shop_policy(**{name: notes}))
    assert there.sweep(f"public.{name}").rows == 1
    assert there.everything(f"public.{name}") == before
    (part,) = there.parts()
    assert part.manifest.key.startswith("archive/shop/public.=4Fld=20=4Eotes=3B=20=C3=A9/2020-02/")


def test_a_sweep_is_recorded_before_and_after(estate: Estate) -> None:
    summary = estate.sweep()
    events = [event for event in estate.events() if event["type"].startswith("archive:")]
    assert (events[0]["type"], events[0]["data"]["phase"]) == ("archive:sweep:execute", "attempt")
    assert (events[-1]["type"], events[-1]["data"]["outcome"]) == ("archive:sweep:execute", "success")
    assert events[-1]["data"]["counts"]["rows"] == summary.rows
    assert len(events) == 2 + len(summary.parts)
    with estate.engine.connect() as connection:
        known = ArchivePartRepository().list(connection, "shop")
        (sweep,) = ArchiveSweepRepository().list(connection, "shop")
    assert {item.part_id for item in known} == {part.part_id for part in estate.parts()}
    assert sweep.moved_rows == summary.rows
    assert estate.run("SELECT count(*) FROM strongroom.archived_part WHERE recorded_at IS NULL") == [(0,)]


def test_who_may_not_sweep_is_refused_and_recorded(estate: Estate) -> None:
    stranger = Actor("shop", ActorKind.TASK, frozenset({Role.APPLICATION}))
    with pytest.raises(AccessDeniedError):
        estate.archiver().sweep(stranger, estate.policy, estate.conninfo, "public.orders")
    assert estate.events()[-1]["type"] == "access:permission:refuse"


def test_a_table_without_a_rule_is_refused(estate: Estate) -> None:
    with pytest.raises(NoArchiveRuleError, match="no archive rule"):
        estate.sweep("public.ticket")


def test_a_type_that_would_not_survive_is_refused_before_anything_moves(estate: Estate) -> None:
    estate.run("ALTER TABLE line ADD odd regprocedure, ADD worse regproc")
    line = {**LINE, "not_personal": [*LINE["not_personal"], "odd", "worse"]}
    with pytest.raises(UnsupportedTypeError, match="worse"):
        estate.under(shop_policy(line=line)).sweep()
    assert list(estate.store.list("archive/")) == []


def test_a_user_who_may_not_make_the_marks_is_told_what_to_run(estate: Estate) -> None:
    estate.run("DO $$ BEGIN CREATE ROLE sweeper LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    estate.run("GRANT USAGE ON SCHEMA public TO sweeper")
    estate.run("GRANT SELECT, DELETE ON ALL TABLES IN SCHEMA public TO sweeper")
    conninfo = estate.conninfo.replace("user=postgres", "user=sweeper")
    assert conninfo != estate.conninfo
    with pytest.raises(MissingPrivilegeError, match="CREATE SCHEMA strongroom AUTHORIZATION"):
        estate.archiver().sweep(ACTOR, estate.policy, conninfo, "public.orders")
    estate.run("CREATE SCHEMA strongroom AUTHORIZATION sweeper")
    assert estate.archiver().sweep(ACTOR, estate.policy, conninfo, "public.orders").rows == 352

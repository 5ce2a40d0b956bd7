"""The sample company in a real PostgreSQL: complete, consistent, loaded once, and in bounded memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from typing import Any

import pytest

from strongroom.postgres import Connection, connect
from strongroom.sample import SampleExistsError, SampleSummary, load_sample, loading
from tests.integration.sample.conftest import NewDatabase

REFERENCE = date(2026, 11, 24)


@contextmanager
def reading(conninfo: str) -> Iterator[Connection]:
    with closing(connect(conninfo, application_name="test")) as connection:
        connection.execute("set search_path = public")
        yield connection


def one(conninfo: str, query: str) -> Any:
    with reading(conninfo) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None


@pytest.fixture(scope="module")
def shop(new_database: NewDatabase) -> tuple[str, SampleSummary]:
    conninfo = new_database()
    return conninfo, load_sample(conninfo, customers=800, reference=REFERENCE)


def test_every_table_holds_the_rows_that_the_summary_names(shop: tuple[str, SampleSummary]) -> None:
    conninfo, summary = shop

    counted = {table: one(conninfo, f"select count(*) from {table}") for table in summary.rows}

    assert counted == summary.rows
    assert summary.loaded
    assert summary.rows["public.customer"] == 800
    assert summary.rows["public.orders"] == 8_000


def test_every_constraint_was_validated(shop: tuple[str, SampleSummary]) -> None:
    assert one(shop[0], "select count(*) from pg_constraint where contype = 'f' and convalidated") >= 15
    assert one(shop[0], "select count(*) from pg_constraint where not convalidated") == 0


def test_orders_are_partitioned_by_year_and_none_falls_outside(shop: tuple[str, SampleSummary]) -> None:
    partitions = one(shop[0], "select count(*) from pg_inherits where inhparent = 'orders'::regclass")

    assert partitions == 13
    assert one(shop[0], "select count(*) from orders_2016") > 0
    assert one(shop[0], "select count(*) from orders_2027") == 0
    assert one(shop[0], "select count(*) from orders_default") == 0


def test_a_customer_knows_the_time_of_the_last_order(shop: tuple[str, SampleSummary]) -> None:
    wrong = """select count(*) from customer c
        where c.last_order_at is distinct from
            (select max(ordered_at) from orders o where o.customer_id = c.customer_id)"""

    assert one(shop[0], wrong) == 0


def test_nobody_acts_before_joining(shop: tuple[str, SampleSummary]) -> None:
    for table, moment in (
        ("orders", "ordered_at"),
        ("login_event", "occurred_at"),
        ("consent", "recorded_at"),
    ):
        early = f"select count(*) from {table} t join customer c using (customer_id) where t.{moment} < c.created_at"
        assert one(shop[0], early) == 0, table


def test_polymorphic_comments_point_at_what_exists(shop: tuple[str, SampleSummary]) -> None:
    dangling = """select count(*) from comment c where not case target_type
        when 'product' then exists (select from product where product_id = target_id)
        when 'order' then exists (select from orders where order_id = target_id)
        when 'customer' then exists (select from customer where customer_id = target_id)
        when 'ticket' then exists (select from support.ticket where ticket_id = target_id) end"""

    assert one(shop[0], dangling) == 0
    assert one(shop[0], "select count(distinct target_type) from comment") == 4


def test_preferences_hold_an_e_mail_address(shop: tuple[str, SampleSummary]) -> None:
    holding = "select count(*) from customer where preferences #>> '{contact,email}' like '%@example.%'"

    assert one(shop[0], holding) == 800
    other = "select count(*) from customer where preferences #>> '{contact,email}' <> email"
    assert one(shop[0], other) > 20


def test_the_next_customer_and_order_get_a_free_number(shop: tuple[str, SampleSummary]) -> None:
    with reading(shop[0]) as connection, connection.transaction(force_rollback=True):
        customer = connection.execute(
            "insert into customer (email, full_name, created_at) values ('new@example.org', 'New', now()) "
            "returning customer_id"
        ).fetchone()
        order = connection.execute(
            "insert into orders (ordered_at, customer_id, status, total, ship_to, reference) "
            "values ('2027-03-01', 801, 'placed', 1, 'x', '00000000-0000-0000-0000-000000000000') "
            "returning order_id, tableoid::regclass::text"
        ).fetchone()

    assert customer == (801,)
    assert order == (8_001, "orders_2027")


def test_statistics_are_there(shop: tuple[str, SampleSummary]) -> None:
    assert one(shop[0], "select count(*) from pg_stats where tablename = 'customer'") > 8
    assert one(shop[0], "select reltuples from pg_class where oid = 'order_line'::regclass") > 0


def test_loading_twice_changes_nothing(shop: tuple[str, SampleSummary]) -> None:
    conninfo, first = shop
    fingerprint = (
        "select sum(hashtext(c::text)) || '/' || count(*) || '/' || max(xmin::text::bigint) from customer c"
    )
    before = one(conninfo, fingerprint)

    again = load_sample(conninfo, customers=800, reference=date(2027, 1, 1))

    assert not again.loaded
    assert again.rows == first.rows
    assert again.spec == first.spec
    assert one(conninfo, fingerprint) == before


@pytest.mark.parametrize("other", [{"customers": 801}, {"customers": 800, "seed": 2}])
def test_another_sample_is_refused(shop: tuple[str, SampleSummary], other: dict[str, int]) -> None:
    with pytest.raises(SampleExistsError, match="800 customers with seed 1"):
        load_sample(shop[0], reference=REFERENCE, **other)  # type: ignore[arg-type]


def test_a_database_with_somebody_elses_tables_is_refused(new_database: NewDatabase) -> None:
    conninfo = new_database()
    with reading(conninfo) as connection:
        connection.execute("create table customer (name text)")

    with pytest.raises(SampleExistsError, match=r"already has a table public\.customer"):
        load_sample(conninfo, customers=10, reference=REFERENCE)


def test_a_load_that_fails_half_way_leaves_an_empty_database(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    conninfo = new_database()

    def stop(stage: str, _fraction: float) -> None:
        if stage == "public.payment":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_sample(conninfo, customers=50, reference=REFERENCE, progress=stop)

    assert one(conninfo, "select to_regclass('public.customer')") is None
    assert load_sample(conninfo, customers=50, reference=REFERENCE).loaded


def test_other_processes_make_the_same_rows(
    new_database: NewDatabase, shop: tuple[str, SampleSummary], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "PARALLEL_FROM_CUSTOMERS", 1)
    conninfo = new_database()

    summary = load_sample(conninfo, customers=800, reference=REFERENCE)

    assert summary.rows == shop[1].rows
    for table in summary.rows:
        query = f"select sum(hashtextextended(t::text, 0)) from {table} t"
        assert one(conninfo, query) == one(shop[0], query), table


def test_one_customer_makes_a_company(new_database: NewDatabase) -> None:
    stages: list[tuple[str, float]] = []

    summary = load_sample(
        new_database(), customers=1, reference=REFERENCE, progress=lambda *step: stages.append(step)
    )

    assert summary.rows["public.customer"] == 1
    assert stages[-1] == ("done", 1.0)
    assert [fraction for _, fraction in stages] == sorted(fraction for _, fraction in stages)


def test_loading_takes_less_than_160_mebibytes(new_database: NewDatabase) -> None:
    program = """
import re, sys
from datetime import date
from pathlib import Path
from strongroom.sample import load_sample, loading
loading.PARALLEL_FROM_CUSTOMERS = 10**9
load_sample(sys.argv[1], customers=int(sys.argv[2]), reference=date(2026, 11, 24))
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""

    # From about 5,000 customers on, blocks have their full size.
    command = [sys.executable, "-c", program, new_database(), "6000"]
    resident_kib = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert resident_kib < 160 * 1024


def test_the_command_line_loads_and_explains(new_database: NewDatabase) -> None:
    conninfo = new_database()
    command = [sys.executable, "-m", "strongroom.sample", conninfo, "--reference", "2026-11-24"]

    first = subprocess.run([*command, "--bytes", "200kB"], capture_output=True, text=True, check=True)
    second = subprocess.run([*command, "--customers", "9"], capture_output=True, text=True, check=False)

    assert "public.customer" in first.stdout
    assert second.returncode == SampleExistsError.exit_code
    assert "empty database" in second.stderr

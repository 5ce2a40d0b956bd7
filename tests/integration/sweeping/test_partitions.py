"""Partitions that are old as a whole are archived, detached and dropped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from strongroom.archive.standing import read_parts
from tests.integration.sweeping.estate import LINE, ORDERS, Estate, shop_policy
from tests.integration.sweeping.test_bad_luck import meddled

PARTITIONED = """
DROP TABLE ticket; DROP TABLE line; DROP TABLE orders;
CREATE TABLE orders (
    order_id bigint, customer_id bigint NOT NULL REFERENCES customer, ordered_at timestamptz NOT NULL,
    total numeric(12, 2) NOT NULL, note text, PRIMARY KEY (order_id, ordered_at)) PARTITION BY RANGE (ordered_at);
CREATE TABLE orders_old PARTITION OF orders FOR VALUES FROM (MINVALUE) TO ('2022-01-01');
CREATE TABLE orders_2022 PARTITION OF orders FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');
CREATE TABLE "Orders 2023" PARTITION OF orders FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE orders_2024 PARTITION OF orders FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE orders_rest PARTITION OF orders DEFAULT;
CREATE TABLE line (
    order_id bigint NOT NULL, number int, ordered_at timestamptz NOT NULL, amount numeric,
    PRIMARY KEY (order_id, number), FOREIGN KEY (order_id, ordered_at) REFERENCES orders);
CREATE TABLE ticket (
    ticket_id bigint PRIMARY KEY, order_id bigint, ordered_at timestamptz,
    FOREIGN KEY (order_id, ordered_at) REFERENCES orders);
INSERT INTO orders SELECT g, 1 + g % 50, timestamptz '2022-01-05' + g * interval '10 days', g, 'n'
  FROM generate_series(1, 110) g WHERE g < 73 OR g IN (82, 105, 106, 107);
INSERT INTO line SELECT o.order_id, n, o.ordered_at, n / 3.0 FROM orders o, generate_series(1, 2) n;
"""
REFERENCE = {"columns": ["order_id", "ordered_at"], "to": "public.orders", "kind": "owns"}
POLICY = shop_policy(
    orders=ORDERS,
    line={**LINE, "links": [REFERENCE], "not_personal": ["number", "amount"]},
    ticket={"not_personal": ["ticket_id"], "links": [{**REFERENCE, "kind": "lookup"}]},
)


@pytest.fixture
def yearly(estate: Estate) -> Estate:
    estate.run(PARTITIONED)
    return estate.under(POLICY)


def partitions(estate: Estate) -> list[str]:
    query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'public.orders'::regclass ORDER BY 1"
    return [row[0].removeprefix("public.") for row in estate.run(query)]


def methods(estate: Estate) -> list[tuple[str, str]]:
    return [(part.manifest.method, part.manifest.period) for part in estate.parts()]


def test_old_partitions_are_dropped_and_the_rest_leaves_row_by_row(yearly: Estate) -> None:
    before = yearly.everything()
    foreseen = yearly.sweep(dry_run=True)
    summary = yearly.sweep()
    assert yearly.everything() == before
    assert partitions(yearly) == ["orders_2024", "orders_old", "orders_rest"]
    assert yearly.run("SELECT to_regclass('public.orders_2022'), to_regclass('public.\"Orders 2023\"')") == [
        (None, None)
    ]
    assert methods(yearly)[:2] == [
        ("partition", "partition-orders_2022"),
        ("partition", "partition-=4Frders=202023"),
    ]
    assert {method for method, _ in methods(yearly)[2:]} == {"rows"}
    assert [part.period for part in foreseen.parts] == [part.period for part in summary.parts]
    assert yearly.sweep().parts == ()


def test_a_partition_with_rows_that_have_to_stay_is_not_dropped(yearly: Estate) -> None:
    yearly.run("INSERT INTO ticket SELECT 1, order_id, ordered_at FROM orders WHERE order_id = 5")
    before = yearly.everything()
    summary = yearly.sweep()
    assert yearly.everything() == before
    assert "orders_2022" in partitions(yearly)
    assert yearly.run("SELECT order_id FROM orders_2022") == [(5,)]
    assert [held.rows for held in summary.held] == [1]


def test_a_partition_that_something_depends_on_leaves_row_by_row(yearly: Estate) -> None:
    yearly.run("CREATE VIEW report AS SELECT * FROM orders_2022")
    before = yearly.everything()
    yearly.sweep()
    assert yearly.everything() == before
    assert yearly.run("SELECT count(*) FROM report") == [(0,)]


def test_a_writer_waits_while_a_partition_is_archived(yearly: Estate) -> None:
    """Its update comes too late: the row has moved as it was. Nobody else fails, so the partition stays, empty."""
    before = yearly.everything()
    changed: list[int] = []

    def change() -> None:
        with yearly.connect() as connection:
            cursor = connection.execute("UPDATE orders SET note = 'late' WHERE order_id = 3")
            changed.append(cursor.rowcount)

    thread = threading.Thread(target=change)
    meddled(yearly, "public.orders.parquet.age", thread.start)
    thread.join(30)
    assert changed == [0]
    assert yearly.everything() == before
    assert yearly.run("SELECT count(*) FROM orders_2022") == [(0,)]


def test_a_row_that_comes_to_an_old_partition_before_it_is_locked_goes_along(yearly: Estate) -> None:
    yearly.run("INSERT INTO orders VALUES (999, 1, '2022-05-05', 1, 'late')")
    before = yearly.everything()
    yearly.sweep()
    assert yearly.everything() == before
    assert yearly.archived("public.orders").total() == 74


KILL = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import create_engine
from strongroom.archive import moving
from tests.integration.sweeping.estate import ACTOR, Estate
from tests.integration.sweeping.test_bad_luck import MeddlingStore
from tests.integration.sweeping.test_partitions import POLICY

directory, conninfo, control, moment = sys.argv[1:]
die = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
store = MeddlingStore(Path(directory) / "bucket", moment, die)
estate = Estate(Path(directory), conninfo, create_engine(control), store, POLICY)
if moment == "dropped":
    drop = moving.drop
    def then_die(*arguments):
        drop(*arguments)
        die()
    moving.drop = then_die
estate.archiver(store=store).sweep(ACTOR, estate.policy, conninfo, "public.orders")
"""


@pytest.mark.parametrize("moment", ["public.orders.parquet.age", "dropped", "manifest.json", "receipt.json"])
def test_a_sweep_that_is_killed_leaves_a_partition_whole_or_gone(yearly: Estate, moment: str) -> None:
    before = yearly.everything()
    control = yearly.engine.url.render_as_string(hide_password=False)
    killed = subprocess.run(
        [sys.executable, "-c", KILL, str(yearly.directory), yearly.conninfo, control, moment],
        env=dict(os.environ),
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL
    assert yearly.everything() == before
    yearly.sweep()
    assert yearly.everything() == before
    assert partitions(yearly) == ["orders_2024", "orders_old", "orders_rest"]
    assert len(read_parts(yearly.store, yearly.signer.verifier, "shop")) == len(yearly.parts())

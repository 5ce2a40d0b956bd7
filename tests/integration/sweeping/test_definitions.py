"""What is done to tables while a sweep works on them, and what another server does with the same bucket."""

from __future__ import annotations

from dataclasses import replace

import pytest
from psycopg import errors as pg_errors
from psycopg import sql

from strongroom.archive import SweepBlockedError, SweepInProgressError
from strongroom.lifetimes import Lease
from strongroom.postgres import Cluster, connect
from tests.integration.sweeping.estate import Estate
from tests.integration.sweeping.test_bad_luck import meddled

MEMO = (
    "CREATE TABLE memo (order_id bigint REFERENCES orders ON DELETE CASCADE);"
    " INSERT INTO memo SELECT order_id FROM orders"
)


def test_what_is_in_a_column_that_was_added_during_a_sweep_is_not_lost(estate: Estate) -> None:
    before = set(estate.run("SELECT order_id FROM orders"))

    def add_column() -> None:
        estate.run("ALTER TABLE orders ADD COLUMN gift text; UPDATE orders SET gift = 'for ' || order_id")

    with pytest.raises(SweepBlockedError, match=r"columns of public\.orders have changed"):
        meddled(estate, "receipt.json", add_column)

    moved = before - set(estate.run("SELECT order_id FROM orders"))
    assert moved, "the first part had left"
    assert estate.run("SELECT count(*) FROM orders WHERE gift IS NULL") == [(0,)]


def test_rows_that_a_foreign_key_added_during_a_sweep_would_delete_stay(estate: Estate) -> None:
    with pytest.raises(SweepBlockedError, match=r"foreign keys to public\.orders"):
        meddled(estate, "receipt.json", lambda: estate.run(MEMO) and None)

    left = estate.run("SELECT count(*) FROM orders")
    assert estate.run("SELECT count(*) FROM memo") == left


def test_no_foreign_key_can_be_added_between_reading_and_deleting(estate: Estate) -> None:
    before = estate.everything()

    def add_key() -> None:
        with estate.connect() as connection:
            connection.execute("SET lock_timeout = '100ms'")
            with pytest.raises(pg_errors.LockNotAvailable):
                connection.execute(MEMO)

    meddled(estate, "persons.age", add_key)

    assert estate.everything() == before


def test_a_sweep_of_another_server_leaves_alone_what_this_one_has_not_finished(
    estate: Estate, sweep_server: Cluster
) -> None:
    """The copy of a database, swept with the same policy into the same bucket, before this one wrote its receipt."""
    name = estate.run("SELECT current_database()")[0][0]
    with connect(sweep_server.conninfo(), application_name="test") as connection:
        copy = sql.Identifier(f"{name}_copy")
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(copy, sql.Identifier(name)))
    other = replace(estate, conninfo=sweep_server.conninfo(f"{name}_copy"))
    before = estate.everything()
    estate.sweep()
    for info in list(estate.store.list("archive/")):
        if info.key.endswith("receipt.json"):
            estate.store.delete_version(info.key, None)

    other.sweep()

    assert estate.everything() == before


def test_two_servers_do_not_sweep_into_one_bucket_at_once(estate: Estate) -> None:
    lease = Lease(estate.store, estate.clock, "shop", "7/elsewhere", purpose="archive.public.orders")
    with lease, pytest.raises(SweepInProgressError, match="on another server"):
        estate.sweep()
    estate.sweep()


def test_a_part_is_kept_for_its_row_that_never_grows_old(estate: Estate) -> None:
    """The row that goes with an order has a date of its own, which may be infinity: other dates say nothing then."""
    estate.run("UPDATE line SET ordered_at = 'infinity' WHERE order_id = 1 AND number = 1")

    estate.sweep()

    first = min(estate.parts(), key=lambda part: part.manifest.period)
    assert first.manifest.delete_after.year == 9999

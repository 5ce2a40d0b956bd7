"""Pagila and the sample company come back to a chosen second, under load, row for row as they were then.

The writers are held for an instant, in which every table is read; they go on before and after. The log is shipped from
a replication slot while they write.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import psycopg
import pytest

from strongroom.audit import QueueSink
from strongroom.backup.continuous import SlotWalShipper, WalParts, WalPlan
from strongroom.backup.restoring.request import RestoreTarget
from strongroom.clock import SystemClock, timestamp
from strongroom.postgres import (
    Cluster,
    Fingerprint,
    connect,
    find_binaries,
    run_as,
    scratch_cluster,
    table_fingerprints,
    tables,
)
from strongroom.sample import load_sample
from tests.integration.restoring.conftest import OPTIONS, open_directory
from tests.integration.restoring.site import ACTOR, Site, engine_of, opened
from tests.support import TEST_DATA, require

SEED = 20261124
PAGILA_WRITES = (
    "UPDATE public.payment SET amount = amount + 0.01 WHERE payment_id % 97 = {n} % 97",
    "INSERT INTO public.rental (rental_date, inventory_id, customer_id, staff_id)"
    " VALUES (timestamp '2030-01-01' + {n} * interval '1 minute', 1 + {n} % 4000, 1 + {n} % 500, 1)",
    "DELETE FROM public.film_actor WHERE (actor_id, film_id) IN (SELECT actor_id, film_id FROM public.film_actor"
    " LIMIT 1)",
    "UPDATE public.customer SET email = 'c{n}@example.org' WHERE customer_id = 1 + {n} % 500",
)
SAMPLE_WRITES = (
    "UPDATE public.customer SET full_name = full_name || '.' WHERE customer_id = 1 + {n} % 150",
    "DELETE FROM public.login_event WHERE ctid IN (SELECT ctid FROM public.login_event LIMIT 2)",
    "UPDATE public.product SET name = name || ' {n}' WHERE product_id = 1 + {n} % 20",
)
Contents = dict[tuple[str, str, str], Fingerprint | None]


@dataclass
class Writers:
    """Sessions that write without pause, and can be held."""

    cluster: Cluster

    def __post_init__(self) -> None:
        self.stop = threading.Event()
        self.gate = threading.Lock()
        self.done = 0

    @contextmanager
    def working(self) -> Iterator[None]:
        threads = [
            threading.Thread(target=self._write, args=(database, writes), daemon=True)
            for database, writes in (("pagila", PAGILA_WRITES), ("sample", SAMPLE_WRITES))
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()

    @contextmanager
    def held(self) -> Iterator[None]:
        """No transaction is open while the block runs."""
        with self.gate:
            yield

    def wait_for(self, more: int) -> None:
        wanted = self.done + more
        while self.done < wanted and not self.stop.wait(0.01):
            pass

    def _write(self, database: str, writes: tuple[str, ...]) -> None:
        draw = random.Random(database)
        with connect(self.cluster.conninfo(database), application_name="load") as connection:
            for number in itertools.count():
                if self.stop.is_set():
                    return
                with self.gate:
                    connection.execute(draw.choice(writes).format(n=number).encode())
                    self.done += 1
                self.stop.wait(0.001)


def contents(cluster: Cluster) -> Contents:
    """What every table of both databases holds."""
    found: Contents = {}
    for database in ("pagila", "sample"):
        conninfo = cluster.conninfo(database)
        with connect(conninfo, application_name="test") as connection:
            present = tables(connection)
        for (schema, name), value in table_fingerprints(conninfo, present, SEED).items():
            found[database, schema, name] = value
    return found


def payments(cluster: Cluster) -> list[tuple[object, ...]]:
    """Pagila's payments, row by row."""
    with connect(cluster.conninfo("pagila"), application_name="test") as connection:
        return connection.execute("SELECT * FROM public.payment ORDER BY payment_id, payment_date").fetchall()


@pytest.fixture(scope="module")
def company() -> Iterator[Cluster]:
    require("Pagila (../shared/data)", (TEST_DATA / "pagila.sql").is_file())
    with open_directory() as root, scratch_cluster(root, find_binaries(), "company") as scratch:
        cluster = scratch.cluster(OPTIONS)
        cluster.initialise()
        cluster.start()
        with connect(cluster.conninfo(), application_name="test") as connection:
            connection.execute("CREATE DATABASE pagila")
            connection.execute("CREATE DATABASE sample")
        with psycopg.connect(cluster.conninfo("sample")):
            load_sample(cluster.conninfo("sample"), customers=150, reference=date(2026, 11, 24))
        psql = [cluster.binaries.tool("psql"), "-q", "-v", "ON_ERROR_STOP=1", "-f", TEST_DATA / "pagila.sql"]
        loaded = run_as(None, [*psql, cluster.conninfo("pagila")])
        assert loaded.returncode == 0, loaded.stderr
        yield cluster


def ship(site: Site) -> None:
    parts = WalParts(
        site.store, site.vault(None), engine_of(site.control_url), QueueSink(), site.signer, SystemClock()
    )
    SlotWalShipper(parts).ship(ACTOR, WalPlan(site.dbname, "00" * 32, "strongroom_test"), site.conninfo)


def test_pagila_and_the_sample_at_a_chosen_second(
    company: Cluster, control_url: str, tmp_path: Path, into: Path
) -> None:
    site = Site(tmp_path, control_url, company, dbname="pagila")
    site.make_keys()
    writers = Writers(company)
    with writers.working():
        writers.wait_for(50)
        ship(site)
        site.back_up()
        writers.wait_for(100)
        ship(site)
        writers.wait_for(100)
        with writers.held():
            expected, rows, second = contents(company), payments(company), clock(company)
        writers.wait_for(200)
        ship(site)
    assert contents(company) != expected

    report = site.restore(RestoreTarget.at_time(timestamp(second)), into)
    with opened(report, company) as restored:
        assert contents(restored) == expected
        assert payments(restored) == rows


def clock(cluster: Cluster) -> datetime:
    """The source's time."""
    with connect(cluster.conninfo(), application_name="test") as connection:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment

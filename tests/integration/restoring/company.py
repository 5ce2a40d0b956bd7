"""A company's server with Pagila and the sample, and sessions that write to both without pause.

The writers can be held for an instant, in which every table is read; they go on before and after.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime

import psycopg

from strongroom.postgres import (
    Cluster,
    Fingerprint,
    NoSuchServerVersionError,
    connect,
    find_binaries,
    run_as,
    scratch_cluster,
    table_fingerprints,
    tables,
)
from strongroom.sample import load_sample
from tests.integration.backup.conftest import server_root
from tests.support import TEST_DATA, require

_OPTIONS = {"fsync": "off", "wal_keep_size": "2GB", "autovacuum": "off", "max_wal_size": "4GB"}
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


def contents(conninfo_of: Callable[[str], str]) -> Contents:
    """What every table of both databases holds."""
    found: Contents = {}
    for database in ("pagila", "sample"):
        conninfo = conninfo_of(database)
        with connect(conninfo, application_name="test") as connection:
            present = tables(connection)
        for (schema, name), value in table_fingerprints(conninfo, present, SEED).items():
            found[database, schema, name] = value
    return found


def payments(conninfo_of: Callable[[str], str]) -> list[tuple[object, ...]]:
    """Pagila's payments, row by row."""
    with connect(conninfo_of("pagila"), application_name="test") as connection:
        return connection.execute("SELECT * FROM public.payment ORDER BY payment_id, payment_date").fetchall()


@contextmanager
def company(major: int = 18) -> Iterator[Cluster]:
    """A server of that version with both databases."""
    require("Pagila (../shared/data)", (TEST_DATA / "pagila.sql").is_file())
    require(f"PostgreSQL {major}", _installed(major))
    with server_root() as root, scratch_cluster(root, find_binaries(major), "company") as scratch:
        cluster = scratch.cluster(_OPTIONS)
        cluster.initialise()
        cluster.start()
        with connect(cluster.conninfo(), application_name="test") as connection:
            connection.execute("CREATE DATABASE pagila")
            connection.execute("CREATE DATABASE sample")
        with psycopg.connect(cluster.conninfo("sample")):
            load_sample(cluster.conninfo("sample"), customers=150, reference=date(2026, 11, 24))
        psql = [find_binaries().tool("psql"), "-q", "-v", "ON_ERROR_STOP=1", "-f", TEST_DATA / "pagila.sql"]
        loaded = run_as(None, [*psql, cluster.conninfo("pagila")])
        assert loaded.returncode == 0, loaded.stderr
        yield cluster


def _installed(major: int) -> bool:
    try:
        return find_binaries(major).major == major
    except NoSuchServerVersionError:
        return False


def clock(cluster: Cluster) -> datetime:
    """The source's time."""
    with connect(cluster.conninfo(), application_name="test") as connection:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment

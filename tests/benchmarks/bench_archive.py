"""A sweep of cold rows beside `pandas.read_sql` with `to_parquet` and beside `COPY | zstd -3`; one person's question.

`STRONGROOM_BENCH_ARCHIVE_ROWS` sets the number of rows (10 million without it). They stand in yearly partitions that
are old as a whole. The sweep does all that it always does: it reads, seals, reads back, compares, indexes persons,
signs, drops and records. The peers read the same rows beforehand and neither encrypt nor compare nor delete. Each runs
in a process of its own, whose peak of resident memory the kernel tells.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from psycopg import sql

from strongroom.access import Actor, ActorKind, Role
from strongroom.postgres import Cluster, connect, find_binaries, scratch_cluster
from strongroom.sealing import KeyRing, LocalKeyProvider
from strongroom.services import Services
from strongroom.settings import load_settings
from strongroom.signing import SignerKey
from tests.benchmarks.rows import Row, peak_memory_mib, rate_row, table, time_row

ACTOR = Actor("bench", ActorKind.TASK, frozenset({Role.OPERATOR}))
YEARS = range(2010, 2020)
FILES = 100
ROWS_PER_FILE = 500
MEMORY_LIMIT_MIB = 256
PANDAS_CHUNK_ROWS = 100_000

_POLICY = """
database: shop
controller: {name: Bench BV, dpo: dpo@example.org}
backup: {method: logical, schedule: "0 2 * * *", recipients: [epoch]}
purposes:
  bookkeeping: {lawful_basis: legal_obligation}
subjects:
  customer:
    table: public.customer
    identifiers:
      customer_id: {column: customer_id, direct: false}
tables:
  public.customer:
    purpose: [bookkeeping]
    columns: {name: {category: user.name, erase: "[erased]"}}
    not_personal: [customer_id]
  public.orders:
    not_personal: [order_id, ordered_at, customer_number, status, total, currency, ship_to, reference, paid]
    archive: {older_than: 2y, by: ordered_at, keep: 20y, purpose: bookkeeping}
  public.visit:
    not_personal: [visit_id, visited_at, customer_id, page]
    links: [{columns: [customer_id], to: public.customer, kind: owns}]
    archive: {older_than: 2y, by: visited_at, keep: 20y, purpose: bookkeeping}
"""

_TABLES = """
CREATE TABLE public.customer (customer_id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE public.orders (order_id bigint NOT NULL, ordered_at timestamptz NOT NULL, customer_number int NOT NULL,
    status text NOT NULL, total numeric(12, 2) NOT NULL, currency char(3) NOT NULL, ship_to text, reference uuid,
    paid boolean NOT NULL, PRIMARY KEY (order_id, ordered_at)) PARTITION BY RANGE (ordered_at);
CREATE TABLE public.visit (visit_id bigint NOT NULL, visited_at timestamptz NOT NULL,
    customer_id int NOT NULL REFERENCES public.customer, page text NOT NULL,
    PRIMARY KEY (visit_id, visited_at)) PARTITION BY RANGE (visited_at);
"""


def measure() -> list[Row]:
    """The rows of this part; empty where the `zstd` command is missing."""
    if not shutil.which("zstd"):
        return []
    rows = int(os.environ.get("STRONGROOM_BENCH_ARCHIVE_ROWS", "10000000"))
    with _installation(rows) as (cluster, place):
        conninfo = cluster.conninfo("shop")
        _copied(cluster, place)  # warms the page cache
        copied = _copied(cluster, place)
        pandas = _child("pandas", conninfo, str(place))
        swept = _child("sweep", "public.orders", str(place))
        _child("sweep", "public.visit", str(place))
        person = _child("person", "7", str(place))
        whole = _child("person", "", str(place))
    if swept["rows"] != rows or pandas["rows"] != rows or person["answer"] != ROWS_PER_FILE:
        raise SystemExit("A sweep, its peer or a question did not see all rows.")
    ours, peer = rows / swept["seconds"], rows / pandas["seconds"]
    memory = max(swept["memory_mib"], person["memory_mib"], whole["memory_mib"])
    return [
        rate_row("archive sweep / pandas.read_sql + to_parquet", ours, peer, "rows/s", 3.0),
        time_row("archive sweep / COPY TO STDOUT | zstd -3", swept["seconds"], copied, "s", 1.5),
        time_row("  memory of our process / limit", memory, MEMORY_LIMIT_MIB, "MiB", 1.0),
        time_row(f"one person in {FILES} files: read / holding", person["files"], 1, "files", 1.0),
        time_row("  time / a question to all files", person["seconds"], whole["seconds"], "s", 1.0),
    ]


@contextmanager
def _installation(rows: int) -> Iterator[tuple[Cluster, Path]]:
    with tempfile.TemporaryDirectory(prefix="sr-bench-") as root:
        place = Path(root)
        place.chmod(0o755)
        with scratch_cluster(place, find_binaries(), "bench") as scratch:
            cluster = scratch.cluster({"fsync": "off", "max_wal_size": "4GB", "autovacuum": "off"})
            cluster.initialise()
            cluster.start()
            with connect(cluster.conninfo(), application_name="bench") as connection:
                connection.execute("CREATE DATABASE shop")
                connection.execute("CREATE DATABASE control")
            with connect(cluster.conninfo("shop"), application_name="bench") as connection:
                connection.execute(_TABLES.encode())
                _fill(connection, rows)
                connection.execute("VACUUM (FREEZE, ANALYZE)")
                connection.execute("CHECKPOINT")
            _configure(cluster, place)
            yield cluster, place


def _fill(connection: Any, rows: int) -> None:
    for year in YEARS:
        bounds = [sql.Literal(f"{number}-01-01 00:00+00") for number in (year, year + 1)]
        name = sql.Identifier("public", f"orders_{year}")
        connection.execute(
            sql.SQL("CREATE TABLE {} PARTITION OF public.orders FOR VALUES FROM ({}) TO ({})").format(
                name, *bounds
            )
        )
    step = (len(YEARS) * 365 * 86_400 - 1) / rows
    connection.execute(
        """INSERT INTO public.orders SELECT g, '2010-01-01 00:00+00'::timestamptz + g * %(step)s * interval '1 second',
             g %% 100000, (ARRAY['paid', 'shipped', 'open', 'returned'])[1 + g %% 4], (g %% 100000) / 100.0, 'EUR',
             CASE WHEN g %% 10 < 8 THEN md5((g / 8)::text) || ' Street ' || g %% 200 END, gen_random_uuid(), g %% 3 = 0
             FROM generate_series(0, %(last)s) g""",
        {"step": step, "last": rows - 1},
    )
    connection.execute(
        "INSERT INTO public.customer SELECT g, 'customer ' || g FROM generate_series(1, %s) g", (FILES,)
    )
    for number in range(FILES):
        moments = [sql.Literal(f"{2010 + n // 12}-{n % 12 + 1:02}-01 00:00+00") for n in (number, number + 1)]
        name = sql.Identifier("public", f"visit_{number:03}")
        connection.execute(
            sql.SQL("CREATE TABLE {} PARTITION OF public.visit FOR VALUES FROM ({}) TO ({})").format(
                name, *moments
            )
        )
        connection.execute(
            sql.SQL(
                "INSERT INTO {} SELECT g, {}::timestamptz + g * interval '1 minute', {}, 'page ' || g"
                " FROM generate_series(1, {}) g"
            ).format(name, moments[0], sql.Literal(number + 1), sql.Literal(ROWS_PER_FILE))
        )


def _configure(cluster: Cluster, place: Path) -> None:
    (place / "bucket").mkdir()
    (place / "policy").mkdir()
    (place / "policy" / "shop.yaml").write_text(_POLICY)
    (place / "signing.key").write_text(SignerKey.generate("strongroom.bench").encode())
    (place / "signing.key").chmod(0o600)
    socket = cluster.socket_dir
    settings = {
        "store": {"kind": "local", "directory": str(place / "bucket")},
        "control_database": f"postgresql://postgres@/control?host={socket}&port={cluster.port or 5432}",
        "signing_key": str(place / "signing.key"),
        "keys": {"provider": "file", "path": str(place / "local.key")},
        "policy_directory": str(place / "policy"),
        "databases": {"shop": cluster.conninfo("shop")},
    }
    (place / "settings.json").write_text(json.dumps(settings))
    provider = LocalKeyProvider.generate(place / "local.key")
    services = _services(place)
    ring = KeyRing(services.store, services.verifier_key, services.clock)
    ring.create_epoch(purpose="backup", provider=provider, signer=services.signer)


def _services(place: Path) -> Services:
    return Services(load_settings(place / "settings.json"))


def _copied(cluster: Cluster, place: Path) -> float:
    target = place / "peer.zst"
    psql = cluster.binaries.tool("psql")
    command = (
        f"'{psql}' -X -q '{cluster.conninfo('shop')}' -c 'COPY (SELECT * FROM public.orders) TO STDOUT'"
        f" | zstd -3 -q -f -o '{target}'"
    )
    start = time.perf_counter()
    subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True)
    os.sync()
    return time.perf_counter() - start


def _child(*arguments: str) -> dict[str, float]:
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    told: dict[str, float] = json.loads(done.stdout)
    return told


def _sweep(name: str, place: Path) -> dict[str, float]:
    services = _services(place)
    archiver = services.archiver  # loads what the program would have loaded
    start = time.perf_counter()
    summary = archiver.sweep(ACTOR, services.policy("shop"), services.conninfo("shop"), name)
    os.sync()
    return {"seconds": time.perf_counter() - start, "rows": float(summary.rows)}


def _person(number: str, place: Path) -> dict[str, float]:
    """A question about one person, or with the same SQL to all files; how many parts it read."""
    from strongroom.archive.querying import Question
    from strongroom.archive.selecting import Person

    services = _services(place)
    reader = services.archive_reader
    person = Person("customer", "customer_id", number) if number else None
    question = Question("SELECT count(*) FROM public.visit WHERE customer_id = 7", person)
    start = time.perf_counter()
    with reader.query(ACTOR, services.policy("shop"), question) as answered:
        ((answer,),) = answered.answer.rows
        files = answered.parts_read
    return {"seconds": time.perf_counter() - start, "files": float(files), "answer": float(answer or 0)}


def _pandas(conninfo: str, place: Path) -> dict[str, float]:
    import pandas
    from sqlalchemy import create_engine

    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: connect(conninfo, application_name="bench", autocommit=False)
    )
    target = place / "pandas"
    target.mkdir()
    rows = 0
    start = time.perf_counter()
    with engine.connect().execution_options(stream_results=True) as connection:
        chunks = pandas.read_sql("SELECT * FROM public.orders", connection, chunksize=PANDAS_CHUNK_ROWS)
        for number, chunk in enumerate(chunks):
            chunk.to_parquet(target / f"{number}.parquet", compression="zstd")
            rows += len(chunk)
    os.sync()
    return {"seconds": time.perf_counter() - start, "rows": float(rows)}


def _main(what: str, argument: str, place: str) -> None:
    told = {"sweep": _sweep, "person": _person, "pandas": _pandas}[what](argument, Path(place))
    print(json.dumps({**told, "memory_mib": peak_memory_mib()}))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _main(*sys.argv[1:])
    else:
        print(table(measure()))

"""Loading the sample into an empty database in one transaction: tables, rows, keys, indexes, statistics.

Either all of it is there, with a row in public.sample_origin that says what it was made from, or nothing is.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from importlib import resources
from itertools import groupby
from multiprocessing import get_context

from psycopg import sql
from psycopg.types.json import Jsonb

from strongroom.postgres import Connection, connect, server_errors
from strongroom.sample.errors import SampleExistsError
from strongroom.sample.plan import (
    Block,
    MadeBlock,
    TablePlan,
    blocks_of,
    make_block,
    no_orders,
    partition_years,
    remember,
    table_plans,
)
from strongroom.sample.world import GENERATOR_VERSION, SampleSpec, World, world_of

Progress = Callable[[str, float], None]
"""Called with what is being done ("public.orders", "keys and indexes") and how much is done, from 0 to 1."""

Made = tuple[Block, MadeBlock]

PARALLEL_FROM_CUSTOMERS = 5_000
"""From this size on, rows are made in other processes while this one loads them."""

_WORKERS = 2
_BLOCKS_AHEAD = 4
_LOCK = 0x4D65726964
_COPY_SHARE = 0.75


@dataclass(frozen=True)
class SampleSummary:
    """What a database holds after `load_sample`.

    Attributes:
        spec: what it was made from.
        rows: number of rows by schema and table.
        seconds: how long this call took.
        copied_bytes: size of the rows in COPY's text format.
        loaded: whether this call loaded it; False when it was there already.
    """

    spec: SampleSpec
    rows: Mapping[str, int]
    seconds: float
    copied_bytes: int
    loaded: bool


def load_sample(
    conninfo: str,
    *,
    customers: int = 20_000,
    seed: int = 1,
    reference: date,
    progress: Progress | None = None,
) -> SampleSummary:
    """Make the sample company in an empty database; harmless when it is there already.

    Args:
        conninfo: the database, which exists and is empty.
        customers: the size; everything else grows with it.
        seed: another seed makes another company.
        reference: the first day that has not happened yet in the sample.
        progress: told what is being done and how far it is.

    Raises:
        SampleSizeError: the size is not possible.
        SampleExistsError: the database holds another sample, or tables with these names.
        DatabaseUnreachableError: the server does not answer, or went away; nothing was loaded.
    """
    began = time.monotonic()
    spec = SampleSpec(customers, seed, reference)
    with (
        closing(connect(conninfo, application_name="strongroom sample", autocommit=False)) as connection,
        server_errors("The database server that the sample is loaded into"),
    ):
        _prepare_session(connection)
        found = _existing(connection, spec, began)
        if found:
            return found
        rows, copied_bytes = _load(connection, spec, progress or _quiet)
    return SampleSummary(spec, rows, time.monotonic() - began, copied_bytes, loaded=True)


def _quiet(_stage: str, _fraction: float) -> None:
    """Progress that nobody watches."""


def _prepare_session(connection: Connection) -> None:
    connection.execute("set local search_path = public")
    connection.execute("set local maintenance_work_mem = '256MB'")
    connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))


def _existing(connection: Connection, spec: SampleSpec, began: float) -> SampleSummary | None:
    """The sample that is there already, if it is the one asked for."""
    names = [plan.name for plan in table_plans(world_of(spec))] + ["public.sample_origin"]
    query = "select name from unnest(%s::text[]) as name where to_regclass(name) is not null"
    present = [str(row[0]) for row in connection.execute(query, (names,))]
    if not present:
        return None
    hint = "Load the sample into a new, empty database, or ask for the seed and size that it was made from."
    if "public.sample_origin" not in present:
        raise SampleExistsError(
            f"the database already has a table {present[0]}, not from the sample", hint=hint
        )
    row = connection.execute(
        "select customers, seed, reference, table_rows, copied_bytes from sample_origin"
    ).fetchone()
    if row is None or (row[0], row[1]) != (spec.customers, spec.seed):
        held = f"a sample of {row[0]} customers with seed {row[1]}" if row else "an unfinished sample"
        raise SampleExistsError(f"the database already holds {held}", hint=hint)
    return SampleSummary(SampleSpec(*row[:3]), row[3], time.monotonic() - began, row[4], loaded=False)


def _load(connection: Connection, spec: SampleSpec, progress: Progress) -> tuple[dict[str, int], int]:
    world = world_of(spec)
    connection.execute(_script("schema.sql"))
    _make_partitions(connection, world)
    rows, copied_bytes = _copy_all(connection, world, progress)
    progress("keys and indexes", _COPY_SHARE)
    connection.execute(_script("constraints.sql"))
    _advance_sequences(connection)
    progress("statistics", 0.97)
    connection.execute("analyze")
    connection.execute(
        "insert into sample_origin values (%s, %s, %s, %s, %s, %s)",
        (spec.seed, spec.customers, spec.reference, GENERATOR_VERSION, Jsonb(rows), copied_bytes),
    )
    connection.commit()
    progress("done", 1.0)
    return rows, copied_bytes


def _script(name: str) -> bytes:
    return resources.files("strongroom.sample").joinpath(name).read_bytes()


def _make_partitions(connection: Connection, world: World) -> None:
    for year in partition_years(world):
        statement = "create table {} partition of orders for values from ({}) to ({})"
        connection.execute(
            sql.SQL(statement).format(
                sql.Identifier(f"orders_{year}"),
                sql.Literal(f"{year}-01-01 00:00:00+00"),
                sql.Literal(f"{year + 1}-01-01 00:00:00+00"),
            )
        )
    connection.execute("create table orders_default partition of orders default")


def _copy_all(connection: Connection, world: World, progress: Progress) -> tuple[dict[str, int], int]:
    """Load the rows of every table.

    Returns:
        The number of rows by table, and the size of their text in bytes.
    """
    plans = table_plans(world)
    whole = sum(plan.basis for plan in plans)
    done, copied_bytes, rows = 0, 0, Counter[str]()
    last_orders = no_orders(world.spec)
    with _making(world.spec) as make_all:
        for plan in plans:
            for target, stream in _by_target(make_all(blocks_of(world, plan, last_orders))):
                with _copying(connection, target, plan) as write:
                    for block, made in stream:
                        write(made.text)
                        remember(last_orders, made)
                        copied_bytes += len(made.text)
                        done += block.end - block.start
                        progress(plan.name, _COPY_SHARE * done / whole)
                        rows[plan.name] += made.text.count(b"\n")
    return dict(rows), copied_bytes


def _by_target(stream: Iterator[Made]) -> Iterator[tuple[str, Iterator[Made]]]:
    """The blocks, grouped by the partition they go to."""
    return groupby(stream, key=lambda made: made[0].target)


@contextmanager
def _copying(connection: Connection, target: str, plan: TablePlan) -> Iterator[Callable[[bytes], None]]:
    """One COPY, frozen: the table was made in this transaction, so no row needs a second visit."""
    statement = sql.SQL("copy {} ({}) from stdin with (freeze)").format(
        sql.Identifier(*target.split(".")),
        sql.SQL(", ").join(map(sql.Identifier, plan.columns.split(", "))),
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        yield copy.write


@contextmanager
def _making(spec: SampleSpec) -> Iterator[Callable[[Iterator[Block]], Iterator[Made]]]:
    """A function that makes blocks in order: in other processes, a few blocks ahead, for large samples."""
    if spec.customers < PARALLEL_FROM_CUSTOMERS:
        yield lambda blocks: ((block, make_block(spec, block)) for block in blocks)
        return
    pool = ProcessPoolExecutor(_WORKERS, mp_context=get_context("spawn"))
    try:
        yield lambda blocks: _made_ahead(pool, spec, blocks)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _made_ahead(pool: ProcessPoolExecutor, spec: SampleSpec, blocks: Iterator[Block]) -> Iterator[Made]:
    waiting: deque[tuple[Block, Future[MadeBlock]]] = deque()
    for block in blocks:
        waiting.append((block, pool.submit(make_block, spec, block)))
        if len(waiting) > _BLOCKS_AHEAD:
            first, future = waiting.popleft()
            yield first, future.result()
    while waiting:
        first, future = waiting.popleft()
        yield first, future.result()


def _advance_sequences(connection: Connection) -> None:
    """Let the next row that somebody adds get the next number."""
    owned = connection.execute(
        "select quote_ident(n.nspname) || '.' || quote_ident(s.relname), "
        "       quote_ident(tn.nspname) || '.' || quote_ident(t.relname), quote_ident(a.attname) "
        "from pg_class s join pg_namespace n on n.oid = s.relnamespace "
        "join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = s.oid "
        "  and d.deptype in ('a', 'i') and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0 "
        "join pg_class t on t.oid = d.refobjid join pg_namespace tn on tn.oid = t.relnamespace "
        "join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid where s.relkind = 'S'"
    ).fetchall()
    for sequence, table, column in owned:
        # The three names come quoted from the catalogue.
        query = f"select setval('{sequence}', max({column})) from {table}"  # noqa: S608
        connection.execute(query.encode())

"""Every value of every type comes back from a file exactly as it was, or its type is refused up front."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.errors import FeatureNotSupported

from strongroom.archive.columns import SourceCodec, TableCodec, file_codec, table_codec
from strongroom.archive.errors import UnsupportedTypeError
from strongroom.archive.rowsink import copy_rows
from strongroom.archive.rowsource import batches
from strongroom.postgres import (
    Cluster,
    Connection,
    DatabaseUnreachableError,
    MissingPrivilegeError,
    PostgresError,
    connect,
    find_binaries,
    scratch_cluster,
)
from tests.integration.archive.types import REFUSED, TYPES, VALUES
from tests.integration.backup.conftest import server_root
from tests.support import require


@contextmanager
def database(cluster: Cluster) -> Iterator[Connection]:
    """A connection to a new database with the types."""
    name = f"types_{uuid4().hex[:8]}"
    with connect(cluster.conninfo(), application_name="test") as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        with connect(cluster.conninfo(name), application_name="test") as connection:
            connection.execute(TYPES.encode())
            yield connection
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def connection(control_server: Cluster) -> Iterator[Connection]:
    with database(control_server) as connection:
        yield connection


def run(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    cursor = connection.execute(statement.encode())
    return cursor.fetchall() if cursor.description else []


def through_a_file(codec: SourceCodec, rows: list[pa.RecordBatch]) -> tuple[TableCodec, list[pa.RecordBatch]]:
    """Rows after being written to a Parquet file and read again, with what the file says of itself."""
    file = io.BytesIO()
    with pq.ParquetWriter(file, codec.schema, compression="zstd") as writer:
        for batch in rows:
            writer.write_batch(batch)
    opened = pq.ParquetFile(file)
    return file_codec(opened.schema_arrow, "The file"), list(opened.iter_batches())


def survives(connection: Connection, table: str, order_by: str) -> None:
    """Archive a table into a file, bring it back into an empty copy, and compare both ways."""
    codec = table_codec(connection, table)
    rows = list(batches(connection, codec, order_by=sql.SQL("{}").format(sql.Identifier(order_by))))
    read_codec, read = through_a_file(codec, rows)
    one, two = pa.Table.from_batches(rows), pa.Table.from_batches(read)
    whole = [
        pa.RecordBatch.from_arrays([c.combine_chunks() for c in t.columns], schema=codec.schema)
        for t in (one, two)
    ]
    assert codec.first_difference(*whole) is None
    assert read_codec.columns == codec.columns
    run(
        connection,
        f"DROP TABLE IF EXISTS public.back; CREATE TABLE public.back (LIKE {table} INCLUDING GENERATED)",
    )
    assert copy_rows(connection, sql.Identifier("public", "back"), read_codec, read) == len(one)
    for column in codec.columns:
        name = sql.Identifier(column.name).as_string(connection)
        differ = (
            f"SELECT n FROM (SELECT a.n, ROW(a.{name})::text AS x, ROW(b.{name})::text AS y FROM {table} a"
        )
        differ += f" JOIN public.back b USING ({order_by})) s WHERE x IS DISTINCT FROM y"
        assert run(connection, differ) == [], column.type_name
    joined = run(connection, f"SELECT count(*) FROM {table} JOIN public.back USING ({order_by})")
    assert joined == [(len(one),)]


def make_everything(connection: Connection) -> None:
    kinds = {name: values for name, values in VALUES.items() if name != "xml" or knows_xml(connection)}
    columns = ", ".join(f'"{name.replace(chr(34), chr(39))}" {name}' for name in kinds)
    run(connection, f"CREATE TABLE public.everything (n int, {columns})")
    for number in range(max(map(len, kinds.values())) + 1):
        row = [values[number] if number < len(values) else "NULL" for values in kinds.values()]
        row = ["1" if v == "NULL" and t == "public.price" else v for v, t in zip(row, kinds, strict=True)]
        run(connection, f"INSERT INTO public.everything VALUES ({number}, {', '.join(row)})")


def knows_xml(connection: Connection) -> bool:
    """Whether the server was built with the library; Debian's is, the wheel's is not."""
    try:
        connection.execute("SELECT '<a/>'::xml")
    except FeatureNotSupported:
        return False
    return True


def test_every_type_survives_on_the_newest_server(connection: Connection) -> None:
    make_everything(connection)
    survives(connection, "public.everything", "n")


def test_every_type_survives_on_an_older_server() -> None:
    require("PostgreSQL 15", Path("/usr/lib/postgresql/15/bin/postgres").is_file())
    with server_root() as root, scratch_cluster(root, find_binaries(15), "types15") as scratch:
        cluster = scratch.cluster({"fsync": "off"})
        cluster.initialise()
        cluster.start()
        with database(cluster) as connection:
            make_everything(connection)
            assert knows_xml(connection)
            survives(connection, "public.everything", "n")


@pytest.mark.parametrize("type_name", REFUSED)
def test_a_type_that_would_not_survive_is_refused_by_name(connection: Connection, type_name: str) -> None:
    run(
        connection,
        "DROP TABLE IF EXISTS public.refused; DROP DOMAIN IF EXISTS public.called; DROP TYPE IF EXISTS public.calls",
    )
    run(
        connection,
        "CREATE TYPE public.calls AS (n int, f regproc); CREATE DOMAIN public.called AS public.calls[]",
    )
    run(connection, f"CREATE TABLE public.refused (n int, odd {type_name})")
    with pytest.raises(UnsupportedTypeError, match=rf"public\.refused\.odd .*{REFUSED[type_name]}"):
        table_codec(connection, "public.refused")


def test_a_table_without_columns_is_refused(connection: Connection) -> None:
    run(connection, "CREATE TABLE public.bare ()")
    with pytest.raises(UnsupportedTypeError, match="no columns"):
        table_codec(connection, "public.bare")


def test_amounts_and_moments_have_types_that_programs_can_add_and_compare(connection: Connection) -> None:
    run(
        connection, "CREATE TABLE public.typed (a public.price, at timestamptz, day date, id uuid, n numeric)"
    )
    codec = table_codec(connection, "public.typed")
    types = {column.name: column.arrow_type for column in codec.columns}
    assert types["a"] == pa.decimal128(12, 2)
    assert types["at"] == pa.timestamp("us", tz="UTC")
    assert (types["day"], types["id"], types["n"]) == (pa.date32(), pa.uuid(), pa.string())


def test_odd_names_and_dropped_and_computed_columns_survive(connection: Connection) -> None:
    run(
        connection,
        'CREATE TABLE public."Odd ""t" (n int GENERATED ALWAYS AS IDENTITY, gone text, "a::exact" text, a date,'
        ' "A" date,'
        ' "x %s {}" numeric(4,1), twice int GENERATED ALWAYS AS (7) STORED);'
        'ALTER TABLE public."Odd ""t" DROP COLUMN gone;'
        'INSERT INTO public."Odd ""t" ("a::exact", a, "A", "x %s {}")'
        " VALUES ('x', 'infinity', '2024-01-01', 'NaN')",
    )
    survives(connection, 'public."Odd ""t"', "n")


def test_partitions_are_read_through_their_root_and_inheriting_tables_are_not(connection: Connection) -> None:
    run(
        connection,
        "CREATE TABLE public.root (n int) PARTITION BY RANGE (n);"
        "CREATE TABLE public.leaf PARTITION OF public.root FOR VALUES FROM (0) TO (9);"
        "INSERT INTO public.root VALUES (1);"
        "CREATE TABLE public.elder (n int); CREATE TABLE public.heir () INHERITS (public.elder);"
        "INSERT INTO public.heir VALUES (1)",
    )
    count = {
        table: sum(batch.num_rows for batch in batches(connection, table_codec(connection, table)))
        for table in ("public.root", "public.elder")
    }
    assert count == {"public.root": 1, "public.elder": 0}


def test_rows_are_read_in_the_callers_snapshot(connection: Connection) -> None:
    run(connection, "CREATE TABLE public.moving AS SELECT generate_series(1, 10) AS n")
    codec = table_codec(connection, "public.moving")
    with connect(connection.info.dsn, application_name="test") as other:
        other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT 1")
        run(connection, "INSERT INTO public.moving VALUES (11)")
        where = sql.SQL("n > 5")
        assert sum(batch.num_rows for batch in batches(other, codec, where)) == 5
        assert sum(batch.num_rows for batch in batches(connection, codec, where)) == 6


def test_a_large_table_comes_in_many_batches(connection: Connection) -> None:
    run(
        connection,
        "CREATE TABLE public.large AS SELECT g AS n, repeat('x', 1000) AS t FROM generate_series(1, 20000) g",
    )
    sizes = [
        batch.nbytes
        for batch in batches(connection, table_codec(connection, "public.large"), max_bytes=1 << 20)
    ]
    assert len(sizes) > 10
    assert max(sizes) < 3 << 20


def test_the_servers_refusal_is_told_without_a_rows_values(connection: Connection) -> None:
    run(connection, "CREATE TABLE public.words AS SELECT 'secret@example.org' AS t, 0 AS n")
    codec = table_codec(connection, "public.words")
    with pytest.raises(PostgresError, match="division by zero") as caught:
        list(batches(connection, codec, sql.SQL("1 / n = 1")))
    assert "words" not in str(caught.value)
    run(connection, "DROP ROLE IF EXISTS nobody; CREATE ROLE nobody LOGIN")
    conninfo = connection.info.dsn.replace("user=postgres", "user=nobody")
    refused = pytest.raises(MissingPrivilegeError, match="permission denied")
    with connect(conninfo, application_name="test") as other, refused:
        list(batches(other, codec))
    run(connection, "DROP ROLE nobody")


def test_a_connection_that_breaks_while_rows_flow_is_worth_another_try(connection: Connection) -> None:
    run(connection, "CREATE TABLE public.cut AS SELECT g, repeat('x', 1000) FROM generate_series(1, 20000) g")
    rows = batches(connection, table_codec(connection, "public.cut"), max_bytes=1 << 20)
    next(rows)
    run(
        connection,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'strongroom archive'",
    )
    with pytest.raises(DatabaseUnreachableError):
        list(rows)


def test_a_first_difference_is_found_and_named(connection: Connection) -> None:
    run(connection, "CREATE TABLE public.floats (n int, x double precision, t text)")
    codec = table_codec(connection, "public.floats")

    def batch(x: list[float | None], t: list[str | None]) -> pa.RecordBatch:
        return pa.RecordBatch.from_pydict({"n": range(len(x)), "x": x, "t": t}, schema=codec.schema)

    nan = float("nan")
    assert codec.equal(batch([nan, 1.0], ["a", None]), batch([-nan, 1.0], ["a", None]))
    zero = codec.first_difference(batch([1.0, 0.0], ["", ""]), batch([1.0, -0.0], ["", ""]))
    assert zero is not None
    assert (zero.row, zero.column) == (1, "x")
    null = codec.first_difference(batch([1.0] * 3, ["", "", ""]), batch([1.0] * 3, ["", "", None]))
    assert null is not None
    assert (null.row, null.column) == (2, "t")
    assert not codec.equal(batch([1.0], [""]), batch([], []))


_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)
_NAN = Decimal("NaN")
_NUMBERS = st.just(_NAN) | st.decimals(allow_nan=False, min_value=-(10**9), max_value=10**9)
_ROWS = st.lists(
    st.tuples(
        st.none() | st.floats(),
        st.none() | st.floats(width=32),
        st.none()
        | _NUMBERS.map(lambda number: number.quantize(Decimal("0.01")) if number.is_finite() else _NAN),
        st.none() | st.just(_NAN) | st.decimals(allow_nan=False),
        st.none() | st.datetimes(timezones=st.timezones()),
        st.none() | st.binary(max_size=40),
        st.none() | _TEXT,
        st.none() | st.lists(st.none() | _TEXT, max_size=4),
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.uuids(),
    ),
    min_size=1,
    max_size=20,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=_ROWS)
def test_any_values_survive(connection: Connection, rows: list[tuple[Any, ...]]) -> None:
    run(
        connection,
        "CREATE TABLE IF NOT EXISTS public.anything (n int, a float8, b float4, c numeric(14,2), d numeric,"
        " e timestamptz, f bytea, g text, h text[], i bigint, j uuid); TRUNCATE public.anything",
    )
    places = ", ".join(["%s"] * 11)
    for number, row in enumerate(rows):
        connection.execute(f"INSERT INTO public.anything VALUES ({places})".encode(), (number, *row))
    survives(connection, "public.anything", "n")

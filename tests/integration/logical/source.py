"""What the logical tests back up: Pagila, and beside it everything that a dump gets wrong easily."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from strongroom.backup.restoring.logical import LogicalRestoreRequest, Selection
from strongroom.postgres import (
    Cluster,
    connect,
    find_binaries,
    scratch_cluster,
    table_fingerprint,
    tables,
)
from tests.integration.backup.conftest import server_root
from tests.support import TEST_DATA

ODD_SCHEMA = 'Odd "na\nmes'
ODD_TABLE = "drop; table 'x' \\. Ünïcode*?"

EXTRAS = """
CREATE ROLE "Shop Owner";
CREATE ROLE reader;
ALTER DATABASE pagila SET work_mem = '7MB';
COMMENT ON DATABASE pagila IS 'a shop of films';
CREATE SCHEMA "Odd ""na\nmes" AUTHORIZATION "Shop Owner";
CREATE TABLE "Odd ""na\nmes"."drop; table 'x' \\. Ünïcode*?"
  ("a b" int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "select" text, c int GENERATED ALWAYS AS (1) STORED);
INSERT INTO "Odd ""na\nmes"."drop; table 'x' \\. Ünïcode*?" ("select")
  VALUES (NULL), (E'tab\\t'), (E'\\\\.'), (E'a\n\\\\.\nb');
ALTER TABLE "Odd ""na\nmes"."drop; table 'x' \\. Ünïcode*?" OWNER TO "Shop Owner";
GRANT SELECT ON "Odd ""na\nmes"."drop; table 'x' \\. Ünïcode*?" TO reader;
COMMENT ON TABLE "Odd ""na\nmes"."drop; table 'x' \\. Ünïcode*?" IS 'it''s odd';
CREATE SCHEMA parts;
CREATE TYPE parts.colour AS ENUM ('red', 'green', 'blue');
CREATE TABLE parts.hashed (colour parts.colour, n int) PARTITION BY HASH (colour);
CREATE TABLE parts.hashed_0 PARTITION OF parts.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts.hashed_1 PARTITION OF parts.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parts.hashed SELECT (ARRAY['red', 'green', 'blue'])[1 + g % 3]::parts.colour, g
  FROM generate_series(1, 300) g;
CREATE TABLE parts.child_first (y int, x int);
CREATE TABLE parts.parent (x int);
ALTER TABLE parts.child_first INHERIT parts.parent;
INSERT INTO parts.child_first VALUES (1, 2), (3, 4);
CREATE TABLE parts.no_columns ();
INSERT INTO parts.no_columns DEFAULT VALUES;
CREATE UNLOGGED TABLE parts.unlogged AS SELECT 1 AS x;
CREATE MATERIALIZED VIEW parts.summary AS SELECT colour, count(*) FROM parts.hashed GROUP BY colour;
CREATE SEQUENCE parts.free START 5 INCREMENT 10;
SELECT nextval('parts.free'), nextval('parts.free');
CREATE TABLE parts.secret (owner text, note text);
INSERT INTO parts.secret VALUES ('a', 'x'), ('b', 'y');
ALTER TABLE parts.secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON parts.secret USING (owner = current_user);
CREATE TABLE parts.money (amount money, at timestamptz, span interval, raw bytea, real real);
INSERT INTO parts.money VALUES ('1234.5', '2024-02-29 12:00+02', '1 mon 2 days', '\\x00ff', 0.1);
SELECT lo_from_bytea(0, decode(repeat('00ff10', 100000), 'hex'));
"""


@contextmanager
def pagila_server(major: int = 18) -> Iterator[Cluster]:
    """A server with Pagila and the extras in the database `pagila`."""
    with server_root() as root, scratch_cluster(root, find_binaries(major), f"pagila{major}") as scratch:
        cluster = scratch.cluster({"fsync": "off"})
        cluster.initialise()
        cluster.start()
        with connect(cluster.conninfo(), application_name="test") as connection:
            connection.execute("CREATE DATABASE pagila")
        psql(cluster.conninfo("pagila"), TEST_DATA.joinpath("pagila.sql").read_text())
        psql(cluster.conninfo("pagila"), EXTRAS)
        yield cluster


def psql(conninfo: str, script: str) -> None:
    """Run a script."""
    program = find_binaries().tool("psql")
    command = [program, "-X", "-q", "-v", "ON_ERROR_STOP=1", conninfo]
    done = subprocess.run(command, input=script.encode(), check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def query(conninfo: str, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """The rows that a statement gives."""
    with connect(conninfo, application_name="test") as connection:
        cursor = connection.execute(statement.encode(), parameters or None)
        return cursor.fetchall() if cursor.description else []


def contents(conninfo: str, seed: int = 7) -> dict[tuple[str, str], tuple[int, str]]:
    """Rows and content hash of every table, over its columns in the order of their names."""
    found = {}
    with connect(conninfo, application_name="test") as connection:
        for table in tables(connection):
            columns = tuple(sorted(table.columns))
            value = table_fingerprint(connection, type(table)(**{**vars(table), "columns": columns}), seed)
            found[table.schema, table.name] = (value.rows, value.hash)
    return found


def tables_back(selection: Selection, conninfo: str, schema: str, **options: Any) -> LogicalRestoreRequest:
    """A wish for tables of the newest backup; the tests' connections are called as their connection strings."""
    return LogicalRestoreRequest("shop", conninfo, schema, selection, **options)


def database_back(conninfo: str, name: str, **options: Any) -> LogicalRestoreRequest:
    """A wish for the whole database of the newest backup."""
    return LogicalRestoreRequest("shop", conninfo, name, **options)


STRUCTURE = {
    "columns": """
        SELECT table_schema, table_name, column_name, data_type, udt_name, column_default, is_nullable, is_identity,
               is_generated FROM information_schema.columns
         WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2, 3""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
         WHERE connamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2""",
    "indexes": """
        SELECT schemaname, tablename, indexname, indexdef FROM pg_indexes
         WHERE schemaname <> 'pg_catalog' ORDER BY 1, 2, 3""",
    "triggers": "SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger"
    " WHERE NOT tgisinternal ORDER BY 1, 2",
    "policies": "SELECT schemaname, tablename, policyname, qual FROM pg_policies ORDER BY 1, 2, 3",
    "owners": """
        SELECT relname, pg_get_userbyid(relowner), relacl::text, obj_description(oid, 'pg_class') FROM pg_class
         WHERE relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
         ORDER BY 1""",
    "sequences": "SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2",
    "large objects": "SELECT loid, count(*), md5(string_agg(data, '' ORDER BY pageno)) FROM pg_largeobject GROUP BY 1",
    "functions": "SELECT proname, prosrc FROM pg_proc WHERE pronamespace::regnamespace::text"
    " NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2",
}


def structure(conninfo: str) -> dict[str, list[tuple[Any, ...]]]:
    """Everything but rows, as the catalogue tells it."""
    return {name: query(conninfo, statement) for name, statement in STRUCTURE.items()}

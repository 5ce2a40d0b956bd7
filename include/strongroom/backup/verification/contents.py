"""L4: whether every page, index and table of the restored server can be read and agrees with itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from strongroom.backup.restoring.control import ControlData
from strongroom.postgres import (
    SUPERUSER,
    Cluster,
    ServerBinaries,
    TableKind,
    connect,
    databases,
    run_as,
    server_errors,
    tables,
)

_JOBS = 2
_CORRUPTION_FOUND = 2
_RELATION = re.compile(r'(?:heap table|btree index|index|relation|sequence) "([^"]+)"')


@dataclass(frozen=True)
class ToolFinding:
    """What a checking program found: nothing, or where; never a row's value."""

    sound: bool
    summary: str


@dataclass(frozen=True)
class ReadTable:
    """A table that was read from its first to its last row."""

    database: str
    schema: str
    name: str
    rows: int


def page_checksums(cluster: Cluster) -> ToolFinding:
    """Stop the server in order, verify every page's checksum, and start it again.

    Raises:
        ServerStopError, ServerStartError: the restored server does not stop or start a second time.
    """
    cluster.stop()
    done = run_as(cluster.account, [cluster.binaries.tool("pg_checksums"), "--check", "-D", cluster.data_dir])
    cluster.start()
    if done.returncode != 0:
        return ToolFinding(False, _tail(done.stderr or done.stdout))
    return ToolFinding(True, _blocks(done.stdout))


def checksums_enabled(control: ControlData) -> bool:
    """Whether the cluster has page checksums at all."""
    return control.checksums


def amcheck(cluster: Cluster, binaries: ServerBinaries) -> ToolFinding:
    """Check all heaps and B-trees of all databases, and that every row is in its indexes.

    Args:
        cluster: the running server.
        binaries: an installation that has `pg_amcheck` (PostgreSQL 14 on; it works with older servers).
    """
    arguments: list[str | Path] = [
        binaries.tool("pg_amcheck"),
        "--all",
        "--heapallindexed",
        "--install-missing",
        f"--jobs={_JOBS}",
        f"--host={cluster.socket_dir}",
        f"--port={cluster.port or 5432}",
        f"--username={SUPERUSER}",
        "--no-password",
    ]
    done = run_as(cluster.account, arguments)
    if done.returncode == 0:
        return ToolFinding(True, "every heap and B-tree index agrees with itself and with each other")
    if done.returncode == _CORRUPTION_FOUND:
        names = sorted(set(_RELATION.findall(done.stdout + done.stderr)))
        named = ", ".join(names[:10]) or "see pg_amcheck"
        return ToolFinding(False, f"corruption found in {named}{' and more' * (len(names) > 10)}")
    return ToolFinding(False, f"pg_amcheck could not finish: {_tail(done.stderr)}")


def read_everything(cluster: Cluster) -> Iterator[ReadTable]:
    """Read every row and column of every table, the large values included, without moving them to us.

    The server itself copies each table to /dev/null, so that no row leaves it.

    Raises:
        PostgresError: a table cannot be read.
    """
    for database in all_databases(cluster):
        with connect(cluster.conninfo(database), application_name="strongroom verify") as connection:
            for table in tables(connection):
                if table.kind is TableKind.FOREIGN:
                    continue
                statement = sql.SQL("COPY (SELECT * FROM {}) TO '/dev/null' (FORMAT binary)")
                with server_errors(f"Reading {database}.{table.schema}.{table.name}: the restored server"):
                    rows = connection.execute(statement.format(table.identifier)).rowcount
                yield ReadTable(database, table.schema, table.name, rows)


def all_databases(cluster: Cluster) -> list[str]:
    """The names of the server's databases, templates left out."""
    with connect(cluster.conninfo(), application_name="strongroom verify") as connection:
        return databases(connection)


def catalogues_readable(cluster: Cluster, database: str) -> ToolFinding:
    """Whether the definitions of everything in a database can be written out, as a dump would."""
    arguments: list[str | Path] = [
        cluster.binaries.tool("pg_dump"),
        "--schema-only",
        "--file=/dev/null",
        f"--host={cluster.socket_dir}",
        f"--port={cluster.port or 5432}",
        f"--username={SUPERUSER}",
        f"--dbname={database}",
    ]
    done = run_as(cluster.account, arguments)
    return ToolFinding(done.returncode == 0, _tail(done.stderr) if done.returncode else "readable")


def _blocks(output: str) -> str:
    match = re.search(r"Blocks scanned:\s+(\d+)", output)
    return f"{match[1]} blocks, no bad checksum" if match else "no bad checksum"


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-5:])[:600]

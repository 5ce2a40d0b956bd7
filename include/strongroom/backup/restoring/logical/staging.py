"""Definitions of some tables under another schema, written by PostgreSQL itself.

A scratch server gets the definitions of the whole backup, and no row. There the wanted tables are cut loose from what
stays behind, and moved into one schema together with the types, sequences and functions that they need; the server
follows every reference by its number, so no text is ever rewritten here. `pg_dump` of that schema is what the target
gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from strongroom.backup.logical.contents import ExtensionFacts, Name, quote, quoted
from strongroom.backup.logical.programs import Program
from strongroom.backup.restoring.logical import catalogue
from strongroom.backup.restoring.logical.databases import check_extensions, create_database
from strongroom.backup.restoring.logical.loading import APPLICATION, LogicalLoader
from strongroom.backup.restoring.logical.selecting import Selection, selected_tables
from strongroom.errors import InputError
from strongroom.postgres import (
    Cluster,
    Connection,
    PostgresError,
    Scratch,
    connect,
    server_errors,
)

_DATABASE = "strongroom_staging"
_OPTIONS = ("--no-owner", "--no-privileges", "--no-publications", "--no-subscriptions")
_SETTINGS = {
    "autovacuum": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "max_locks_per_transaction": "512",
    "max_logical_replication_workers": "0",
}


@dataclass(frozen=True)
class Staged:
    """Definitions that are ready for the target."""

    schema: str
    """The schema that they make."""
    pre: Path
    post: Path
    moved: dict[Name, Name]
    """Every table and sequence of the backup that comes along, and its name in the target."""
    tables: tuple[Name, ...]
    """The tables among them, by their names in the backup."""
    extensions: tuple[ExtensionFacts, ...]
    """What the target must have."""
    brought_along: tuple[str, ...]
    """What else they need and what is made along with them: types, functions and the like."""
    left_out: tuple[str, ...]
    """What belonged to the tables and does not come along."""


def stage(
    loader: LogicalLoader, scratch: Scratch, selection: Selection, schema: str, new_name: str | None
) -> Staged:
    """Make the definitions of some tables under a schema.

    Args:
        loader: of the backup.
        scratch: an empty scratch server of the source's version.
        selection: the tables.
        schema: the schema that they will be in.
        new_name: for a single table, its new name.

    Raises:
        TableMissingError: the backup has no such table.
        InputError: the selection cannot stand alone.
        PostgresError: the definitions do not restore.
    """
    cluster = scratch.cluster(_SETTINGS)
    cluster.initialise()
    cluster.start()
    _restore_definitions(loader, cluster)
    conninfo = cluster.conninfo(_DATABASE)
    with connect(conninfo, application_name=APPLICATION) as connection, server_errors("The scratch server"):
        chosen = selected_tables(connection, selection)
        _check_new_name(chosen, new_name)
        names = dict(catalogue.relations(connection))
        left_out = list(catalogue.cut_loose(connection, sorted(chosen)))
        needs = _move(connection, sorted(chosen), schema)
        if new_name is not None:
            _rename(connection, (schema, chosen[_only(chosen)][1]), new_name)
        moved = {names[oid]: name for oid, name in catalogue.relations(connection) if name[0] == schema}
    pre, post = (_dump(scratch, conninfo, schema, section) for section in ("pre-data", "post-data"))
    cluster.stop("immediate")
    return Staged(
        schema,
        pre,
        post,
        moved,
        tuple(sorted(chosen.values())),
        tuple(needs.extensions),
        tuple(sorted(f"{kind} {identity}" for kind, identity in needs.movable)),
        tuple(left_out),
    )


def _restore_definitions(loader: LogicalLoader, cluster: Cluster) -> None:
    maintenance = cluster.conninfo("template1")
    loader.load_globals(maintenance)
    with connect(maintenance, application_name=APPLICATION) as connection:
        check_extensions(connection, loader.contents.extensions)
        create_database(connection, _DATABASE, loader.contents.database)
    conninfo = cluster.conninfo(_DATABASE)
    problems = loader.definitions("pre", conninfo, _OPTIONS) or loader.definitions("post", conninfo, _OPTIONS)
    if problems:
        raise PostgresError(
            f"The backup's definitions do not restore: {'; '.join(problems[:5])}",
            hint="Verify the backup; restore the whole database of an older one.",
        )


def _move(connection: Connection, oids: Sequence[int], schema: str) -> catalogue.Needs:
    """Move the tables and what they need into a new schema; gives what that was."""
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    for oid in oids:
        [name] = [name for found, name in catalogue.relations(connection) if found == oid]
        connection.execute(f"ALTER TABLE {quoted(name)} SET SCHEMA {quote(schema)}".encode())
    needs = catalogue.needs(connection, oids, schema)
    if needs.relations:
        raise InputError(
            f"The tables need others that were not chosen: {', '.join(sorted(needs.relations)[:10])}.",
            hint="Choose those too, or the whole schema.",
        )
    for kind, identity in needs.movable:
        if kind == "sequence":
            connection.execute(f"ALTER SEQUENCE {identity} OWNED BY NONE".encode())
        connection.execute(f"ALTER {kind.upper()} {identity} SET SCHEMA {quote(schema)}".encode())
    return needs


def _check_new_name(chosen: dict[int, Name], new_name: str | None) -> None:
    names = [name for _, name in chosen.values()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"Tables of the same name cannot go into one schema: {', '.join(twice[:5])}.",
            hint="Restore each schema on its own, under a schema of its own.",
        )
    if new_name is not None:
        _only(chosen)


def _only(chosen: dict[int, Name]) -> int:
    if len(chosen) != 1:
        raise InputError(
            "A new name is for one table without partitions.", hint="Leave the names as they are."
        )
    return next(iter(chosen))


def _rename(connection: Connection, table: Name, new_name: str) -> None:
    connection.execute(f"ALTER TABLE {quoted(table)} RENAME TO {quote(new_name)}".encode())


def _dump(scratch: Scratch, conninfo: str, schema: str, section: str) -> Path:
    """Write the definitions of the schema; `pg_dump` reads its own server's version best."""
    path = scratch.directory / f"{section}.dump"
    pattern = quote(schema)
    arguments = ["--format=custom", "--compress=0", f"--section={section}", f"--schema={pattern}", *_OPTIONS]
    with path.open("wb") as file:
        problems = Program(scratch.binaries.tool("pg_dump"), arguments, conninfo, stdout=file).outcome(
            lambda: None
        )
    if problems:
        raise PostgresError(f"The definitions could not be written: {'; '.join(problems[:5])}")
    return path

"""The place that a restore goes to: refused when it is taken, unfinished until everything is in it.

An unfinished database or schema is called `strongroom_unfinished_<16 hex>`. Who makes it holds an advisory lock of that
name; one whose lock nobody holds was left by a killed restore, and goes with the next.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from psycopg import sql

from strongroom.backup.logical.contents import ExtensionFacts
from strongroom.backup.restoring.errors import TargetExistsError
from strongroom.backup.restoring.logical.databases import database_exists, drop_database
from strongroom.errors import ConfigurationError
from strongroom.postgres import Connection, LockHeldError, advisory_lock, lock_key, server_errors

_UNFINISHED = "strongroom_unfinished_"
_NAME = re.compile(rf"{_UNFINISHED}[0-9a-f]{{16}}")
_WHERE = "The target server"


def unfinished_name() -> str:
    """A name for something that is not finished."""
    return f"{_UNFINISHED}{secrets.token_hex(8)}"


def refuse_database(control: Connection, name: str) -> None:
    """Pass when the server has no database of that name.

    Raises:
        TargetExistsError: it has one.
    """
    if database_exists(control, name):
        raise TargetExistsError(
            f"The server has a database {name} already; a restore never goes over one.",
            hint="Choose another name; rename it when you are sure.",
        )


def refuse_schema(control: Connection, name: str) -> None:
    """Pass when the database has no schema of that name.

    Raises:
        TargetExistsError: it has one.
        ConfigurationError: PostgreSQL keeps such names for itself.
    """
    if name.startswith("pg_"):
        raise ConfigurationError(f"PostgreSQL keeps names such as {name} for itself.")
    if name in _schemas(control):
        raise TargetExistsError(
            f"The database has a schema {name} already; a restore never goes over one.",
            hint="Choose another name; move the tables with ALTER TABLE ... SET SCHEMA when you are sure.",
        )


def check_roles(control: Connection, roles: Sequence[str]) -> None:
    """Pass when the server has the roles that own something or are granted something.

    Raises:
        ConfigurationError: it lacks some.
    """
    with server_errors(_WHERE):
        rows = control.execute("SELECT rolname FROM pg_catalog.pg_roles").fetchall()
    missing = sorted(set(roles) - {str(row[0]) for row in rows})
    if missing:
        raise ConfigurationError(
            f"The server lacks roles that own something in the backup: {', '.join(missing[:10])}.",
            hint="Create them (the backup's globals.sql has them), or restore without owners (--no-owners).",
        )


def check_present_extensions(control: Connection, extensions: Sequence[ExtensionFacts]) -> None:
    """Pass when the database has the extensions, in the schemas in which the tables look for them.

    Raises:
        ConfigurationError: it lacks some; the hint makes them.
    """
    query = """SELECT e.extname, n.nspname FROM pg_catalog.pg_extension e
                 JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace"""
    with server_errors(_WHERE):
        present = dict(control.execute(query.encode()).fetchall())
    missing = [item for item in extensions if present.get(item.name) != item.schema]
    if missing:
        statements = [
            sql.SQL("CREATE EXTENSION {} SCHEMA {};")
            .format(sql.Identifier(item.name), sql.Identifier(item.schema))
            .as_string(control)
            for item in missing
        ]
        raise ConfigurationError(
            f"The target database lacks extensions that the tables need: {', '.join(i.name for i in missing)}.",
            hint="\n".join(statements),
        )


@contextmanager
def unfinished_database(control: Connection) -> Iterator[str]:
    """The name of a database to make, which is dropped if the block fails."""
    with server_errors(_WHERE):
        rows = control.execute("SELECT datname FROM pg_catalog.pg_database").fetchall()
    for [left] in rows:
        if _NAME.fullmatch(left) and not _held_anywhere(control, left):
            with suppress(LockHeldError), advisory_lock(control, left):
                drop_database(control, left)
    name = unfinished_name()
    with advisory_lock(control, name):
        try:
            yield name
        except BaseException:
            if not control.closed and not control.broken:
                drop_database(control, name)
            raise


def _held_anywhere(control: Connection, name: str) -> bool:
    """Whether a session holds the lock of that name: a lock is known in its own database only, pg_locks knows all."""
    key = lock_key(name) & 0xFFFF_FFFF_FFFF_FFFF
    query = """SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
                  AND classid::bigint = %s AND objid::bigint = %s"""
    with server_errors(_WHERE):
        return control.execute(query.encode(), (key >> 32, key & 0xFFFF_FFFF)).fetchone() is not None


@contextmanager
def unfinished_schema(control: Connection, name: str) -> Iterator[None]:
    """Hold a schema that is being made, which is dropped if the block fails."""
    for left in _schemas(control):
        if _NAME.fullmatch(left):
            with suppress(LockHeldError), advisory_lock(control, left):
                _drop_schema(control, left)
    with advisory_lock(control, name):
        try:
            yield
        except BaseException:
            if not control.closed and not control.broken:
                _drop_schema(control, name)
            raise


def rename_schema(control: Connection, name: str, new_name: str) -> None:
    """Give a finished schema its name, in one step."""
    statement = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
    with server_errors(_WHERE):
        control.execute(statement.format(sql.Identifier(name), sql.Identifier(new_name)))


def _drop_schema(control: Connection, name: str) -> None:
    with server_errors(_WHERE):
        control.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))


def _schemas(control: Connection) -> list[str]:
    with server_errors(_WHERE):
        return [row[0] for row in control.execute("SELECT nspname FROM pg_catalog.pg_namespace").fetchall()]

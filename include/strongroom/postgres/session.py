"""Connections with settings that make results the same on every server, and failures loud."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors as pg_errors

from strongroom.postgres.errors import (
    DatabaseLoginError,
    DatabaseUnreachableError,
    MissingPrivilegeError,
    PostgresError,
)

Connection = psycopg.Connection[Any]

SESSION_SETTINGS = {
    "search_path": "pg_catalog",
    "client_encoding": "UTF8",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "xmlbinary": "base64",
    "lc_monetary": "C",
    "row_security": "off",
    "lock_timeout": "30s",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
"""Text output does not depend on the server's defaults; row security fails rather than hide rows."""


def connect(conninfo: str, *, application_name: str, autocommit: bool = True) -> Connection:
    """A connection with safe session settings.

    Args:
        conninfo: a libpq connection string or URL.
        application_name: what the server shows in `pg_stat_activity`.
        autocommit: whether each statement is a transaction of its own.

    Raises:
        DatabaseUnreachableError: the server does not answer or is starting up.
        DatabaseLoginError: it refused the login.
    """
    with server_errors("The database server"):
        connection = psycopg.connect(
            conninfo,
            autocommit=True,
            application_name=application_name,
            connect_timeout=10,
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=4,
        )
    try:
        with server_errors("The database server"):
            for name, value in SESSION_SETTINGS.items():
                connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, value))
            connection.autocommit = autocommit
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def server_errors(what: str) -> Iterator[None]:
    """Turn psycopg's errors in the block into ours. `what` names the server in the message.

    Raises:
        DatabaseUnreachableError: no answer, a broken connection, a server that shuts down or starts.
        DatabaseLoginError: the login was refused.
        MissingPrivilegeError: a privilege is missing.
        PostgresError: anything else; only the server's primary message is kept, never row values.
    """
    try:
        yield
    except pg_errors.InsufficientPrivilege as error:
        raise MissingPrivilegeError(f"{what} refused: {_primary(error)}") from error
    except psycopg.Error as error:
        if _is_connection_error(error):
            raise _connection_error(what, error) from error
        raise PostgresError(f"{what} answered with an error: {_primary(error)}") from error


def _is_connection_error(error: psycopg.Error) -> bool:
    """Whether it is about the connection or the server's state (classes 08, 28, 3D, 53, 57, lock timeout)."""
    if not isinstance(error, pg_errors.OperationalError | pg_errors.InterfaceError):
        return False
    state = error.sqlstate
    return state is None or state[:2] in ("08", "28", "3D", "53", "57") or state == "55P03"


def _connection_error(what: str, error: psycopg.Error) -> DatabaseLoginError | DatabaseUnreachableError:
    message = _primary(error)
    refused = ("authentication failed", "no pg_hba.conf entry", "does not exist", "no password supplied")
    if (error.sqlstate or "")[:2] in ("28", "3D") or any(phrase in message for phrase in refused):
        return DatabaseLoginError(
            f"{what} refused the login: {message}",
            hint="Check user, password and database of the connection, and the server's pg_hba.conf.",
        )
    return DatabaseUnreachableError(
        f"{what} does not answer: {message}", hint="Is it running, and can this machine reach it?"
    )


def _primary(error: psycopg.Error) -> str:
    """The first line of the message: details and contexts can hold row values."""
    primary = error.diag.message_primary or str(error)
    lines = primary.strip().splitlines()
    return lines[0] if lines else type(error).__name__

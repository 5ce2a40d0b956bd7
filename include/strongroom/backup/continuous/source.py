"""The source as the shipper sees it: who it is, the way it came, what time it is there, and where its log stands.

The replication protocol says which timeline the server is on: the control file lags behind after a promotion.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from strongroom.backup.continuous.errors import HistoryMissingError
from strongroom.backup.continuous.history import TimelineHistory, history_name, parse_history
from strongroom.backup.continuous.segments import check_segment_bytes
from strongroom.backup.errors import SourceNotReadyError
from strongroom.postgres import (
    Connection,
    MissingPrivilegeError,
    parse_lsn,
    server_errors,
    server_major,
    server_version,
)

OLDEST_MAJOR = 13

_FACTS = """
SELECT current_setting('wal_level'), pg_is_in_recovery(), current_setting('max_wal_senders')::int,
       current_setting('max_replication_slots')::int, pg_size_bytes(current_setting('wal_segment_size')),
       (SELECT system_identifier::text FROM pg_control_system()),
       current_user::text, r.rolsuper OR r.rolreplication, has_function_privilege('pg_switch_wal()', 'EXECUTE')
  FROM pg_roles r WHERE r.rolname = current_user
"""


@dataclass(frozen=True)
class WalSource:
    """A server whose WAL can be shipped."""

    version: str
    major: int
    system_identifier: str
    segment_bytes: int
    history: TimelineHistory
    history_file: bytes
    """As the server keeps it; empty on the first timeline."""

    @property
    def timeline(self) -> int:
        """The timeline that it writes."""
        return self.history.timeline


@dataclass(frozen=True)
class Moment:
    """A time at the source, and where everything that was committed before it lies."""

    clock: datetime
    position: int
    """Every commit that was confirmed before `clock` lies before this byte."""
    transactions: str
    """SHA-256 of the snapshot: while it stays the same, nothing has committed since."""


def check_wal_source(control: Connection, conninfo: str) -> WalSource:
    """The source's facts, when its WAL can be shipped.

    Args:
        control: a session on the source.
        conninfo: the source, for a short replication connection.

    Raises:
        SourceNotReadyError: too old, a standby, or a setting forbids it.
        MissingPrivilegeError: the hint holds the statements that grant what is missing.
        HistoryMissingError: the server has lost the history of its own timeline.
    """
    if server_major(control) < OLDEST_MAJOR:
        raise SourceNotReadyError(
            f"The source is PostgreSQL {server_version(control)}; shipping WAL needs {OLDEST_MAJOR} or later.",
            hint="Upgrade the server.",
        )
    with server_errors("The source"):
        row = control.execute(_FACTS).fetchone()
    if row is None:
        raise SourceNotReadyError("The source does not say what it is.")
    level, standby, senders, slots, segment_bytes, identifier, user, replication, switch = row
    _check_settings(level, standby, senders, slots)
    _check_privileges(control, user, replication, switch)
    history, file = _own_history(conninfo, identifier)
    return WalSource(
        server_version(control),
        server_major(control),
        identifier,
        check_segment_bytes(segment_bytes),
        history,
        file,
    )


def present(control: Connection) -> Moment:
    """The source's time, then where its log stands: in this order, so that nothing falls between the two."""
    clock = _value(control, "SELECT clock_timestamp()")
    snapshot = str(_value(control, "SELECT pg_current_snapshot()::text"))
    position = parse_lsn(str(_value(control, "SELECT pg_current_wal_insert_lsn()")))
    return Moment(clock, position, hashlib.sha256(snapshot.encode()).hexdigest())


def mark(control: Connection) -> Moment:
    """Write an empty transaction and say where the log stands after it.

    Recovery to a time ends at the first commit that is later than it, and without one fails. This is that commit
    for every moment before the one that is returned.
    """
    clock = _value(control, "SELECT clock_timestamp()")
    _value(control, "SELECT pg_current_xact_id()::text")
    after = present(control)
    return Moment(clock, after.position, after.transactions)


def switch_segment(control: Connection) -> int:
    """Complete the current segment; returns the position just after what was written to it."""
    return parse_lsn(str(_value(control, "SELECT pg_switch_wal()")))


def flushed(control: Connection) -> int:
    """Up to where the log is on the source's disk."""
    return parse_lsn(str(_value(control, "SELECT pg_current_wal_flush_lsn()")))


def _own_history(conninfo: str, identifier: str) -> tuple[TimelineHistory, bytes]:
    with _replication(conninfo) as connection:
        system, timeline = _raw(connection, "IDENTIFY_SYSTEM")[:2]
        if system.decode() != identifier:
            raise SourceNotReadyError(
                "Two connections to the source led to two different clusters.",
                hint="The connection leads to several servers; name one of them.",
            )
        number = int(timeline)
        if number == 1:
            return TimelineHistory(1), b""
        try:
            file = _raw(connection, f"TIMELINE_HISTORY {number}")[1]
        except psycopg.Error as error:
            raise HistoryMissingError(
                f"The source has lost {history_name(number)}, the history of its own timeline.",
                hint="Copy it into the server's pg_wal from a standby or an archive, or take a new backup there.",
            ) from error
    return parse_history(number, file), file


@contextmanager
def _replication(conninfo: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that speaks the replication protocol; parameters cannot be bound on it."""
    with server_errors("The source"):
        connection = psycopg.connect(
            conninfo,
            replication="true",
            autocommit=True,
            application_name="strongroom wal",
            connect_timeout=10,
        )
    with connection:
        yield connection


def _raw(connection: psycopg.Connection[Any], command: str) -> list[bytes]:
    """The first row of a replication command's answer, as it came."""
    result = connection.execute(command.encode()).pgresult
    if result is None or not result.ntuples:
        raise SourceNotReadyError(f"The source does not answer {command.split()[0]}.")
    return [result.get_value(0, column) or b"" for column in range(result.nfields)]


def _value(control: Connection, query: str) -> Any:
    with server_errors("The source"):
        row = control.execute(query.encode()).fetchone()
    if row is None:
        raise SourceNotReadyError("The source does not say where its log stands.")
    return row[0]


def _check_settings(level: str, standby: bool, senders: int, slots: int) -> None:
    if standby:
        raise SourceNotReadyError(
            "The source is a standby; its WAL is shipped from the primary.",
            hint="Point the connection at the primary.",
        )
    if level == "minimal":
        raise SourceNotReadyError(
            "The source writes too little WAL for recovery (wal_level = minimal).",
            hint="ALTER SYSTEM SET wal_level = 'replica'; then restart the server.",
        )
    for name, value in (("max_wal_senders", senders), ("max_replication_slots", slots)):
        if value < 1:
            raise SourceNotReadyError(
                f"The source allows no replication ({name} = {value}).",
                hint=f"ALTER SYSTEM SET {name} = 10; then restart the server.",
            )


def _check_privileges(control: Connection, user: str, replication: bool, switch: bool) -> None:
    role = sql.Identifier(user)
    missing = [
        (replication, sql.SQL("ALTER ROLE {} REPLICATION").format(role)),
        (switch, sql.SQL("GRANT EXECUTE ON FUNCTION pg_catalog.pg_switch_wal() TO {}").format(role)),
    ]
    statements = [statement.as_string(control) + ";" for granted, statement in missing if not granted]
    if statements:
        raise MissingPrivilegeError(
            f"The database user lacks {len(statements)} privilege(s) for shipping WAL.",
            hint="As a superuser, in the database of the connection:\n" + "\n".join(statements),
        )

"""What a source must allow before a physical backup of it can begin; each refusal says what to change."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from strongroom.backup.errors import SourceChangedError, SourceNotReadyError
from strongroom.postgres import (
    Connection,
    MissingPrivilegeError,
    server_errors,
    server_major,
    server_version,
)

OLDEST_MAJOR = 13

_FACTS = """
SELECT current_setting('wal_level'), pg_is_in_recovery(), current_setting('max_wal_senders')::int,
       current_setting('max_replication_slots')::int, pg_size_bytes(current_setting('wal_segment_size')),
       current_setting('data_checksums') = 'on',
       (SELECT system_identifier::text FROM pg_control_system()),
       (SELECT timeline_id FROM pg_control_checkpoint()),
       array(SELECT oid::bigint FROM pg_tablespace WHERE oid >= 16384 ORDER BY oid),
       coalesce(current_setting('summarize_wal', true) = 'on', false), current_user::text
"""
_TABLESPACES = "SELECT oid::bigint FROM pg_tablespace WHERE oid >= 16384 ORDER BY oid"
_PRIVILEGES = """
SELECT r.rolsuper OR r.rolreplication,
       has_function_privilege('pg_create_restore_point(text)', 'EXECUTE'),
       has_function_privilege('pg_switch_wal()', 'EXECUTE'),
       r.rolsuper OR NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pg_read_all_data')
           OR pg_has_role(r.oid, 'pg_read_all_data', 'MEMBER')
  FROM pg_roles r WHERE r.rolname = current_user
"""


@dataclass(frozen=True)
class SourceFacts:
    """The source, as it says itself."""

    version: str
    major: int
    system_identifier: str
    timeline: int
    wal_segment_bytes: int
    data_checksums: bool
    tablespaces: tuple[int, ...]
    """The oids of the tablespaces that lie outside of the data directory, or may."""
    summarize_wal: bool
    """Whether the server keeps note of what each piece of WAL changed; incremental backups need it."""


def check_source(control: Connection, *, reads_tables: bool) -> SourceFacts:
    """The source's facts, when a physical backup of it can begin.

    Args:
        control: a session on the source.
        reads_tables: whether fingerprints will be taken.

    Raises:
        SourceNotReadyError: too old, a standby, or a setting forbids it.
        MissingPrivilegeError: the hint holds the statements that grant what is missing.
    """
    if server_major(control) < OLDEST_MAJOR:
        raise SourceNotReadyError(
            f"The source is PostgreSQL {server_version(control)}; physical backups need {OLDEST_MAJOR} or later.",
            hint="Upgrade the server.",
        )
    with server_errors("The source"):
        row = control.execute(_FACTS).fetchone()
        rights = control.execute(_PRIVILEGES).fetchone()
    if row is None or rights is None:
        raise SourceNotReadyError("The source does not say what it is.")
    (
        level,
        standby,
        senders,
        slots,
        segment_bytes,
        checksums,
        identifier,
        timeline,
        spaces,
        summaries,
        user,
    ) = row
    _check_settings(level, standby, senders, slots)
    _check_privileges(control, user, rights, reads_tables)
    return SourceFacts(
        version=server_version(control),
        major=server_major(control),
        system_identifier=identifier,
        timeline=timeline,
        wal_segment_bytes=segment_bytes,
        data_checksums=checksums,
        tablespaces=tuple(spaces),
        summarize_wal=summaries,
    )


def check_unchanged(control: Connection, before: SourceFacts) -> None:
    """Look whether the source has the same tablespaces as before the base backup.

    A restore replays the log from the base backup on. Replaying the creation of a tablespace would make it at its
    original place, which on the source's own machine holds the living one.

    Raises:
        SourceChangedError: a tablespace was created or dropped in the meantime.
    """
    with server_errors("The source"):
        rows = control.execute(_TABLESPACES).fetchall()
    if tuple(row[0] for row in rows) != before.tablespaces:
        raise SourceChangedError(
            "A tablespace was created or dropped while the base backup ran, which a restore could not replay safely.",
            hint="The next run starts anew; create and drop tablespaces outside of the backup's hours.",
        )


def _check_settings(level: str, standby: bool, senders: int, slots: int) -> None:
    if standby:
        raise SourceNotReadyError(
            "The source is a standby: it cannot write the restore point that a proof needs.",
            hint="Point the connection at the primary.",
        )
    if level == "minimal":
        raise SourceNotReadyError(
            "The source writes too little WAL for a physical backup (wal_level = minimal).",
            hint="ALTER SYSTEM SET wal_level = 'replica'; then restart the server.",
        )
    for name, value in (("max_wal_senders", senders), ("max_replication_slots", slots)):
        if value < 1:
            raise SourceNotReadyError(
                f"The source allows no replication connection ({name} = {value}).",
                hint=f"ALTER SYSTEM SET {name} = 10; then restart the server.",
            )


def _check_privileges(control: Connection, user: str, rights: tuple[bool, ...], reads_tables: bool) -> None:
    replication, restore_point, switch, read_all = rights
    role = sql.Identifier(user)
    missing = [
        (replication, sql.SQL("ALTER ROLE {} REPLICATION").format(role)),
        (restore_point, _grant("pg_create_restore_point(text)", role)),
        (switch, _grant("pg_switch_wal()", role)),
        (read_all or not reads_tables, sql.SQL("GRANT pg_read_all_data TO {}").format(role)),
    ]
    statements = [statement.as_string(control) + ";" for granted, statement in missing if not granted]
    if statements:
        raise MissingPrivilegeError(
            f"The database user of the backup lacks {len(statements)} privilege(s) on the source.",
            hint="As a superuser, in the database of the connection:\n" + "\n".join(statements),
        )


def _grant(function: str, role: sql.Identifier) -> sql.Composed:
    return sql.SQL("GRANT EXECUTE ON FUNCTION pg_catalog.{} TO {}").format(sql.SQL(function), role)

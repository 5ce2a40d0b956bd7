"""Writing the marks in the source database that say which parts of its rows have left it (see `standing`)."""

from __future__ import annotations

from psycopg import sql

from strongroom.archive.manifest import PartManifest
from strongroom.archive.standing import MARKS, SCHEMA
from strongroom.postgres import Connection, MissingPrivilegeError, server_errors

_CREATE = """CREATE TABLE strongroom.archived_part (
    part_id text PRIMARY KEY,
    table_name text NOT NULL,
    rows bigint NOT NULL,
    manifest_sha256 text NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    recorded_at timestamptz
)"""


def prepare_marks(connection: Connection) -> None:
    """Make the table of marks, where it is not there.

    Raises:
        MissingPrivilegeError: the user may not; the hint says what an administrator runs once.
    """
    with server_errors("The source database"):
        row = connection.execute("SELECT pg_catalog.to_regclass('strongroom.archived_part')").fetchone()
    if row is not None and row[0] is not None:
        return
    try:
        with server_errors("The source database"), connection.transaction():
            there = connection.execute("SELECT FROM pg_catalog.pg_namespace WHERE nspname = %s", (SCHEMA,))
            if there.fetchone() is None:
                connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(SCHEMA)))
            connection.execute(_CREATE)
    except MissingPrivilegeError as error:
        user = sql.Identifier(connection.info.user).as_string(connection)
        raise MissingPrivilegeError(
            "The database user cannot make the table in which sweeps mark what they moved.",
            hint=f"Let an administrator run once: CREATE SCHEMA strongroom AUTHORIZATION {user}",
        ) from error


def mark(connection: Connection, manifest: PartManifest, manifest_sha256: str) -> None:
    """Mark a part as moved, in the transaction that deletes its rows."""
    connection.execute(
        sql.SQL("INSERT INTO {} (part_id, table_name, rows, manifest_sha256) VALUES (%s, %s, %s, %s)").format(
            MARKS
        ),
        (manifest.part_id, manifest.table, manifest.rows, manifest_sha256),
    )


def mark_recorded(connection: Connection, part_id: str) -> None:
    """Note that the audit log has the event of a part."""
    with server_errors("The source database"):
        connection.execute(
            sql.SQL("UPDATE {} SET recorded_at = clock_timestamp() WHERE part_id = %s").format(MARKS),
            (part_id,),
        )

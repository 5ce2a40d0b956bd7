"""The two PostgreSQL clusters: the control cluster (Strongroom's and Airflow's own) and the sample shop's."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from strongroom.embedded.addresses import LOOPBACK
from strongroom.embedded.folder import StateFolder
from strongroom.embedded.parts import Part, note_postgres
from strongroom.embedded.state import State
from strongroom.postgres import Cluster, connect, find_binaries, service_account
from strongroom.postgres.cluster import remove_tree

if TYPE_CHECKING:
    from psycopg import sql

_INITIALISED = "initialised:"
_OPTIONS: Mapping[str, str] = {
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "wal_level": "replica",
    "summarize_wal": "on",
    "log_line_prefix": "%m [%p] %a ",
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
}
"""`summarize_wal`: without it no backup is incremental. `log_min_error_statement`: a statement that fails may hold
personal data; it is not logged."""


@dataclass(frozen=True)
class Database:
    """A database and the role that owns it.

    Attributes:
        name: the database's name.
        role: its owner.
        password: the owner's password.
    """

    name: str
    role: str
    password: str


@dataclass(frozen=True)
class PostgresPart(Part):
    """A PostgreSQL server with its roles and databases.

    Attributes:
        name: its name in commands, its folder's and its log's.
        title: its name for people.
        folder: the state folder.
        port: on 127.0.0.1, by password.
        superuser_password: for `postgres` over TCP.
        databases: what it holds, with owners.
        backup_role: name and password of a role that may take backups of it and delete rows, if one is wanted.
    """

    name: str
    title: str
    folder: StateFolder
    port: int
    superuser_password: str
    databases: tuple[Database, ...]
    backup_role: tuple[str, str] | None = None
    expected_seconds: float = 5.0

    @property
    def data_dir(self) -> Path:
        """The data directory."""
        return self.folder.path / "postgres" / self.name

    def cluster(self) -> Cluster:
        """The server, running or not."""
        return Cluster(
            self.data_dir,
            find_binaries(),
            account=service_account(),
            socket_dir=_socket_dir(self.folder, self.name),
            port=self.port,
            log_path=self.folder.log(self.name),
            setting_name="STRONGROOM_STATE",
        )

    def running(self, state: State) -> bool:
        """Whether the server runs and was prepared to the end."""
        record = state.parts.get(self.name)
        return (
            f"{_INITIALISED}{self.name}" in state.done
            and record is not None
            and record.alive()
            and record.ports.get("postgresql") == self.port
        )

    def start(self, state: State) -> None:
        """Make the cluster when there is none, start it, and bring roles and databases about."""
        cluster = self.cluster()
        cluster.stop()
        done = f"{_INITIALISED}{self.name}"
        if done not in state.done:
            remove_tree(self.data_dir)
            cluster.initialise(_OPTIONS, password=self.superuser_password)
            state.done[done] = cluster.binaries.version
            state.save()
        cluster.start()
        note_postgres(self.name, self.data_dir, state, port=self.port, log_path=self.folder.log(self.name))
        self._prepare(cluster)

    def _prepare(self, cluster: Cluster) -> None:
        with connect(cluster.conninfo(), application_name="strongroom up") as connection:
            for database in self.databases:
                if not _exists(connection, "pg_roles", "rolname", database.role):
                    connection.execute(_create_role(database.role, database.password, "NOREPLICATION"))
                if not _exists(connection, "pg_database", "datname", database.name):
                    connection.execute(_create_database(database))
                    connection.execute(_close_database(database.name))
            if self.backup_role is not None:
                self._prepare_backup_role(cluster, *self.backup_role)

    def _prepare_backup_role(self, cluster: Cluster, role: str, password: str) -> None:
        """A role that reads everything, takes backups, and carries out rules about time; it adds no row."""
        for database in self.databases:
            with connect(cluster.conninfo(database.name), application_name="strongroom up") as connection:
                if not _exists(connection, "pg_roles", "rolname", role):
                    connection.execute(_create_role(role, password, "REPLICATION"))
                for statement in (*_backup_grants(role, database.name), *_rule_grants(role, database.name)):
                    connection.execute(statement)


def conninfo(port: int, database: Database) -> str:
    """The connection string of a database's owner over TCP."""
    from psycopg.conninfo import make_conninfo

    return make_conninfo(
        host=LOOPBACK, port=port, user=database.role, password=database.password, dbname=database.name
    )


def url(port: int, database: Database, scheme: str = "postgresql") -> str:
    """The same as a URL; generated passwords need no escaping."""
    return f"{scheme}://{database.role}:{database.password}@{LOOPBACK}:{port}/{database.name}"


def _socket_dir(folder: StateFolder, name: str) -> Path:
    """Beside the data, or in the temporary directory when that path is too long for a socket."""
    beside = folder.path / "postgres" / f"{name}.socket"
    if len(os.fsencode(beside)) <= 85:
        return beside
    digest = hashlib.sha256(os.fsencode(folder.path)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"strongroom-{digest}-{name}"


def _exists(connection: object, catalogue: str, column: str, value: str) -> bool:
    from psycopg import Connection, sql

    if not isinstance(connection, Connection):
        raise TypeError("not a connection")
    query = sql.SQL("SELECT 1 FROM pg_catalog.{} WHERE {} = %s")
    found = connection.execute(query.format(sql.Identifier(catalogue), sql.Identifier(column)), (value,))
    return found.fetchone() is not None


def _create_role(role: str, password: str, attribute: str) -> sql.Composed:
    from psycopg import sql

    statement = sql.SQL("CREATE ROLE {} LOGIN {} PASSWORD {}")
    return statement.format(sql.Identifier(role), sql.SQL(attribute), sql.Literal(password))


def _create_database(database: Database) -> sql.Composed:
    from psycopg import sql

    statement = sql.SQL("CREATE DATABASE {} OWNER {}")
    return statement.format(sql.Identifier(database.name), sql.Identifier(database.role))


def _close_database(name: str) -> sql.Composed:
    from psycopg import sql

    return sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name))


def _backup_grants(role: str, database: str) -> list[sql.Composed]:
    from psycopg import sql

    who, where = sql.Identifier(role), sql.Identifier(database)
    functions = ("pg_create_restore_point(text)", "pg_switch_wal()")
    return [
        sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(where, who),
        sql.SQL("GRANT pg_read_all_data, pg_monitor, pg_checkpoint TO {}").format(who),
        *(
            sql.SQL("GRANT EXECUTE ON FUNCTION pg_catalog.{} TO {}").format(sql.SQL(function), who)
            for function in functions
        ),
    ]


def _rule_grants(role: str, database: str) -> list[sql.Composed]:
    """What archive sweeps and rules about rows need, also in tables that are made later; see docs/archives.md."""
    from psycopg import sql

    who = sql.Identifier(role)
    return [
        sql.SQL("GRANT TEMPORARY ON DATABASE {} TO {}").format(sql.Identifier(database), who),
        sql.SQL("CREATE SCHEMA IF NOT EXISTS strongroom AUTHORIZATION {}").format(who),
        sql.SQL("ALTER DEFAULT PRIVILEGES GRANT UPDATE, DELETE ON TABLES TO {}").format(who),
    ]

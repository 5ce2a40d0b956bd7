"""Making a database like the one that was backed up, and giving it its name when it is whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from psycopg import sql

from strongroom.backup.logical.contents import DatabaseFacts, ExtensionFacts
from strongroom.errors import ConfigurationError
from strongroom.postgres import Connection, PostgresError, server_errors, server_major

_PROVIDERS = {"i": ("icu", "ICU_LOCALE"), "b": ("builtin", "BUILTIN_LOCALE")}
_PROVIDER_SINCE = 15
_WHERE = "The target server"


def database_exists(connection: Connection, name: str) -> bool:
    """Whether the server has a database of that name."""
    with server_errors(_WHERE):
        query = "SELECT FROM pg_catalog.pg_database WHERE datname = %s"
        return connection.execute(query, (name,)).fetchone() is not None


def create_database(connection: Connection, name: str, facts: DatabaseFacts) -> None:
    """Make an empty database with the encoding and the order of the one that was backed up.

    Raises:
        ConfigurationError: this server has no such locale.
        MissingPrivilegeError: the user may not make databases.
    """
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 {}").format(
        sql.Identifier(name), sql.SQL(" ").join(_options(facts, server_major(connection)))
    )
    try:
        with server_errors(_WHERE):
            connection.execute(statement)
    except PostgresError as error:
        if "locale" not in error.message and "collat" not in error.message:
            raise
        raise ConfigurationError(
            f"The server cannot make a database like {facts.name}: {error.message}",
            hint=f"Install the locale {facts.locale or facts.collate} on the machine of the server.",
        ) from error


def check_extensions(connection: Connection, extensions: Sequence[ExtensionFacts]) -> None:
    """Pass when the server could make every extension.

    Raises:
        ConfigurationError: it lacks some.
    """
    with server_errors(_WHERE):
        rows = connection.execute("SELECT name FROM pg_catalog.pg_available_extensions").fetchall()
    missing = sorted({extension.name for extension in extensions} - {str(row[0]) for row in rows})
    if missing:
        raise ConfigurationError(
            f"The PostgreSQL server lacks extensions that the backup uses: {', '.join(missing)}.",
            hint="Install them on the machine of the server.",
        )


def _options(facts: DatabaseFacts, major: int) -> Iterator[sql.Composable]:
    yield sql.SQL("ENCODING {}").format(sql.Literal(facts.encoding))
    yield sql.SQL("LC_COLLATE {} LC_CTYPE {}").format(sql.Literal(facts.collate), sql.Literal(facts.ctype))
    if major < _PROVIDER_SINCE:
        return
    provider, option = _PROVIDERS.get(facts.provider, ("libc", ""))
    yield sql.SQL("LOCALE_PROVIDER {}").format(sql.SQL(provider))
    if option and facts.locale:
        yield sql.SQL("{} {}").format(sql.SQL(option), sql.Literal(facts.locale))


def describe_database(connection: Connection, name: str, facts: DatabaseFacts) -> None:
    """Give a database the settings and the comment that the one that was backed up has."""
    database = sql.Identifier(name)
    for setting in facts.settings:
        parameter, _, value = setting.partition("=")
        statement = sql.SQL("ALTER DATABASE {} SET {} FROM CURRENT")
        with server_errors(_WHERE), connection.transaction():
            connection.execute("SELECT pg_catalog.set_config(%s, %s, true)", (parameter, value))
            connection.execute(statement.format(database, _parameter(parameter)))
    if facts.comment is not None:
        comment = sql.SQL("COMMENT ON DATABASE {} IS {}")
        with server_errors(_WHERE):
            connection.execute(comment.format(database, sql.Literal(facts.comment)))


def _parameter(name: str) -> sql.Identifier:
    """A parameter's name; one of an extension has a prefix."""
    return sql.Identifier(*name.split("."))


def rename_database(connection: Connection, name: str, new_name: str) -> None:
    """Give a finished database its name, in one step."""
    with server_errors(_WHERE):
        connection.execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(new_name))
        )


def drop_database(connection: Connection, name: str) -> None:
    """Drop a database that was not finished, whoever is connected to it."""
    with server_errors(_WHERE):
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

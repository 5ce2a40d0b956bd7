"""The control database: opening it, and bringing its tables up to date."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError

from strongroom.catalog.errors import CatalogTooNewError, CatalogUnavailableError
from strongroom.errors import ConfigurationError

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.engine import ExceptionContext

_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0x5354524F4E47  # "STRONG": one process migrates at a time


def open_engine(url: str) -> Engine:
    """An engine for the control database.

    Args:
        url: `postgresql://user:password@host:port/database`, or with a socket directory as `?host=`.

    Raises:
        ConfigurationError: not a PostgreSQL URL.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError("The control database's URL cannot be read.") from error
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigurationError(
            f"The control database must be PostgreSQL, not {parsed.get_backend_name()}.",
            hint="Set `control_database` to postgresql://user:password@host:port/strongroom",
        )
    engine = create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_size=2,
        max_overflow=4,
        pool_pre_ping=True,
        connect_args={"application_name": "strongroom", "connect_timeout": 10},
    )
    event.listen(engine, "handle_error", _in_own_words)
    return engine


def absent_engine() -> Engine:
    """An engine for where no control database is set: whoever needs it is told so then.

    Connecting raises `ConfigurationError`.
    """

    def refuse() -> None:
        raise ConfigurationError(
            "No control database is set.",
            hint="Set `control_database`, or the Airflow connection `strongroom_control`.",
        )

    return create_engine("postgresql+psycopg://", creator=refuse)


def _in_own_words(context: ExceptionContext) -> BaseException | None:
    """A server that went away or cannot answer now is worth another try, wherever it is noticed."""
    fault = context.original_exception
    if context.is_pre_ping or not isinstance(fault, psycopg.OperationalError):
        return None
    said = str(fault).strip().splitlines()
    return CatalogUnavailableError(
        f"The control database does not answer: {said[0] if said else type(fault).__name__}",
        hint="Is it running, and is `control_database` right? `make status` shows the embedded one.",
    )


def upgrade(engine: Engine) -> None:
    """Bring the tables to this version's form. Harmless when they are; safe when several start at once.

    Raises:
        CatalogUnavailableError: the server does not answer.
        CatalogTooNewError: a later version has written the tables.
    """
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        _run_migrations(connection)


def _run_migrations(connection: Connection) -> None:
    from alembic import command
    from alembic.util import CommandError

    try:
        command.upgrade(_alembic_config(connection), "head")
    except CommandError as error:
        raise CatalogTooNewError(
            f"The control database has a form that this version does not know: {error}",
            hint="Run the Strongroom version that wrote it, or a later one; going back is not possible.",
        ) from error


def _alembic_config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config

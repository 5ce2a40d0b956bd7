"""Keeping runs to the same copy apart, by locks in the control database that end with their session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from strongroom.backup.copying.errors import CopyInProgressError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


@contextmanager
def exclusive(engine: Engine, name: str) -> Iterator[None]:
    """A lock in the control database that ends with this session, however that ends.

    Raises:
        CopyInProgressError: another session has it.
    """
    with engine.connect() as connection:
        held = connection.exec_driver_sql(
            "SELECT pg_try_advisory_lock(hashtext('strongroom copy'), hashtext(%s))", (name,)
        ).scalar()
        if not held:
            raise CopyInProgressError(
                f"Another run copies to {name} now.", hint="Wait for it; it does the same work."
            )
        connection.commit()
        try:
            yield
        finally:
            _release(connection, name)


@contextmanager
def turn(engine: Engine, name: str) -> Iterator[None]:
    """The same, waiting for whoever has it."""
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_advisory_lock(hashtext('strongroom copy'), hashtext(%s))", (name,)
        )
        connection.commit()
        try:
            yield
        finally:
            _release(connection, name)


def _release(connection: Connection, name: str) -> None:
    connection.exec_driver_sql(
        "SELECT pg_advisory_unlock(hashtext('strongroom copy'), hashtext(%s))", (name,)
    )
    connection.commit()

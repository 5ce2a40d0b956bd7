"""Advisory locks on a server, named by text."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

from strongroom.postgres.errors import LockHeldError
from strongroom.postgres.session import Connection, server_errors


def lock_key(name: str) -> int:
    """The 64-bit key of a lock's name."""
    return int.from_bytes(hashlib.sha256(b"strongroom:" + name.encode()).digest()[:8], "big", signed=True)


@contextmanager
def advisory_lock(connection: Connection, name: str, *, patience_seconds: float = 0.0) -> Iterator[None]:
    """Hold a session-level advisory lock during the block; it vanishes with the connection.

    Args:
        connection: the session that will hold it; the lock is known within its database only.
        name: the lock's name.
        patience_seconds: how long to try: a killed process's session takes a moment to end.

    Raises:
        LockHeldError: another session holds it.
    """
    key = lock_key(name)
    deadline = time.monotonic() + patience_seconds
    while not _try_lock(connection, key):
        if time.monotonic() >= deadline:
            raise LockHeldError(f"Another session holds the lock {name!r} on the database server.")
        time.sleep(0.1)
    try:
        yield
    finally:
        if not connection.closed and not connection.broken:
            with server_errors("The database server"):
                connection.execute("SELECT pg_catalog.pg_advisory_unlock(%s)", (key,))


def _try_lock(connection: Connection, key: int) -> bool:
    with server_errors("The database server"):
        row = connection.execute("SELECT pg_catalog.pg_try_advisory_lock(%s)", (key,)).fetchone()
    return bool(row and row[0])

"""Advisory locks on a server, named by text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from strongroom.postgres.errors import LockHeldError
from strongroom.postgres.session import Connection, server_errors


def lock_key(name: str) -> int:
    """The 64-bit key of a lock's name."""
    return int.from_bytes(hashlib.sha256(b"strongroom:" + name.encode()).digest()[:8], "big", signed=True)


@contextmanager
def advisory_lock(connection: Connection, name: str) -> Iterator[None]:
    """Hold a session-level advisory lock during the block; it vanishes with the connection.

    Raises:
        LockHeldError: another session holds it; nothing was waited for.
    """
    key = lock_key(name)
    with server_errors("The database server"):
        row = connection.execute("SELECT pg_catalog.pg_try_advisory_lock(%s)", (key,)).fetchone()
    if row is None or not row[0]:
        raise LockHeldError(f"Another session holds the lock {name!r} on the database server.")
    try:
        yield
    finally:
        if not connection.closed and not connection.broken:
            with server_errors("The database server"):
                connection.execute("SELECT pg_catalog.pg_advisory_unlock(%s)", (key,))

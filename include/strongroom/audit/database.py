"""The log in the control database: the one session that may seal, its state, its tiles, its entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from strongroom.audit.errors import LogIntegrityError, LogUnavailableError, SealInterruptedError, TileError
from strongroom.audit.tiles import TILE_WIDTH, Tile

SEALING_LOCK = 0x5345414C4C4F47
"""The advisory lock's key ("SEALLOG"): one sealer at a time in a control database."""

MAX_BATCH_BYTES = 16 * 1024 * 1024
"""The most that one batch of entries holds in memory."""

MAX_BATCH_ENTRIES = 4096

_TAKE = """
    WITH head AS (SELECT id, octet_length(entry) AS bytes FROM audit_queue ORDER BY id LIMIT %(entries)s),
    running AS (SELECT id, sum(bytes) OVER (ORDER BY id) - bytes AS before FROM head)
    DELETE FROM audit_queue
    WHERE id = ANY (ARRAY(SELECT id FROM running WHERE before < %(bytes)s))
    RETURNING id, entry, event_id"""
_STATE = "SELECT size, root, checkpoint, published_size FROM audit_state"
_STATE_LOCKED = "SELECT size, root, checkpoint, published_size FROM audit_state FOR UPDATE"
_PUT_TILE = """
    INSERT INTO audit_tile (level, index, width, data) VALUES (%s, %s, %s, %s)
    ON CONFLICT (level, index) DO UPDATE SET width = excluded.width, data = excluded.data"""


@dataclass(frozen=True)
class LogState:
    """How far the log is: sequenced, signed, published."""

    size: int
    root: bytes
    note: str | None
    published_size: int


@dataclass(frozen=True, slots=True)
class QueuedEntry:
    """An event that waits to be sequenced."""

    queue_id: int
    entry: bytes
    event_id: UUID


@dataclass(frozen=True, slots=True)
class SequencedEntry:
    """An event at its place in the log."""

    seq: int
    entry: bytes
    leaf_hash: bytes
    event_id: UUID


class LogDatabase:
    """One connection on which the log's tables are read and written."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction that is on disk when it ends, and in which the tables' guards let the sealer write."""
        with self._connection.transaction():
            self._connection.execute("SET LOCAL synchronous_commit = on")
            self._connection.execute("SET LOCAL strongroom.sealing = 'on'")
            yield

    def state(self, *, lock: bool = False) -> LogState:
        """The log's state; with `lock`, held until the transaction ends."""
        row = self._one(_STATE_LOCKED if lock else _STATE)
        if row is None:
            raise LogIntegrityError("The control database holds no state of the audit log.")
        return LogState(row[0], bytes(row[1]), row[2], row[3])

    def expect_size(self, size: int) -> None:
        """Lock the state, and stop when somebody else has moved the log.

        Raises:
            SealInterruptedError: the log has another size by now.
        """
        if self.state(lock=True).size != size:
            raise SealInterruptedError(
                f"The audit log is no longer at {size} entries: another sealer was at work.",
                hint="Seal again; nothing is lost.",
            )

    def advance(self, size: int, root: bytes) -> None:
        """Note the tree after a batch."""
        self._connection.execute("UPDATE audit_state SET size = %s, root = %s", (size, root))

    def keep_checkpoint(self, note: str) -> None:
        """Note what was signed."""
        self._connection.execute("UPDATE audit_state SET checkpoint = %s", (note,))

    def mark_published(self, size: int, moment: datetime) -> None:
        """Note what the bucket holds."""
        self._connection.execute(
            "UPDATE audit_state SET published_size = %s, published_at = %s", (size, moment)
        )

    def take(self) -> list[QueuedEntry]:
        """Take the next committed events out of the queue, at most `MAX_BATCH_BYTES` of them."""
        with self._connection.cursor(binary=True) as cursor:
            cursor.execute(_TAKE, {"entries": MAX_BATCH_ENTRIES, "bytes": MAX_BATCH_BYTES})
            return sorted((QueuedEntry(*row) for row in cursor), key=lambda queued: queued.queue_id)

    def forget_queued(self, event_ids: list[UUID]) -> None:
        """Take events out of the queue that the log holds already."""
        self._connection.execute("DELETE FROM audit_queue WHERE event_id = ANY(%s)", (event_ids,))

    def known(self, event_ids: list[UUID]) -> set[UUID]:
        """Those of the identifiers that the log holds already."""
        found = self._connection.execute(
            "SELECT event_id FROM audit_entry WHERE event_id = ANY(%s)", (event_ids,)
        )
        return {row[0] for row in found}

    def append(self, entries: Iterable[SequencedEntry]) -> None:
        """Write sequenced entries."""
        statement = "COPY audit_entry (seq, entry, leaf_hash, event_id) FROM STDIN (FORMAT binary)"
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(["int8", "bytea", "bytea", "uuid"])
            for entry in entries:
                copy.write_row((entry.seq, entry.entry, entry.leaf_hash, entry.event_id))

    def reject(self, queued: QueuedEntry, reason: str) -> None:
        """Keep an event that cannot be sequenced, outside the log."""
        self._connection.execute(
            "INSERT INTO audit_rejected (queue_id, entry, event_id, reason) VALUES (%s, %s, %s, %s)",
            (queued.queue_id, queued.entry, queued.event_id, reason),
        )

    def enqueue(self, entry: bytes, event_id: UUID) -> None:
        """Put an event of the sealer's own in the queue."""
        self._connection.execute(
            "INSERT INTO audit_queue (entry, event_id) VALUES (%s, %s)", (entry, event_id)
        )

    def put_tiles(self, tiles: Iterable[Tile]) -> None:
        """Write tiles, full or not."""
        rows = [(tile.level, tile.index, tile.width, tile.data) for tile in tiles]
        if rows:
            with self._connection.cursor() as cursor:
                cursor.executemany(_PUT_TILE, rows)

    def tile(self, level: int, index: int, width: int) -> bytes:
        """A tile's first `width` hashes.

        Raises:
            TileError: the table does not hold it.
        """
        row = self._one("SELECT width, data FROM audit_tile WHERE level = %s AND index = %s", level, index)
        if row is None or row[0] < width:
            raise TileError(
                f"The control database does not hold tile {index} of level {level} with {width} hashes."
            )
        return bytes(row[1])[: width * 32]

    def bundle(self, index: int) -> list[tuple[int, bytes]]:
        """The sequenced entries of a bundle, with their places."""
        first = index * TILE_WIDTH
        with self._connection.cursor(binary=True) as cursor:
            cursor.execute(
                "SELECT seq, entry FROM audit_entry WHERE seq >= %s AND seq < %s ORDER BY seq",
                (first, first + TILE_WIDTH),
            )
            return [(row[0], row[1]) for row in cursor]

    def last_seq(self) -> int:
        """The place of the last entry; -1 when there is none."""
        row = self._one("SELECT coalesce(max(seq), -1) FROM audit_entry")
        return int(row[0]) if row is not None else -1

    def _one(self, statement: str, *parameters: object) -> Any:
        return self._connection.execute(statement.encode(), parameters).fetchone()


@contextmanager
def sealing_session(engine: Engine) -> Iterator[LogDatabase | None]:
    """The control database for the one sealer; None when another one is at work.

    The lock belongs to the session, so that a killed sealer's lock is released by the server.

    Raises:
        LogUnavailableError: the server does not answer, or went away.
    """
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            driver: Any = connection.connection.driver_connection
            locked = driver.execute("SELECT pg_try_advisory_lock(%s)", (SEALING_LOCK,)).fetchone()[0]
            try:
                yield LogDatabase(driver) if locked else None
            finally:
                _release(connection, driver, locked)
    except (psycopg.OperationalError, OperationalError) as error:
        raise LogUnavailableError(
            "The control database went away while the audit log was being sealed.",
            hint="Nothing that was committed is lost; the next seal goes on from there.",
        ) from error


def _release(connection: Connection, driver: psycopg.Connection[Any], locked: bool) -> None:
    if driver.broken or driver.closed:
        connection.invalidate()
    elif locked:
        driver.execute("SELECT pg_advisory_unlock(%s)", (SEALING_LOCK,))

"""The bucket's listing in a temporary table, so that a bucket of any size is compared in bounded memory.

| column      | meaning                                                             |
|-------------|---------------------------------------------------------------------|
| key         | the object's key                                                    |
| size_bytes  | its length; none for what a signed document names and is not there  |
| modified_at | when the store received it                                          |
| claimed     | whether a signed document or an entry of the log accounts for it    |

The table lives as long as the transaction that it was made in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, text

from strongroom.storage import ObjectStore

_BATCH = 1000
_CREATE = """
    CREATE TEMPORARY TABLE bucket_now (
        key text COLLATE "C" PRIMARY KEY, size_bytes bigint, modified_at timestamptz, claimed boolean NOT NULL
    ) ON COMMIT DROP"""
_INSERT = "INSERT INTO bucket_now VALUES (:key, :size_bytes, :modified_at, false)"
_PAGE = r"""
    SELECT key, size_bytes, modified_at FROM bucket_now
    WHERE key > :after AND key LIKE :pattern AND size_bytes IS NOT NULL AND (claimed = :claimed OR :any)
    ORDER BY key LIMIT 500"""
_CLAIM = "UPDATE bucket_now SET claimed = true WHERE key = ANY(:keys)"
_NAME = "INSERT INTO bucket_now VALUES (:key, NULL, NULL, true) ON CONFLICT (key) DO NOTHING"


@dataclass(frozen=True)
class Listed:
    """An object as the listing shows it."""

    key: str
    size_bytes: int
    modified_at: datetime


class Inventory:
    """What the bucket holds now."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @classmethod
    def take(cls, connection: Connection, store: ObjectStore) -> Inventory:
        """List the bucket.

        Raises:
            TransientError: the listing failed; half a listing is never taken for a whole one.
        """
        connection.execute(text(_CREATE))
        listing = (
            {"key": item.key, "size_bytes": item.size_bytes, "modified_at": item.modified_at}
            for item in store.list("")
        )
        while page := list(islice(listing, _BATCH)):
            connection.execute(text(_INSERT), page)
        connection.execute(text("ANALYZE bucket_now"))
        return cls(connection)

    def objects(self, pattern: str) -> Iterator[Listed]:
        """The objects whose keys match an SQL pattern, sorted by key."""
        return self._pages(pattern, any=True, claimed=True)

    def unclaimed(self, pattern: str) -> Iterator[Listed]:
        """Those of them that nothing has accounted for yet."""
        return self._pages(pattern, any=False, claimed=False)

    def sizes(self, keys: Iterable[str]) -> dict[str, int]:
        """The sizes of those of the keys that are there."""
        statement = text("SELECT key, size_bytes FROM bucket_now WHERE key = ANY(:keys) AND size_bytes >= 0")
        return {row.key: row.size_bytes for row in self.connection.execute(statement, {"keys": list(keys)})}

    def claim(self, keys: Iterable[str]) -> None:
        """Note that something signed accounts for these objects, whether they are there or not."""
        names = list(keys)
        self.connection.execute(text(_CLAIM), {"keys": names})
        self.connection.execute(text(_NAME), [{"key": key} for key in names])

    def count(self, condition: str) -> int:
        """How many objects there are under a condition of ours."""
        return int(self.connection.scalar(text(f"SELECT count(*) FROM bucket_now WHERE {condition}")) or 0)  # noqa: S608

    def _pages(self, pattern: str, **choice: Any) -> Iterator[Listed]:
        after = ""
        while True:
            parameters = {"after": after, "pattern": pattern, **choice}
            rows = self.connection.execute(text(_PAGE), parameters).all()
            yield from (Listed(*row) for row in rows)
            if not rows:
                return
            after = rows[-1].key

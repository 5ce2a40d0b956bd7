"""Where facts are read: one store, one database, and what forbids to delete an object there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TypeVar

from strongroom.errors import IntegrityError
from strongroom.signing import VerifierKey
from strongroom.storage import ObjectNotFoundError, ObjectStore

_READERS = 8
Document = TypeVar("Document")


@dataclass(frozen=True)
class Protection:
    """What forbids to delete an object."""

    locked_until: datetime | None = None
    legal_hold: bool = False


@dataclass(frozen=True)
class Place:
    """One database in one store.

    Args:
        store: the store itself, or a copy.
        database: whose things are looked for.
        trusted: the key that documents must be signed with.
    """

    store: ObjectStore
    database: str
    trusted: VerifierKey

    @cached_property
    def has_locks(self) -> bool:
        """Whether the store has Object Lock."""
        return self.store.capabilities().object_lock

    def documents(
        self, keys: Iterable[str], read: Callable[[bytes, str], Document]
    ) -> dict[str, Document | IntegrityError]:
        """Signed documents by key, or why one cannot be believed; one that went away meanwhile is left out.

        Raises:
            StoreUnavailableError: the store does not answer, which says nothing about the documents.
        """

        def one(key: str) -> Document | IntegrityError | None:
            try:
                return read(self.store.get_bytes(key), key)
            except ObjectNotFoundError:
                return None
            except IntegrityError as error:
                return error

        names = list(keys)
        found = _at_once(one, names)
        return {key: value for key, value in zip(names, found, strict=True) if value is not None}

    def protections(self, keys: Sequence[str]) -> dict[str, Protection]:
        """What forbids to delete each object; nothing where the store has no locks."""
        if not self.has_locks:
            return {}

        def one(key: str) -> Protection:
            try:
                info = self.store.head(key)
            except ObjectNotFoundError:
                return Protection()
            return Protection(info.retention.until if info.retention else None, info.legal_hold)

        return dict(zip(keys, _at_once(one, keys), strict=True))


Result = TypeVar("Result")


def _at_once(act: Callable[[str], Result], keys: Sequence[str]) -> list[Result]:
    """Ask several at once: a busy fortnight of log has thousands of receipts."""
    if len(keys) < 2:
        return [act(key) for key in keys]
    with ThreadPoolExecutor(_READERS, thread_name_prefix="lifetimes") as readers:
        return list(readers.map(act, keys))

"""Reading from several stores that hold the same objects: where one has no sound one, the next one is asked.

Sealed objects are the same bytes in each store, and whoever reads them checks them to their end, so it does not
matter which store a byte came from. What matters is that nobody is left in the dark: each time that not the
first store gave an object is told, and kept in `uses`.

A store cannot see that an object is damaged while it hands it out; its reader can. So a small object of which the
right hash is known (`expect`) is read and checked before any of it is handed out, and the reader of a large one
says when it was damaged (`distrust`) and begins again.
"""

from __future__ import annotations

import builtins
import hashlib
import heapq
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import IO, BinaryIO, NoReturn, TypeVar, cast

from strongroom.errors import IntegrityError, StrongroomError
from strongroom.storage.errors import (
    BucketNotFoundError,
    ChecksumMismatchError,
    ObjectNotFoundError,
    StoreDeniedError,
    StoreUnavailableError,
    UnsupportedError,
)
from strongroom.storage.interface import (
    DEFAULT_MAX_BYTES,
    Buffer,
    Condition,
    ObjectInfo,
    ObjectStore,
    Retention,
    StoreCapabilities,
)

Result = TypeVar("Result")
_NEXT = (
    ObjectNotFoundError,
    StoreUnavailableError,
    StoreDeniedError,
    BucketNotFoundError,
    IntegrityError,
)
"""After these another store may still have the object."""
_CHECKED_BYTES = 64 << 20
"""How large an object is checked before it is handed out; a larger one would have to be read twice."""
_IN_MEMORY_BYTES = 4 << 20
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Expected:
    """An object of which a signed document says what it is."""

    key: str
    size_bytes: int
    sha256: str
    also: frozenset[tuple[int, str]] = frozenset()
    """Further sizes and hashes that it may have."""


@dataclass(frozen=True)
class NamedStore:
    """One of several stores."""

    name: str
    store: ObjectStore


@dataclass(frozen=True)
class FallbackUse:
    """An object that did not come from the store before."""

    key: str
    store: str
    """Which one gave it."""
    reason: str
    """What was wrong with the one before."""


class FallbackStore(ObjectStore):
    """Several stores as one that can be read. It refuses to write: each store has its own writer.

    Args:
        stores: in the order in which they are asked; at least one.
        tell: told a sentence whenever another store than the first one gave something.
        accept: given the key and the content of each small object; raises an `IntegrityError` for one that is
            not to be believed, and then the next store is asked.
    """

    def __init__(
        self,
        stores: Sequence[NamedStore],
        tell: Callable[[str], None],
        *,
        accept: Callable[[str, bytes], None] = lambda key, data: None,
    ) -> None:
        self._stores = tuple(stores)
        self._tell = tell
        self._accept = accept
        self._lock = Lock()
        self._distrusted: set[tuple[str, str]] = set()
        self._expected: dict[str, Expected] = {}
        self.url = self._stores[0].store.url
        self.uses: list[FallbackUse] = []
        """Every object that came from another store than the first."""
        self._watching: list[builtins.list[FallbackUse]] = []

    def expect(self, objects: Iterable[Expected]) -> None:
        """Check these before any of their bytes is handed out, the small ones."""
        self._expected.update((one.key, one) for one in objects if one.size_bytes <= _CHECKED_BYTES)

    def distrust(self, key: str, reason: str) -> bool:
        """Do not take an object from where it was just taken again: it turned out damaged.

        Returns:
            Whether another store is left to ask.
        """
        with self._lock:
            left = [one for one in self._stores if (one.name, key) not in self._distrusted]
            if not left:
                return False
            self._distrusted.add((left[0].name, key))
        self._tell(f"{key} in {left[0].name} cannot be used: {reason}")
        return len(left) > 1

    @contextmanager
    def watched(self) -> Iterator[builtins.list[FallbackUse]]:
        """What comes from another store than the first until the block ends: each object once, as it is met."""
        uses: builtins.list[FallbackUse] = []
        with self._lock:
            self._watching.append(uses)
        try:
            yield uses
        finally:
            with self._lock:
                self._watching = [one for one in self._watching if one is not uses]

    def capabilities(self) -> StoreCapabilities:
        return self._stores[0].store.capabilities()

    def open_range(
        self, key: str, start_byte: int = 0, length_bytes: int | None = None, *, version_id: str | None = None
    ) -> BinaryIO:
        expected = None if start_byte or length_bytes is not None else self._expected.get(key)

        def open_in(store: ObjectStore) -> BinaryIO:
            if expected is not None:
                return _checked(store, expected)
            return store.open_range(key, start_byte, length_bytes, version_id=version_id)

        return self._first(key, open_in, version_id)

    def get_bytes(
        self, key: str, *, max_bytes: int = DEFAULT_MAX_BYTES, version_id: str | None = None
    ) -> bytes:
        def get(store: ObjectStore) -> bytes:
            data = store.get_bytes(key, max_bytes=max_bytes, version_id=version_id)
            self._accept(key, data)
            return data

        return self._first(key, get, version_id)

    def head(self, key: str, *, version_id: str | None = None) -> ObjectInfo:
        return self._first(key, lambda store: store.head(key, version_id=version_id), version_id)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """What any of the stores holds, sorted by key; the first that has a key describes it.

        A store that cannot be listed is told and left out. One that breaks off half-way fails the listing, since
        nobody knows what it had; so it is where all fail, or the rest hold nothing.
        """
        failures: builtins.list[StrongroomError] = []
        last = ""
        for info in heapq.merge(*self._listings(prefix, failures), key=lambda item: item.key):
            if info.key != last:
                last = info.key
                yield info
        if failures and (not last or len(failures) == len(self._stores)):
            raise failures[0]

    def _listings(
        self, prefix: str, failures: builtins.list[StrongroomError]
    ) -> builtins.list[Iterator[ObjectInfo]]:
        def listing(one: NamedStore) -> Iterator[ObjectInfo]:
            begun = False
            try:
                for info in one.store.list(prefix):
                    begun = True
                    yield info
            except _NEXT as error:
                if begun:
                    raise
                failures.append(error)
                self._tell(f"{one.name} could not be listed below {prefix}: {error.message}")

        return [listing(one) for one in self._stores]

    def list_versions(self, prefix: str) -> Iterator[ObjectInfo]:
        return self.list(prefix)

    def put_stream(
        self,
        key: str,
        chunks: Iterable[Buffer],
        *,
        condition: Condition = Condition.IF_ABSENT,
        retention: Retention | None = None,
    ) -> ObjectInfo:
        _read_only()

    def put_bytes(
        self,
        key: str,
        data: bytes,
        *,
        condition: Condition = Condition.IF_ABSENT,
        retention: Retention | None = None,
    ) -> ObjectInfo:
        _read_only()

    def replace_start(
        self,
        key: str,
        start: bytes,
        keep_from_byte: int,
        *,
        etag: str,
        retention: Retention | None = None,
    ) -> ObjectInfo:
        _read_only()

    def delete_version(self, key: str, version_id: str | None) -> None:
        _read_only()

    def abort_incomplete_uploads(self, prefix: str) -> int:
        _read_only()

    def set_hold(self, key: str, held: bool, *, version_id: str | None = None) -> None:
        _read_only()

    def extend_retention(self, key: str, retention: Retention, *, version_id: str | None = None) -> None:
        _read_only()

    def _first(self, key: str, ask: Callable[[ObjectStore], Result], version_id: str | None) -> Result:
        """The answer of the first store that has one. Only the first store knows its own versions."""
        failures: builtins.list[StrongroomError] = []
        for place, one in enumerate(self._stores):
            if (one.name, key) in self._distrusted or (place and version_id is not None):
                continue
            try:
                answer = ask(one.store)
            except _NEXT as error:
                failures.append(error)
                continue
            if place:
                self._note(key, one.name, failures)
            return answer
        raise _telling(failures, key)

    def _note(self, key: str, name: str, failures: Sequence[StrongroomError]) -> None:
        reason = failures[-1].message if failures else "it turned out damaged"
        use = FallbackUse(key, name, reason)
        with self._lock:
            met = [_add(use, uses) for uses in (self.uses, *self._watching)]
        if not met[0]:
            return
        self._tell(f"{key} comes from {name}: {reason}")


def _add(use: FallbackUse, uses: list[FallbackUse]) -> bool:
    """Note a use that is not noted there yet; says whether it was new."""
    if any((known.key, known.store) == (use.key, use.store) for known in uses):
        return False
    uses.append(use)
    return True


def _checked(store: ObjectStore, expected: Expected) -> BinaryIO:
    """The whole object, read and checked already.

    Raises:
        ChecksumMismatchError: it is not the expected one.
    """
    file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115  # the caller closes it
    try:
        found = _spool(store, expected.key, file)
        if found not in {(expected.size_bytes, expected.sha256), *expected.also}:
            raise ChecksumMismatchError(
                f"{expected.key} in {store.url} is not the object that was recorded",
                hint="It was damaged or replaced: use another copy.",
            )
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return cast(BinaryIO, file)


def _spool(store: ObjectStore, key: str, file: IO[bytes]) -> tuple[int, str]:
    """Read a whole object into a file; gives its length and hash."""
    digest = hashlib.sha256()
    with store.open_range(key) as stream:
        while piece := stream.read(_PIECE_BYTES):
            digest.update(piece)
            file.write(piece)
    return file.tell(), digest.hexdigest()


def _telling(failures: Sequence[StrongroomError], key: str) -> StrongroomError:
    """The error that says most: a store that may answer later, or else what the first store said."""
    for error in failures:
        if error.retryable:
            return error
    damaged = [error for error in failures if not isinstance(error, ObjectNotFoundError)]
    if damaged or failures:
        return (damaged or list(failures))[0]
    return ObjectNotFoundError(f"{key!r} is damaged in every store that has it")


def _read_only() -> NoReturn:
    raise UnsupportedError(
        "several stores read as one cannot be written to", hint="Write to one of them by its name."
    )

"""The object store: what every place that keeps sealed objects can do, and the values it speaks in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO, ClassVar, Literal

Buffer = bytes | bytearray | memoryview
"""A piece of bytes, of any kind that can be written without a copy."""

DEFAULT_MAX_BYTES = 16 * 1024 * 1024
"""How large an object `get_bytes` holds in memory unless told otherwise."""

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Retention:
    """Until when a version cannot be deleted.

    `governance` can be lifted by somebody with a special permission, `compliance` by nobody.
    """

    mode: Literal["governance", "compliance"]
    until: datetime


@dataclass(frozen=True)
class ObjectInfo:
    """What a store says of one object.

    A listing says less than `head` does: `sha256`, `retention` and `legal_hold` are for `head` to tell.

    Attributes:
        key: the name, relative to the store's prefix.
        size_bytes: the length of the content.
        etag: changes whenever the content does; for `Condition.if_match`.
        modified_at: when the store received it, in UTC.
        version_id: which version this is; None where the store keeps one only, and in `list`.
        sha256: of the whole content, in hex, where it is known.
        retention: until when it is locked, if it is.
        legal_hold: whether somebody forbade its deletion without a date.
    """

    key: str
    size_bytes: int
    etag: str
    modified_at: datetime
    version_id: str | None = None
    sha256: str | None = None
    retention: Retention | None = None
    legal_hold: bool = False


@dataclass(frozen=True)
class StoreCapabilities:
    """What a store has beyond reading and writing."""

    versioning: bool
    object_lock: bool
    conditional_writes: bool


@dataclass(frozen=True)
class Condition:
    """When a write may happen; decided by the store in one step with the write.

    `Condition.IF_ABSENT`: only if nothing has this key. `Condition.OVERWRITE`: always.
    `Condition.if_match(etag)`: only if the object is still the one that had this `etag`.
    """

    kind: Literal["if_absent", "overwrite", "if_match"]
    etag: str | None = field(default=None)

    IF_ABSENT: ClassVar[Condition]
    OVERWRITE: ClassVar[Condition]

    @staticmethod
    def if_match(etag: str) -> Condition:
        """Only if the object is still the one that had this `etag` (compare and swap)."""
        return Condition("if_match", etag)


Condition.IF_ABSENT = Condition("if_absent")
Condition.OVERWRITE = Condition("overwrite")


class ObjectStore(ABC):
    """A place that keeps objects under keys.

    Every method raises `StoreUnavailableError` when the place does not answer, `StoreDeniedError` when it
    refuses the credentials, and `InvalidKeyError` for a key that cannot name an object.
    """

    url: str
    """`s3://bucket/prefix` or `file:///directory`. Keys are relative to it."""

    @abstractmethod
    def capabilities(self) -> StoreCapabilities:
        """What this store has: asked of the store itself, not assumed."""

    @abstractmethod
    def put_stream(
        self,
        key: str,
        chunks: Iterable[Buffer],
        *,
        condition: Condition = Condition.IF_ABSENT,
        retention: Retention | None = None,
    ) -> ObjectInfo:
        """Write an object from a stream, in bounded memory.

        A chunk is copied before the next one is asked for, so the producer may reuse its memory. On any
        failure, an exception out of `chunks` included, nothing is left: no object and no part of one.

        Raises:
            ObjectExistsError: the condition is `IF_ABSENT` and the key is taken.
            PreconditionFailedError: the condition is `if_match` and the object is another one by now.
            ChecksumMismatchError: what arrived is not what was sent, again and again.
            UnsupportedError: `retention` was given and the store has none.
        """

    @abstractmethod
    def put_bytes(
        self,
        key: str,
        data: bytes,
        *,
        condition: Condition = Condition.IF_ABSENT,
        retention: Retention | None = None,
    ) -> ObjectInfo:
        """Write a small object. Raises what `put_stream` raises."""

    @abstractmethod
    def open_range(
        self, key: str, start_byte: int = 0, length_bytes: int | None = None, *, version_id: str | None = None
    ) -> BinaryIO:
        """Open an object, or a part of it, for reading; a context manager.

        A range that reaches beyond the end gives what is there; one that starts beyond it gives nothing.

        Raises:
            ObjectNotFoundError: nothing has this key, or not in this version.
            ChecksumMismatchError: while reading the end of a whole object whose checksum is known.
        """

    @abstractmethod
    def get_bytes(
        self, key: str, *, max_bytes: int = DEFAULT_MAX_BYTES, version_id: str | None = None
    ) -> bytes:
        """The whole content, its checksum verified.

        Raises:
            ObjectNotFoundError: nothing has this key, or not in this version.
            ChecksumMismatchError: it is not what was written.
            StoreError: it is larger than `max_bytes`.
        """

    @abstractmethod
    def head(self, key: str, *, version_id: str | None = None) -> ObjectInfo:
        """All that the store knows of an object.

        Raises:
            ObjectNotFoundError: nothing has this key, or not in this version.
        """

    @abstractmethod
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """The current objects whose keys start with `prefix`, sorted by key.

        A listing that fails raises; it never ends early, so that an empty one means that nothing is there.
        """

    @abstractmethod
    def list_versions(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every version of the objects whose keys start with `prefix`, those that are not current included."""

    @abstractmethod
    def delete_version(self, key: str, version_id: str | None) -> None:
        """Destroy one version; None means the current one. What is not there is already deleted.

        Raises:
            ObjectLockedError: its retention or a legal hold forbids it.
        """

    def replace_start(
        self,
        key: str,
        start: bytes,
        keep_from_byte: int,
        *,
        etag: str,
        retention: Retention | None = None,
    ) -> ObjectInfo:
        """Put other bytes in the place of an object's first ones; what follows stays as it is.

        A store that can copies what follows by itself; this one reads it and writes it again. Where versions are
        kept, the object as it was stays behind as one.

        Args:
            key: the object.
            start: the new first bytes.
            keep_from_byte: where what follows begins in the object as it is.
            etag: of the object as it is.
            retention: until when the new object is locked.

        Raises:
            ObjectNotFoundError: nothing has this key.
            PreconditionFailedError: the object is another one by now.
            UnsupportedError: `retention` was given and the store has none.
        """

        def chunks() -> Iterator[Buffer]:
            yield start
            with self.open_range(key, keep_from_byte) as rest:
                while piece := rest.read(_PIECE_BYTES):
                    yield piece

        return self.put_stream(key, chunks(), condition=Condition.if_match(etag), retention=retention)

    @abstractmethod
    def abort_incomplete_uploads(self, prefix: str) -> int:
        """Remove what killed writers left below `prefix`, and say how many uploads those were.

        A writer that is still at work below `prefix` loses its upload: call this under the lease only.
        """

    @abstractmethod
    def set_hold(self, key: str, held: bool, *, version_id: str | None = None) -> None:
        """Put an object under legal hold, or release it.

        Raises:
            UnsupportedError: the store has no legal holds.
        """

    @abstractmethod
    def extend_retention(self, key: str, retention: Retention, *, version_id: str | None = None) -> None:
        """Lock an object until a later time.

        Raises:
            ObjectLockedError: this would shorten or weaken the lock it has.
            UnsupportedError: the store has no Object Lock.
        """

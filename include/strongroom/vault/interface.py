"""The narrow waist: everything that is kept goes in here and comes out here.

in     validate → seal → store → record
out    authorise → fetch → open → record
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO

from strongroom.access import Actor

Buffer = bytes | bytearray | memoryview
Content = Iterable[Buffer] | BinaryIO | int
"""What can be sealed: an iterable of buffers, a binary file, or a file descriptor."""

DEFAULT_RECIPIENTS = ("epoch", "escrow")
CONTEXT_FORMAT = "strongroom/object/v1"


def object_context(key: str, kind: str) -> dict[str, str]:
    """The context bound into an object's header: under another key, or as another kind, it does not open."""
    return {"format": CONTEXT_FORMAT, "key": key, "kind": kind}


@dataclass(frozen=True)
class StoredObject:
    """A reference to a sealed object: safe to log, to pass between tasks, and to print."""

    key: str
    kind: str
    size_bytes: int
    sha256: str
    """Of the sealed bytes, in hexadecimal: checkable without any key."""
    plaintext_bytes: int
    compressed: bool
    version_id: str | None
    epoch_ids: tuple[str, ...]

    @property
    def context(self) -> Mapping[str, str]:
        """What its header is bound to."""
        return object_context(self.key, self.kind)


class OpenedObject(ABC):
    """An object being read. The bytes are only whole when the iteration has ended without an error."""

    @abstractmethod
    def __iter__(self) -> Iterator[Buffer]:
        """The content, decrypted and decompressed. A buffer is valid until the next one is asked for."""


class ObjectReader(ABC):
    """Opens many objects in one actor's name; may be used by several threads at once."""

    @abstractmethod
    def open(self, expect: StoredObject) -> AbstractContextManager[OpenedObject]:
        """Open one object.

        Args:
            expect: the reference it must match to the byte.

        Raises:
            UnknownObjectError: there is no such object.
            IntegrityError: altered, truncated, moved or swapped; possibly only at the end of the stream.
        """

    @abstractmethod
    def open_anywhere(self, expect: StoredObject) -> AbstractContextManager[BinaryIO]:
        """Open one object that is not compressed as a whole, to read from anywhere in it.

        The first time, all its sealed bytes are hashed; of what is read, every piece is authentic.

        Args:
            expect: the reference it must match to the byte.

        Raises:
            UnknownObjectError: there is no such object.
            ObjectKeyError: it is compressed as a whole.
            IntegrityError: altered, truncated, moved or swapped; possibly only when the file is read.
        """


class Vault(ABC):
    """Puts content into the bucket sealed, and takes it out again."""

    @abstractmethod
    def store(
        self,
        actor: Actor,
        key: str,
        content: Content,
        *,
        kind: str,
        database: str | None = None,
        recipients: Sequence[str] = DEFAULT_RECIPIENTS,
        compress: bool = True,
        correlation_id: str | None = None,
    ) -> StoredObject:
        """Seal the content and keep it under a new key.

        Args:
            actor: who asks; needs `store_object`.
            key: the object's key, ending in `.zst.age` when compressed and `.age` when not.
            content: what to keep, streamed.
            kind: what it is, a word such as `backup` or `file`; bound into the header.
            database: the protected database that it belongs to.
            recipients: `epoch` (the current key epoch), `escrow`, or ids of epochs.
            compress: whether to compress before sealing.
            correlation_id: ties the events of one operation together.

        Raises:
            ObjectKeyError: the key or the kind is not acceptable.
            AccessDeniedError: the actor may not; the refusal is recorded.
            ObjectExistsError: there is an object under that key; it stays as it is.
            TransientError: the store or the control database failed; nothing was left behind.
        """

    @abstractmethod
    def store_proven(
        self,
        actor: Actor,
        key: str,
        content: Content,
        *,
        kind: str,
        prove: Callable[[BinaryIO], None],
        database: str | None = None,
        recipients: Sequence[str] = DEFAULT_RECIPIENTS,
        correlation_id: str | None = None,
    ) -> StoredObject:
        """Seal the content as it is, without compression, and read it back before it counts as stored.

        The content is sealed for one more recipient, whose private half is made for this call, never leaves the
        process's memory, and is gone when the call returns. With it the object is opened again, out of the store and
        not out of memory, and given to `prove`. So a host that holds public keys only can prove what it wrote, and
        can read nothing that it or anybody else wrote before.

        Args:
            actor, key, content, kind, database, recipients, correlation_id: as for `store`; the key ends in `.age`.
            prove: reads the plaintext, a seekable file, and raises when it is not what it must be.

        Raises:
            Whatever `store` and `prove` raise, and IntegrityError when the stored object does not open. Then the
            object is deleted again, where the store allows that.
        """

    @abstractmethod
    def fetch(
        self,
        actor: Actor,
        key: str,
        *,
        kind: str | None = None,
        expect: StoredObject | None = None,
        correlation_id: str | None = None,
    ) -> AbstractContextManager[OpenedObject]:
        """Open an object for reading.

        Args:
            actor: who asks; needs `open_object`.
            key: the object's key.
            kind: what it must be; without it, what the catalogue has recorded.
            expect: the reference it must match to the byte, as from a signed manifest.
            correlation_id: ties the events of one operation together.

        Raises:
            UnknownObjectError: there is no such object.
            AccessDeniedError: the actor may not; the refusal is recorded.
            NoPrivateKeyError: this host holds no key that could open it.
            IntegrityError: altered, truncated, moved or swapped; possibly only at the end of the stream.
        """

    @abstractmethod
    def reading(
        self,
        actor: Actor,
        prefix: str,
        epoch_ids: Sequence[str],
        *,
        database: str | None = None,
        correlation_id: str | None = None,
    ) -> AbstractContextManager[ObjectReader]:
        """Open many objects of one folder: the keys are unwrapped once, and one event says how many were read.

        Args:
            actor: who asks; needs `open_object`.
            prefix: below which key they lie, for the record.
            epoch_ids: the key epochs that they are sealed to, of which this host must have one private half.
            database: the protected database that they belong to.
            correlation_id: ties the events of one operation together.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            NoPrivateKeyError: this host holds no key that could open them.
        """

    @abstractmethod
    def forms(self, expect: StoredObject) -> frozenset[tuple[int, str]]:
        """The sizes and hashes that an object may have in the bucket: as it was stored, and as it was rewrapped.

        Raises:
            IntegrityError: the record of its rewrapping cannot be believed.
        """

"""Reading anywhere in a sealed object, of which the whole was proven first.

A signed document tells the hash of the sealed bytes, and whoever can write to the bucket can seal something else to the
same public keys. So the object is hashed in one pass before anything of it is used, and its header is kept from that
very pass. The header holds the key of the content: what is read later, from wherever, opens under that key alone, even
if the object in the bucket is another one by then.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO

from strongroom.errors import IntegrityError
from strongroom.sealing import Identity
from strongroom.sealing.chunks import NONCE_BYTES
from strongroom.sealing.reader import ObjectRange, SealedReader
from strongroom.sealing.stream import Readable, read_header
from strongroom.storage import ObjectStore
from strongroom.vault.errors import ObjectKeyError, ObjectReplacedError
from strongroom.vault.interface import StoredObject

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class ProvenBeginning:
    """The header and nonce of an object that was proven whole, and how long that was."""

    data: bytes
    size_bytes: int
    """Of the sealed object; another one than recorded where it was rewrapped to other keys."""


class PinnedRange(ObjectRange):
    """An object of which the beginning is not read again."""

    def __init__(self, store: ObjectStore, reference: StoredObject, beginning: ProvenBeginning) -> None:
        super().__init__(store, reference.key, beginning.size_bytes, reference.version_id)
        self._beginning = beginning.data

    def open_range(self, start_byte: int, length_bytes: int) -> AbstractContextManager[Readable]:
        """A stream of the given part; from the start, of no more than the beginning."""
        if start_byte:
            return super().open_range(start_byte, length_bytes)
        return io.BytesIO(self._beginning[:length_bytes])


def proven_beginning(
    source: BinaryIO, reference: StoredObject, accepted: frozenset[tuple[int, str]]
) -> ProvenBeginning:
    """The header and nonce of an object, once all its bytes are the recorded ones.

    Args:
        source: the sealed bytes, from their start to their end.
        reference: what they must be.
        accepted: the sizes and hashes that they may have.

    Raises:
        ObjectKeyError: it was compressed, so it can only be read from its start.
        ObjectReplacedError: they are not the recorded ones.
    """
    if reference.compressed:
        raise ObjectKeyError(
            f"{reference.key} is compressed as a whole, so it can only be read from its start."
        )
    copy = _HashedStream(source)
    _, rest = read_header(copy)
    header_bytes = len(copy.beginning) - len(rest)
    while len(copy.beginning) < header_bytes + NONCE_BYTES and copy.read(NONCE_BYTES):
        pass
    copy.finish()
    if (copy.size_bytes, copy.sha256) not in accepted:
        raise ObjectReplacedError(
            f"{reference.key} is not the object that was recorded:"
            f" {copy.size_bytes} bytes instead of {reference.size_bytes}, or another hash.",
            hint="Somebody replaced it. With versions in the bucket, look for the recorded one.",
        )
    return ProvenBeginning(copy.beginning[: header_bytes + NONCE_BYTES], copy.size_bytes)


def seekable(
    store: ObjectStore, reference: StoredObject, beginning: ProvenBeginning, identities: Sequence[Identity]
) -> SealedReader:
    """An object's content as a seekable file.

    Args:
        store: where it is.
        reference: what it is.
        beginning: of `proven_beginning`.
        identities: one of them must be a recipient.

    Raises:
        IntegrityError: it is not what was recorded.
    """
    source = PinnedRange(store, reference, beginning)
    reader = SealedReader(source, identities, context=reference.context)
    if reader.size_bytes != reference.plaintext_bytes:
        raise IntegrityError(
            f"{reference.key} holds {reader.size_bytes} bytes, and {reference.plaintext_bytes} were recorded."
        )
    return reader


class _HashedStream:
    """Passes a stream's bytes on and hashes them; keeps what was asked for, and nothing of what follows."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._digest = hashlib.sha256()
        self.size_bytes = 0
        self.beginning = b""

    def read(self, size: int = -1, /) -> bytes:
        data = self._take(size)
        self.beginning += data
        return data

    def finish(self) -> None:
        """Hash what follows, to the end."""
        while self._take(_PIECE_BYTES):
            pass

    def _take(self, size: int) -> bytes:
        data = self._source.read(size)
        self._digest.update(data)
        self.size_bytes += len(data)
        return data

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

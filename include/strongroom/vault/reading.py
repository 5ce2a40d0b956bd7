"""Reading a sealed object while hashing it: one pass opens it and proves that it is the same bytes."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import BinaryIO

from strongroom.sealing import Identity
from strongroom.sealing.pipeline import OpeningPipeline
from strongroom.vault.errors import ObjectReplacedError
from strongroom.vault.interface import Buffer, OpenedObject, StoredObject


class HashingReader(io.RawIOBase):
    """Passes a stream's bytes on, and keeps their number and their SHA-256."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Read into the buffer; 0 at the end."""
        into = memoryview(buffer).cast("B")
        count = self._source.readinto(into) or 0  # type: ignore[attr-defined]
        self._digest.update(into[:count])
        self.size_bytes += count
        return count

    @property
    def sha256(self) -> str:
        """Of what was read so far, in hexadecimal."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Close the stream below too."""
        self._source.close()
        super().close()


class CheckedReader(OpenedObject):
    """An object being decrypted; at its end, its size and hash are compared with the reference."""

    def __init__(
        self, source: BinaryIO, identities: list[Identity], reference: StoredObject, *, exact: bool
    ) -> None:
        self._source = HashingReader(source)
        self._identities = identities
        self._reference = reference
        self._exact = exact
        self.complete = False

    def __iter__(self) -> Iterator[Buffer]:
        pipeline = OpeningPipeline(
            self._source,
            self._identities,
            context=self._reference.context,
            decompress=self._reference.compressed,
        )
        yield from pipeline
        if self._exact:
            self._compare()
        self.complete = True

    def _compare(self) -> None:
        found = (self._source.size_bytes, self._source.sha256)
        if found != (self._reference.size_bytes, self._reference.sha256):
            raise ObjectReplacedError(
                f"{self._reference.key} is not the object that was recorded:"
                f" {found[0]} bytes instead of {self._reference.size_bytes}, or another hash.",
                hint="Somebody replaced it. With versions in the bucket, look for the recorded one.",
            )

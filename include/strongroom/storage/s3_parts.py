"""Cutting a stream into the parts of a multipart upload.

    parts      1 -  2,000     16 MiB each in memory      up to   31 GiB
           2,001 -  6,000     64 MiB each in memory      up to  281 GiB
           6,001 - 10,000   1.25 GiB each on disk        up to  5.1 TiB

S3 allows 10,000 parts and 5 TiB for one object, and a stream does not say how long it will be: so parts grow, and
those too large for memory are kept in an unnamed temporary file while they are sent.
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

from __future__ import annotations

import base64
import hashlib
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from strongroom.storage.errors import StoreError
from strongroom.storage.interface import Buffer

MIB = 1024 * 1024
FIRST_PART_BYTES = 16 * MIB
MAX_PARTS = 10_000
_SCHEDULE = ((2_000, FIRST_PART_BYTES), (6_000, 64 * MIB), (MAX_PARTS, 1280 * MIB))
_MEMORY_PART_BYTES = 64 * MIB
_MEMORY_IN_FLIGHT_BYTES = 64 * MIB
_PARALLEL = 3


def part_bytes(number: int) -> int:
    """How large the part of this number (from 1) is, if it is not the last.

    Raises:
        StoreError: S3 allows no such part.
    """
    for last, size in _SCHEDULE:
        if number <= last:
            return size
    raise StoreError("the stream is longer than one S3 object can be", hint="Split it into several objects.")


def parallel_parts(number: int) -> int:
    """How many parts of this one's size may be on their way while the next is being filled."""
    return max(1, min(_PARALLEL, _MEMORY_IN_FLIGHT_BYTES // part_bytes(number)))


class Part(ABC):
    """One part being filled; full when it has `capacity_bytes`."""

    def __init__(self, number: int, capacity_bytes: int) -> None:
        self.number = number
        self.capacity_bytes = capacity_bytes
        self.size_bytes = 0

    def take(self, view: memoryview) -> memoryview:
        """Copy what fits, and give back the rest."""
        piece = view[: self.capacity_bytes - self.size_bytes]
        self._copy(piece)
        self.size_bytes += len(piece)
        return view[len(piece) :]

    @property
    def full(self) -> bool:
        """Whether nothing fits any more."""
        return self.size_bytes == self.capacity_bytes

    @cached_property
    def checksum(self) -> str:
        """The content's SHA-256 in base64, as S3 writes it; asked for by the thread that sends the part."""
        return base64.b64encode(self._sha256()).decode()

    @abstractmethod
    def _sha256(self) -> bytes:
        """The content's SHA-256."""

    @abstractmethod
    def _copy(self, piece: memoryview) -> None:
        """Keep a piece at the present position."""

    @abstractmethod
    def body(self) -> Any:
        """The content, to be sent; may be asked for again when it must be sent again."""

    @abstractmethod
    def close(self) -> None:
        """Free what holds the content."""


class MemoryPart(Part):
    """A part in one buffer, which the next part can use again."""

    def __init__(self, number: int, capacity_bytes: int, buffer: bytearray | None = None) -> None:
        super().__init__(number, capacity_bytes)
        reusable = buffer is not None and len(buffer) == capacity_bytes
        self.buffer = buffer if buffer is not None and reusable else bytearray(capacity_bytes)

    def _copy(self, piece: memoryview) -> None:
        with memoryview(self.buffer) as target:
            target[self.size_bytes : self.size_bytes + len(piece)] = piece

    def _sha256(self) -> bytes:
        with memoryview(self.buffer) as whole:
            return hashlib.sha256(whole[: self.size_bytes]).digest()

    def body(self) -> Any:
        if self.full:
            return self.buffer
        with memoryview(self.buffer) as whole:
            return bytes(whole[: self.size_bytes])

    def close(self) -> None:
        self.buffer = bytearray()


class FilePart(Part):
    """A part too large for memory, in a temporary file without a name."""

    def __init__(self, number: int, capacity_bytes: int) -> None:
        super().__init__(number, capacity_bytes)
        self._digest = hashlib.sha256()
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close()

    def _copy(self, piece: memoryview) -> None:
        self._file.write(piece)
        self._digest.update(piece)

    def _sha256(self) -> bytes:
        return self._digest.digest()

    def body(self) -> Any:
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        self._file.close()


class PartCutter:
    """Cuts a stream into parts; buffers that are given back are used again.

    After the last part, `sha256` and `size_bytes` are those of the whole stream.
    """

    def __init__(self, chunks: Iterable[Buffer]) -> None:
        self._chunks = chunks
        self._spare: list[bytearray] = []
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        """Of everything cut so far, in hex."""
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[Part]:
        """The parts, each full but the last; an empty stream gives one empty part."""
        part = self._new_part(1)
        for chunk in self._chunks:
            view = memoryview(chunk).cast("B")
            self._digest.update(view)
            self.size_bytes += len(view)
            while view:
                if part.full:
                    yield part
                    part = self._new_part(part.number + 1)
                view = part.take(view)
        yield part

    def give_back(self, part: Part) -> None:
        """Take a part that has been sent, and its buffer for the next one."""
        if isinstance(part, MemoryPart):
            self._spare.append(part.buffer)
        part.close()

    def _new_part(self, number: int) -> Part:
        size = part_bytes(number)
        if size > _MEMORY_PART_BYTES:
            return FilePart(number, size)
        return MemoryPart(number, size, self._spare.pop() if self._spare else None)

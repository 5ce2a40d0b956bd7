"""Reading anywhere in a sealed file, without opening what lies before: for tables, archives, indexes."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

from strongroom.errors import InputError
from strongroom.sealing.chunks import (
    CHUNK_BYTES,
    NONCE_BYTES,
    SEALED_CHUNK_BYTES,
    TAG_BYTES,
    PayloadOpener,
    truncated,
)
from strongroom.sealing.context import Context, UncheckedContext
from strongroom.sealing.errors import ChunkError
from strongroom.sealing.header import derive, truncated_header
from strongroom.sealing.recipients import Identity
from strongroom.sealing.stream import Readable, open_header, read_header, read_into

DEFAULT_WINDOW_CHUNKS = 16


class RangeSource(Protocol):
    """A file of a known size that can be read from anywhere: an object in a store, a file on a disk."""

    @property
    def size_bytes(self) -> int:
        """The file's size."""

    def open_range(self, start_byte: int, length_bytes: int) -> AbstractContextManager[Readable]:
        """A stream of the given part."""


class ObjectRange:
    """An object of an `ObjectStore` (or anything with its `open_range`) as a `RangeSource`."""

    def __init__(
        self, store: StoreWithRanges, key: str, size_bytes: int, version_id: str | None = None
    ) -> None:
        self._store = store
        self._key = key
        self._version_id = version_id
        self.size_bytes = size_bytes

    def open_range(self, start_byte: int, length_bytes: int) -> AbstractContextManager[Readable]:
        """A stream of the given part."""
        return self._store.open_range(self._key, start_byte, length_bytes, version_id=self._version_id)


class StoreWithRanges(Protocol):
    """The one method of an object store that `ObjectRange` needs."""

    def open_range(
        self, key: str, start_byte: int = 0, length_bytes: int | None = None, *, version_id: str | None = None
    ) -> BinaryIO:
        """A stream of a part of an object."""


class FileRange:
    """A seekable file as a `RangeSource`. The file stays the caller's to close."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size_bytes = file.seek(0, os.SEEK_END)

    def open_range(self, start_byte: int, length_bytes: int) -> AbstractContextManager[Readable]:
        """A stream of the given part."""
        self._file.seek(start_byte)
        return io.BytesIO(self._file.read(length_bytes))


class SealedReader(io.RawIOBase):
    """The plaintext of a sealed file as a seekable, read-only file.

    Opening it verifies the header, the context and the last chunk, so that the size it tells is authentic.
    Every read verifies the chunks it touches, and those only. It keeps one window of chunks in memory.

    Args:
        source: the sealed file.
        identities: one of them must be a recipient.
        context: what the file must be bound to, or `UNCHECKED`.
        window_chunks: how many chunks of 64 KiB are fetched and kept at a time.

    Raises:
        NotAgeFileError, HeaderError, HeaderMacError, WrongKeyError, ContextMismatchError: the header.
        TruncatedError, ChunkError: the last chunk.
    """

    def __init__(
        self,
        source: RangeSource,
        identities: Sequence[Identity],
        *,
        context: Context | UncheckedContext,
        window_chunks: int = DEFAULT_WINDOW_CHUNKS,
    ) -> None:
        super().__init__()
        self._source = source
        self._lock = threading.Lock()
        self._position = 0
        self._sealed = memoryview(bytearray(window_chunks * SEALED_CHUNK_BYTES))
        self._plain = memoryview(bytearray(window_chunks * CHUNK_BYTES))
        self._window_chunks = window_chunks
        self._window_start = self._window_end = 0
        self._open(identities, context)

    @property
    def size_bytes(self) -> int:
        """The size of the plaintext, verified when the file was opened."""
        return self._size_bytes

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size_bytes}[whence]
        if base + offset < 0:
            raise InputError(f"A sealed file has no byte {base + offset}.")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        if self.closed:
            raise ValueError("read of a closed file")
        into = memoryview(buffer).cast("B")
        with self._lock:
            return self._read(into)

    def _open(self, identities: Sequence[Identity], context: Context | UncheckedContext) -> None:
        with self._source.open_range(0, self._source.size_bytes) as start:
            header, rest = read_header(start)
            while len(rest) < NONCE_BYTES and (more := start.read(NONCE_BYTES - len(rest))):
                rest += more
        file_key = open_header(header, identities, context)
        if len(rest) < NONCE_BYTES:
            raise truncated_header()
        self._opener = PayloadOpener(derive(file_key, rest[:NONCE_BYTES], b"payload"))
        self._payload_start = len(header.encode()) + NONCE_BYTES
        self._verify_end()

    def _verify_end(self) -> None:
        sealed_bytes = self._source.size_bytes - self._payload_start
        self._chunks = -(-sealed_bytes // SEALED_CHUNK_BYTES)
        self._size_bytes = max(0, sealed_bytes - self._chunks * TAG_BYTES)
        if not self._chunks:
            raise truncated(0)
        self._load(self._chunks - 1)

    def _read(self, into: memoryview) -> int:
        if not len(into) or self._position >= self._size_bytes:
            return 0
        if not self._window_start <= self._position < self._window_end:
            self._load(self._position // CHUNK_BYTES)
        start = self._position - self._window_start
        size = min(len(into), self._window_end - self._position)
        into[:size] = self._plain[start : start + size]
        self._position += size
        return size

    def _load(self, first: int) -> None:
        count = min(self._window_chunks, self._chunks - first)
        self._window_start = self._window_end = first * CHUNK_BYTES
        sealed = self._fetch(first, count)
        for number in range(count):
            chunk = sealed[number * SEALED_CHUNK_BYTES : (number + 1) * SEALED_CHUNK_BYTES]
            plain = self._plain[number * CHUNK_BYTES :][: max(0, len(chunk) - TAG_BYTES)]
            self._opener.index = first + number
            self._open_chunk(chunk, plain)
            self._window_end += len(plain)

    def _open_chunk(self, chunk: memoryview, plain: memoryview) -> None:
        index = self._opener.index
        if index == self._chunks - 1:
            if not self._opener.open_last(chunk, plain):
                raise truncated(index + 1)
        elif not self._opener.open_inner(chunk, plain):
            raise ChunkError(
                f"Chunk {index} of a sealed file is marked as the last, but {self._chunks} stand there."
            )

    def _fetch(self, first: int, count: int) -> memoryview:
        start = self._payload_start + first * SEALED_CHUNK_BYTES
        size = min(count * SEALED_CHUNK_BYTES, self._source.size_bytes - start)
        used = 0
        with self._source.open_range(start, size) as part:
            while used < size and (read := read_into(part, self._sealed[used:size])):
                used += read
        if used < size:
            raise truncated(first)
        return self._sealed[:size]

"""The payload of an age v1 file: ChaCha20-Poly1305 in chunks of 64 KiB (the STREAM construction).

    nonce[16] || chunk_0 || … || chunk_k      payload key = HKDF-SHA256(file key, salt = nonce, "payload")
    chunk = ChaCha20-Poly1305(64 KiB of plaintext; the last 1 byte to 64 KiB, empty only in an empty file)
    AEAD nonce[12] = counter, 11 bytes big-endian || 01 for the last chunk, else 00

Plaintext byte i lies in chunk i >> 16, which starts at 16 + (i >> 16) * 65552 of the payload.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from strongroom.sealing.errors import (
    ChunkError,
    DamagedEndError,
    ReorderedError,
    TrailingDataError,
    TruncatedError,
)

Buffer = bytes | bytearray | memoryview

NONCE_BYTES = 16
CHUNK_BYTES = 64 * 1024
TAG_BYTES = 16
SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES
BATCH_CHUNKS = 16
"""Chunks handled together: one mebibyte of plaintext, so that the work around a chunk costs little."""

_COPY_HINT = "Take the object from another version or copy."
_SEARCHED_COUNTERS = 4096
"""How far around its place a displaced chunk is looked for; only ever after one failed to verify."""


class ChunkCipher:
    """Encrypts and decrypts single chunks under a payload key, into memory the caller provides."""

    def __init__(self, payload_key: bytes) -> None:
        self._aead = ChaCha20Poly1305(payload_key)

    def encrypt(self, index: int, last: bool, plaintext: Buffer, sealed: memoryview) -> None:
        """Encrypt chunk number `index` into `sealed`, which is 16 bytes longer than the plaintext."""
        self._aead.encrypt_into(_nonce(index, last), plaintext, None, sealed)

    def decrypt(self, index: int, last: bool, sealed: Buffer, plaintext: memoryview) -> bool:
        """Decrypt chunk number `index`; False when it is not that chunk, unaltered.

        What is in `plaintext` after a failure is not to be used.
        """
        try:
            self._aead.decrypt_into(_nonce(index, last), sealed, None, plaintext)
        except InvalidTag:
            return False
        return True


def _nonce(index: int, last: bool) -> bytes:
    return (index << 8 | last).to_bytes(12, "big")


LongRun = Callable[[ChunkCipher, int, memoryview], Iterator[memoryview]]
"""Seals whole chunks that others follow: the cipher, the first one's number, their plaintext."""


class PayloadSealer:
    """Turns plaintext in pieces of any size into chunks.

    A chunk is sealed when more plaintext follows it, because the last one is marked. What it yields is memory
    that the next step uses again.

    Args:
        payload_key: of the file.
        long_run: seals long runs of whole chunks, where there is somebody to share the work with.
    """

    def __init__(self, payload_key: bytes, *, long_run: LongRun | None = None) -> None:
        self._cipher = ChunkCipher(payload_key)
        self._long_run = long_run
        self._index = 0
        self._held = bytearray(CHUNK_BYTES)
        self._held_bytes = 0
        own = memoryview(bytearray(BATCH_CHUNKS * SEALED_CHUNK_BYTES))
        self._next_output: Callable[[], memoryview] = lambda: own
        self._out: memoryview | None = None
        self._out_bytes = 0

    def provide_output(self, next_output: Callable[[], memoryview]) -> None:
        """Have every batch written to memory of the caller's, which holds at least one sealed chunk."""
        self._next_output = next_output

    def update(self, plaintext: Buffer) -> Iterator[memoryview]:
        """Take a piece; yields full batches of sealed chunks."""
        view = memoryview(plaintext).cast("B")
        position = self._top_up(view)
        if position < len(view) and self._held_bytes:
            yield from self._seal(memoryview(self._held), last=False)
            self._held_bytes = 0
        if self._long_run is not None and len(view) - position > BATCH_CHUNKS * CHUNK_BYTES:
            count = (len(view) - position - 1) // CHUNK_BYTES
            if self._out is not None:
                yield self._flush(self._out)
            yield from self._long_run(
                self._cipher, self._index, view[position : position + count * CHUNK_BYTES]
            )
            self._index += count
            position += count * CHUNK_BYTES
        while len(view) - position > CHUNK_BYTES:
            yield from self._seal(view[position : position + CHUNK_BYTES], last=False)
            position += CHUNK_BYTES
        if position < len(view):
            self._held_bytes = len(view) - position
            self._held[: self._held_bytes] = view[position:]

    def finish(self) -> Iterator[memoryview]:
        """Seal the last chunk; yields what is left."""
        yield from self._seal(memoryview(self._held)[: self._held_bytes], last=True)
        if self._out is not None:
            yield self._flush(self._out)

    def _top_up(self, view: memoryview) -> int:
        if not self._held_bytes:
            return 0
        taken = min(CHUNK_BYTES - self._held_bytes, len(view))
        self._held[self._held_bytes : self._held_bytes + taken] = view[:taken]
        self._held_bytes += taken
        return taken

    def _seal(self, plaintext: memoryview, *, last: bool) -> Iterator[memoryview]:
        out = self._output()
        end = self._out_bytes + len(plaintext) + TAG_BYTES
        self._cipher.encrypt(self._index, last, plaintext, out[self._out_bytes : end])
        self._index += 1
        self._out_bytes = end
        if len(out) - end < SEALED_CHUNK_BYTES:
            yield self._flush(out)

    def _output(self) -> memoryview:
        if self._out is None:
            self._out = self._next_output()
        return self._out

    def _flush(self, out: memoryview) -> memoryview:
        used, self._out_bytes, self._out = self._out_bytes, 0, None
        return out[:used]


class PayloadOpener:
    """Decrypts the chunks of a payload in order, and says exactly what is wrong with one that fails."""

    def __init__(self, payload_key: bytes) -> None:
        self.cipher = ChunkCipher(payload_key)
        self.index = 0

    def open_inner(self, sealed: memoryview, plaintext: memoryview) -> bool:
        """Decrypt a chunk that others follow; False when it is marked as the last, but opened.

        Raises:
            ChunkError: it was altered.
            ReorderedError: it is another chunk of this file.
        """
        if self.cipher.decrypt(self.index, False, sealed, plaintext):
            self.index += 1
            return True
        if self.cipher.decrypt(self.index, True, sealed, plaintext):
            return False
        raise self._altered(sealed, plaintext)

    def open_last(self, sealed: memoryview, plaintext: memoryview) -> bool:
        """Decrypt what stands at the file's end; False when it opened, but is not the last chunk.

        Raises:
            TruncatedError: nothing, or too little, stands there.
            ChunkError: it was altered.
        """
        if len(sealed) < TAG_BYTES:
            raise truncated(self.index)
        if len(sealed) == TAG_BYTES and self.index:
            raise ChunkError(f"Chunk {self.index} of a sealed file is empty, which no writer makes.")
        if self.cipher.decrypt(self.index, True, sealed, plaintext):
            return True
        if len(sealed) == SEALED_CHUNK_BYTES and self.cipher.decrypt(self.index, False, sealed, plaintext):
            self.index += 1
            return False
        raise self._altered(sealed, plaintext)

    def _altered(self, sealed: memoryview, scratch: memoryview) -> ChunkError:
        found = self._find(sealed, scratch)
        if found is not None:
            return ReorderedError(
                f"Chunk {found} of a sealed file stands where chunk {self.index} should be.", hint=_COPY_HINT
            )
        if len(sealed) < SEALED_CHUNK_BYTES:
            return DamagedEndError(
                f"Chunk {self.index}, at the end of a sealed file, was altered or the file is cut there.",
                hint=f"{_COPY_HINT} A size smaller than recorded means that it was cut.",
            )
        return ChunkError(f"Chunk {self.index} of a sealed file was altered.", hint=_COPY_HINT)

    def _find(self, sealed: memoryview, scratch: memoryview) -> int | None:
        first = max(0, self.index - _SEARCHED_COUNTERS // 2)
        for index in range(first, first + _SEARCHED_COUNTERS):
            for last in (False, True):
                if index != self.index and self.cipher.decrypt(index, last, sealed, scratch):
                    return index
        return None


def truncated(index: int) -> TruncatedError:
    """The error for a file that ends after `index` chunks, none of them the last."""
    return TruncatedError(f"A sealed file ends after {index} chunks, before its last one.", hint=_COPY_HINT)


def trailing_data(index: int) -> TrailingDataError:
    """The error for a file in which something follows the last chunk, number `index`."""
    return TrailingDataError(f"Something follows chunk {index}, the last of a sealed file.", hint=_COPY_HINT)

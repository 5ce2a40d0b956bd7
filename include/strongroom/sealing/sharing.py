"""Sealing a long run of chunks on two cores: batches in a queue that both threads take from, given out in order.

    plaintext = batch 0 | batch 1 | batch 2 | …        each into one of a few blocks of memory, used in turn

Neither thread waits for the other's half: whoever is done takes the next batch. The consumer's own thread works
too, and waits only when the batch that it has to give out is in the other's hands.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType

from strongroom.sealing.chunks import CHUNK_BYTES, SEALED_CHUNK_BYTES, ChunkCipher

_BATCH_CHUNKS = 32
_BLOCKS = 5


def _taken_lock() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(frozen=True)
class _Batch:
    """Some chunks, and the memory for them sealed."""

    cipher: ChunkCipher
    first: int
    plaintext: memoryview
    sealed: memoryview
    done: threading.Lock = field(default_factory=_taken_lock)
    """Held until the batch is sealed; given out once."""
    errors: list[BaseException] = field(default_factory=list)

    def seal(self) -> None:
        try:
            for number in range(len(self.plaintext) // CHUNK_BYTES):
                start, place = number * CHUNK_BYTES, number * SEALED_CHUNK_BYTES
                self.cipher.encrypt(
                    self.first + number,
                    False,
                    self.plaintext[start : start + CHUNK_BYTES],
                    self.sealed[place : place + SEALED_CHUNK_BYTES],
                )
        except BaseException as error:
            self.errors.append(error)
        finally:
            self.done.release()


class TwoCores:
    """A second thread for sealing, started with the first long run and ended with the block."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._helper: threading.Thread | None = None
        self._blocks: list[memoryview] = []

    def __enter__(self) -> TwoCores:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._helper is not None:
            while self._take() is not None:
                """What nobody will ask for is not sealed."""
            self._waiting.put(None)
            self._helper.join()

    def seal_run(self, cipher: ChunkCipher, first: int, plaintext: memoryview) -> Iterator[memoryview]:
        """Seal whole chunks that others follow.

        Args:
            cipher: of the file.
            first: the number of the first chunk.
            plaintext: a multiple of the chunk's size.

        Yields:
            Sealed chunks in order: memory that is used again some steps later.
        """
        self._start()
        given: deque[_Batch] = deque()
        for number, batch in enumerate(self._batches(cipher, first, plaintext)):
            if number >= _BLOCKS:
                yield self._finished(given.popleft())
            given.append(batch)
            self._waiting.put(batch)
        while given:
            yield self._finished(given.popleft())

    def _batches(self, cipher: ChunkCipher, first: int, plaintext: memoryview) -> Iterator[_Batch]:
        for number, start in enumerate(range(0, len(plaintext), _BATCH_CHUNKS * CHUNK_BYTES)):
            piece = plaintext[start : start + _BATCH_CHUNKS * CHUNK_BYTES]
            room = len(piece) // CHUNK_BYTES * SEALED_CHUNK_BYTES
            yield _Batch(
                cipher, first + number * _BATCH_CHUNKS, piece, self._blocks[number % len(self._blocks)][:room]
            )

    def _finished(self, batch: _Batch) -> memoryview:
        """The batch once it is sealed; meanwhile others are."""
        while not batch.done.acquire(blocking=False):
            other = self._take()
            if other is None:
                batch.done.acquire()
                break
            other.seal()
        if batch.errors:
            raise batch.errors[0]
        return batch.sealed

    def _take(self) -> _Batch | None:
        try:
            return self._waiting.get_nowait()
        except queue.Empty:
            return None

    def _start(self) -> None:
        if self._helper is None:
            # One block more than batches are waiting: the consumer still reads the one that was given out last.
            self._blocks = [
                memoryview(bytearray(_BATCH_CHUNKS * SEALED_CHUNK_BYTES)) for _ in range(_BLOCKS + 1)
            ]
            self._helper = threading.Thread(target=self._help, name="strongroom-seal", daemon=True)
            self._helper.start()

    def _help(self) -> None:
        while (batch := self._waiting.get()) is not None:
            batch.seal()

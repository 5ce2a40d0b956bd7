"""The path of a backup: read, compress, seal and hash in threads side by side, with bounded memory.

    source ──> reader ──> zstd (several threads, `frames`) ──> age, SHA-256 ──> consumer
    source ──> age ──> zstd (several threads, `decompression`) ──> consumer

Blocks of memory are handed on and come back to be used again; a slow stage makes the others wait, not grow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from strongroom.errors import InputError
from strongroom.sealing.chunks import BATCH_CHUNKS, SEALED_CHUNK_BYTES, Buffer, PayloadSealer
from strongroom.sealing.context import Context, UncheckedContext
from strongroom.sealing.decompression import FrameDecompression
from strongroom.sealing.flow import Channel, Flow, Stopped, give_back
from strongroom.sealing.frames import FrameCompression
from strongroom.sealing.recipients import Identity, Recipient
from strongroom.sealing.sources import BlockSource, block_source
from strongroom.sealing.stream import Readable, start_sealing, unseal

BLOCK_BYTES = 1 << 20
_READ_BLOCKS = 8
_OUT_BLOCKS = 6


@dataclass(frozen=True)
class PipelineReport:
    """What went through a sealing pipeline."""

    plaintext_bytes: int
    compressed_bytes: int
    """What was sealed: as many as `plaintext_bytes` without compression."""

    ciphertext_bytes: int
    ciphertext_sha256: str
    """Hexadecimal, of the whole sealed file."""


class SealingPipeline:
    """Compresses and seals a stream. Iterate it once; then `report` says what went through.

    What it yields is memory that comes back into use with the next step: consume or copy it at once. Leaving the
    iteration early (`close()` of the iterator) stops every thread. Only a descriptor can be interrupted while
    waiting for data; from another source that blocks, the wait is sat out.

    Args:
        source: a file descriptor (fastest), a binary file, or pieces of any size. It stays the caller's to close.
        recipients: who can open the result.
        context: what it is bound to.
        compression_level: of Zstandard; None seals the bytes as they are.
        compression_threads: how many frames are compressed at a time.
    """

    def __init__(
        self,
        source: Iterable[Buffer] | BinaryIO | int,
        recipients: Sequence[Recipient],
        *,
        context: Context | None,
        compression_level: int | None,
        compression_threads: int = 2,
    ) -> None:
        self._source = source
        self._prefix, payload_key = start_sealing(recipients, context)
        self._sealer = PayloadSealer(payload_key)
        self._level = compression_level
        self._threads = compression_threads
        self._hash = hashlib.sha256()
        self._plaintext_bytes = self._compressed_bytes = self._ciphertext_bytes = 0
        self._report: PipelineReport | None = None
        self._started = False

    @property
    def report(self) -> PipelineReport:
        """What went through.

        Raises:
            InputError: the pipeline has not been read to its end.
        """
        if self._report is None:
            raise InputError("A sealing pipeline has no report before it was read to its end.")
        return self._report

    def __iter__(self) -> Iterator[memoryview]:
        if self._started:
            raise InputError("A sealing pipeline can be read once only.")
        self._started = True
        return self._run()

    def _run(self) -> Iterator[memoryview]:
        flow = Flow()
        reader = block_source(self._source, flow)
        free_out = flow.pool(_OUT_BLOCKS, BATCH_CHUNKS * SEALED_CHUNK_BYTES)
        out = flow.channel(_OUT_BLOCKS)
        try:
            self._count_out(self._prefix)
            yield memoryview(self._prefix)
            self._start(flow, reader, free_out, out)
            yield from _drain(flow, _returned(out, free_out))
        finally:
            flow.finish()
            reader.close()
        self._report = PipelineReport(
            self._plaintext_bytes, self._compressed_bytes, self._ciphertext_bytes, self._hash.hexdigest()
        )

    def _start(
        self, flow: Flow, reader: BlockSource, free_out: Channel[memoryview], out: Channel[memoryview]
    ) -> None:
        if self._level is None:
            free, blocks = flow.pool(_READ_BLOCKS, BLOCK_BYTES), flow.channel(_READ_BLOCKS)
            flow.add("read", lambda: self._read(reader, free, blocks), blocks)
            flow.add("seal", lambda: self._seal(_returned(blocks, free), free_out, out), out)
        else:
            frames = FrameCompression(flow, level=self._level, threads=self._threads)
            frames.read_from(self._counting(reader))
            flow.add("seal", lambda: self._seal(frames, free_out, out), out)

    def _read(self, reader: BlockSource, free: Channel[memoryview], blocks: Channel[memoryview]) -> None:
        fill, filled = self._counting(reader), BLOCK_BYTES
        while filled == BLOCK_BYTES:
            block = free.get()
            filled = fill(block)
            if filled:
                blocks.put(block[:filled])

    def _counting(self, reader: BlockSource) -> Callable[[memoryview], int]:
        def fill(block: memoryview) -> int:
            filled = reader.fill(block)
            self._plaintext_bytes += filled
            return filled

        return fill

    def _seal(
        self, pieces: Iterable[Buffer], free_out: Channel[memoryview], out: Channel[memoryview]
    ) -> None:
        self._sealer.provide_output(free_out.get)
        for piece in pieces:
            self._compressed_bytes += len(piece)
            for sealed in self._sealer.update(piece):
                self._count_out(sealed)
                out.put(sealed)
        for sealed in self._sealer.finish():
            self._count_out(sealed)
            out.put(sealed)

    def _count_out(self, sealed: Buffer) -> None:
        self._hash.update(sealed)
        self._ciphertext_bytes += len(sealed)


class OpeningPipeline:
    """Opens and decompresses a stream, reading ahead. Iterate it once.

    What it yields is authentic and in order, but only the end of the iteration says that nothing is missing. It
    is memory that comes back into use with the next step.

    Args:
        source: the sealed file, from its first byte.
        identities: one of them must be a recipient.
        context: what the file must be bound to, or `UNCHECKED`.
        decompress: whether what was sealed is Zstandard data.
    """

    def __init__(
        self,
        source: Readable,
        identities: Sequence[Identity],
        *,
        context: Context | UncheckedContext,
        decompress: bool,
    ) -> None:
        self._source = source
        self._identities = identities
        self._context = context
        self._decompress = decompress

    def __iter__(self) -> Iterator[memoryview]:
        flow = Flow()
        try:
            if self._decompress:
                frames = FrameDecompression(flow)
                frames.read_from(self._pieces())
                yield from _drain(flow, frames)
            else:
                free, blocks = flow.pool(_READ_BLOCKS, BLOCK_BYTES), flow.channel(_READ_BLOCKS)
                flow.add("open", lambda: self._open(free, blocks), blocks)
                yield from _drain(flow, _returned(blocks, free))
        finally:
            flow.finish()

    def _pieces(self) -> Iterator[memoryview]:
        return unseal(self._source, self._identities, context=self._context)

    def _open(self, free: Channel[memoryview], blocks: Channel[memoryview]) -> None:
        for piece in self._pieces():
            block = free.get()
            block[: len(piece)] = piece
            blocks.put(block[: len(piece)])


def _drain(flow: Flow, pieces: Iterable[memoryview]) -> Iterator[memoryview]:
    flow.start()
    try:
        yield from pieces
    except Stopped:
        flow.raise_error()
        raise


def _returned(blocks: Channel[memoryview], free: Channel[memoryview]) -> Iterator[memoryview]:
    """The blocks, each given back once the next one is asked for."""
    for block in blocks:
        yield block
        give_back(block, free)

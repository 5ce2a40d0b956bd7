"""Decompressing a stream of Zstandard frames: those of 2 MiB or less on several cores, a larger one as it comes.

    pieces ──> cut at the ends of frames ─┬─> thread a ──> block 0 ─┐
                                          └─> thread b ──> block 1 ─┴─> in order: block 0, block 1, …

`frames` writes frames that can be handed to any thread. From the first one on that is larger, or that does not say
how large it is, the rest is decompressed by the thread that reads.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, cast

from strongroom.sealing.chunks import Buffer
from strongroom.sealing.errors import DecompressionError
from strongroom.sealing.flow import Channel, Flow
from strongroom.sealing.frames import FRAME_BYTES
from strongroom.sealing.zstd_frames import FrameWatcher

if TYPE_CHECKING:
    import zstandard

_THREADS = 2
_LANES = 6
_COMPRESSED_LIMIT_BYTES = FRAME_BYTES + FRAME_BYTES // 64
"""What does not compress grows a little."""

_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class _Lane:
    """Memory for one block, and the place where its length will lie."""

    block: memoryview
    filled: Channel[int]


class FrameDecompression:
    """Reads pieces in one thread and decompresses frames in others; iterating gives the content in order.

    What it yields is memory that comes back into use with the next step.

    Args:
        flow: the threads it becomes part of.
    """

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        lanes = _LANES + _THREADS
        self._free = flow.join(Channel[_Lane](lanes))
        self._waiting = flow.join(Channel[tuple[_Lane, bytes]](lanes))
        self._ordered = flow.join(Channel[_Lane](lanes))
        for _ in range(lanes):
            self._free.put(_Lane(memoryview(bytearray(FRAME_BYTES)), flow.join(Channel[int](1))))

    def read_from(self, pieces: Iterable[memoryview]) -> None:
        """Add the threads to the flow.

        Args:
            pieces: the compressed stream; a piece is used up before the next one is asked for.
        """
        self._flow.add("open", lambda: self._read(pieces), self._waiting, self._ordered)
        for number in range(_THREADS):
            self._flow.add(f"decompress-{number}", self._decompress)

    def __iter__(self) -> Iterator[memoryview]:
        for lane in self._ordered:
            filled = lane.filled.get()
            if filled:
                yield lane.block[:filled]
            self._free.put(lane)

    def _read(self, pieces: Iterable[memoryview]) -> None:
        watcher = FrameWatcher()
        parts = (part for piece in pieces for part in watcher.cut(piece))
        frame = bytearray()
        for part, ended in parts:
            frame += part
            if len(frame) > _COMPRESSED_LIMIT_BYTES or (ended and not _fits(frame)):
                self._stream(itertools.chain([frame], (rest for rest, _ in parts)))
                frame = bytearray()
            elif ended:
                lane = self._free.get()
                self._waiting.put((lane, bytes(frame)))
                self._ordered.put(lane)
                frame = bytearray()
        if not watcher.complete:
            raise DecompressionError(
                "What was sealed ends inside a Zstandard frame.", hint="It was cut before it was sealed."
            )

    def _stream(self, parts: Iterator[Buffer]) -> None:
        """Decompress everything that is left, block by block."""
        import zstandard

        reader = zstandard.ZstdDecompressor().stream_reader(
            cast(IO[bytes], _Parts(parts)), read_size=_READ_BYTES, read_across_frames=True
        )
        while True:
            lane = self._free.get()
            filled = _checked_readinto(reader, lane.block)
            lane.filled.put(filled)
            self._ordered.put(lane)
            if not filled:
                return

    def _decompress(self) -> None:
        import zstandard

        decompressor = zstandard.ZstdDecompressor()
        for lane, frame in self._waiting:
            reader, filled = decompressor.stream_reader(frame, read_size=len(frame)), 0
            while size := _checked_readinto(reader, lane.block[filled:]):
                filled += size
            lane.filled.put(filled)


class _Parts:
    """Parts of a stream as a file for the decompressor, which owns what it reads."""

    def __init__(self, parts: Iterator[Buffer]) -> None:
        self._parts = parts

    def read(self, _size: int = -1) -> bytes:
        return bytes(next(self._parts, b""))


def _fits(frame: bytearray) -> bool:
    """Whether a frame says that its content fits into one block."""
    import zstandard

    try:
        return 0 <= zstandard.frame_content_size(bytes(frame[:18])) <= FRAME_BYTES
    except zstandard.ZstdError:
        return False


def _checked_readinto(reader: zstandard.ZstdDecompressionReader, block: memoryview) -> int:
    import zstandard

    try:
        return reader.readinto(block)
    except zstandard.ZstdError as error:
        raise DecompressionError(f"What was sealed does not decompress: {error}") from error

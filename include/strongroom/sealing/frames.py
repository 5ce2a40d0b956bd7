"""Compressing a stream on several cores: independent Zstandard frames of 2 MiB, one behind the other.

    block 0 ──> thread a ──> frame 0 ─┐
    block 1 ──> thread b ──> frame 1 ─┴─> in order: frame 0 || frame 1 || …

Several frames are one Zstandard file (RFC 8878, section 3.1). Unlike the library's own threads this copies no
input and lets no thread wait for another's end; level 1, whose window is smaller than a block, loses about 0.2 %
of size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from strongroom.sealing.flow import Channel, Flow

FRAME_BYTES = 2 << 20
"""Plaintext of a frame; the last one holds what is left."""

_LANES = 6


@dataclass(frozen=True)
class _Lane:
    """Memory for one block, and the place where its frame will lie."""

    block: memoryview
    frame: Channel[bytes]


class FrameCompression:
    """Reads blocks in one thread and compresses them in others; iterating gives the frames in order.

    Args:
        flow: the threads it becomes part of.
        level: of Zstandard.
        threads: how many compress.
    """

    def __init__(self, flow: Flow, *, level: int, threads: int) -> None:
        self._flow = flow
        self._level = level
        self._threads = threads
        lanes = _LANES + threads
        self._free = flow.join(Channel[_Lane](lanes))
        self._waiting = flow.join(Channel[tuple[_Lane, int]](lanes))
        self._ordered = flow.join(Channel[_Lane](lanes))
        for _ in range(lanes):
            self._free.put(_Lane(memoryview(bytearray(FRAME_BYTES)), flow.join(Channel[bytes](1))))

    def read_from(self, fill: Callable[[memoryview], int]) -> None:
        """Add the threads to the flow.

        Args:
            fill: fills a block as far as there is data; fewer bytes than it holds means the end.
        """
        self._flow.add("read", lambda: self._read(fill), self._waiting, self._ordered)
        for number in range(self._threads):
            self._flow.add(f"compress-{number}", self._compress)

    def __iter__(self) -> Iterator[bytes]:
        for lane in self._ordered:
            yield lane.frame.get()
            self._free.put(lane)

    def _read(self, fill: Callable[[memoryview], int]) -> None:
        """An empty stream is one empty frame, as other programs take no frame at all for damage."""
        filled, first = FRAME_BYTES, True
        while filled == FRAME_BYTES:
            lane = self._free.get()
            filled = fill(lane.block)
            if filled or first:
                self._waiting.put((lane, filled))
                self._ordered.put(lane)
            first = False

    def _compress(self) -> None:
        import zstandard

        compressor = zstandard.ZstdCompressor(level=self._level, write_checksum=False)
        for lane, filled in self._waiting:
            lane.frame.put(compressor.compress(lane.block[:filled]))

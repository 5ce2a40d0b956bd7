"""Watching Zstandard frames go by (RFC 8878, section 3.1), to know whether the last one is complete.

    magic[4] header[2-14] (block header[3] block)+ checksum[0 or 4]        or  skippable magic[4] size[4] data

The decompressor gives no error when its input ends inside a frame; it just gives nothing more.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from strongroom.sealing.chunks import Buffer
from strongroom.sealing.errors import DecompressionError

_MAGIC = 0xFD2FB528
_SKIPPABLE = 0x184D2A50
_RUN_LENGTH_BLOCK = 1
_FRAME_START = -4


class FrameWatcher:
    """Follows frames from piece to piece, looking at headers only."""

    def __init__(self) -> None:
        self._walk = _walk()
        self._need = next(self._walk)
        self._have = bytearray()
        self._skip = 0

    @property
    def complete(self) -> bool:
        """Whether what was seen ends exactly at the end of a frame."""
        return self._need == _FRAME_START and not self._have and not self._skip

    def cut(self, piece: Buffer) -> Iterator[tuple[memoryview, bool]]:
        """Look at the next piece, cut where frames end: each part, and whether a frame ends with it.

        Raises:
            DecompressionError: it is no Zstandard frame.
        """
        view = memoryview(piece)
        start = position = 0
        while position < len(view):
            position += self._follow(view[position:])
            if self.complete:
                yield view[start:position], True
                start = position
        if start < len(view):
            yield view[start:], False

    def _follow(self, view: memoryview) -> int:
        """Look at one field, or skip what is skipped; how many bytes that was."""
        if self._skip:
            taken = min(self._skip, len(view))
            self._skip -= taken
            return taken
        taken = min(abs(self._need) - len(self._have), len(view))
        self._have += view[:taken]
        if len(self._have) == abs(self._need):
            self._step()
        return taken

    def _step(self) -> None:
        field, self._have = int.from_bytes(self._have, "little"), bytearray()
        self._need = self._walk.send(field)
        while self._need == 0:
            self._skip = next(self._walk)
            self._need = next(self._walk)


def _walk() -> Generator[int, int, None]:
    """Yields how many bytes of a field it needs, or 0 and then how many to skip; is sent the field's value."""
    while True:
        magic = yield _FRAME_START
        if magic & ~0xF == _SKIPPABLE:
            size = yield 4
            yield 0
            yield size
        elif magic == _MAGIC:
            yield from _walk_frame()
        else:
            raise DecompressionError("What was sealed is not Zstandard data.")


def _walk_frame() -> Generator[int, int, None]:
    descriptor = yield 1
    single, checksum = descriptor >> 5 & 1, descriptor >> 2 & 1
    yield 0
    yield (0, 1, 2, 4)[descriptor & 3] + (single, 2, 4, 8)[descriptor >> 6] + (1 - single)
    last = 0
    while not last:
        block = yield 3
        last, kind, size = block & 1, block >> 1 & 3, block >> 3
        yield 0
        yield 1 if kind == _RUN_LENGTH_BLOCK else size
    if checksum:
        yield 4

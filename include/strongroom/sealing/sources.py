"""Filling blocks of memory from what a pipeline reads: a file descriptor, a binary file, an iterable of pieces."""

from __future__ import annotations

import fcntl
import os
import select
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import BinaryIO, cast

from strongroom.sealing.chunks import Buffer
from strongroom.sealing.flow import Flow, Stopped
from strongroom.sealing.stream import read_into

PIPE_BYTES = 1 << 20


class BlockSource(ABC):
    """Something that fills blocks of memory."""

    @abstractmethod
    def fill(self, block: memoryview) -> int:
        """Fill the block as far as there is data; fewer bytes than it holds means the end."""

    def close(self) -> None:  # noqa: B027 - most sources have nothing of their own to close
        """Release what the source opened itself; never the caller's file."""


def block_source(source: Iterable[Buffer] | BinaryIO | int, flow: Flow) -> BlockSource:
    """The source as something that fills blocks."""
    if isinstance(source, int):
        return _DescriptorSource(source, flow)
    if hasattr(source, "read"):
        return _FileSource(cast(BinaryIO, source))
    return _PiecesSource(iter(source))


def widen_pipe(descriptor: int) -> None:
    """Let a pipe hold 1 MiB instead of 64 KiB, so that its ends wait for one another less often.

    Where the system refuses (it is no pipe, or the user's allowance is used up) it stays as it is.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except (AttributeError, OSError):
        return


class _DescriptorSource(BlockSource):
    """A descriptor, usually of a pipe. Waiting for it ends when the flow ends."""

    def __init__(self, descriptor: int, flow: Flow) -> None:
        widen_pipe(descriptor)
        self._descriptor = descriptor
        self._wake_read, self._wake_write = os.pipe()
        flow.on_stop(lambda: _wake(self._wake_write))
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._poll.register(self._wake_read, select.POLLIN)

    def fill(self, block: memoryview) -> int:
        used = 0
        while used < len(block):
            if any(ready == self._wake_read for ready, _ in self._poll.poll()):
                raise Stopped
            read = os.readv(self._descriptor, [block[used:]])
            if not read:
                break
            used += read
        return used

    def close(self) -> None:
        os.close(self._wake_read)
        os.close(self._wake_write)


def _wake(descriptor: int) -> None:
    os.write(descriptor, b"\0")


class _FileSource(BlockSource):
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def fill(self, block: memoryview) -> int:
        used = 0
        while used < len(block):
            read = read_into(self._file, block[used:])
            if not read:
                break
            used += read
        return used


class _PiecesSource(BlockSource):
    def __init__(self, pieces: Iterator[Buffer]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def fill(self, block: memoryview) -> int:
        used = 0
        while used < len(block):
            if not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._rest = memoryview(piece).cast("B")
                continue
            size = min(len(self._rest), len(block) - used)
            block[used : used + size] = self._rest[:size]
            self._rest = self._rest[size:]
            used += size
        return used

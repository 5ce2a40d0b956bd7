"""Threads that hand one another pieces of a stream: bounded, and stopped as one.

    Flow ── add(work) ──> thread ── Channel ──> thread ── Channel ──> consumer

The first error of any thread stops all of them and is what the consumer gets.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """Tells a thread that the flow it belongs to has ended."""


class Channel(Generic[T]):
    """A bounded queue with an end."""

    def __init__(self, capacity: int) -> None:
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._changed = threading.Condition()
        self._closed = self._stopped = False

    def put(self, item: T) -> None:
        """Append an item, waiting while the queue is full.

        Raises:
            Stopped: the flow has ended.
        """
        with self._changed:
            while len(self._items) >= self._capacity and not self._stopped:
                self._changed.wait()
            if self._stopped:
                raise Stopped
            self._items.append(item)
            self._changed.notify_all()

    def get(self) -> T:
        """Take the next item, waiting for one.

        Raises:
            Stopped: the flow has ended, or the queue is closed and empty.
        """
        with self._changed:
            while not self._items and not self._stopped and not self._closed:
                self._changed.wait()
            if self._stopped or not self._items:
                raise Stopped
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def __iter__(self) -> Iterator[T]:
        """The items until the queue is closed.

        Raises:
            Stopped: the flow has ended before.
        """
        while True:
            try:
                item = self.get()
            except Stopped:
                if self._stopped:
                    raise
                return
            yield item

    def close(self) -> None:
        """Say that no item follows."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Wake everybody who waits, with `Stopped`."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


class Flow:
    """Some threads and the channels between them."""

    def __init__(self) -> None:
        self._channels: list[Channel[Any]] = []
        self._threads: list[threading.Thread] = []
        self._on_stop: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._stopped = False
        self._error: BaseException | None = None

    def channel(self, capacity: int) -> Channel[memoryview]:
        """A new queue of blocks between two of the threads."""
        return self.join(Channel(capacity))

    def join(self, channel: Channel[T]) -> Channel[T]:
        """Make a queue one of this flow's: it is stopped with it."""
        self._channels.append(channel)
        return channel

    def pool(self, blocks: int, block_bytes: int) -> Channel[memoryview]:
        """A queue of blocks of memory to use and put back."""
        pool = self.channel(blocks)
        for _ in range(blocks):
            pool.put(memoryview(bytearray(block_bytes)))
        return pool

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call this when the flow ends, so that a thread that waits outside wakes up."""
        self._on_stop.append(callback)

    def add(self, name: str, work: Callable[[], None], *outputs: Channel[Any]) -> None:
        """Add a thread, which `start` starts; when its work ends, its outputs are closed."""

        def run() -> None:
            try:
                work()
                for output in outputs:
                    output.close()
            except Stopped:
                pass
            except BaseException as error:
                self._fail(error)

        thread = threading.Thread(target=run, name=f"strongroom-{name}", daemon=True)
        self._threads.append(thread)

    def start(self) -> None:
        """Start the threads, once all channels are there: an early error must reach every one of them."""
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Stop everything, and wait until no thread is left."""
        self._stop()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def raise_error(self) -> None:
        """Raise the first error of a thread, if there was one."""
        if self._error is not None:
            raise self._error

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if self._error is None and not self._stopped:
                self._error = error
        self._stop()

    def _stop(self) -> None:
        with self._lock:
            first, self._stopped = not self._stopped, True
        if first:
            for channel in self._channels:
                channel.stop()
            for callback in self._on_stop:
                callback()


def give_back(block: memoryview, free: Channel[memoryview]) -> None:
    """Put a block back into its pool in full length, however little of it was used."""
    free.put(memoryview(block.obj))

"""Several jobs side by side: the first that fails stops the others, and its error is the one that counts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from strongroom.errors import TransientError

T = TypeVar("T")
Job = Callable[[], list[T]]


class _StoppedError(TransientError):
    """Another stream of the same run failed."""


class Streams:
    """Runs jobs in threads.

    Args:
        count: how many at once.
        alive: raises when the run may not go on.
    """

    def __init__(self, count: int, alive: Callable[[], None]) -> None:
        self._count = count
        self._alive = alive
        self._first: BaseException | None = None
        self._lock = threading.Lock()

    def alive(self) -> None:
        """Pass while the run and its other streams are well; jobs call it often."""
        if self._first is not None:
            raise _StoppedError("Another stream of this run failed.")
        self._alive()

    def run(self, jobs: Sequence[Job[T]]) -> list[T]:
        """Run all jobs, the first ones first.

        Returns:
            What they gave, in their order.

        Raises:
            BaseException: of the job that failed first.
        """
        with ThreadPoolExecutor(max(1, self._count), thread_name_prefix="stream") as pool:
            futures = [pool.submit(self._one, job) for job in jobs]
            try:
                results = [future.result() for future in futures]
            except BaseException as error:  # an interrupt of the waiting thread ends the jobs too
                self._first = self._first or error
                raise
        if self._first is not None:
            raise self._first
        return [item for result in results for item in result]

    def _one(self, job: Job[T]) -> list[T]:
        try:
            self.alive()
            return job()
        except BaseException as error:
            with self._lock:
                self._first = self._first or error
            return []


class Amount:
    """A number that several threads add to, told under a stage's name.

    Args:
        stage: the name.
        progress: told the stage and the sum so far.
    """

    def __init__(self, stage: str, progress: Callable[[str, int], None]) -> None:
        self._stage = stage
        self._progress = progress
        self._sum = 0
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        """Add to it."""
        with self._lock:
            self._sum += size
            total = self._sum
        self._progress(self._stage, total)

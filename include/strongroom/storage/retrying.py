"""Trying again: for how long, and how patiently."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Event
from typing import TypeVar

from strongroom.storage.errors import ChecksumMismatchError, StoreUnavailableError

Result = TypeVar("Result")
_DAMAGED_TRIES = 3


@dataclass(frozen=True)
class RetryPolicy:
    """How long a call is tried again while the store is not available.

    Attributes:
        window_seconds: no new try is begun after this time since the first failure.
        first_delay_seconds: the pause before the second try; it doubles, with a random part.
        longest_delay_seconds: the pause grows no longer than this.
    """

    window_seconds: float = 60.0
    first_delay_seconds: float = 0.2
    longest_delay_seconds: float = 5.0

    def pauses(self) -> Iterator[float]:
        """The pause before each further try, in seconds; ends when the window is over."""
        ends = time.monotonic() + self.window_seconds
        delay = self.first_delay_seconds
        while time.monotonic() < ends:
            yield delay * random.uniform(0.5, 1.0)  # noqa: S311  # spreads the tries; no secret
            delay = min(delay * 2, self.longest_delay_seconds)


def retry(policy: RetryPolicy, call: Callable[[], Result], *, given_up: Event | None = None) -> Result:
    """The call's result, tried again while the store is not available.

    Args:
        policy: how long.
        call: what to try.
        given_up: once set, nothing is tried again.

    Raises:
        StoreUnavailableError: it still is not at the end of the policy's window.
    """
    stop = given_up or Event()
    pauses: Iterator[float] | None = None
    while True:
        try:
            return call()
        except StoreUnavailableError:
            pauses = pauses if pauses is not None else policy.pauses()
            pause = next(pauses, None)
            if pause is None or stop.wait(pause):
                raise


def resend(call: Callable[[], Result]) -> Result:
    """The call's result; what arrived damaged is sent again, a few times.

    Raises:
        ChecksumMismatchError: it arrived damaged every time.
    """
    for _ in range(_DAMAGED_TRIES - 1):
        try:
            return call()
        except ChecksumMismatchError:
            continue
    return call()

"""Time, passed in: everything that asks for the time asks a `Clock`, so that a test can hold it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime


class Clock(ABC):
    """A source of the current time."""

    @abstractmethod
    def now(self) -> datetime:
        """The current time, timezone-aware, in UTC."""


class SystemClock(Clock):
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class FixedClock(Clock):
    """A clock that stands still until it is moved: for tests and for replaying plans."""

    def __init__(self, now: datetime) -> None:
        self.moment = now.astimezone(UTC)

    def now(self) -> datetime:
        return self.moment


def timestamp(moment: datetime) -> str:
    """The moment as RFC 3339 in UTC with microseconds and a `Z`, as it is written in every document."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_timestamp(text: str) -> datetime:
    """The moment that an RFC 3339 text names.

    Raises:
        ValueError: the text is not RFC 3339 or names no time zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone")
    return moment.astimezone(UTC)

"""Where facts about lifetimes come from: one source per kind of thing in the bucket, beside what it describes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime

from strongroom.lifetimes.items import Item


class LifetimeSource(ABC):
    """Tells what one pipeline left in one store, for one database."""

    @abstractmethod
    def items(self) -> Iterator[Item]:
        """Everything there is, also what is unfinished, damaged or unknown (`Kind.DEBRIS`, `Kind.UNKNOWN`).

        A document that cannot be believed, or whose format is unknown, makes an item of `Kind.UNKNOWN` out of
        everything that it might name, never debris.

        Raises:
            TransientError: the store does not answer, also in the middle of a listing: a listing that failed is not
                an empty bucket.
        """

    def signed_moments(self) -> Iterator[datetime]:
        """Moments that signed documents of this source state as past, to tell a clock that jumped.

        Ask after `items` has been read to its end.
        """
        return iter(())

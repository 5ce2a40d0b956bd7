"""Reading archives: asking them, and bringing rows back."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from strongroom.services.foundations import Foundations

if TYPE_CHECKING:
    from strongroom.archive.querying import ArchiveReader, ReadingParts
    from strongroom.archive.restoring import ArchiveRestorer


class ArchiveServices(Foundations):
    """What reads archives."""

    @cached_property
    def archive_reader(self) -> ArchiveReader:
        """Lists and asks archives."""
        from strongroom.archive.querying import ArchiveReader

        return ArchiveReader(self._reading_parts())

    @cached_property
    def archive_restorer(self) -> ArchiveRestorer:
        """Brings archived rows back."""
        from strongroom.archive.restoring import ArchiveRestorer

        return ArchiveRestorer(self._reading_parts())

    def _reading_parts(self) -> ReadingParts:
        from strongroom.archive.querying import ReadingParts

        return ReadingParts(self.store, self.vault, self.engine, self.sink, self.verifier_key)

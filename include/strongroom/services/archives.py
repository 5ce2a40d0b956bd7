"""Reading archives: asking them, and bringing rows back."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from strongroom.services.holds import HoldServices

if TYPE_CHECKING:
    from strongroom.archive.querying import ArchiveReader, ReadingParts
    from strongroom.archive.restoring import ArchiveRestorer


class ArchiveServices(HoldServices):
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

    def archive_holds(self, database: str) -> dict[str, tuple[str, ...]]:
        """The standing holds that reach parts of a database's archive: their ids, by the part's id.

        Raises:
            IntegrityError: a hold's record cannot be believed.
            TransientError: the store or the control database does not answer.
        """
        from strongroom.archive.lifetimes import ArchiveLifetimes
        from strongroom.retention.holds import held

        standing = self.holds.standing(database)
        if not standing:
            return {}
        archive = ArchiveLifetimes(self.store, database, self.verifier_key, self._keeps(database))
        return {item.rpartition("/")[2]: holds for item, holds in held(archive.items(), standing).items()}

    def _reading_parts(self) -> ReadingParts:
        from strongroom.archive.querying import ReadingParts

        return ReadingParts(self.store, self.vault, self.engine, self.sink, self.verifier_key)

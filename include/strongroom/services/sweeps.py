"""The services of archive sweeps."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from strongroom.services.foundations import Foundations

if TYPE_CHECKING:
    from strongroom.archive.interface import Archiver


class SweepServices(Foundations):
    """What moves rows into archives."""

    @cached_property
    def archiver(self) -> Archiver:
        """Moves rows that are older than their rule into sealed files."""
        from strongroom.archive.sweeping import ArchiveParts, SealedArchiver

        parts = ArchiveParts(self.store, self.vault, self.engine, self.sink, self.signer, self.clock)
        return SealedArchiver(parts)

"""Lifetimes and retention: what tells of things in the bucket, what plans and carries out their deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strongroom.services.backups import BackupServices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from strongroom.lifetimes import LifetimeSource


class RetentionServices(BackupServices):
    """What decides how long things live."""

    def lifetime_sources(self, database: str, copy: str | None = None) -> Sequence[LifetimeSource]:
        """What tells of a database's things, in the store or in one of its copies.

        Args:
            database: its name in the policy.
            copy: a copy's name; None for the store itself.

        Raises:
            UnknownCopyError: the settings define none of that name.
        """
        from strongroom.backup.lifetimes import lifetimes_in_copy, lifetimes_in_store

        if copy is None:
            copies = tuple(self.settings.copies)
            return lifetimes_in_store(self.store, database, self.verifier_key, self.clock, copies)
        store = self.stores.copy(copy)
        return lifetimes_in_copy(self.store, store, copy, database, self.verifier_key, self.clock)

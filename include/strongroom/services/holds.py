"""Legal holds."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING

from strongroom.errors import NotFoundError
from strongroom.services.retention import RetentionServices

if TYPE_CHECKING:
    from strongroom.access import Actor
    from strongroom.retention.hold_service import HoldService
    from strongroom.retention.holds import HoldScope


class HoldServices(RetentionServices):
    """What places, enforces and releases legal holds."""

    @cached_property
    def holds(self) -> HoldService:
        """Places holds; releases are approved by people with a role in `person_roles`."""
        return self.holds_for(self.person)

    def holds_for(self, person: Callable[[str], Actor]) -> HoldService:
        """The same, where `person` says which roles an account has that approves."""
        from strongroom.retention.hold_service import HoldParts, HoldService

        return HoldService(
            HoldParts(
                store=self.store,
                copies={name: partial(self.stores.copy, name) for name in self.settings.copies},
                engine=self.engine,
                sink=self.sink,
                signer=lambda: self.signer,
                verifier=self.verifier_key,
                clock=self.clock,
                sources=self.lifetime_sources,
                person=person,
            )
        )

    def require_holdable(self, scope: HoldScope) -> None:
        """Refuse a hold on what is not there: a misspelt one would keep nothing of what was meant.

        Raises:
            BackupNotFoundError: the index knows no such backup of the database.
            NotFoundError: neither the policy nor an archive knows the table.
        """
        if scope.backup_id is not None:
            self._require_backup(scope.database, scope.backup_id)
        if scope.table is not None and scope.table not in self.policy(scope.database).tables:
            self._require_archived(scope.database, scope.table)

    def _require_backup(self, database: str, backup_id: str) -> None:
        from strongroom.catalog import BackupNotFoundError, BackupRepository

        with self.engine.connect() as connection:
            record = BackupRepository().find(connection, backup_id)
        if record is None or record.database != database:
            raise BackupNotFoundError(
                f"There is no backup {backup_id} of {database}.",
                hint=f"`strongroom backup list {database}` shows what there is. In doubt, hold the whole database.",
            )

    def _require_archived(self, database: str, table: str) -> None:
        """A table that has left the policy may still have archives, which can be held."""
        from strongroom.archive.standing import read_parts

        parts = read_parts(self.store, self.verifier_key, database)
        if not any(item.table == table for part in parts for item in part.manifest.tables):
            raise NotFoundError(
                f"Neither the policy of {database} nor an archive knows the table {table}.",
                hint="Write it with its schema, as the policy does; a partition is held by its root.",
            )

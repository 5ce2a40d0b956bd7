"""Lifetimes and retention: what tells of things in the bucket, what plans and carries out their deletion."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from strongroom.errors import StrongroomError
from strongroom.services.backups import BackupServices

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from strongroom.access import Actor
    from strongroom.durations import Duration
    from strongroom.lifetimes import LifetimeSource
    from strongroom.policy import Policy
    from strongroom.retention.approvals import PlanApprovals
    from strongroom.retention.row_deleting import RowDeleter
    from strongroom.retention.service import RetentionService


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
        from strongroom.archive.lifetimes import ArchiveLifetimes
        from strongroom.backup.lifetimes import lifetimes_in_copy, lifetimes_in_store

        store = self.store if copy is None else self.stores.copy(copy)
        archive = ArchiveLifetimes(store, database, self.verifier_key, self._keeps(database))
        if copy is None:
            copies = tuple(self.settings.copies)
            backups = lifetimes_in_store(store, database, self.verifier_key, self.clock, copies)
        else:
            backups = lifetimes_in_copy(self.store, store, copy, database, self.verifier_key, self.clock)
        return (*backups, archive)

    def _keeps(self, database: str) -> dict[str, Duration]:
        """How long archived rows are kept, by table.

        A hold must be possible under a policy that cannot be read: then each part's own rule counts. A purge is not.
        """
        try:
            tables = self.policy(database).tables
        except StrongroomError:
            return {}
        return {name: table.archive.keep for name, table in tables.items() if table.archive is not None}

    @cached_property
    def plan_approvals(self) -> PlanApprovals:
        """Takes a second person's decisions on what cannot be taken back."""
        return self.approvals_for(self.person)

    def approvals_for(self, person: Callable[[str], Actor]) -> PlanApprovals:
        """The same, where `person` says which roles an account has that approves."""
        from strongroom.retention.approvals import PlanApprovals

        return PlanApprovals(self.engine, self.sink, person)

    @cached_property
    def retention(self) -> RetentionService:
        """Plans what is deleted, and carries it out."""
        return self.retention_for(self.person)

    def retention_for(self, person: Callable[[str], Actor]) -> RetentionService:
        """The same, where `person` says which roles an account has that approves."""
        from strongroom.retention.service import PolicyRetentionService, RetentionParts

        return PolicyRetentionService(
            RetentionParts(
                store=self.store,
                copies=self.stores.copy,
                engine=self.engine,
                sink=self.sink,
                signer=self.signer,
                clock=self.clock,
                sources=self._retention_sources,
                approvals=self.approvals_for(person),
                agree=self._agree,
                rows=self._row_deleter,
            )
        )

    def _retention_sources(self, database: str, copy: str | None = None) -> Sequence[LifetimeSource]:
        """What tells of a database's things, the rows in the database itself included."""
        from strongroom.retention.row_lifetimes import RowLifetimes

        sources = self.lifetime_sources(database, copy)
        if copy is not None:
            return sources
        rows = RowLifetimes(self.policy(database), lambda: self.conninfo(database), self.clock)
        return (*sources, rows)

    def _row_deleter(self, policy: Policy, alive: Callable[[], None]) -> RowDeleter:
        from strongroom.retention.row_deleting import RowDeleter

        return RowDeleter(policy, lambda: self.conninfo(policy.database), self.clock, alive)

    def _agree(self, policy: Policy) -> None:
        """Let a policy pass that agrees with the live database; a database that does not answer agrees to nothing."""
        from strongroom.postgres import connect
        from strongroom.rules.checking import require_agreement

        conninfo = self.conninfo(policy.database)
        with connect(conninfo, application_name="strongroom retention") as connection:
            require_agreement(policy, connection)

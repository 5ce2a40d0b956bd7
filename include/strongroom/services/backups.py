"""Backups, continuous WAL, copies, proofs and restores."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING

from strongroom.services.foundations import Foundations

if TYPE_CHECKING:
    from strongroom.backup import BackupManifest, BackupService
    from strongroom.backup.continuous import WalArchive, WalShipper
    from strongroom.backup.copying import Replicator
    from strongroom.backup.indexing import CatalogKeeper
    from strongroom.backup.restoring.approval import RestoreApprovals
    from strongroom.backup.restoring.either import Restores
    from strongroom.backup.restoring.logical import LogicalRestorer
    from strongroom.backup.restoring.service import RestoreService
    from strongroom.backup.verification import BackupVerifier, VerificationParts
    from strongroom.lifetimes import Readers


class BackupServices(Foundations):
    """What takes, proves, copies and restores backups."""

    @cached_property
    def backups(self) -> BackupService:
        """Takes backups."""
        from strongroom.backup import BackupParts, BackupService

        return BackupService(
            BackupParts(
                store=self.store,
                vault=self.vault,
                engine=self.engine,
                sink=self.sink,
                signer=self.signer,
                clock=self.clock,
                postgres_directories=self.settings.postgres_directories,
            )
        )

    @cached_property
    def wal_shipper(self) -> WalShipper:
        """Ships WAL continuously."""
        from strongroom.backup.continuous import SlotWalShipper, WalParts

        return SlotWalShipper(
            WalParts(
                store=self.store,
                vault=self.vault,
                engine=self.engine,
                sink=self.sink,
                signer=self.signer,
                clock=self.clock,
                postgres_directories=self.settings.postgres_directories,
            )
        )

    def wal_archive(self, database: str) -> WalArchive:
        """The WAL that was shipped of a database."""
        from strongroom.backup.continuous import WalArchive

        return WalArchive(self.store, database, self.verifier_key)

    @cached_property
    def verifier(self) -> BackupVerifier:
        """Restores backups into a scratch server and proves them."""
        from strongroom.backup.verification import RestoreVerifier

        return RestoreVerifier(self._verification_parts())

    def _verification_parts(self) -> VerificationParts:
        from strongroom.backup.verification import VerificationParts

        return VerificationParts(
            store=self.store,
            vault=self.vault,
            engine=self.engine,
            sink=self.sink,
            signer=self.signer,
            clock=self.clock,
            scratch_root=self.settings.scratch_directory,
            expectations_directory=self.settings.expectations_directory,
            postgres_directories=self.settings.postgres_directories,
        )

    @cached_property
    def replicator(self) -> Replicator:
        """Copies to further stores, unopened."""
        from strongroom.backup.copying import CopyParts, StoreReplicator

        return StoreReplicator(
            CopyParts(self.store, self.stores.copy, self.engine, self.sink, self.verifier_key, self.clock)
        )

    def verifier_of_copy(self, name: str) -> BackupVerifier:
        """Proves backups from what a copy holds alone, its key records included.

        Raises:
            UnknownCopyError: the settings define none of that name.
        """
        from dataclasses import replace

        from strongroom.backup.verification import RestoreVerifier

        store = self.stores.copy(name)
        own = replace(
            self._verification_parts(),
            store=store,
            vault=self._vault_in(store),
            copy=name,
            proofs=self.store,
        )
        return RestoreVerifier(own)

    @cached_property
    def catalog(self) -> CatalogKeeper:
        """Makes the index again from the bucket, and compares the two."""
        from strongroom.backup.indexing import CatalogParts, CatalogRebuilder

        return CatalogRebuilder(
            CatalogParts(
                self.store,
                self.engine,
                self.sink,
                self.verifier_key,
                self.clock,
                {name: partial(self.stores.copy, name) for name in self.settings.copies},
            )
        )

    @cached_property
    def restores(self) -> Restores:
        """Brings back clusters, databases and tables, each after a plan."""
        from strongroom.backup.restoring.either import Restores

        return Restores(lambda: self._cluster_restores, lambda: self.logical_restorer)

    @cached_property
    def _cluster_restores(self) -> RestoreService:
        """Brings clusters back. The bucket and a key are enough; without a control database a journal records it."""
        from strongroom.backup.restoring.service import PhysicalRestoreService, RestoreParts

        return PhysicalRestoreService(
            RestoreParts(
                store=self.stores.reading,
                verifier=self.verifier_key,
                keyring=self._keyring_in(self.stores.reading),
                provider=self.provider,
                clock=self.clock,
                vault=self._opener_in(self.stores.reading),
                events=self.events,
                postgres_directories=self.settings.postgres_directories,
                readers=self._readers,
            )
        )

    @property
    def _readers(self) -> Readers:
        """Tells purges in the store who reads what, also when a copy is read."""
        from strongroom.lifetimes import Readers

        return Readers(lambda: self.store, self.clock)

    @cached_property
    def logical_restorer(self) -> LogicalRestorer:
        """Restores databases and tables from logical backups."""
        from strongroom.backup.restoring.logical import LogicalRestoreParts, LogicalRestorer

        return LogicalRestorer(
            LogicalRestoreParts(
                store=self.stores.reading,
                vault=self._opener_in(self.stores.reading),
                events=self.events,
                trusted=self.verifier_key,
                scratch_root=self.settings.scratch_directory,
                conninfo=self.conninfo,
                postgres_directories=self.settings.postgres_directories,
                readers=self._readers,
            )
        )

    @cached_property
    def restore_approvals(self) -> RestoreApprovals:
        """Takes a second person's decisions on restore plans."""
        from strongroom.backup.restoring.approval import RestoreApprovals

        return RestoreApprovals(self.engine, self.sink, self.person)

    def read_manifest(self, key: str) -> BackupManifest:
        """A backup's manifest, its signature checked.

        Raises:
            SignatureError: it was altered, or signed by another key.
            ManifestError: it does not keep to the format.
            ObjectNotFoundError: it is not in the bucket.
        """
        from strongroom.backup import read_manifest

        return read_manifest(self.store.get_bytes(key), self.verifier_key, f"The manifest {key}")

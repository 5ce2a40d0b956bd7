"""The composition root: builds the services from settings. Airflow's hook and the command line both call it.

Each service is made when it is first asked for, so that a command needs no more than it uses: `audit verify`
works without a control database, a backup without a private key.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from strongroom.access import Actor, Permission, require
from strongroom.clock import Clock, SystemClock
from strongroom.errors import ConfigurationError
from strongroom.policy import Policy, load_policies
from strongroom.settings import FileKeySettings, Settings
from strongroom.signing import SignerKey, VerifierKey
from strongroom.stores import Stores

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from strongroom.audit import AuditLog, AuditSink, SealReport
    from strongroom.backup import BackupManifest, BackupService
    from strongroom.backup.continuous import WalArchive, WalShipper
    from strongroom.backup.copying import Replicator
    from strongroom.backup.indexing import CatalogKeeper
    from strongroom.backup.restoring.approval import RestoreApprovals
    from strongroom.backup.restoring.logical import LogicalRestorer
    from strongroom.backup.restoring.service import RestoreService
    from strongroom.backup.verification import BackupVerifier, VerificationParts
    from strongroom.sealing import KeyProvider, KeyRing
    from strongroom.storage import ObjectStore
    from strongroom.vault import Vault

Conninfo = Callable[[str], str]
"""Gives the connection string of a database by its name in the policy."""


class Services:
    """Everything that a task or a command works with.

    Args:
        settings: the installation's settings.
        s3_client: a boto3 client to use instead of making one, as Airflow's Amazon provider gives it.
        copy_client: gives such a client for a copy by its name, or None.
        conninfo: finds a database's connection string; without it, the settings' `databases`.
        control_database_url: instead of the settings'.
        clock: the time.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        s3_client: Any = None,
        copy_client: Callable[[str], Any] = lambda name: None,
        conninfo: Conninfo | None = None,
        control_database_url: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self._s3_client = s3_client
        self._copy_client = copy_client
        self._conninfo = conninfo or self._settings_conninfo
        self._control_database_url = control_database_url

    @cached_property
    def stores(self) -> Stores:
        """The store and its copies."""
        return Stores(
            self.settings,
            s3_client=self._s3_client,
            copy_client=self._copy_client,
            trusted=lambda: self.verifier_key,
        )

    @cached_property
    def store(self) -> ObjectStore:
        """The bucket or directory that holds everything."""
        return self.stores.main

    @cached_property
    def signer(self) -> SignerKey:
        """Signs manifests, proofs and checkpoints.

        Raises:
            ConfigurationError: this host has no signing key.
        """
        if self.settings.signing_key is None:
            raise ConfigurationError(
                "This host has no signing key, so it cannot write.",
                hint="Set `signing_key` to the file that `strongroom keys init` made.",
            )
        return SignerKey.read(self.settings.signing_key)

    @cached_property
    def verifier_key(self) -> VerifierKey:
        """The public key that manifests, proofs and checkpoints must be signed with.

        Raises:
            ConfigurationError: neither key is set, or they belong to different keys.
        """
        text = self.settings.verifier_key
        if text is None:
            return self.signer.verifier
        key = VerifierKey.parse(text)
        if self.settings.signing_key is not None and self.signer.verifier != key:
            raise ConfigurationError(
                "`verifier_key` is not the public half of `signing_key`.",
                hint="Remove `verifier_key`, or name the signing key that it belongs to.",
            )
        return key

    @cached_property
    def provider(self) -> KeyProvider | None:
        """Opens the epochs' private halves; None on a host that only writes."""
        from strongroom.sealing import KmsKeyProvider, LocalKeyProvider

        keys = self.settings.keys
        if keys is None:
            return None
        if isinstance(keys, FileKeySettings):
            return LocalKeyProvider(keys.path, keys.passphrase())
        import boto3

        client = boto3.client("kms", region_name=keys.region, endpoint_url=keys.endpoint_url)
        return KmsKeyProvider(client, keys.key_id)

    @cached_property
    def keyring(self) -> KeyRing:
        """The key epochs and escrow recipients in the bucket."""
        from strongroom.sealing import KeyRing

        return KeyRing(self.store, self.verifier_key, self.clock)

    @property
    def has_control_database(self) -> bool:
        """Whether one is set; without it, what is read from the bucket alone still works."""
        return bool(self._control_database_url or self.settings.control_database_url())

    def _keyring_in(self, store: ObjectStore) -> KeyRing:
        from strongroom.sealing import KeyRing

        return KeyRing(store, self.verifier_key, self.clock)

    def _vault_in(self, store: ObjectStore) -> Vault:
        from strongroom.vault import SealedVault, VaultParts

        keyring = self._keyring_in(store)
        return SealedVault(VaultParts(store, keyring, self.provider, self.engine, self.sink, self.clock))

    @cached_property
    def engine(self) -> Engine:
        """The control database, its tables up to date.

        Raises:
            ConfigurationError: none is set.
            CatalogUnavailableError: it does not answer.
        """
        from strongroom.catalog import open_engine, upgrade

        url = self._control_database_url or self.settings.control_database_url()
        if url is None:
            raise ConfigurationError(
                "No control database is set.",
                hint="Set `control_database`, or the Airflow connection `strongroom_control`.",
            )
        engine = open_engine(url)
        upgrade(engine)
        return engine

    @cached_property
    def sink(self) -> AuditSink:
        """Takes audit events, in the transaction of what they record."""
        from strongroom.audit import QueueSink

        return QueueSink(self.clock)

    @cached_property
    def audit_log(self) -> AuditLog:
        """Seals events into the published log."""
        from strongroom.audit import AuditLog

        return AuditLog(self.engine, self.store, self.signer, self.clock)

    @cached_property
    def vault(self) -> Vault:
        """Puts content into the bucket sealed, and takes it out."""
        from strongroom.vault import SealedVault, VaultParts

        parts = VaultParts(self.store, self.keyring, self.provider, self.engine, self.sink, self.clock)
        return SealedVault(parts)

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
            CatalogParts(self.store, self.engine, self.sink, self.verifier_key, self.clock)
        )

    @cached_property
    def restores(self) -> RestoreService:
        """Brings clusters back. Plans need the bucket alone; running one records it in the control database."""
        from strongroom.backup.restoring.service import PhysicalRestoreService, RestoreParts

        indexed = self.has_control_database
        return PhysicalRestoreService(
            RestoreParts(
                store=self.stores.reading,
                verifier=self.verifier_key,
                keyring=self._keyring_in(self.stores.reading),
                provider=self.provider,
                clock=self.clock,
                engine=(lambda: self.engine) if indexed else None,
                sink=self.sink if indexed else None,
                vault=(lambda: self._vault_in(self.stores.reading)) if indexed else None,
                postgres_directories=self.settings.postgres_directories,
            )
        )

    @cached_property
    def logical_restorer(self) -> LogicalRestorer:
        """Restores databases and tables from logical backups."""
        from strongroom.backup.restoring.logical import LogicalRestoreParts, LogicalRestorer

        return LogicalRestorer(
            LogicalRestoreParts(
                store=self.stores.reading,
                vault=self._vault_in(self.stores.reading),
                engine=self.engine,
                sink=self.sink,
                trusted=self.verifier_key,
                scratch_root=self.settings.scratch_directory,
                postgres_directories=self.settings.postgres_directories,
            )
        )

    @cached_property
    def restore_approvals(self) -> RestoreApprovals:
        """Takes a second person's decisions on restore plans."""
        from strongroom.backup.restoring.approval import RestoreApprovals

        return RestoreApprovals(self.engine, self.sink)

    def read_manifest(self, key: str) -> BackupManifest:
        """A backup's manifest, its signature checked.

        Raises:
            SignatureError: it was altered, or signed by another key.
            ManifestError: it does not keep to the format.
            ObjectNotFoundError: it is not in the bucket.
        """
        from strongroom.backup import read_manifest

        return read_manifest(self.store.get_bytes(key), self.verifier_key, f"The manifest {key}")

    def seal_audit_log(self, actor: Actor) -> SealReport:
        """Move recorded events into the log and publish it.

        Raises:
            AccessDeniedError: the actor may not.
            LogForkedError: the control database and the published log have different histories.
        """
        require(actor, Permission.SEAL_AUDIT_LOG)
        return self.audit_log.seal()

    def policy(self, database: str) -> Policy:
        """The policy of one database.

        Raises:
            PolicyError: its file is wrong.
            ConfigurationError: no file is about that database.
        """
        loaded = load_policies(self.settings.policy_directory)
        if database in loaded.policies:
            return loaded.policies[database]
        for path, error in loaded.errors.items():
            if path.stem == database:
                raise error
        known = ", ".join(sorted(loaded.policies)) or "none"
        raise ConfigurationError(
            f"No policy in {self.settings.policy_directory} is about the database {database}.",
            hint=f"There are: {known}. include/policy/shop.yaml is an example, docs/policy.md the reference.",
        )

    def conninfo(self, database: str) -> str:
        """The connection string of a protected database.

        Raises:
            ConfigurationError: none is set.
        """
        return self._conninfo(database)

    def _settings_conninfo(self, database: str) -> str:
        secret = self.settings.databases.get(database)
        if secret is None:
            raise ConfigurationError(
                f"No connection to the database {database} is set.",
                hint=f"Add it to `databases` in the settings, or as the Airflow connection db_{database}.",
            )
        return secret.get_secret_value()

"""What every service stands on: the store, the keys, the control database, the log, the policies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strongroom.access import Actor, ActorKind, Permission, require, roles_for
from strongroom.clock import Clock, SystemClock
from strongroom.errors import ConfigurationError, InputError, IntegrityError
from strongroom.policy import Policy, load_policies
from strongroom.settings import FileKeySettings, Settings
from strongroom.signing import SignerKey, VerifierKey
from strongroom.stores import Stores

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from strongroom.audit import AuditLog, AuditSink, EventRecorder, Journal, JournalImport, SealReport
    from strongroom.sealing import KeyProvider, KeyRing
    from strongroom.storage import ObjectStore
    from strongroom.vault import Vault

Conninfo = Callable[[str], str]
"""Gives the connection string of a database by its name in the policy."""


class Foundations:
    """The parts that services are made of.

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

    @cached_property
    def journal(self) -> Journal:
        """Keeps events where no control database is set, until somebody imports them into the log."""
        from strongroom.audit import Journal

        return Journal(
            self.settings.journal_directory.expanduser(),
            self.verifier_key,
            self.clock,
            signer=self.signer if self.settings.signing_key is not None else None,
            publish=self.stores.put_anywhere,
        )

    @cached_property
    def events(self) -> EventRecorder:
        """Takes events that stand alone: the control database's queue, or the journal where none is set."""
        from strongroom.audit import QueueRecorder

        return QueueRecorder(lambda: self.engine, self.sink) if self.has_control_database else self.journal

    def _keyring_in(self, store: ObjectStore) -> KeyRing:
        from strongroom.sealing import KeyRing

        return KeyRing(store, self.verifier_key, self.clock)

    def _vault_in(self, store: ObjectStore) -> Vault:
        from strongroom.vault import SealedVault, VaultParts

        keyring = self._keyring_in(store)
        return SealedVault(VaultParts(store, keyring, self.provider, self.engine, self.sink, self.clock))

    def _opener_in(self, store: ObjectStore) -> Vault:
        """A vault that opens what a signed document names, also without a control database."""
        if self.has_control_database:
            return self._vault_in(store)
        from strongroom.catalog import absent_engine
        from strongroom.vault import SealedVault, VaultParts

        parts = VaultParts(
            store,
            self._keyring_in(store),
            self.provider,
            absent_engine(),
            self.sink,
            self.clock,
            self.journal,
        )
        return SealedVault(parts)

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

    def person(self, account: str) -> Actor:
        """A person by their Airflow account, with the roles that the settings give it.

        Raises:
            ConfigurationError: the settings name a role that does not exist.
        """
        return Actor(account, ActorKind.PERSON, roles_for(account, self.settings.person_roles))

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

    def seal_audit_log(self, actor: Actor) -> SealReport:
        """Move recorded events into the log and publish it.

        Raises:
            AccessDeniedError: the actor may not.
            LogForkedError: the control database and the published log have different histories.
        """
        require(actor, Permission.SEAL_AUDIT_LOG)
        return self.audit_log.seal()

    def import_journals(
        self, actor: Actor, path: Path | None = None, trusted: Sequence[VerifierKey] = ()
    ) -> list[JournalImport]:
        """Take what was done without a control database into the log. Doing it again adds nothing.

        Args:
            actor: who asks; needs `seal_audit_log`.
            path: a journal's file; without it, those that the store and its copies hold.
            trusted: keys that may have signed them, besides this installation's.

        Raises:
            AccessDeniedError: the actor may not.
            JournalNotTrustedError: another key signed one; the others were taken.
            JournalError, SignatureError: one is not what was written; the others were taken.
            InputError: the file cannot be read.
        """
        from strongroom.audit.importing import import_journal, journals_in, people_of, read_journal

        require(actor, Permission.SEAL_AUDIT_LOG)
        parts: list[tuple[str, bytes, dict[str, bytes]]]
        if path is None:
            found = journals_in(self.stores.reading)
            parts = [(f"The journal {name}", data, {}) for name, data in found]
        else:
            parts = [(f"The journal {path}", _read(path), people_of(path))]
        taken: list[JournalImport] = []
        refused: list[IntegrityError] = []
        for what, data, people in parts:
            try:
                content = read_journal(data, self.verifier_key, trusted, what)
                taken.append(import_journal(self.engine, self.sink, actor, content, people))
            except IntegrityError as error:
                refused.append(error)
        if refused:
            raise refused[0]
        return taken

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


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"The journal {path} cannot be read: {error.strerror}.") from error

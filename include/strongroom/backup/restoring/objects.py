"""A backup's objects, as a restore reads them: found in the bucket, opened through the vault, one pass each."""

from __future__ import annotations

import functools
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import ParamSpec, TypeVar

from strongroom.access import Actor
from strongroom.backup.manifest import MANIFEST_NAME, ManifestObject, backup_prefix, manifest_key
from strongroom.backup.restoring.errors import AnotherCopyError, BackupMissingError, ContentSizeError
from strongroom.errors import IntegrityError
from strongroom.storage import Expected, FallbackStore, ObjectInfo, ObjectStore
from strongroom.storage.errors import ObjectNotFoundError
from strongroom.vault import Vault

Buffer = bytes | bytearray | memoryview
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_READ_BYTES = 1 << 20


class BackupObjects(ABC):
    """Where the objects of backups come from."""

    @abstractmethod
    def newest(self, database: str) -> str:
        """The id of the newest complete backup: the newest that has a manifest.

        Raises:
            BackupMissingError: the database has none.
        """

    @abstractmethod
    def manifest(self, database: str, backup_id: str) -> bytes:
        """The manifest as it stands in the bucket, unchecked.

        Raises:
            BackupMissingError: there is none.
        """

    @abstractmethod
    def head(self, item: ManifestObject) -> ObjectInfo:
        """What the store says of an object.

        Raises:
            ObjectNotFoundError: it is not there.
        """

    @abstractmethod
    def open(self, item: ManifestObject) -> AbstractContextManager[Iterable[Buffer]]:
        """The object's content, decrypted and decompressed, while its sealed bytes are hashed.

        Raises:
            IntegrityError: altered, truncated or swapped; possibly only at the end of the stream.
        """

    @abstractmethod
    def sealed_sha256(self, item: ManifestObject) -> str:
        """SHA-256 of the sealed bytes, without opening them: to tell what is wrong with what did not open."""

    def forms(self, item: ManifestObject) -> frozenset[tuple[int, str]]:
        """The sizes and hashes that the object may have: the manifest's, and those that it was rewrapped to."""
        return frozenset({(item.size_bytes, item.sha256)})


class VaultObjects(BackupObjects):
    """Objects in the bucket, opened by the vault in the actor's name."""

    def __init__(self, store: ObjectStore, vault: Vault, actor: Actor) -> None:
        self._store = store
        self._vault = vault
        self._actor = actor

    def newest(self, database: str) -> str:
        prefix = backup_prefix(database)
        ids = [
            info.key.removeprefix(prefix).split("/")[0]
            for info in self._store.list(prefix)
            if info.key.endswith("/" + MANIFEST_NAME)
        ]
        if not ids:
            raise BackupMissingError(
                f"The database {database} has no complete backup in {self._store.url}.",
                hint=f"`strongroom backup run {database}` takes one.",
            )
        return max(ids)

    def manifest(self, database: str, backup_id: str) -> bytes:
        try:
            return self._store.get_bytes(manifest_key(database, backup_id))
        except ObjectNotFoundError as error:
            raise BackupMissingError(
                f"There is no complete backup {backup_id} of {database} in {self._store.url}.",
                hint="`strongroom backup list` shows what there is.",
            ) from error

    def head(self, item: ManifestObject) -> ObjectInfo:
        return self._store.head(item.key)

    @contextmanager
    def open(self, item: ManifestObject) -> Iterator[Iterable[Buffer]]:
        with self._vault.fetch(self._actor, item.key, expect=item.stored()) as opened:
            yield _counted(opened, item)

    def forms(self, item: ManifestObject) -> frozenset[tuple[int, str]]:
        return self._vault.forms(item.stored())

    def sealed_sha256(self, item: ManifestObject) -> str:
        digest = hashlib.sha256()
        with self._store.open_range(item.key) as source:
            while piece := source.read(_READ_BYTES):
                digest.update(piece)
        return digest.hexdigest()


class SoundObjects(VaultObjects):
    """Objects in a store with copies: one that turns out damaged is not taken from there again."""

    def __init__(self, store: ObjectStore, vault: Vault, actor: Actor) -> None:
        super().__init__(store, vault, actor)
        self._several = store if isinstance(store, FallbackStore) else None

    @contextmanager
    def open(self, item: ManifestObject) -> Iterator[Iterable[Buffer]]:
        """As `VaultObjects.open`.

        Raises:
            AnotherCopyError: it is damaged, and another store is left to ask: begin again.
        """
        if self._several is not None:
            self._several.expect([Expected(item.key, item.size_bytes, item.sha256, self.forms(item))])
        try:
            with super().open(item) as content:
                yield content
        except IntegrityError as error:
            if self._several is None or not self._several.distrust(item.key, error.message):
                raise
            raise AnotherCopyError(
                f"{item.key} was damaged where it was read first; another copy is left.",
                hint="Begin again: it is taken from there.",
            ) from error


def from_any_copy(restore: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """The restore, begun again when an object turned out damaged and another copy of it is left.

    It must undo what it did before it raises. Each time one copy less is left, so it ends.
    """

    @functools.wraps(restore)
    def again(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        while True:
            try:
                return restore(*args, **kwargs)
            except AnotherCopyError:
                continue

    return again


def _counted(content: Iterable[Buffer], item: ManifestObject) -> Iterator[Buffer]:
    """The content; its length is compared at its end, and it may not grow beyond (a bomb would fill the disk)."""
    length = 0
    for piece in content:
        length += len(piece)
        if length > item.plaintext_bytes:
            break
        yield piece
    if length != item.plaintext_bytes:
        raise ContentSizeError(
            f"{item.key} opens to {'more than ' * (length > item.plaintext_bytes)}"
            f"{min(length, item.plaintext_bytes)} bytes; the manifest says {item.plaintext_bytes}.",
            hint="The object or the manifest is not the one that the backup wrote. Verify an older backup.",
        )

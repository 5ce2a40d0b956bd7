"""The stores of an installation, opened from its settings: the one that holds everything, and its copies."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from strongroom.canonical import parse_object
from strongroom.errors import StrongroomError
from strongroom.settings import LocalStoreSettings, S3StoreSettings, Settings
from strongroom.signing import VerifierKey, verify_json

if TYPE_CHECKING:
    from strongroom.storage import NamedStore, ObjectStore

_LOG = logging.getLogger("strongroom.copies")
_SIGNED_FOLDERS = ("keys/", "backups/", "wal/", "proofs/", "archive/", "holds/", "rewraps/")
"""Every JSON document in these is signed."""


class Stores:
    """Opens each store when it is first asked for.

    Args:
        settings: the installation's settings.
        s3_client: a boto3 client for the main store instead of making one.
        copy_client: gives such a client for a copy by its name, or None.
        trusted: gives the key that documents must be signed with.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        s3_client: Any,
        copy_client: Callable[[str], Any],
        trusted: Callable[[], VerifierKey],
    ) -> None:
        self._settings = settings
        self._s3_client, self._copy_client = s3_client, copy_client
        self._trusted = trusted
        self._copies: dict[str, ObjectStore] = {}

    @cached_property
    def main(self) -> ObjectStore:
        """The bucket or directory that holds everything."""
        return _open(self._settings.store, self._s3_client, create=True)

    def copy(self, name: str) -> ObjectStore:
        """A copy, by its name in the settings.

        Raises:
            UnknownCopyError: the settings define none of that name.
            BucketNotFoundError: its directory does not exist; a disk may not be mounted.
        """
        if name not in self._copies:
            where = self._settings.copies.get(name)
            if where is None:
                from strongroom.backup.copying import UnknownCopyError

                known = ", ".join(sorted(self._settings.copies)) or "none"
                raise UnknownCopyError(
                    f"The settings define no copy {name}.", hint=f"Add it to `copies`. There are: {known}."
                )
            self._copies[name] = _open(where, self._copy_client(name), create=False)
        return self._copies[name]

    @cached_property
    def reading(self) -> ObjectStore:
        """For restoring: where the main store has no sound object, the copies are asked, and that is logged."""
        if not self._settings.copies:
            return self.main
        from strongroom.storage import FallbackStore

        return FallbackStore(list(self._usable()), _LOG.warning, accept=self._check_signed)

    def put_anywhere(self, key: str, data: bytes) -> str:
        """Write an object into the first store that takes it: the main one, then the copies.

        Returns:
            That store's URL.

        Raises:
            StrongroomError: none takes it; what the main one said.
        """
        first: StrongroomError | None = None
        for name in (None, *self._settings.copies):
            try:
                store = self.main if name is None else self.copy(name)
                store.put_bytes(key, data)
                return store.url
            except StrongroomError as error:
                first = first or error
        raise first or StrongroomError("No store is set.")

    def _usable(self) -> Iterator[NamedStore]:
        from strongroom.storage import NamedStore, StoreError

        yield NamedStore("store", self.main)
        for name in self._settings.copies:
            try:
                yield NamedStore(name, self.copy(name))
            except StoreError as error:
                _LOG.warning("The copy %s cannot be used: %s", name, error.message)

    def _check_signed(self, key: str, data: bytes) -> None:
        """Let a document pass that is signed.

        Raises:
            IntegrityError: it is not, and should be.
        """
        if key.endswith(".json") and key.startswith(_SIGNED_FOLDERS):
            verify_json(parse_object(data, key), self._trusted(), key)


def _open(where: S3StoreSettings | LocalStoreSettings, client: Any, *, create: bool) -> ObjectStore:
    if isinstance(where, LocalStoreSettings):
        from strongroom.storage import LocalObjectStore

        return LocalObjectStore(where.directory, create=create)
    from strongroom.storage import S3ObjectStore, s3_client

    client = client or s3_client(
        endpoint_url=where.endpoint_url,
        region=where.region,
        access_key=where.access_key_id,
        secret_key=where.secret(),
    )
    return S3ObjectStore(client, where.bucket, where.prefix)

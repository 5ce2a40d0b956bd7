"""The log as it stands in the bucket, under `log/`: its checkpoint, its tiles, its bundles of entries."""

from __future__ import annotations

from dataclasses import dataclass

from strongroom.audit.checkpoint import Checkpoint, open_checkpoint
from strongroom.audit.errors import EntryError, TileError
from strongroom.audit.merkle import EMPTY_ROOT, HASH_BYTES
from strongroom.audit.tiles import ENTRIES_LEVEL, TILE_WIDTH, tile_path, unpack_bundle, width_at
from strongroom.signing import VerifierKey
from strongroom.storage.errors import ObjectNotFoundError
from strongroom.storage.interface import ObjectStore

LOG_PREFIX = "log/"
"""Where the log stands in the bucket; what follows is C2SP's."""

CHECKPOINT_KEY = LOG_PREFIX + "checkpoint"

_MAX_BUNDLE_BYTES = TILE_WIDTH * (2 + 65_535)


@dataclass(frozen=True)
class PublishedHead:
    """The published checkpoint, as text, and the object's etag for replacing exactly this one."""

    checkpoint: Checkpoint
    note: str
    etag: str | None


class PublishedLog:
    """Reads a published log, checking the form of everything."""

    def __init__(self, store: ObjectStore, verifier: VerifierKey) -> None:
        self._store = store
        self._verifier = verifier

    def head(self) -> PublishedHead:
        """The published checkpoint; of the empty log, when nothing was published yet.

        Raises:
            CheckpointError: malformed, or not signed by the trusted key.
        """
        try:
            etag = self._store.head(CHECKPOINT_KEY).etag
            note = self._store.get_bytes(CHECKPOINT_KEY)
        except ObjectNotFoundError:
            return PublishedHead(Checkpoint(self._verifier.name, 0, EMPTY_ROOT), "", None)
        return PublishedHead(open_checkpoint(note, self._verifier), note.decode(), etag)

    def tile(self, level: int, index: int, width: int) -> bytes:
        """The bytes of a tile.

        Raises:
            TileError: missing, or not `width` hashes.
        """
        path = tile_path(level, index, width)
        try:
            data = self._store.get_bytes(LOG_PREFIX + path)
        except ObjectNotFoundError as error:
            raise TileError(f"The log's tile {path} is missing from the bucket.") from error
        if len(data) != width * HASH_BYTES:
            raise TileError(f"The log's tile {path} does not hold {width} hashes.")
        return data

    def bundle(self, index: int, size: int) -> list[bytes]:
        """The entries of a bundle in the log of `size` entries.

        Raises:
            EntryError: missing, or not the whole entries it must hold.
        """
        width = width_at(size, ENTRIES_LEVEL, index)
        path = tile_path(ENTRIES_LEVEL, index, width)
        try:
            data = self._store.get_bytes(LOG_PREFIX + path, max_bytes=_MAX_BUNDLE_BYTES)
        except ObjectNotFoundError as error:
            raise EntryError(f"The log's bundle of entries {path} is missing from the bucket.") from error
        return unpack_bundle(data, width, path)

"""Publishing: bundles of entries and tiles first, the checkpoint last, so that readers find all it promises.

Everything but the checkpoint is a function of the log's content and is written once. What a killed sealer left
is therefore what the next one would write; where it is not, somebody else wrote it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from strongroom.audit.database import LogDatabase
from strongroom.audit.errors import EntryError, LogForkedError, SealInterruptedError
from strongroom.audit.merkle import leaf_hash
from strongroom.audit.published import CHECKPOINT_KEY, LOG_PREFIX
from strongroom.audit.tiles import (
    ENTRIES_LEVEL,
    TILE_WIDTH,
    Tile,
    pack_bundle,
    split_hashes,
    tile_path,
    width_at,
)
from strongroom.storage.errors import ObjectExistsError, PreconditionFailedError
from strongroom.storage.interface import Condition, ObjectStore, Retention

_UPLOADS_AT_ONCE = 4


def publish_tiles(
    database: LogDatabase, store: ObjectStore, old_size: int, size: int, retention: Retention | None
) -> None:
    """Publish every bundle and tile that the log of `size` entries has and the one of `old_size` had not.

    Raises:
        EntryError: an entry in the control database is not the one that was sequenced.
        LogForkedError: the bucket holds other content under the same name.
    """
    store.abort_incomplete_uploads(LOG_PREFIX)  # what a publisher left that was killed
    with ThreadPoolExecutor(_UPLOADS_AT_ONCE, "publish") as pool:
        under_way: deque[Future[None]] = deque()
        try:
            for path, data in _new_objects(database, old_size, size):
                under_way.append(pool.submit(_put_once, store, LOG_PREFIX + path, data, retention))
                if len(under_way) > _UPLOADS_AT_ONCE:
                    under_way.popleft().result()
            while under_way:
                under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()


def publish_checkpoint(store: ObjectStore, note: str, etag: str | None, retention: Retention | None) -> None:
    """Replace exactly the checkpoint that was read, or create the first.

    Raises:
        SealInterruptedError: another sealer published in between.
    """
    condition = Condition.IF_ABSENT if etag is None else Condition.if_match(etag)
    try:
        store.put_bytes(CHECKPOINT_KEY, note.encode(), condition=condition, retention=retention)
    except (ObjectExistsError, PreconditionFailedError) as error:
        raise SealInterruptedError(
            "The published checkpoint changed while the audit log was being published.",
            hint="Seal again; nothing is lost.",
        ) from error


def _put_once(store: ObjectStore, key: str, data: bytes, retention: Retention | None) -> None:
    try:
        store.put_bytes(key, data, retention=retention)
    except ObjectExistsError as error:
        if store.get_bytes(key, max_bytes=len(data) + 1024) != data:
            raise LogForkedError(
                f"The bucket holds something else under {key} than the audit log's own content. Nothing was signed "
                "over it.",
                hint="Somebody else writes there, or changed it: compare its versions, and give the log its own "
                "bucket or prefix.",
            ) from error


def _new_objects(database: LogDatabase, old_size: int, size: int) -> Iterator[tuple[str, bytes]]:
    for index in _new_indices(old_size, size, 0):
        leaves = Tile(0, index, database.tile(0, index, width_at(size, 0, index)))
        yield tile_path(ENTRIES_LEVEL, index, leaves.width), _bundle(database, leaves)
        yield leaves.path, leaves.data
    level = 1
    while size >> 8 * level:
        for index in _new_indices(old_size, size, level):
            tile = Tile(level, index, database.tile(level, index, width_at(size, level, index)))
            yield tile.path, tile.data
        level += 1


def _new_indices(old_size: int, size: int, level: int) -> range:
    """The tiles of a level that hold more in the tree of `size` entries than in the one of `old_size`."""
    old, new = old_size >> 8 * level, size >> 8 * level
    return range(old // TILE_WIDTH, -(-new // TILE_WIDTH)) if new > old else range(0)


def _bundle(database: LogDatabase, leaves: Tile) -> bytes:
    entries = database.bundle(leaves.index)[: leaves.width]
    expected = split_hashes(leaves.data)
    for place, expected_hash in enumerate(expected):
        seq = leaves.index * TILE_WIDTH + place
        if place >= len(entries) or entries[place][0] != seq or leaf_hash(entries[place][1]) != expected_hash:
            raise EntryError(
                f"Entry {seq} of the audit log was changed or removed in the control database after it was "
                "sequenced. Nothing was published.",
                hint="Find out who can write to audit_entry, and restore that row from a backup of the control "
                "database.",
            )
    return pack_bundle(entry for _, entry in entries)

"""Checking a published log from the bucket alone, and proving single entries of it.

Nothing is believed but the key: the root is derived again from the entries, each tile on the way is compared
with the published one, each entry is read strictly, and no identifier may appear twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from uuid import UUID

from strongroom.audit.checkpoint import Checkpoint, open_checkpoint
from strongroom.audit.entries import parse_entry
from strongroom.audit.errors import CheckpointError, EntryError, EntryNotFoundError, ProofError, TileError
from strongroom.audit.merkle import check_consistency as check_consistency_hashes
from strongroom.audit.merkle import check_inclusion, consistency_proof, inclusion_proof, leaf_hash
from strongroom.audit.proof import write_proof
from strongroom.audit.published import PublishedLog
from strongroom.audit.tiles import TILE_WIDTH, Tile, TileTree, TreeEdge, split_hashes, width_at
from strongroom.signing import VerifierKey
from strongroom.storage.interface import ObjectStore


@dataclass(frozen=True)
class VerifiedLog:
    """A log whose every entry, tile and signature was checked."""

    origin: str
    size: int
    root: bytes


def verify_log(store: ObjectStore, verifier: VerifierKey) -> VerifiedLog:
    """Derive the log's root again from its entries, in bounded memory.

    Raises:
        CheckpointError: nothing is published, the head is not signed, or the entries give another root.
        EntryError: an entry is not the sealed one, not canonical, or repeats an identifier; it is named.
        TileError: a tile is missing or altered; it is named.
    """
    log = PublishedLog(store, verifier)
    head = log.head()
    if head.etag is None:
        raise CheckpointError(
            f"{store.url} holds no published audit log.", hint="`strongroom audit seal` publishes one."
        )
    checkpoint = head.checkpoint
    edge = TreeEdge()
    with closing(_Identifiers()) as identifiers:
        for index in range(-(-checkpoint.size // TILE_WIDTH)):
            leaves = _checked_leaves(log, checkpoint, index, identifiers)
            for tile in edge.append(leaves):
                _check_tile(log, tile)
    for tile in edge.partial_tiles():
        _check_tile(log, tile)
    if edge.root() != checkpoint.root:
        raise CheckpointError("The published entries give another root than the signed one.")
    return VerifiedLog(checkpoint.origin, checkpoint.size, checkpoint.root)


def check_extends(store: ObjectStore, verifier: VerifierKey, older_note: str) -> Checkpoint:
    """Check that the published log extends a checkpoint that somebody kept; it is the published one's.

    Raises:
        CheckpointError: one of the two is not signed by the trusted key.
        ProofError: it does not: entries were taken out or changed.
    """
    log = PublishedLog(store, verifier)
    older, newer = open_checkpoint(older_note, verifier), log.head().checkpoint
    if older.size == 0:
        return newer
    if older.size > newer.size:
        raise ProofError(f"The published log has {newer.size} entries; it once had {older.size}.")
    proof = consistency_proof(older.size, newer.size, TileTree(newer.size, log.tile).subtree)
    check_consistency_hashes(older.size, older.root, newer.size, newer.root, proof)
    return newer


def prove(store: ObjectStore, verifier: VerifierKey, event: UUID | int) -> str:
    """The proof that an event is in the published log, as the text of a `.tlog-proof` file.

    Args:
        event: its identifier, or its index in the log.

    Raises:
        EntryNotFoundError: the published log does not hold it (perhaps not yet).
        LogIntegrityError: the log's tiles do not lead from the entry to the signed root.
    """
    log = PublishedLog(store, verifier)
    head = log.head()
    index, entry = _find(log, head.checkpoint.size, event)
    size = head.checkpoint.size
    hashes = inclusion_proof(index, size, TileTree(size, log.tile).subtree)
    check_inclusion(leaf_hash(entry), index, size, hashes, head.checkpoint.root)
    return write_proof(index, entry, hashes, head.note)


def _checked_leaves(
    log: PublishedLog, checkpoint: Checkpoint, index: int, identifiers: _Identifiers
) -> list[bytes]:
    entries = log.bundle(index, checkpoint.size)
    leaves = [leaf_hash(entry) for entry in entries]
    published = split_hashes(log.tile(0, index, width_at(checkpoint.size, 0, index)))
    for place, (leaf, expected) in enumerate(zip(leaves, published, strict=True)):
        if leaf != expected:
            _blame(log, checkpoint, index * TILE_WIDTH + place, expected)
    first = index * TILE_WIDTH
    ids = [
        parse_entry(entry, f"Entry {first + place} of the audit log")[0]
        for place, entry in enumerate(entries)
    ]
    identifiers.add(first, ids)
    return leaves


def _blame(log: PublishedLog, checkpoint: Checkpoint, seq: int, published_leaf: bytes) -> None:
    """Say whether the entry or the tile was altered: the one that does not lead to the signed root."""
    index = seq // TILE_WIDTH
    tile = Tile(0, index, log.tile(0, index, width_at(checkpoint.size, 0, index)))
    try:
        proof = inclusion_proof(seq, checkpoint.size, TileTree(checkpoint.size, log.tile).subtree)
        check_inclusion(published_leaf, seq, checkpoint.size, proof, checkpoint.root)
    except (ProofError, TileError) as error:
        raise TileError(
            f"The log's tile {tile.path} does not lead to the signed root: it was altered."
        ) from error
    raise EntryError(f"Entry {seq} of the audit log is not the one that was sealed: it was altered.")


def _check_tile(log: PublishedLog, tile: Tile) -> None:
    if log.tile(tile.level, tile.index, tile.width) != tile.data:
        raise TileError(
            f"The log's tile {tile.path} holds other hashes than the entries give: it was altered."
        )


def _find(log: PublishedLog, size: int, event: UUID | int) -> tuple[int, bytes]:
    if isinstance(event, int):
        if 0 <= event < size:
            return event, log.bundle(event // TILE_WIDTH, size)[event % TILE_WIDTH]
        raise EntryNotFoundError(f"The published log has {size} entries; there is no entry {event}.")
    for index, entry in _newest_first(log, size):
        if str(event).encode() in entry and parse_entry(entry, f"Entry {index} of the audit log")[0] == event:
            return index, entry
    raise EntryNotFoundError(
        f"The published log holds no event {event}.",
        hint="An event that was just recorded is published by the next `strongroom audit seal`.",
    )


def _newest_first(log: PublishedLog, size: int) -> Iterator[tuple[int, bytes]]:
    for index in reversed(range(-(-size // TILE_WIDTH))):
        entries = log.bundle(index, size)
        for place in reversed(range(len(entries))):
            yield index * TILE_WIDTH + place, entries[place]


class _Identifiers:
    """The identifiers seen so far, in a temporary file that SQLite keeps, so that memory stays bounded."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("CREATE TABLE seen (id BLOB PRIMARY KEY, seq INTEGER) WITHOUT ROWID")

    def add(self, first: int, ids: list[UUID]) -> None:
        for seq, event_id in enumerate(ids, first):
            try:
                self._database.execute("INSERT INTO seen VALUES (?, ?)", (event_id.bytes, seq))
            except sqlite3.IntegrityError as error:
                raise EntryError(
                    f"Entry {seq} of the audit log repeats an earlier one's identifier."
                ) from error

    def close(self) -> None:
        self._database.close()

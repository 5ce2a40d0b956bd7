"""The tree cut into tiles of 256 hashes (c2sp.org/tlog-tiles v0.1.0).

    tile/<L>/<N>[.p/<W>]        W (or 256) hashes of level L: roots of full subtrees of 256**L entries
    tile/entries/<N>[.p/<W>]    the entries 256 N ... : each a big-endian uint16 length and the bytes
    N                           in groups of three digits, all but the last with an x: 1234067 = x001/x234/067

`TreeEdge` holds the unfinished tile of each level, which is all that appending needs; `TileTree` reads any
subtree's root from finished and unfinished tiles.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from strongroom.audit.errors import EntryError, TileError
from strongroom.audit.merkle import EMPTY_ROOT, HASH_BYTES, node_hash, root_of, split_point

TILE_WIDTH = 256
ENTRIES_LEVEL = -1
"""Stands for `entries` where a level is asked for."""

_CACHED_TILES = 64


@dataclass(frozen=True)
class Tile:
    """Hashes of one level: `width` of them, 256 when the tile is full."""

    level: int
    index: int
    data: bytes

    @property
    def width(self) -> int:
        """How many hashes it holds."""
        return len(self.data) // HASH_BYTES

    @property
    def path(self) -> str:
        """Its path in the log."""
        return tile_path(self.level, self.index, self.width)


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """The path of a tile, or of a bundle of entries for `ENTRIES_LEVEL`; with `.p/<W>` when not full."""
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03d}")
    partial = f".p/{width}" if width < TILE_WIDTH else ""
    name = "entries" if level == ENTRIES_LEVEL else str(level)
    return f"tile/{name}/{'/'.join(groups)}{partial}"


def width_at(size: int, level: int, index: int) -> int:
    """How many hashes (entries) the tile holds in the tree of that size; 0 when it has no such tile."""
    hashes = size >> 8 * max(level, 0)
    return max(0, min(TILE_WIDTH, hashes - index * TILE_WIDTH))


def pack_bundle(entries: Iterable[bytes]) -> bytes:
    """The entries as one bundle."""
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)


def unpack_bundle(data: bytes, width: int, path: str) -> list[bytes]:
    """The entries of a bundle.

    Raises:
        EntryError: it does not hold exactly `width` entries.
    """
    entries, position = [], 0
    while position + 2 <= len(data):
        length = int.from_bytes(data[position : position + 2])
        entries.append(data[position + 2 : position + 2 + length])
        position += 2 + length
    if position != len(data) or len(entries) != width:
        raise EntryError(f"The bundle of entries {path} does not hold exactly {width} whole entries.")
    return entries


class TreeEdge:
    """The right edge of a tree: enough to append, and to know the root. Bounded by 256 hashes a level."""

    def __init__(self, size: int = 0, partial: Sequence[Sequence[bytes]] = ()) -> None:
        self.size = size
        self._levels = [list(level) for level in partial]
        for level in range(64 // 8):
            held = len(self._levels[level]) if level < len(self._levels) else 0
            if held != (size >> 8 * level) % TILE_WIDTH:
                raise TileError(
                    f"The unfinished tile of level {level} does not fit a tree of {size} entries."
                )

    @classmethod
    def load(cls, size: int, read: Callable[[int, int, int], bytes]) -> TreeEdge:
        """The edge of a tree of `size` entries; `read(level, index, width)` gives a tile's bytes."""
        partial = []
        for level in range((size.bit_length() + 7) // 8):
            index, width = divmod(size >> 8 * level, TILE_WIDTH)
            partial.append(split_hashes(read(level, index, width)) if width else [])
        return cls(size, partial)

    def append(self, leaves: Iterable[bytes]) -> Iterator[Tile]:
        """Append leaf hashes, and give every tile that becomes full on the way. Exhaust it."""
        for leaf in leaves:
            self.size += 1
            yield from self._push(0, leaf)

    def _push(self, level: int, value: bytes) -> Iterator[Tile]:
        if level == len(self._levels):
            self._levels.append([])
        hashes = self._levels[level]
        hashes.append(value)
        if len(hashes) == TILE_WIDTH:
            self._levels[level] = []
            index = (self.size >> 8 * level) // TILE_WIDTH - 1
            yield Tile(level, index, b"".join(hashes))
            yield from self._push(level + 1, root_of(hashes))

    def partial_tiles(self) -> Iterator[Tile]:
        """The unfinished tiles."""
        for level, hashes in enumerate(self._levels):
            if hashes:
                yield Tile(level, (self.size >> 8 * level) // TILE_WIDTH, b"".join(hashes))

    def root(self) -> bytes:
        """The root of the tree."""
        result = b""
        for hashes in self._levels:
            for subtree in _full_subtrees_from_right(hashes):
                result = node_hash(subtree, result) if result else subtree
        return result or EMPTY_ROOT


class TileTree:
    """A tree of `size` entries read from its tiles; keeps the few it read last."""

    def __init__(self, size: int, read: Callable[[int, int, int], bytes]) -> None:
        self.size = size
        self._read = read
        self._cache: OrderedDict[tuple[int, int], list[bytes]] = OrderedDict()

    def subtree(self, start: int, end: int) -> bytes:
        """The root over the entries [start, end), where the range is a node of some tree of the log."""
        count = end - start
        if count & (count - 1) == 0 and start % count == 0:
            return self._full_subtree(start, count)
        middle = start + split_point(count)
        return node_hash(self.subtree(start, middle), self.subtree(middle, end))

    def root(self) -> bytes:
        """The root of the whole tree."""
        return self.subtree(0, self.size) if self.size else EMPTY_ROOT

    def _full_subtree(self, start: int, count: int) -> bytes:
        level = min((count.bit_length() - 1) // 8, (self.size.bit_length() - 1) // 8)
        first, width = start >> 8 * level, count >> 8 * level
        index, offset = divmod(first, TILE_WIDTH)
        return root_of(self._tile(level, index)[offset : offset + width])

    def _tile(self, level: int, index: int) -> list[bytes]:
        key = (level, index)
        if key not in self._cache:
            width = width_at(self.size, level, index)
            self._cache[key] = split_hashes(self._read(level, index, width))[:width]
            if len(self._cache) > _CACHED_TILES:
                self._cache.popitem(last=False)
        self._cache.move_to_end(key)
        return self._cache[key]


def split_hashes(data: bytes) -> list[bytes]:
    """The hashes of a tile's bytes."""
    return [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]


def _full_subtrees_from_right(hashes: Sequence[bytes]) -> Iterator[bytes]:
    end = len(hashes)
    while end:
        width = end & -end
        yield root_of(hashes[end - width : end])
        end -= width

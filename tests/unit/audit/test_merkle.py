"""The tree's hashes and proofs, against RFC 6962's own definition written down recursively."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.audit.errors import ProofError
from strongroom.audit.merkle import (
    EMPTY_ROOT,
    check_consistency,
    check_inclusion,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
)
from strongroom.audit.tiles import TILE_WIDTH, TileTree, TreeEdge, width_at

# Leaves and roots of the certificate-transparency test suite for RFC 6962.
RFC_LEAVES = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    bytes.fromhex("5051525354555657"),
    bytes.fromhex("606162636465666768696a6b6c6d6e6f"),
]
RFC_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def reference_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + reference_root(leaves[:k]) + reference_root(leaves[k:])).digest()


def reference_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962, section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if index < k:
        return [*reference_path(index, leaves[:k]), reference_root(leaves[k:])]
    return [*reference_path(index - k, leaves[k:]), reference_root(leaves[:k])]


def entries(count: int) -> list[bytes]:
    return [b"entry %d" % number for number in range(count)]


class Tiles:
    """Every tile that appending one entry after another made."""

    def __init__(self, count: int) -> None:
        self.edge = TreeEdge()
        self.roots = [EMPTY_ROOT]
        self.full: dict[tuple[int, int], bytes] = {}
        self.partial: dict[tuple[int, int, int], bytes] = {}
        for entry in entries(count):
            for tile in self.edge.append([leaf_hash(entry)]):
                self.full[tile.level, tile.index] = tile.data
            for tile in self.edge.partial_tiles():
                self.partial[tile.level, tile.index, tile.width] = tile.data
            self.roots.append(self.edge.root())

    def read(self, level: int, index: int, width: int) -> bytes:
        return self.full[level, index] if width == TILE_WIDTH else self.partial[level, index, width]

    def tree(self, size: int) -> TileTree:
        return TileTree(size, self.read)


@pytest.fixture(scope="module")
def tiles() -> Tiles:
    return Tiles(1300)


def test_the_golden_roots_of_rfc_6962_come_out() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for size, expected in enumerate(RFC_ROOTS, start=1):
        assert root_of([leaf_hash(leaf) for leaf in RFC_LEAVES[:size]]).hex() == expected


def test_every_way_to_the_root_gives_the_recursive_definition_up_to_600(tiles: Tiles) -> None:
    all_entries = entries(600)
    for size in range(601):
        expected = reference_root(all_entries[:size])
        assert root_of([leaf_hash(entry) for entry in all_entries[:size]]) == expected
        assert tiles.roots[size] == expected
        assert tiles.tree(size).root() == expected


def test_an_edge_read_back_from_tiles_goes_on_where_it_stopped(tiles: Tiles) -> None:
    for size in (0, 1, 255, 256, 257, 511, 512, 1299):
        edge = TreeEdge.load(size, tiles.read)
        list(edge.append(leaf_hash(entry) for entry in entries(1300)[size:]))
        assert edge.root() == tiles.roots[1300]


def test_a_tree_of_more_than_65536_entries_has_a_third_level() -> None:
    edge, full = TreeEdge(), {}
    leaves = [leaf_hash(entry) for entry in entries(65_800)]
    for tile in edge.append(leaves):
        full[tile.level, tile.index, TILE_WIDTH] = tile.data
    full |= {(tile.level, tile.index, tile.width): tile.data for tile in edge.partial_tiles()}
    tree = TileTree(65_800, lambda *key: full[key])
    assert {tile.level for tile in edge.partial_tiles()} == {0, 1, 2} - {
        level for level in range(3) if (65_800 >> 8 * level) % 256 == 0
    }
    assert root_of(leaves) == edge.root() == tree.root()
    proof = inclusion_proof(64_000, 65_800, tree.subtree)
    check_inclusion(leaves[64_000], 64_000, 65_800, proof, edge.root())


def test_every_inclusion_proof_up_to_130_is_the_rfcs_and_holds(tiles: Tiles) -> None:
    all_entries = entries(130)
    for size in range(1, 131):
        for index in range(size):
            proof = inclusion_proof(index, size, tiles.tree(130).subtree)
            if size in (1, 2, 7, 64, 65, 130):
                assert proof == reference_path(index, all_entries[:size])
            check_inclusion(leaf_hash(all_entries[index]), index, size, proof, tiles.roots[size])


def test_every_consistency_proof_up_to_130_holds(tiles: Tiles) -> None:
    tree = tiles.tree(130)
    for new in range(1, 131):
        for old in range(1, new + 1):
            proof = consistency_proof(old, new, tree.subtree)
            check_consistency(old, tiles.roots[old], new, tiles.roots[new], proof)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), size=st.integers(1, 300))
def test_one_flipped_bit_anywhere_breaks_an_inclusion_proof(data: st.DataObject, size: int) -> None:
    leaves = [leaf_hash(entry) for entry in entries(size)]
    index = data.draw(st.integers(0, size - 1))
    parts = [leaves[index], root_of(leaves), *inclusion_proof(index, size, lambda a, b: root_of(leaves[a:b]))]
    which, bit = data.draw(st.integers(0, len(parts) - 1)), data.draw(st.integers(0, 255))
    parts[which] = (int.from_bytes(parts[which]) ^ 1 << bit).to_bytes(32)
    with pytest.raises(ProofError):
        check_inclusion(parts[0], index, size, parts[2:], parts[1])


@settings(max_examples=100, deadline=None)
@given(data=st.data(), new=st.integers(2, 300))
def test_one_flipped_bit_anywhere_breaks_a_consistency_proof(data: st.DataObject, new: int) -> None:
    leaves = [leaf_hash(entry) for entry in entries(new)]
    old = data.draw(st.integers(1, new))
    proof = consistency_proof(old, new, lambda a, b: root_of(leaves[a:b]))
    parts = [root_of(leaves[:old]), root_of(leaves), *proof]
    which, bit = data.draw(st.integers(0, len(parts) - 1)), data.draw(st.integers(0, 255))
    parts[which] = (int.from_bytes(parts[which]) ^ 1 << bit).to_bytes(32)
    with pytest.raises(ProofError):
        check_consistency(old, parts[0], new, parts[1], parts[2:])


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_an_entry_outside_the_tree_has_no_proof(index: int, size: int) -> None:
    with pytest.raises(ProofError):
        inclusion_proof(index, size, lambda _a, _b: b"")
    with pytest.raises(ProofError):
        check_inclusion(b"", index, size, [], b"")


def test_a_proof_with_a_hash_too_many_or_too_few_fails(tiles: Tiles) -> None:
    proof = inclusion_proof(5, 13, tiles.tree(130).subtree)
    for wrong in (proof[:-1], [*proof, proof[0]]):
        with pytest.raises(ProofError):
            check_inclusion(leaf_hash(b"entry 5"), 5, 13, wrong, tiles.roots[13])
    with pytest.raises(ProofError):
        check_consistency(5, tiles.roots[5], 13, tiles.roots[13], [])


def test_a_tile_holds_what_is_left_of_its_level() -> None:
    assert width_at(70_000, 0, 273) == 70_000 - 273 * 256
    assert width_at(70_000, 1, 1) == 17
    assert width_at(70_000, 2, 0) == 1
    assert width_at(70_000, 2, 1) == 0

"""The Merkle tree of RFC 6962 section 2.1 (the same hashes as RFC 9162): roots, proofs, and checking them.

    leaf      SHA-256(00 || entry)
    node      SHA-256(01 || left || right)
    tree      split at the largest power of two below its size; the empty tree is SHA-256("")

Proofs are built from `subtree(start, end)`, a function that gives the root over the entries [start, end), so
that the same code works on tiles in a bucket, tiles in a database and lists in a test.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence

from strongroom.audit.errors import ProofError

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of the tree without entries."""

Subtree = Callable[[int, int], bytes]
"""Gives the root over the entries [start, end)."""

_sha256 = hashlib.sha256


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry."""
    return _sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees side by side."""
    return _sha256(b"\x01" + left + right).digest()


def split_point(size: int) -> int:
    """The largest power of two below `size`, which is at least 2."""
    return 1 << ((size - 1).bit_length() - 1)


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes, or over the roots of equally large full subtrees."""
    if not hashes:
        return EMPTY_ROOT
    level = list(hashes)
    while len(level) > 1:
        odd = [level[-1]] if len(level) % 2 else []
        level = [_sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        level += odd
    return level[0]


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """The hashes that lead from entry `index` to the root of the tree of `size` entries, leaf's sibling first.

    Raises:
        ProofError: there is no such entry.
    """
    if not 0 <= index < size:
        raise ProofError(f"A tree of {size} entries has no entry {index}.")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + split_point(end - start)
        if index < middle:
            path.append(subtree(middle, end))
            end = middle
        else:
            path.append(subtree(start, middle))
            start = middle
    return path[::-1]


def consistency_proof(old_size: int, new_size: int, subtree: Subtree) -> list[bytes]:
    """The hashes that show that the tree of `new_size` entries extends the one of `old_size`.

    Raises:
        ProofError: the sizes are not 0 < old <= new.
    """
    if not 0 < old_size <= new_size:
        raise ProofError(f"Consistency is between 0 < old <= new, not {old_size} and {new_size}.")
    path: list[bytes] = []
    start, end, whole = 0, new_size, True
    while old_size != end:
        middle = start + split_point(end - start)
        if old_size <= middle:
            path.append(subtree(middle, end))
            end = middle
        else:
            path.append(subtree(start, middle))
            start, whole = middle, False
    if not whole:
        path.append(subtree(start, end))
    return path[::-1]


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check an inclusion proof (RFC 9162, section 2.1.3.2).

    Raises:
        ProofError: the leaf is not the entry `index` of the tree with that root, or the proof is malformed.
    """
    if not 0 <= index < size:
        raise ProofError(f"A tree of {size} entries has no entry {index}.")
    position, last, result = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofError(f"The inclusion proof of entry {index} is too long.")
        if position & 1 or position == last:
            result = node_hash(sibling, result)
            position, last = _skip_missing_siblings(position, last)
        else:
            result = node_hash(result, sibling)
        position, last = position >> 1, last >> 1
    if last != 0 or not hmac.compare_digest(result, root):
        raise ProofError(f"The inclusion proof of entry {index} does not lead to the root of size {size}.")


def check_consistency(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check a consistency proof (RFC 9162, section 2.1.4.2).

    Raises:
        ProofError: the larger tree does not extend the smaller, or the proof is malformed.
    """
    if not 0 < old_size <= new_size:
        raise ProofError(f"Consistency is between 0 < old <= new, not {old_size} and {new_size}.")
    if old_size == new_size:
        if proof or not hmac.compare_digest(old_root, new_root):
            raise ProofError(f"Two trees of {old_size} entries have different roots.")
        return
    old_result, new_result, last = _fold_consistency(old_size, old_root, new_size, proof)
    same = hmac.compare_digest(old_result, old_root) and hmac.compare_digest(new_result, new_root)
    if last != 0 or not same:
        raise ProofError(f"The tree of {new_size} entries does not extend the one of {old_size}.")


def _fold_consistency(
    old_size: int, old_root: bytes, new_size: int, proof: Sequence[bytes]
) -> tuple[bytes, bytes, int]:
    hashes = list(proof)
    if old_size & (old_size - 1) == 0:
        hashes.insert(0, old_root)
    if not hashes:
        raise ProofError("The consistency proof is empty.")
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old_result = new_result = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise ProofError("The consistency proof is too long.")
        if position & 1 or position == last:
            old_result = node_hash(sibling, old_result)
            new_result = node_hash(sibling, new_result)
            position, last = _skip_missing_siblings(position, last)
        else:
            new_result = node_hash(new_result, sibling)
        position, last = position >> 1, last >> 1
    return old_result, new_result, last


def _skip_missing_siblings(position: int, last: int) -> tuple[int, int]:
    while position and not position & 1:
        position, last = position >> 1, last >> 1
    return position, last

"""One event's proof that it is in the log, checkable without the log (c2sp.org/tlog-proof).

    c2sp.org/tlog-proof@v1
    extra <base64 of the entry>
    index <N>
    <base64 hash> ...                the inclusion proof, the leaf's sibling first
    (empty line)
    <the checkpoint, verbatim>

The entry travels as `extra`, which the format leaves unauthenticated; here the inclusion proof covers it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from strongroom.audit.checkpoint import Checkpoint, open_checkpoint
from strongroom.audit.errors import ProofError
from strongroom.audit.merkle import HASH_BYTES, check_inclusion, leaf_hash
from strongroom.signing import VerifierKey

_HEADER = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True)
class ProvenEntry:
    """An entry that is in the log, at which place, under which signed head."""

    index: int
    entry: bytes
    checkpoint: Checkpoint


def write_proof(index: int, entry: bytes, hashes: Sequence[bytes], note: str) -> str:
    """The proof as text.

    Args:
        note: the checkpoint as published, with its signatures.
    """
    lines = [_HEADER, f"extra {_encode(entry)}", f"index {index}", *(_encode(value) for value in hashes)]
    return "\n".join(lines) + "\n\n" + note


def check_proof(proof: str, verifier: VerifierKey, entry: bytes | None = None) -> ProvenEntry:
    """Check a proof, offline.

    Args:
        proof: the text of a `.tlog-proof` file.
        verifier: the log's key.
        entry: the entry it must be of; without it, the one that the proof carries.

    Raises:
        ProofError: malformed, of another entry, or it does not lead to the signed root.
        CheckpointError: the head in it is not signed by the log's key.
    """
    head, separator, note = proof.partition("\n\n")
    if not separator:
        raise ProofError("The proof holds no checkpoint.")
    carried, index, hashes = _parse_head(head.split("\n"))
    if entry is not None and carried is not None and entry != carried:
        raise ProofError("The proof is of another entry.")
    proven = entry if entry is not None else carried
    if proven is None:
        raise ProofError("The proof carries no entry.", hint="Give the entry beside it.")
    checkpoint = open_checkpoint(note, verifier)
    check_inclusion(leaf_hash(proven), index, checkpoint.size, hashes, checkpoint.root)
    return ProvenEntry(index, proven, checkpoint)


def _parse_head(lines: list[str]) -> tuple[bytes | None, int, list[bytes]]:
    if lines.pop(0) != _HEADER or not lines:
        raise ProofError(f"The proof does not start with {_HEADER}.")
    carried = _decode(lines.pop(0)[6:]) if lines[0].startswith("extra ") else None
    number = lines.pop(0).removeprefix("index ") if lines and lines[0].startswith("index ") else ""
    if not number.isascii() or not number.isdecimal() or str(int(number)) != number:
        raise ProofError("The proof names no index.")
    hashes = [_decode(line) for line in lines]
    if any(len(value) != HASH_BYTES for value in hashes):
        raise ProofError("The proof holds something that is no SHA-256.")
    return carried, int(number), hashes


def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProofError("The proof holds something that is not base64.") from error

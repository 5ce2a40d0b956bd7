"""Proofs that a killed run left in the bucket and could not record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strongroom.backup.verification.proof import read_proof
from strongroom.catalog import ProofRepository
from strongroom.errors import IntegrityError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from strongroom.signing import VerifierKey
    from strongroom.storage import ObjectStore


def record_found_proofs(store: ObjectStore, engine: Engine, trusted: VerifierKey, database: str) -> int:
    """Record the proofs in the bucket that no run recorded: it was killed in between, or lost the control database.

    Returns:
        How many those were.
    """
    repository = ProofRepository()
    with engine.connect() as connection:
        known = {record.proof_key for record in repository.list(connection, database=database)}
    found = 0
    for key in [info.key for info in store.list(f"proofs/{database}/") if info.key not in known]:
        try:
            proof = read_proof(store.get_bytes(key), trusted, f"The proof {key}")
        except IntegrityError:
            continue  # altered, or of another installation: it proves nothing here
        if proof.key != key:
            continue
        with engine.begin() as connection:
            repository.add(connection, proof.record())
        found += 1
    return found

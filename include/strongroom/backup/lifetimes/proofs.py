"""Proofs: which backups are proven now, and the proofs themselves as things with a lifetime."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from strongroom.backup.lifetimes.place import Place
from strongroom.backup.verification.proof import Proof, copy_proofs_prefix, read_proof
from strongroom.errors import IntegrityError
from strongroom.lifetimes import Item, ItemObject, Kind, LifetimeSource


@dataclass(frozen=True)
class Proven:
    """The newest word on a backup: proven, and with which manifest."""

    verified_at: datetime
    manifest_sha256: str


def read_proofs(place: Place, *, copy: str | None = None) -> dict[str, Proven]:
    """The backups that are proven: whose newest proof says so.

    Args:
        place: the store that keeps the proofs.
        copy: a copy's name, for the proofs of what lies there.

    Raises:
        StoreUnavailableError: the store does not answer, also in the middle of a listing.
    """
    return newest(_read(place, copy))


def read_copy_proofs(main: Place, place: Place, copy: str) -> dict[str, Proven]:
    """The backups of a copy that are proven: the newest word on the copy's own objects counts, and what was said of
    the store's only where nobody ever looked at the copy's.

    Args:
        main: the store, which keeps the proofs of what lies in the copy.
        place: the copy, with its copies of the store's proofs.
        copy: its name.

    Raises:
        StoreUnavailableError: a store does not answer, also in the middle of a listing.
    """
    own = _read(main, copy)
    looked_at = {proof.backup_id for proof in own}
    general = [
        proof for proof in (*_read(main, None), *_read(place, None)) if proof.backup_id not in looked_at
    ]
    return newest([*own, *general])


def newest(proofs: Iterable[Proof]) -> dict[str, Proven]:
    """The backups whose newest proof says that they are proven."""
    last: dict[str, Proof] = {}
    for proof in proofs:
        before = last.get(proof.backup_id)
        if before is None or before.verified_at < proof.verified_at:
            last[proof.backup_id] = proof
    return {
        backup_id: Proven(proof.verified_at, proof.manifest_sha256)
        for backup_id, proof in last.items()
        if proof.proven
    }


class ProofLifetimes(LifetimeSource):
    """The proofs in one store.

    Args:
        place: where.
        copy: also those of a copy's backups, which the store keeps; the copy's name.
    """

    def __init__(self, place: Place, *, copy: str | None = None) -> None:
        self._place, self._copy = place, copy
        self._moments: list[datetime] = []

    def items(self) -> Iterator[Item]:
        place = self._place
        prefix = _prefix(place, self._copy)
        sizes = {info.key: (info.size_bytes, info.modified_at) for info in place.store.list(prefix)}
        keys = [key for key in sizes if key.endswith(".json")]
        read = place.documents(keys, lambda data, key: _proof(data, key, place))
        for key, (size, modified_at) in sizes.items():
            yield self._item(key, size, modified_at, read)

    def _item(
        self, key: str, size: int, modified_at: datetime, read: Mapping[str, Proof | IntegrityError]
    ) -> Item:
        objects, proof = (ItemObject(key, size),), read.get(key)
        if not isinstance(proof, Proof):
            why = proof.message if isinstance(proof, IntegrityError) else "no proof has such a name"
            return Item(
                Kind.UNKNOWN, f"unknown/{key}", self._place.database, modified_at, objects, detail=why
            )
        self._moments.append(proof.verified_at)
        name = key.removeprefix(_prefix(self._place, self._copy)).removesuffix(".json")
        return Item(
            Kind.PROOF,
            f"proof/{self._copy}/{name}" if self._copy else f"proof/{name}",
            self._place.database,
            proof.verified_at,
            objects,
            about=f"backup/{proof.backup_id}",
            detail=proof.result,
        )

    def signed_moments(self) -> Iterator[datetime]:
        return iter(self._moments)


def _read(place: Place, copy: str | None) -> list[Proof]:
    keys = [info.key for info in place.store.list(_prefix(place, copy)) if info.key.endswith(".json")]
    found = place.documents(keys, lambda data, key: _proof(data, key, place)).values()
    return [proof for proof in found if isinstance(proof, Proof)]


def _prefix(place: Place, copy: str | None) -> str:
    return copy_proofs_prefix(copy, place.database) if copy else f"proofs/{place.database}/"


def _proof(data: bytes, key: str, place: Place) -> Proof:
    proof = read_proof(data, place.trusted, f"The proof {key}")
    if proof.key != key:
        raise IntegrityError(f"The proof {key} belongs under {proof.key}: somebody moved it.")
    return proof

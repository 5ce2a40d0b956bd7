"""All sources of a store, and of a copy, put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from strongroom.backup.lifetimes.backups import BackupLifetimes
from strongroom.backup.lifetimes.place import Place
from strongroom.backup.lifetimes.proofs import ProofLifetimes, Proven, read_copy_proofs, read_proofs
from strongroom.backup.lifetimes.wal import WalLifetimes
from strongroom.clock import Clock
from strongroom.lifetimes import LifetimeSource
from strongroom.signing import VerifierKey
from strongroom.storage import ObjectStore


def lifetimes_in_store(
    store: ObjectStore, database: str, trusted: VerifierKey, clock: Clock, copies: Sequence[str] = ()
) -> tuple[LifetimeSource, ...]:
    """What tells of a database's backups, log and proofs in the store itself.

    Args:
        store: the store.
        database: its name in the policy.
        trusted: the key that documents must be signed with.
        clock: the time.
        copies: the copies whose proofs the store keeps.
    """
    place = Place(store, database, trusted)
    return (
        BackupLifetimes(place, lambda: read_proofs(place), clock, leases=store),
        WalLifetimes(place, clock, leases=store),
        ProofLifetimes(place),
        *(ProofLifetimes(place, copy=name) for name in copies),
    )


def lifetimes_in_copy(
    store: ObjectStore, target: ObjectStore, copy: str, database: str, trusted: VerifierKey, clock: Clock
) -> tuple[LifetimeSource, ...]:
    """The same of a copy. What was proven in the store is proven in the copy too, unless somebody looked."""
    place, main = Place(target, database, trusted), Place(store, database, trusted)

    def proven() -> Mapping[str, Proven]:
        return read_copy_proofs(main, place, copy)

    return (
        BackupLifetimes(place, proven, clock, leases=None),
        WalLifetimes(place, clock, leases=None),
        ProofLifetimes(place),
    )

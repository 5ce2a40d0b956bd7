"""What backups, the log and proofs tell the retention planner of themselves."""

from strongroom.backup.lifetimes.backups import BackupLifetimes
from strongroom.backup.lifetimes.place import Place
from strongroom.backup.lifetimes.proofs import ProofLifetimes, Proven, read_proofs
from strongroom.backup.lifetimes.sources import lifetimes_in_copy, lifetimes_in_store
from strongroom.backup.lifetimes.wal import WalLifetimes

__all__ = [
    "BackupLifetimes",
    "Place",
    "ProofLifetimes",
    "Proven",
    "WalLifetimes",
    "lifetimes_in_copy",
    "lifetimes_in_store",
    "read_proofs",
]

"""Copies in further stores: sealed objects replicated unopened, by a worker that has no private key."""

from strongroom.backup.copying.errors import (
    CopyDiffersError,
    CopyIncompleteError,
    CopyInProgressError,
    DamagedSourceError,
    UnknownCopyError,
)
from strongroom.backup.copying.filling import Problem
from strongroom.backup.copying.following import ShippedLog
from strongroom.backup.copying.interface import CopyPlan, CopyReport, CopyStatus, FollowReport, Replicator
from strongroom.backup.copying.service import CopyParts, StoreReplicator

__all__ = [
    "CopyDiffersError",
    "CopyInProgressError",
    "CopyIncompleteError",
    "CopyParts",
    "CopyPlan",
    "CopyReport",
    "CopyStatus",
    "DamagedSourceError",
    "FollowReport",
    "Problem",
    "Replicator",
    "ShippedLog",
    "StoreReplicator",
    "UnknownCopyError",
]

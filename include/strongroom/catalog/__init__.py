"""What exists: the control database, its records, its migrations."""

from strongroom.catalog.agreements import PolicyCheckRecord, PolicyCheckRepository
from strongroom.catalog.archives import ArchivePartRepository, ArchiveSweepRepository
from strongroom.catalog.copies import CopiedBackup, CopyProof, CopyRepository, CopyRun
from strongroom.catalog.engine import absent_engine, open_engine, upgrade
from strongroom.catalog.errors import (
    BackupNotFoundError,
    CatalogTooNewError,
    CatalogUnavailableError,
    ProofNotFoundError,
)
from strongroom.catalog.holds import (
    ApprovalRequest,
    HeldVersion,
    HeldVersionRepository,
    HoldRecord,
    HoldRepository,
    LockState,
    RequestRepository,
)
from strongroom.catalog.records import (
    ApprovalRecord,
    ArchivePartRecord,
    ArchiveSweepRecord,
    BackupRecord,
    ObjectRecord,
    ProofRecord,
)
from strongroom.catalog.repositories import (
    ApprovalRepository,
    BackupRepository,
    ObjectRepository,
    ProofRepository,
    ServerManifestRepository,
)
from strongroom.catalog.retention import PlanRecord, PlanRepository

__all__ = [
    "ApprovalRecord",
    "ApprovalRepository",
    "ApprovalRequest",
    "ArchivePartRecord",
    "ArchivePartRepository",
    "ArchiveSweepRecord",
    "ArchiveSweepRepository",
    "BackupNotFoundError",
    "BackupRecord",
    "BackupRepository",
    "CatalogTooNewError",
    "CatalogUnavailableError",
    "CopiedBackup",
    "CopyProof",
    "CopyRepository",
    "CopyRun",
    "HeldVersion",
    "HeldVersionRepository",
    "HoldRecord",
    "HoldRepository",
    "LockState",
    "ObjectRecord",
    "ObjectRepository",
    "PlanRecord",
    "PlanRepository",
    "PolicyCheckRecord",
    "PolicyCheckRepository",
    "ProofNotFoundError",
    "ProofRecord",
    "ProofRepository",
    "RequestRepository",
    "ServerManifestRepository",
    "absent_engine",
    "open_engine",
    "upgrade",
]

"""Backups: taking them, what they consist of, and proving them (`strongroom.backup.verification`)."""

from strongroom.backup.errors import (
    BackupInProgressError,
    BrokenChainError,
    DamagedSourceError,
    IncompleteStreamError,
    LeaseLostError,
    ManifestError,
    SourceChangedError,
    SourceFailedError,
    SourceNotReadyError,
)
from strongroom.backup.fingerprints import (
    DatabaseFingerprints,
    FingerprintDocument,
    TableFingerprint,
    parse_fingerprints,
)
from strongroom.backup.interface import BackupEngine, BackupRequest, EngineResult, ObjectWriter
from strongroom.backup.logical import LogicalEngine
from strongroom.backup.manifest import (
    BackupManifest,
    ChainLink,
    ManifestObject,
    RestorePoint,
    ServerFacts,
    manifest_key,
    read_manifest,
)
from strongroom.backup.physical import PhysicalEngine
from strongroom.backup.records import BackupSummary
from strongroom.backup.service import BackupParts, BackupPlan, BackupService

__all__ = [
    "BackupEngine",
    "BackupInProgressError",
    "BackupManifest",
    "BackupParts",
    "BackupPlan",
    "BackupRequest",
    "BackupService",
    "BackupSummary",
    "BrokenChainError",
    "ChainLink",
    "DamagedSourceError",
    "DatabaseFingerprints",
    "EngineResult",
    "FingerprintDocument",
    "IncompleteStreamError",
    "LeaseLostError",
    "LogicalEngine",
    "ManifestError",
    "ManifestObject",
    "ObjectWriter",
    "PhysicalEngine",
    "RestorePoint",
    "ServerFacts",
    "SourceChangedError",
    "SourceFailedError",
    "SourceNotReadyError",
    "TableFingerprint",
    "manifest_key",
    "parse_fingerprints",
    "read_manifest",
]

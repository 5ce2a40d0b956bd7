"""Verification: a backup counts only when it has been restored and proven."""

from strongroom.backup.restoring.errors import (
    BackupMissingError,
    BrokenArchiveError,
    ContentSizeError,
    NotThisBackupError,
    RecoveryError,
    UnsafeArchiveError,
)
from strongroom.backup.verification.checks import VerificationChecks
from strongroom.backup.verification.errors import (
    ExpectationFileError,
    ExpectationRunError,
    NotProvenError,
    ProofError,
)
from strongroom.backup.verification.proof import (
    Check,
    LevelResult,
    Measures,
    NotComparable,
    Proof,
    Status,
    read_proof,
)
from strongroom.backup.verification.text import render_text
from strongroom.backup.verification.verifier import BackupVerifier, RestoreVerifier, VerificationParts

__all__ = [
    "BackupMissingError",
    "BackupVerifier",
    "BrokenArchiveError",
    "Check",
    "ContentSizeError",
    "ExpectationFileError",
    "ExpectationRunError",
    "LevelResult",
    "Measures",
    "NotComparable",
    "NotProvenError",
    "NotThisBackupError",
    "Proof",
    "ProofError",
    "RecoveryError",
    "RestoreVerifier",
    "Status",
    "UnsafeArchiveError",
    "VerificationChecks",
    "VerificationParts",
    "read_proof",
    "render_text",
]

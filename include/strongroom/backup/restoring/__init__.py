"""Bringing backups back: what verification and restore share, the planner, and the restore itself."""

from strongroom.backup.restoring.configuration import RecoveryTarget, configure, directory_command
from strongroom.backup.restoring.control import ControlData, control_data
from strongroom.backup.restoring.errors import (
    BackupMissingError,
    BrokenArchiveError,
    ContentSizeError,
    NotThisBackupError,
    RecoveryError,
    UnsafeArchiveError,
)
from strongroom.backup.restoring.objects import BackupObjects, VaultObjects
from strongroom.backup.restoring.recovery import RecoveryEnd, recover
from strongroom.backup.restoring.unpacking import Unpacked, unpack_tar

__all__ = [
    "BackupMissingError",
    "BackupObjects",
    "BrokenArchiveError",
    "ContentSizeError",
    "ControlData",
    "NotThisBackupError",
    "RecoveryEnd",
    "RecoveryError",
    "RecoveryTarget",
    "Unpacked",
    "UnsafeArchiveError",
    "VaultObjects",
    "configure",
    "control_data",
    "directory_command",
    "recover",
    "unpack_tar",
]

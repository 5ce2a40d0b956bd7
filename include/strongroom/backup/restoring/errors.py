"""What can go wrong when a backup is brought back.

StrongroomError
├── IntegrityError
│   ├── UnsafeArchiveError     a member of the archive could write outside its directory
│   ├── BrokenArchiveError     the archive ends early or is damaged
│   ├── ContentSizeError       an object opens to another length than the manifest says
│   ├── NotThisBackupError     a manifest stands under another backup's name
│   └── RecoveryError          recovery ended, and not where it should have
└── NotFoundError
    └── BackupMissingError     there is no complete backup of that name
"""

from strongroom.errors import IntegrityError, NotFoundError


class BackupMissingError(NotFoundError):
    """The bucket holds no complete backup under that name."""


class ContentSizeError(IntegrityError):
    """An object opened, and its content has another length than the manifest says."""


class NotThisBackupError(IntegrityError):
    """A manifest stands under another backup's name."""


class UnsafeArchiveError(IntegrityError):
    """A tar member that no backup of PostgreSQL holds: it could write outside its directory."""


class BrokenArchiveError(IntegrityError):
    """A tar stream that ends too early or has a damaged header."""


class RecoveryError(IntegrityError):
    """Recovery ended, and not at its target."""

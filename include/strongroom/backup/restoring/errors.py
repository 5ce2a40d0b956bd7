"""What can go wrong when a backup is brought back.

StrongroomError
├── InputError
│   └── TargetError                the target is no moment, position or name, or cannot be reached
│       ├── TargetNotCoveredError  it lies before the first backup or beyond the archive's end
│       └── TimelineError          the way to it leaves the timeline that was asked for
├── IntegrityError
│   ├── WalGapError                log that the way to the target needs is missing
│   ├── UnsafeArchiveError         a member of the archive could write outside its directory
│   ├── BrokenArchiveError         the archive ends early or is damaged
│   ├── ContentSizeError           an object opens to another length than the manifest says
│   ├── WrongSegmentError          an archived segment is another part of the log, or another cluster's
│   ├── NotThisBackupError         a manifest stands under another backup's name
│   ├── CombiningError             the backups of a chain do not fit together
│   ├── RestoredContentError       restored tables differ from the source
│   └── RecoveryError              recovery ended, and not where it should have
│       └── TargetMissedError      the log was over before the target came
├── NotFoundError
│   ├── BackupMissingError         there is no complete backup of that name
│   └── TableMissingError          the backup has no such table or schema
├── RefusedError
│   ├── TablespaceInLogError       replaying the log would write to a place outside of the restore
│   ├── DirectoryInUseError        the directory holds something that no failed restore left there
│   ├── TargetExistsError          a database or schema of that name is there already
│   │   └── LiveSourceError        the target is what the backup is of, alive
│   ├── NotEnoughRoomError         the restored cluster would not fit
│   └── PlanChangedError           the plan is not the one that was approved, or no longer holds
└── TransientError
    ├── AnotherCopyError           an object was damaged, and another copy of it is left
    └── DiskFullError              the disk filled up on the way
"""

from strongroom.errors import InputError, IntegrityError, NotFoundError, RefusedError, TransientError


class TargetError(InputError):
    """The target is no moment, position or name, or nothing leads to it."""


class TargetNotCoveredError(TargetError):
    """The target lies before the first backup's end, or beyond the archive's."""


class TimelineError(TargetError):
    """The way to the target leaves the timeline that was asked for."""


class WalGapError(IntegrityError):
    """Log that the way to the target needs is missing; the message names the first segment."""


class TablespaceInLogError(RefusedError):
    """The log creates a tablespace, whose place is the source's."""


class DirectoryInUseError(RefusedError):
    """The target directory holds something that is not a failed restore's own."""


class NotEnoughRoomError(RefusedError):
    """The restored cluster would not fit; the message has both numbers."""


class PlanChangedError(RefusedError):
    """The plan is not the one that was approved, or what it rests on has changed since."""


class DiskFullError(TransientError):
    """The disk filled up on the way; the same restore can be run again once there is room."""


class BackupMissingError(NotFoundError):
    """The bucket holds no complete backup under that name."""


class ContentSizeError(IntegrityError):
    """An object opened, and its content has another length than the manifest says."""


class NotThisBackupError(IntegrityError):
    """A manifest stands under another backup's name."""


class WrongSegmentError(IntegrityError):
    """An archived segment is another part of the log than its name says, or another cluster's."""


class UnsafeArchiveError(IntegrityError):
    """A tar member that no backup of PostgreSQL holds: it could write outside its directory."""


class BrokenArchiveError(IntegrityError):
    """A tar stream that ends too early or has a damaged header."""


class CombiningError(IntegrityError):
    """The backups of a chain do not make a cluster together."""


class RecoveryError(IntegrityError):
    """Recovery ended, and not at its target."""


class TargetMissedError(RecoveryError):
    """The log was over before the target came.

    Args:
        message: what happened.
        hint: what to do next.
        last_record: where the last replayed record begins; None when the server does not say.
    """

    def __init__(self, message: str, *, hint: str | None = None, last_record: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.last_record = last_record


class TableMissingError(NotFoundError):
    """The backup holds no table or schema of that name."""


class TargetExistsError(RefusedError):
    """A database or schema of that name exists; a restore never goes over something."""


class LiveSourceError(TargetExistsError):
    """What would be restored has the place and the name of what the backup is of."""


class RestoredContentError(IntegrityError):
    """Restored tables do not hold what the source held."""


class AnotherCopyError(TransientError):
    """An object was damaged in the store that was asked first, and another store is left to ask."""

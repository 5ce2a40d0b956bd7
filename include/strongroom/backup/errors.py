"""What can go wrong with a backup.

StrongroomError
├── ConfigurationError
│   └── SourceNotReadyError          the server's settings do not allow a physical backup
├── IntegrityError
│   ├── ManifestError                a manifest is not what a manifest is
│   ├── BrokenChainError             a backup that an incremental one builds on is missing or another one
│   ├── IncompleteStreamError        the stream ended early, or lacks what makes it a backup
│   └── DamagedSourceError           the server found damaged pages while it sent them
├── RefusedError
│   └── BackupInProgressError        another run backs up the same database
└── TransientError
    ├── SourceFailedError            the server or the connection went away in the middle
    │   └── IncrementalRefusedError  the server cannot tell what changed since the last backup
    ├── SourceChangedError           something happened at the source that a backup cannot span
    └── LeaseLostError               another run took over; this one may not go on
"""

from strongroom.errors import ConfigurationError, IntegrityError, RefusedError, TransientError
from strongroom.lifetimes.errors import LeaseLostError


class SourceNotReadyError(ConfigurationError):
    """The server's settings or role do not allow a physical backup."""


class ManifestError(IntegrityError):
    """A manifest lacks something, holds something else, or contradicts itself."""


class BrokenChainError(IntegrityError):
    """A backup that an incremental one builds on is missing, not whole, or another one than it was."""


class IncompleteStreamError(IntegrityError):
    """The backup's stream ended early, or lacks what makes it a backup."""


class DamagedSourceError(IntegrityError):
    """The server found pages with a wrong checksum while it sent them."""


class BackupInProgressError(RefusedError):
    """Another run backs up the same database now."""


class SourceFailedError(TransientError):
    """The server, or the connection to it, failed in the middle of a backup."""


class IncrementalRefusedError(SourceFailedError):
    """The server cannot tell what has changed since the last backup; a full backup can be taken."""


class SourceChangedError(TransientError):
    """Something happened at the source that one backup cannot span, such as a new tablespace."""


__all__ = [
    "BackupInProgressError",
    "BrokenChainError",
    "DamagedSourceError",
    "IncompleteStreamError",
    "IncrementalRefusedError",
    "LeaseLostError",
    "ManifestError",
    "SourceChangedError",
    "SourceFailedError",
    "SourceNotReadyError",
]

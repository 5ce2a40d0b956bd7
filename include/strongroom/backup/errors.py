"""What can go wrong with a backup.

StrongroomError
├── ConfigurationError
│   ├── SourceNotReadyError          the server's settings do not allow a physical backup
│   └── TablespacesError             tablespaces cannot go into one stream
├── IntegrityError
│   ├── ManifestError                a manifest is not what a manifest is
│   ├── IncompleteStreamError        the stream ended early, or lacks what makes it a backup
│   └── DamagedSourceError           the server found damaged pages while it sent them
├── RefusedError
│   └── BackupInProgressError        another run backs up the same database
└── TransientError
    ├── SourceFailedError            the server or the connection went away in the middle
    └── LeaseLostError               another run took over; this one may not go on
"""

from strongroom.errors import ConfigurationError, IntegrityError, RefusedError, TransientError


class SourceNotReadyError(ConfigurationError):
    """The server's settings or role do not allow a physical backup."""


class TablespacesError(ConfigurationError):
    """The cluster has tablespaces, which cannot be sent in one stream."""


class ManifestError(IntegrityError):
    """A manifest lacks something, holds something else, or contradicts itself."""


class IncompleteStreamError(IntegrityError):
    """The backup's stream ended early, or lacks what makes it a backup."""


class DamagedSourceError(IntegrityError):
    """The server found pages with a wrong checksum while it sent them."""


class BackupInProgressError(RefusedError):
    """Another run backs up the same database now."""


class SourceFailedError(TransientError):
    """The server, or the connection to it, failed in the middle of a backup."""


class LeaseLostError(TransientError):
    """The lease is no longer ours: another run took over, or it could not be renewed in time."""

"""What can go wrong when objects are copied to a further store.

StrongroomError
├── ConfigurationError
│   └── UnknownCopyError          neither the settings nor the policy name such a copy
├── IntegrityError
│   ├── CopyIncompleteError       some objects could not be copied, since they are not what was recorded
│   ├── DamagedSourceError        the object to copy is not the one that its signed document names
│   └── CopyDiffersError          the copy holds something else under that name
└── RefusedError
    └── CopyInProgressError       another run copies to the same store now
"""

from strongroom.errors import ConfigurationError, IntegrityError, RefusedError


class UnknownCopyError(ConfigurationError):
    """Neither the settings nor the policy name such a copy."""


class CopyIncompleteError(IntegrityError):
    """Everything that could be copied was; the rest is not what was recorded."""


class DamagedSourceError(IntegrityError):
    """The object to copy is not the one that its signed document names."""


class CopyDiffersError(IntegrityError):
    """The copy holds something else under that name."""


class CopyInProgressError(RefusedError):
    """Another run copies the same database to the same store now."""

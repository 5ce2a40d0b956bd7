"""What can go wrong with archives.

StrongroomError
├── InputError
│   ├── NoArchiveRuleError        the policy has no archive rule for the table, or the table does not fit it
│   ├── UnsupportedTypeError      a column's values would not survive being archived
│   └── ArchiveQueryError         a question that cannot be asked of an archive
├── IntegrityError
│   ├── ArchiveManifestError      a manifest or receipt is not what it must be
│   ├── ReadBackError             what the bucket gave back is not what was read from the table
│   └── ArchiveDivergedError      the bucket says that rows were moved, and the source database does not
├── RefusedError
│   ├── RowsInTheWayError         rows cannot come back, since others have their keys
│   ├── SweepInProgressError      another run sweeps the same table
│   └── SweepBlockedError         something refers to the rows, so that they cannot leave
└── TransientError
    └── RowsChangedError          rows were changed while they were being archived
"""

from strongroom.errors import InputError, IntegrityError, RefusedError, TransientError


class NoArchiveRuleError(InputError):
    """The policy has no archive rule for the table, or the table in the database does not fit the rule."""


class UnsupportedTypeError(InputError):
    """A column has a type whose values would not survive being archived and restored."""


class ArchiveQueryError(InputError):
    """A question cannot be asked of this archive: no such table, no such person, or wrong SQL."""


class ArchiveManifestError(IntegrityError):
    """A manifest or a receipt lacks something, holds something else, or contradicts itself."""


class ReadBackError(IntegrityError):
    """What the bucket gave back is not what was read from the table; the rows stay where they are."""


class ArchiveDivergedError(IntegrityError):
    """The bucket holds rows as moved that the source database does not know to be gone."""


class RowsInTheWayError(RefusedError):
    """Archived rows cannot come back into a table: it has other rows under the same keys."""


class SweepInProgressError(RefusedError):
    """Another run sweeps the same table now."""


class SweepBlockedError(RefusedError):
    """The database refused to let the rows go; they stay where they are."""


class RowsChangedError(TransientError):
    """Rows were changed or deleted by somebody else while they were being archived; they stay where they are."""

"""What can go wrong with a logical backup.

StrongroomError
├── ConfigurationError
│   └── UnreadableTablesError        the backup's user may not read a table, or not all of its rows
└── TransientError
    ├── TablesChangingError          tables were made and dropped faster than they could be locked
    └── TableLockedError             somebody held a table's lock for too long
"""

from strongroom.errors import TransientError
from strongroom.postgres import MissingPrivilegeError


class UnreadableTablesError(MissingPrivilegeError):
    """The backup's user may not read a table, or row security would hide rows from it."""


class TablesChangingError(TransientError):
    """Tables were made, altered or dropped again and again while the backup tried to lock them all."""


class TableLockedError(TransientError):
    """Another session held a table's lock for longer than the backup waits."""

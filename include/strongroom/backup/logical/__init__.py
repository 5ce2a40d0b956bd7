"""Logical backups: what one consists of, and taking it."""

from strongroom.backup.logical.contents import (
    LogicalContents,
    SequenceEntry,
    TableEntry,
    parse_contents,
)
from strongroom.backup.logical.engine import LogicalEngine
from strongroom.backup.logical.errors import (
    TableLockedError,
    TablesChangingError,
    UnreadableTablesError,
)

__all__ = [
    "LogicalContents",
    "LogicalEngine",
    "SequenceEntry",
    "TableEntry",
    "TableLockedError",
    "TablesChangingError",
    "UnreadableTablesError",
    "parse_contents",
]

"""Bringing logical backups back: a whole database, or some of its tables under another schema."""

from strongroom.backup.restoring.logical.naming import schema_name, table_name
from strongroom.backup.restoring.logical.selecting import Selection
from strongroom.backup.restoring.logical.service import (
    LogicalRestoreParts,
    LogicalRestorer,
    LogicalRestoreResult,
)

__all__ = [
    "LogicalRestoreParts",
    "LogicalRestoreResult",
    "LogicalRestorer",
    "Selection",
    "schema_name",
    "table_name",
]

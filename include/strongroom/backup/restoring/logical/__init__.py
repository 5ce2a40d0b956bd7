"""Bringing logical backups back: a whole database, or some of its tables under another schema."""

from strongroom.backup.restoring.logical.naming import schema_name, table_name
from strongroom.backup.restoring.logical.plan import (
    LogicalRestorePlan,
    PlannedLogicalRestore,
    parse_logical_plan,
)
from strongroom.backup.restoring.logical.request import LogicalRestoreRequest
from strongroom.backup.restoring.logical.result import LogicalRestoreResult
from strongroom.backup.restoring.logical.selecting import Selection
from strongroom.backup.restoring.logical.service import LogicalRestoreParts, LogicalRestorer

__all__ = [
    "LogicalRestoreParts",
    "LogicalRestorePlan",
    "LogicalRestoreRequest",
    "LogicalRestoreResult",
    "LogicalRestorer",
    "PlannedLogicalRestore",
    "Selection",
    "parse_logical_plan",
    "schema_name",
    "table_name",
]

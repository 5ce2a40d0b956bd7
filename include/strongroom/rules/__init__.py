"""The policy beside the live database: whether they agree, what drifted, and a first draft from a catalogue."""

from strongroom.rules.catalogue import (
    Action,
    Check,
    ForeignKey,
    Key,
    LiveCatalogue,
    LiveColumn,
    LiveKind,
    LiveTable,
    TableId,
)
from strongroom.rules.checking import check_policy, examine, require_agreement
from strongroom.rules.errors import RulesError
from strongroom.rules.findings import Finding
from strongroom.rules.reading import read_catalogue

__all__ = [
    "Action",
    "Check",
    "Finding",
    "ForeignKey",
    "Key",
    "LiveCatalogue",
    "LiveColumn",
    "LiveKind",
    "LiveTable",
    "RulesError",
    "TableId",
    "check_policy",
    "examine",
    "read_catalogue",
    "require_agreement",
]

"""The tamper-evident log: events in, an RFC 6962 tree published in the C2SP formats out."""

from strongroom.audit.errors import (
    CheckpointError,
    EntryError,
    EntryNotFoundError,
    EventRefusedError,
    EventTooLargeError,
    LogForkedError,
    LogIntegrityError,
    LogRolledBackError,
    ProofError,
    TileError,
)
from strongroom.audit.events import Event, PolicyReference, Target
from strongroom.audit.sink import AuditSink, QueueSink
from strongroom.audit.taxonomy import EventType

__all__ = [
    "AuditSink",
    "CheckpointError",
    "EntryError",
    "EntryNotFoundError",
    "Event",
    "EventRefusedError",
    "EventTooLargeError",
    "EventType",
    "LogForkedError",
    "LogIntegrityError",
    "LogRolledBackError",
    "PolicyReference",
    "ProofError",
    "QueueSink",
    "Target",
    "TileError",
]

"""The tamper-evident log: events in, an RFC 6962 tree published in the C2SP formats out."""

from strongroom.audit.checkpoint import Checkpoint, open_checkpoint
from strongroom.audit.errors import (
    CheckpointError,
    EntryError,
    EntryNotFoundError,
    EventRefusedError,
    EventTooLargeError,
    JournalError,
    JournalNotTrustedError,
    JournalUnwritableError,
    LogForkedError,
    LogIntegrityError,
    LogRolledBackError,
    ProofError,
    SealInterruptedError,
    TileError,
)
from strongroom.audit.events import Event, PolicyReference, Target
from strongroom.audit.importing import JournalImport
from strongroom.audit.journal import Journal, JournalState
from strongroom.audit.log import AuditLog, SealReport
from strongroom.audit.proof import ProvenEntry, check_proof
from strongroom.audit.recorder import EventRecorder, QueueRecorder
from strongroom.audit.recovery import RecoveryReport
from strongroom.audit.sink import AuditSink, QueueSink
from strongroom.audit.taxonomy import EventType
from strongroom.audit.verify import VerifiedLog, check_extends, prove, verify_log

__all__ = [
    "AuditLog",
    "AuditSink",
    "Checkpoint",
    "CheckpointError",
    "EntryError",
    "EntryNotFoundError",
    "Event",
    "EventRecorder",
    "EventRefusedError",
    "EventTooLargeError",
    "EventType",
    "Journal",
    "JournalError",
    "JournalImport",
    "JournalNotTrustedError",
    "JournalState",
    "JournalUnwritableError",
    "LogForkedError",
    "LogIntegrityError",
    "LogRolledBackError",
    "PolicyReference",
    "ProofError",
    "ProvenEntry",
    "QueueRecorder",
    "QueueSink",
    "RecoveryReport",
    "SealInterruptedError",
    "SealReport",
    "Target",
    "TileError",
    "VerifiedLog",
    "check_extends",
    "check_proof",
    "open_checkpoint",
    "prove",
    "verify_log",
]

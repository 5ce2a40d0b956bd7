"""What can go wrong with the audit log.

InputError
├── EventRefusedError          the event says something that does not belong in the log
├── EventTooLargeError         more than 32 KiB of canonical JSON
└── ConfigurationError
    └── JournalUnwritableError there is no control database, and the journal's place cannot be written
IntegrityError
├── JournalError               a journal's lines were changed, left out or moved, or are another installation's
│   └── JournalNotTrustedError a key signed it that is not known here
└── LogIntegrityError          the log is not what was recorded and signed
    ├── CheckpointError        the signed head is missing, malformed, or not signed by the trusted key
    ├── TileError              one tile is missing, malformed, or holds other hashes than its entries
    ├── EntryError             one entry is malformed, not canonical, or carries an identifier used before
    ├── ProofError             a proof does not lead to the root it claims
    └── LogForkedError         two histories of one log
        └── LogRolledBackError the control database is behind what was published
"""

from strongroom.errors import ConfigurationError, InputError, IntegrityError, NotFoundError, TransientError


class EventRefusedError(InputError):
    """The event names an unknown type, or holds something that might be personal data."""


class EventTooLargeError(InputError):
    """The event is longer than an entry may be; refer to what is large by its SHA-256."""


class JournalUnwritableError(ConfigurationError):
    """There is no control database, and the journal cannot be written: nothing may be done unrecorded."""


class JournalError(IntegrityError):
    """A journal is not what was written: lines were changed, left out or moved, or it is another installation's."""


class JournalNotTrustedError(JournalError):
    """A journal is signed with a key that is not known here."""


class EntryNotFoundError(NotFoundError):
    """The published log holds no such entry."""


class LogIntegrityError(IntegrityError):
    """The audit log is not what was recorded and signed."""


class CheckpointError(LogIntegrityError):
    """The checkpoint is missing, malformed, or not signed by the trusted key."""


class TileError(LogIntegrityError):
    """A tile is missing, malformed, or holds other hashes than the entries below it give."""


class EntryError(LogIntegrityError):
    """An entry is malformed, not canonical, or carries an identifier that an earlier one has."""


class ProofError(LogIntegrityError):
    """A proof does not lead to the root that it claims."""


class LogForkedError(LogIntegrityError):
    """The control database and the bucket hold different histories of one log."""


class LogRolledBackError(LogForkedError):
    """The control database is behind what was published: an older state of it was restored."""


class SealInterruptedError(TransientError):
    """Another sealer moved the log at the same time; nothing is lost, and the next seal goes on."""


class LogUnavailableError(TransientError):
    """The control database does not answer; what was committed is kept, and the next seal goes on."""

"""What can go wrong with continuous WAL.

StrongroomError
├── SlotLagError                     the slot holds back more WAL on the source than the policy allows
├── ConfigurationError
│   └── SlotUnusableError            something of that name is on the source, and it is no physical slot
├── IntegrityError
│   ├── GapError                     WAL is missing: the archive cannot be continued without a hole
│   ├── SegmentError                 a segment is damaged, or is not what its name says
│   │   └── ForeignSegmentError      it belongs to another cluster
│   ├── ReceiptError                 a receipt is malformed, contradicts itself, or lies where it does not belong
│   └── HistoryError                 a timeline history cannot be read
│       └── HistoryMissingError      the archive has none for a timeline
├── RefusedError
│   ├── ShippingInProgressError      another run ships this database's WAL
│   ├── SlotInUseError               somebody else streams from the slot
│   └── DivergedTimelineError        the source continues a past that the archive does not know
└── TransientError
    └── WalRemovedError              the source no longer has a segment that was asked for
"""

from __future__ import annotations

from strongroom.errors import (
    ConfigurationError,
    IntegrityError,
    RefusedError,
    StrongroomError,
    TransientError,
)


class SlotLagError(StrongroomError):
    """The slot holds back more WAL on the source than the policy allows."""


class SlotUnusableError(ConfigurationError):
    """A replication slot of that name exists and is not a physical one."""


class GapError(IntegrityError):
    """WAL is missing between what the archive has and what the source still has.

    Args:
        message: what happened.
        hint: what to do next.
        first_missing: the name of the first segment that is not there.
    """

    def __init__(self, message: str, *, hint: str | None = None, first_missing: str = "") -> None:
        super().__init__(message, hint=hint)
        self.first_missing = first_missing


class SegmentError(IntegrityError):
    """A segment is damaged, or is not what its name says.

    Args:
        message: what is wrong.
        hint: what to do next.
        segment: its name.
    """

    def __init__(self, message: str, *, hint: str | None = None, segment: str = "") -> None:
        super().__init__(message, hint=hint)
        self.segment = segment


class ForeignSegmentError(SegmentError):
    """A segment belongs to another cluster."""


class ReceiptError(IntegrityError):
    """A receipt is malformed, contradicts itself, or lies where it does not belong."""


class HistoryError(IntegrityError):
    """A timeline history cannot be read, or is of another timeline."""


class HistoryMissingError(HistoryError):
    """The archive has no history of a timeline."""


class ShippingInProgressError(RefusedError):
    """Another run ships the WAL of the same database now."""


class SlotInUseError(RefusedError):
    """Another program streams from the slot."""


class DivergedTimelineError(RefusedError):
    """The source's past is not the one that the archive holds."""


class WalRemovedError(TransientError):
    """The source has removed a segment that was asked for."""

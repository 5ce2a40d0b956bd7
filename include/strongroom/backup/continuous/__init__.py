"""Continuous WAL: shipping a source's log as it is written, and reading what was shipped."""

from strongroom.backup.continuous.archive import Frontier, TimelineFacts, WalArchive
from strongroom.backup.continuous.errors import (
    DivergedTimelineError,
    ForeignSegmentError,
    GapError,
    HistoryError,
    HistoryMissingError,
    ReceiptError,
    SegmentError,
    ShippingInProgressError,
    SlotInUseError,
    SlotLagError,
    SlotUnusableError,
    WalRemovedError,
)
from strongroom.backup.continuous.history import (
    Leg,
    TimelineHistory,
    TimelineSwitch,
    history_name,
    parse_history,
)
from strongroom.backup.continuous.plan import WalPlan, WalSummary
from strongroom.backup.continuous.receipts import (
    ArchivedHistory,
    ArchivedSegment,
    Coverage,
    Covered,
    HistoryReceipt,
    SegmentsReceipt,
)
from strongroom.backup.continuous.shipping import SlotWalShipper, WalParts, WalShipper
from strongroom.backup.continuous.status import SourceStatus, TimelineStatus, WalStatus, wal_status

__all__ = [
    "ArchivedHistory",
    "ArchivedSegment",
    "Coverage",
    "Covered",
    "DivergedTimelineError",
    "ForeignSegmentError",
    "Frontier",
    "GapError",
    "HistoryError",
    "HistoryMissingError",
    "HistoryReceipt",
    "Leg",
    "ReceiptError",
    "SegmentError",
    "SegmentsReceipt",
    "ShippingInProgressError",
    "SlotInUseError",
    "SlotLagError",
    "SlotUnusableError",
    "SlotWalShipper",
    "SourceStatus",
    "TimelineFacts",
    "TimelineHistory",
    "TimelineStatus",
    "TimelineSwitch",
    "WalArchive",
    "WalParts",
    "WalPlan",
    "WalRemovedError",
    "WalShipper",
    "WalStatus",
    "WalSummary",
    "history_name",
    "parse_history",
    "wal_status",
]

"""A WAL archive made of signed receipts, with objects of the right size in place of sealed segments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from strongroom.backup.continuous import (
    ArchivedHistory,
    ArchivedSegment,
    Coverage,
    Covered,
    HistoryReceipt,
    SegmentsReceipt,
    TimelineHistory,
    WalArchive,
)
from strongroom.backup.continuous.layout import history_key, segment_key
from strongroom.postgres import format_lsn, segment_name
from strongroom.signing import SignerKey
from strongroom.storage import Condition, LocalObjectStore

MIB = 1 << 20
SIZE = 16 * MIB
CLUSTER = "7412345678901234567"


def at(number: int) -> int:
    """The start of the segment with that number."""
    return number * SIZE


def noon(minute: int) -> datetime:
    return datetime(2026, 11, 24, 12, minute, tzinfo=UTC)


@dataclass(frozen=True)
class Shelf:
    """A bucket with WAL in it."""

    store: LocalObjectStore
    signer: SignerKey

    @property
    def archive(self) -> WalArchive:
        return WalArchive(self.store, "shop", self.signer.verifier)

    def ship(
        self,
        timeline: int,
        first: int,
        last: int,
        *,
        covered: Covered | None = None,
        signer: SignerKey | None = None,
        fencing_number: int = 1,
    ) -> SegmentsReceipt:
        """Archive a run of segments by their numbers."""
        segments = tuple(
            self._segment(segment_name(timeline, at(number), SIZE)) for number in range(first, last + 1)
        )
        receipt = SegmentsReceipt(
            "shop", CLUSTER, timeline, SIZE, "18.6", segments, covered, fencing_number, "00" * 32, {}
        )
        self.store.put_bytes(receipt.key, receipt.sign(signer or self.signer), condition=Condition.OVERWRITE)
        return receipt

    def _segment(self, name: str) -> ArchivedSegment:
        content = name.encode()
        key = segment_key("shop", CLUSTER, name)
        self.store.put_bytes(key, content, condition=Condition.OVERWRITE)
        return ArchivedSegment(name, key, len(content), sha256(content).hexdigest(), SIZE, ("e1",))

    def ship_history(self, history: TimelineHistory) -> HistoryReceipt:
        """Archive a timeline's history."""
        key = history_key("shop", CLUSTER, history.timeline)
        file = ArchivedHistory(key, 1, "00" * 32, 1, ("e1",))
        receipt = HistoryReceipt.of(
            history,
            database="shop",
            system_identifier=CLUSTER,
            file=file,
            policy_sha256="00" * 32,
            software={},
        )
        self.store.put_bytes(receipt.key, receipt.sign(self.signer))
        return receipt

    def cover(self, timeline: int, minute: int, position: int) -> None:
        """Say that a timeline is complete up to a time."""
        covered = Covered(noon(minute), format_lsn(position))
        coverage = Coverage("shop", CLUSTER, timeline, covered, "00" * 32, 1)
        self.store.put_bytes(coverage.key, coverage.sign(self.signer), condition=Condition.OVERWRITE)

"""The WAL archive of one database, as a reader sees it: which segments count, and how far they reach.

Everything rests on signed receipts and on one listing per timeline. A listing that fails raises; a segment that a
receipt names and the bucket does not hold is missing; an object that no receipt names is not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from strongroom.backup.continuous.errors import HistoryMissingError, ReceiptError
from strongroom.backup.continuous.history import Leg, TimelineHistory
from strongroom.backup.continuous.layout import (
    coverage_key,
    history_receipt_key,
    receipt_names,
    wal_prefix,
)
from strongroom.backup.continuous.receipts import (
    ArchivedSegment,
    Coverage,
    Covered,
    HistoryReceipt,
    SegmentsReceipt,
    read_receipt,
)
from strongroom.backup.continuous.segments import segment_floor, start_of
from strongroom.postgres import format_lsn, parse_lsn, segment_name
from strongroom.signing import VerifierKey
from strongroom.storage import ObjectNotFoundError, ObjectStore

_READERS = 8
_NEWER_TIMELINES_LOOKED_FOR = 8


@dataclass(frozen=True)
class Frontier:
    """How far the log reaches without a hole, from some position on."""

    position: int
    """The end of the last segment of the unbroken run; the start asked for when there is none."""
    last_segment: str | None
    covered_until: datetime | None
    """Everything that was committed before it, by the source's clock, is in the run; None when unknown."""
    gap: str | None
    """The first missing segment, where later ones are there; None when the run is all there is."""

    @property
    def lsn(self) -> str:
        """The position as PostgreSQL writes it."""
        return format_lsn(self.position)


@dataclass(frozen=True)
class TimelineFacts:
    """What one timeline's folder holds."""

    timeline: int
    segments: tuple[ArchivedSegment, ...]
    """By name; those that the bucket holds."""
    receipts: tuple[SegmentsReceipt, ...]
    missing: tuple[str, ...]
    """Segments that a receipt names and the bucket does not hold, or not in that size."""
    coverage: Coverage | None

    def covered(self) -> Iterator[Covered]:
        """Every tie between the source's clock and the log."""
        yield from (receipt.covered for receipt in self.receipts if receipt.covered is not None)
        if self.coverage is not None:
            yield self.coverage.covered


class WalArchive:
    """Reads what the shipper wrote. It needs no private key, and writes nothing.

    Args:
        store: the bucket.
        database: whose WAL.
        trusted: the key that receipts must be signed with.
    """

    def __init__(self, store: ObjectStore, database: str, trusted: VerifierKey) -> None:
        self._store = store
        self._database = database
        self._trusted = trusted

    def system_ids(self) -> list[str]:
        """The identifiers of the clusters that shipped WAL for this database."""
        return self._folders(wal_prefix(self._database))

    def timelines(self, system_id: str) -> list[int]:
        """The timelines of a cluster of which something is archived, oldest first."""
        return sorted(int(name, 16) for name in self._folders(wal_prefix(self._database, system_id)))

    def newer_timeline(self, system_id: str, timeline: int) -> int | None:
        """A timeline of a little higher number of which something is archived; None when there is none."""
        for number in range(timeline + 1, timeline + 1 + _NEWER_TIMELINES_LOOKED_FOR):
            if next(iter(self._store.list(wal_prefix(self._database, system_id, number))), None):
                return number
        return None

    def history(self, system_id: str, timeline: int) -> TimelineHistory:
        """The way to a timeline; the first one has no past.

        Raises:
            HistoryMissingError: the archive does not know it.
            ReceiptError, SignatureError: its receipt cannot be believed.
        """
        if timeline == 1:
            return TimelineHistory(1)
        return self.history_receipt(system_id, timeline).history

    def history_receipt(self, system_id: str, timeline: int) -> HistoryReceipt:
        """The receipt of a timeline's history, which names the sealed file.

        Raises:
            HistoryMissingError: the archive has none.
            ReceiptError, SignatureError: it cannot be believed.
        """
        key = history_receipt_key(self._database, system_id, timeline)
        try:
            return read_receipt(HistoryReceipt, self._store.get_bytes(key), key, self._trusted)
        except ObjectNotFoundError as error:
            raise HistoryMissingError(
                f"The archive of {self._database} has no history of timeline {timeline}.",
                hint="Ship its WAL again: `strongroom wal ship` fetches the history while the server has it.",
            ) from error

    def segments(self, system_id: str, timeline: int) -> Sequence[ArchivedSegment]:
        """The segments of a timeline that count and are there, in order."""
        return self.facts(system_id, timeline).segments

    def facts(self, system_id: str, timeline: int, *, after: str = "") -> TimelineFacts:
        """Everything that the archive has of a timeline.

        Args:
            system_id: the cluster.
            timeline: the timeline.
            after: leave out receipts that end before this segment.

        Raises:
            ReceiptError, SignatureError: a receipt cannot be believed.
            StoreUnavailableError: the bucket does not answer, also in the middle of the listing.
        """
        prefix = wal_prefix(self._database, system_id, timeline)
        sizes = {item.key: item.size_bytes for item in self._store.list(prefix)}
        ranges = {key: names for key in sizes if (names := receipt_names(key, prefix))}
        wanted = [key for key, (_, last) in sorted(ranges.items()) if last >= after]
        receipts = self._read(wanted)
        named = _named(receipts)
        coverage = coverage_key(self._database, system_id, timeline)
        return TimelineFacts(
            timeline,
            tuple(item for item in named if sizes.get(item.key) == item.size_bytes),
            receipts,
            tuple(item.name for item in named if sizes.get(item.key) != item.size_bytes),
            self.coverage(system_id, timeline) if coverage in sizes else None,
        )

    def last_receipt(self, system_id: str, timeline: int) -> SegmentsReceipt | None:
        """The receipt of a timeline's newest segments, without reading the others."""
        prefix = wal_prefix(self._database, system_id, timeline)
        keys = [item.key for item in self._store.list(f"{prefix}receipts/")]
        newest = max((key for key in keys if receipt_names(key, prefix)), key=_last_name, default=None)
        return self._read([newest])[0] if newest is not None else None

    def coverage(self, system_id: str, timeline: int) -> Coverage | None:
        """Up to when a timeline is complete; None when the archive does not say."""
        key = coverage_key(self._database, system_id, timeline)
        try:
            return read_receipt(Coverage, self._store.get_bytes(key), key, self._trusted)
        except ObjectNotFoundError:
            return None

    def frontier(self, system_id: str, timeline: int, from_lsn: int | str, segment_bytes: int) -> Frontier:
        """How far the log reaches without a hole on the way to a timeline.

        Args:
            system_id: the cluster.
            timeline: where the way ends: its ancestors' segments count up to where it left them.
            from_lsn: the position from which the log is needed.
            segment_bytes: the size of the cluster's segments.

        Raises:
            HistoryMissingError: the way there is unknown.
            ReceiptError, SignatureError: a receipt cannot be believed.
            StoreUnavailableError: the bucket does not answer, also in the middle of a listing.
        """
        start = parse_lsn(from_lsn) if isinstance(from_lsn, str) else from_lsn
        history = self.history(system_id, timeline)
        legs = [leg for leg in history.legs(segment_bytes) if leg.end is None or leg.end > start]
        facts = [
            self.facts(system_id, leg.timeline, after=_first_name(leg, start, segment_bytes)) for leg in legs
        ]
        return _frontier(legs, facts, start, segment_bytes, history)

    def _folders(self, prefix: str) -> list[str]:
        keys = (item.key[len(prefix) :] for item in self._store.list(prefix))
        return sorted({key.split("/", 1)[0] for key in keys if "/" in key})

    def _read(self, keys: Sequence[str]) -> tuple[SegmentsReceipt, ...]:
        """Read receipts, several at once: a busy fortnight has thousands."""

        def read(key: str) -> SegmentsReceipt:
            return read_receipt(SegmentsReceipt, self._store.get_bytes(key), key, self._trusted)

        if len(keys) < 2:
            return tuple(read(key) for key in keys)
        with ThreadPoolExecutor(_READERS, thread_name_prefix="receipts") as readers:
            return tuple(readers.map(read, keys))


def _named(receipts: Iterable[SegmentsReceipt]) -> list[ArchivedSegment]:
    """The segments that receipts name; of two that name the same, the later holder of the lease is right."""
    found: dict[str, ArchivedSegment] = {}
    for receipt in sorted(receipts, key=lambda item: item.fencing_number):
        found |= {segment.name: segment for segment in receipt.segments}
    return [found[name] for name in sorted(found)]


def _last_name(key: str) -> str:
    return key.rsplit("-", 1)[1]


def _first_name(leg: Leg, start: int, segment_bytes: int) -> str:
    return segment_name(leg.timeline, max(leg.start, start), segment_bytes)


def _frontier(
    legs: Sequence[Leg],
    facts: Sequence[TimelineFacts],
    start: int,
    segment_bytes: int,
    history: TimelineHistory,
) -> Frontier:
    at, last = segment_floor(start, segment_bytes), None
    broken = False
    for leg, found in zip(legs, facts, strict=True):
        names = _names_on(leg, found, segment_bytes)
        while not broken and (leg.end is None or at < leg.end):
            name = segment_name(leg.timeline, at, segment_bytes)
            if name not in names:
                broken = True
                break
            at, last = at + segment_bytes, name
    gap = _gap(legs, facts, at, segment_bytes)
    end = at if last is not None else start
    return Frontier(end, last, _covered_until(legs, facts, end, history), gap)


def _names_on(leg: Leg, found: TimelineFacts, segment_bytes: int) -> set[str]:
    for receipt in found.receipts:
        if receipt.wal_segment_bytes != segment_bytes:
            raise ReceiptError(
                f"The WAL receipt {receipt.key} is of segments of {receipt.wal_segment_bytes} bytes,"
                f" where {segment_bytes} were expected."
            )
    return {
        item.name
        for item in found.segments
        if leg.start <= start_of(item.name, segment_bytes) and not _beyond(item.name, leg, segment_bytes)
    }


def _beyond(name: str, leg: Leg, segment_bytes: int) -> bool:
    return leg.end is not None and start_of(name, segment_bytes) >= leg.end


def _gap(legs: Sequence[Leg], facts: Sequence[TimelineFacts], at: int, segment_bytes: int) -> str | None:
    """The segment at `at`, when later ones are there or a receipt says that it was."""
    for leg, found in zip(legs, facts, strict=True):
        names = _names_on(leg, found, segment_bytes) | {
            name for name in found.missing if not _beyond(name, leg, segment_bytes)
        }
        if any(start_of(name, segment_bytes) >= at for name in names):
            owner = next(item for item in legs if item.end is None or at < item.end)
            return segment_name(owner.timeline, at, segment_bytes)
    return None


def _covered_until(
    legs: Sequence[Leg], facts: Sequence[TimelineFacts], end: int, history: TimelineHistory
) -> datetime | None:
    """The latest clock whose position the run reaches, on the way and not on what was left behind."""
    clocks = []
    for leg, found in zip(legs, facts, strict=True):
        limit = history.end_of(leg.timeline)
        for covered in found.covered():
            position = parse_lsn(covered.position)
            if position <= end and (limit is None or position <= limit):
                clocks.append(covered.clock)
    return max(clocks, default=None)

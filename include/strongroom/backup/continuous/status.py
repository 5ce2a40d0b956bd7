"""How a database's WAL stands: what the archive has, how far it reaches, and what still waits on the source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from strongroom.backup.continuous.archive import TimelineFacts, WalArchive
from strongroom.backup.continuous.plan import WalPlan
from strongroom.backup.continuous.segments import segment_floor, start_of
from strongroom.backup.continuous.slots import SlotState, read_slot
from strongroom.backup.continuous.source import WalSource, check_wal_source, present
from strongroom.errors import StrongroomError
from strongroom.postgres import connect, format_lsn, segment_name

_RUNS_MISSED = 3


@dataclass(frozen=True)
class TimelineStatus:
    """What the archive has of one timeline."""

    system_identifier: str
    timeline: int
    segments: int
    stored_bytes: int
    first_segment: str | None
    last_segment: str | None
    gaps: tuple[str, ...]
    """The first missing segment of each hole."""
    missing: tuple[str, ...]
    """Segments that a receipt names and the bucket does not hold."""
    covered_until: datetime | None
    """Up to when everything is there, by the source's clock, as far as its newest run reaches."""


@dataclass(frozen=True)
class SourceStatus:
    """What waits on the source."""

    system_identifier: str
    timeline: int
    slot: str
    wal_status: str | None
    """Of the slot: `reserved`, `extended`, `unreserved`, `lost`; None when there is no slot."""
    slot_active: bool
    safe_bytes: int | None
    """How much more the source may write before it gives up on the slot; None when it never does."""
    held_bytes: int
    """How much WAL the slot holds back on the source."""
    lag_bytes: int
    """How much WAL was written since what the archive holds."""
    lag_seconds: float | None
    """How long ago the moment is up to which everything is in the archive."""


@dataclass(frozen=True)
class WalStatus:
    """The whole, with what is wrong in it."""

    database: str
    max_lag_bytes: int
    timelines: tuple[TimelineStatus, ...]
    source: SourceStatus | None
    """None when it does not answer: the reason is among the problems."""
    frontier: str | None
    """Up to where the archive holds the source's log without a hole; None when it holds nothing of it."""
    covered_until: datetime | None
    problems: tuple[str, ...]


def wal_status(archive: WalArchive, plan: WalPlan, conninfo: str) -> WalStatus:
    """Look at the archive and at the source.

    Raises:
        ReceiptError, SignatureError: a receipt cannot be believed.
        StoreUnavailableError: the bucket does not answer.
    """
    timelines = tuple(_timelines(archive))
    try:
        source, end, covered = _source(archive, plan, conninfo)
    except StrongroomError as error:
        problems = [f"The source cannot be asked: {error.message}", *_archive_problems(timelines)]
        return WalStatus(plan.database, plan.max_lag_bytes, timelines, None, None, None, tuple(problems))
    problems = [*_source_problems(plan, source), *_archive_problems(timelines)]
    frontier = format_lsn(end) if end is not None else None
    return WalStatus(plan.database, plan.max_lag_bytes, timelines, source, frontier, covered, tuple(problems))


def _timelines(archive: WalArchive) -> Iterator[TimelineStatus]:
    for identifier in archive.system_ids():
        for timeline in archive.timelines(identifier):
            yield _timeline(identifier, archive.facts(identifier, timeline))


def _timeline(identifier: str, facts: TimelineFacts) -> TimelineStatus:
    names = [item.name for item in facts.segments]
    return TimelineStatus(
        identifier,
        facts.timeline,
        len(names),
        sum(item.size_bytes for item in facts.segments),
        names[0] if names else None,
        names[-1] if names else None,
        tuple(_gaps(facts)),
        facts.missing,
        max((covered.clock for covered in facts.covered()), default=None),
    )


def _gaps(facts: TimelineFacts) -> Iterator[str]:
    if not facts.receipts:
        return
    size = facts.receipts[0].wal_segment_bytes
    for before, after in pairwise(item.name for item in facts.segments):
        next_start = start_of(before, size) + size
        if start_of(after, size) != next_start:
            yield segment_name(facts.timeline, next_start, size)


def _source(
    archive: WalArchive, plan: WalPlan, conninfo: str
) -> tuple[SourceStatus, int | None, datetime | None]:
    with connect(conninfo, application_name="strongroom wal") as control:
        source = check_wal_source(control, conninfo)
        slot = read_slot(control, plan.slot)
        now = present(control)
    end, covered = archived_end(archive, source)
    kept = slot.restart if slot is not None and slot.restart is not None else now.position
    status = SourceStatus(
        system_identifier=source.system_identifier,
        timeline=source.timeline,
        slot=plan.slot,
        wal_status=slot.wal_status if slot else None,
        slot_active=slot.active if slot else False,
        safe_bytes=slot.safe_bytes if slot else None,
        held_bytes=max(0, now.position - kept),
        lag_bytes=max(0, now.position - (end if end is not None else _begin(slot, source, now.position))),
        lag_seconds=(now.clock - covered).total_seconds() if covered is not None else None,
    )
    return status, end, covered


def archived_end(archive: WalArchive, source: WalSource) -> tuple[int | None, datetime | None]:
    """Up to where, and up to when, the archive holds the source's log in one run to its newest segment."""
    size = source.segment_bytes
    for leg in reversed(source.history.legs(size)):
        receipt = archive.last_receipt(source.system_identifier, leg.timeline)
        if receipt is None or receipt.end <= leg.start:
            continue
        end = receipt.end if leg.end is None else min(receipt.end, leg.end)
        coverage = archive.coverage(source.system_identifier, leg.timeline)
        reaches = leg.timeline == source.timeline and coverage is not None
        return end, coverage.covered.clock if reaches and coverage is not None else None
    return None, None


def _begin(slot: SlotState | None, source: WalSource, position: int) -> int:
    start = slot.restart if slot is not None and slot.restart is not None else position
    return segment_floor(start, source.segment_bytes)


def _source_problems(plan: WalPlan, source: SourceStatus) -> Iterator[str]:
    if source.wal_status is None:
        yield f"The source has no replication slot {source.slot}: its WAL may be removed before it is shipped."
    elif source.wal_status in ("lost", "unreserved"):
        yield f"The source has given up on the slot {source.slot}, or is about to ({source.wal_status})."
    if source.slot_active:
        yield f"Another program streams from the slot {source.slot}."
    if max(source.lag_bytes, source.held_bytes) > plan.max_lag_bytes:
        yield (
            f"{max(source.lag_bytes, source.held_bytes)} bytes of WAL wait on the source;"
            f" the policy's limit is {plan.max_lag_bytes}."
        )
    late = timedelta(seconds=source.lag_seconds) if source.lag_seconds is not None else None
    if late is None:
        yield "Nothing of what the source writes now is in the archive."
    elif late > _RUNS_MISSED * plan.ship_every:
        yield f"The last run that shipped everything was {late} ago; the policy says every {plan.ship_every}."


def _archive_problems(timelines: tuple[TimelineStatus, ...]) -> Iterator[str]:
    for item in timelines:
        if item.missing:
            yield (
                f"{len(item.missing)} segment(s) of timeline {item.timeline} are named by a receipt and are not"
                f" in the bucket; the first is {item.missing[0]}."
            )

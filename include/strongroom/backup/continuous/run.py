"""One run of the shipper, once it is alone: what is complete on the source goes into the archive.

    the source's past is the archive's → slot → moment (a quiet segment is completed) → histories
    → for each window: fetch, check, seal, receipt, slot advanced → coverage → how much still waits

Every step can be done again. A segment without a receipt is replaced; a receipt without an advanced slot makes the
next run go on after it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from strongroom.backup.continuous.archive import WalArchive
from strongroom.backup.continuous.draining import Drain, Drained, Tools, Window, windows
from strongroom.backup.continuous.errors import (
    DivergedTimelineError,
    GapError,
    HistoryMissingError,
    SlotLagError,
    WalRemovedError,
)
from strongroom.backup.continuous.plan import WalPlan, WalSummary
from strongroom.backup.continuous.receipts import ArchivedSegment, Coverage
from strongroom.backup.continuous.segments import segment_ceiling, segment_floor, start_of
from strongroom.backup.continuous.slots import SlotState, advance_slot, ensure_slot, read_slot
from strongroom.backup.continuous.source import (
    Moment,
    WalSource,
    flushed,
    mark,
    present,
    switch_segment,
)
from strongroom.backup.continuous.status import archived_end
from strongroom.backup.continuous.uploading import Uploader, ancestors
from strongroom.backup.lease import Lease
from strongroom.backup.wal import wal_directory
from strongroom.errors import StrongroomError
from strongroom.postgres import Connection, format_lsn, parse_lsn

Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class _Goal:
    """Where a run ends."""

    moment: Moment
    end: int
    """The end of the last complete segment."""
    switched: bool


@dataclass
class _Tally:
    segments: list[ArchivedSegment] = field(default_factory=list)
    end: int = 0
    """Up to where the archive holds the log."""
    restarted: bool = False
    gap: str | None = None
    gap_is_damage: bool = False


@dataclass
class ShippingRun:
    """What a run works with.

    Args:
        plan: what the policy says.
        control: a session on the source, which holds the advisory lock.
        conninfo: of the source.
        source: its facts.
        archive: what is there already.
        uploader: writes.
        lease: held; confirmed before each receipt.
        tools: PostgreSQL's programs.
        progress: called with a stage (`fetched`, `uploaded`, `receipted`, `advanced`) and a number of segments.
        skip_damaged: a segment to leave out if it is damaged.
    """

    plan: WalPlan
    control: Connection
    conninfo: str
    source: WalSource
    archive: WalArchive
    uploader: Uploader
    lease: Lease
    tools: Tools
    progress: Progress
    skip_damaged: str | None = None

    def ship(self) -> WalSummary:
        """Ship what is complete.

        Raises:
            GapError: WAL is missing; what could be shipped after the hole was.
            SlotLagError: too much still waits on the source.
            DivergedTimelineError: the source's past is not the archive's.
            SegmentError: a segment is damaged; the ones before it were shipped.
            TransientError: source, bucket or control database failed; the next run goes on from there.
        """
        began = time.monotonic()
        self._check_past()
        resume, _ = archived_end(self.archive, self.source)
        slot, created = ensure_slot(self.control, self.plan.slot)
        try:
            return self._ship(began, resume, slot, created)
        except StrongroomError as error:
            self._mention_lag(error)
            raise

    def _ship(self, began: float, resume: int | None, slot: SlotState, created: bool) -> WalSummary:
        start = _restart(slot, self.source) if resume is None else resume
        position = present(self.control).position
        if position < start:
            raise self._put_back(position, start)
        found = position - min(start, _restart(slot, self.source))
        if resume is not None:
            advance_slot(self.control, slot, resume)
        goal = self._goal(resume)
        self._ship_histories(goal.moment)
        tally = self._drain(start, goal)
        self.uploader.cover(goal.moment)
        left = present(self.control).position - tally.end
        if tally.gap is not None:
            raise self._gap(tally.gap, self._cause(created, damaged=tally.gap_is_damage))
        if left > self.plan.max_lag_bytes:
            raise self._too_much(left)
        return self._summary(
            goal,
            tally,
            created=created,
            new_cluster=resume is None and self._is_new_cluster(),
            found=found,
            left=max(0, left),
            seconds=time.monotonic() - began,
        )

    def _check_past(self) -> None:
        """Let a source pass whose past is the one that the archive holds.

        Raises:
            DivergedTimelineError: it is an old primary, or a second one beside the one that was archived.
        """
        identifier, history = self.source.system_identifier, self.source.history
        newer = self.archive.newer_timeline(identifier, history.timeline)
        if newer is not None:
            raise DivergedTimelineError(
                f"The source writes timeline {history.timeline}; the archive already has timeline {newer}.",
                hint="The connection leads to an old primary. Point it at the one that was promoted.",
            )
        for timeline in history.timelines[1:]:
            try:
                known = self.archive.history(identifier, timeline)
            except HistoryMissingError:
                continue  # `_ship_histories` makes up for it
            if not history.extends(known):
                raise DivergedTimelineError(
                    f"The source's timeline {timeline} left its predecessor elsewhere than the archived one.",
                    hint="Two servers were promoted to the same timeline. Make the right one the source; a server"
                    " that was restored elsewhere ships under another policy.",
                )

    def _goal(self, resume: int | None) -> _Goal:
        """Complete the current segment, unless nothing has committed since the last run."""
        size = self.source.segment_bytes
        coverage = self.archive.coverage(self.source.system_identifier, self.source.timeline)
        now = present(self.control)
        if coverage is not None and resume is not None and _quiet(coverage, now, resume):
            moment = replace(now, position=parse_lsn(coverage.covered.position))
            return _Goal(moment, segment_floor(flushed(self.control), size), switched=False)
        return self._switch()

    def _switch(self) -> _Goal:
        moment = mark(self.control)
        end = segment_ceiling(switch_segment(self.control), self.source.segment_bytes)
        return _Goal(moment, end, switched=True)

    def _ship_histories(self, moment: Moment) -> None:
        for history, file in ancestors(self.source.history, self.source.history_file):
            try:
                self.archive.history_receipt(self.source.system_identifier, history.timeline)
            except HistoryMissingError:
                self.uploader.history(history, file, moment.clock)

    def _drain(self, start: int, goal: _Goal) -> _Tally:
        size = self.source.segment_bytes
        tally = _Tally(end=start)
        pending = deque(windows(self.source.history, start, goal.end, size))
        with wal_directory(size) as directory:
            drain = Drain(
                self.tools,
                self.conninfo,
                self.source,
                directory,
                self.lease.alive,
                skip_damaged=self.skip_damaged,
            )
            while pending:
                window = pending.popleft()
                drained = drain.fetch(window)
                whole = not pending and drained.lost is None
                self._archive(window, drained, goal.moment, tally, covers=whole)
                drain.clear()
                if drained.lost is not None:
                    pending = self._after_gap(drained.lost, goal, tally, damaged=drained.damaged)
        return tally

    def _after_gap(self, lost: str, goal: _Goal, tally: _Tally, *, damaged: bool) -> deque[Window]:
        """Go on with what the source still has: a new range, which is of use from the next backup on."""
        if tally.restarted:
            raise WalRemovedError(
                f"The source removed the WAL segment {lost} while it was being shipped.",
                hint="It writes faster than WAL is shipped, and max_slot_wal_keep_size is too small for that.",
            )
        size = self.source.segment_bytes
        begin = start_of(lost, size)
        slot, _ = ensure_slot(self.control, self.plan.slot)
        end = goal.end if goal.switched else self._switch().end
        tally.restarted = True
        tally.end = max(_restart(slot, self.source), begin + size if damaged else begin)
        tally.gap = lost if tally.end > begin else None
        tally.gap_is_damage = damaged
        return deque(windows(self.source.history, tally.end, end, size))

    def _archive(
        self, window: Window, drained: Drained, moment: Moment, tally: _Tally, *, covers: bool
    ) -> None:
        if not drained.paths:
            return
        self.progress("fetched", len(drained.paths))
        segments = self.uploader.upload(drained.paths)
        self.progress("uploaded", len(segments))
        self.lease.confirm()
        receipt = self.uploader.receipt(window.timeline, segments, moment if covers else None, moment.clock)
        self.progress("receipted", len(segments))
        slot = read_slot(self.control, self.plan.slot)
        if slot is not None and slot.usable:
            advance_slot(self.control, slot, receipt.end)
        self.progress("advanced", len(segments))
        tally.segments += segments
        tally.end = receipt.end

    def _is_new_cluster(self) -> bool:
        return any(known != self.source.system_identifier for known in self.archive.system_ids())

    def _put_back(self, position: int, archived: int) -> DivergedTimelineError:
        return DivergedTimelineError(
            f"The source's log stands at {format_lsn(position)}; the archive already holds it up to"
            f" {format_lsn(archived)}. The server was put back to an earlier state, as from a disk's snapshot.",
            hint="What it writes now is another log than the archived one. Give it a timeline of its own: stop it,"
            " create `standby.signal` in its data directory, start it, SELECT pg_promote(). Then take a backup.",
        )

    def _cause(self, slot_was_made: bool, *, damaged: bool) -> str:
        if damaged:
            return "it is damaged on the source, and was to be left out"
        lost = f"the slot {self.plan.slot} was gone, and " if slot_was_made else ""
        return f"{lost}the source has removed it"

    def _gap(self, missing: str, cause: str) -> GapError:
        return GapError(
            f"WAL of {self.plan.database} is missing from the segment {missing} on: {cause}."
            " What follows was shipped as a new range.",
            hint=f"Take a backup now (`strongroom backup run {self.plan.database}`): moments after the hole can be"
            " restored from that backup on. Find out why it is missing: a slot that somebody dropped, a"
            " max_slot_wal_keep_size that is too small, or a disk.",
            first_missing=missing,
        )

    def _too_much(self, left: int) -> SlotLagError:
        return SlotLagError(
            f"{left} bytes of WAL of {self.plan.database} still wait on the source;"
            f" the policy's limit is {self.plan.max_lag_bytes}.",
            hint=self._advice(),
        )

    def _advice(self) -> str:
        return (
            "Ship more often, or find what holds shipping up. If the source's disk is about to fill up, SELECT"
            f" pg_drop_replication_slot('{self.plan.slot}') frees it: then take a backup, since WAL will be missing."
        )

    def _mention_lag(self, error: StrongroomError) -> None:
        """Say in a failed run's error when the source's disk is filling up meanwhile."""
        if isinstance(error, SlotLagError):
            return
        try:
            slot = read_slot(self.control, self.plan.slot)
            if slot is None or slot.restart is None:
                return
            held = present(self.control).position - slot.restart
        except StrongroomError:
            return  # the source does not answer: what went wrong first is what counts
        if held > self.plan.max_lag_bytes:
            lag = f"The slot {self.plan.slot} holds back {held} bytes of WAL, more than the policy's limit."
            error.hint = " ".join(filter(None, [error.hint, lag, self._advice()]))

    def _summary(
        self,
        goal: _Goal,
        tally: _Tally,
        *,
        created: bool,
        new_cluster: bool,
        found: int,
        left: int,
        seconds: float,
    ) -> WalSummary:
        names = [item.name for item in tally.segments]
        return WalSummary(
            database=self.plan.database,
            system_identifier=self.source.system_identifier,
            timeline=self.source.timeline,
            segments=len(names),
            first_segment=names[0] if names else None,
            last_segment=names[-1] if names else None,
            plaintext_bytes=sum(item.plaintext_bytes for item in tally.segments),
            stored_bytes=sum(item.size_bytes for item in tally.segments),
            covered_until=goal.moment.clock,
            position=format_lsn(tally.end),
            switched=goal.switched,
            slot_created=created,
            new_cluster=new_cluster,
            leftovers_removed=self.uploader.leftovers_removed,
            lag_bytes_found=found,
            lag_bytes_left=left,
            warnings=tuple(self._warnings(found, new_cluster)),
            seconds=seconds,
        )

    def _warnings(self, found: int, new_cluster: bool) -> list[str]:
        said = []
        if new_cluster:
            said.append(
                f"This is another cluster than before ({self.source.system_identifier}): take a backup of it."
            )
        if found > self.plan.max_lag_bytes:
            said.append(f"{found} bytes of WAL waited on the source, more than the policy's limit.")
        return said


def _quiet(coverage: Coverage, now: Moment, resume: int) -> bool:
    return coverage.transactions == now.transactions and parse_lsn(coverage.covered.position) <= resume


def _restart(slot: SlotState, source: WalSource) -> int:
    """The start of the first segment that the slot keeps."""
    return segment_floor(slot.restart or 0, source.segment_bytes)

"""A sweep: every row of a table that is due moves into the archive, part after part.

    permission → attempt recorded → policy and database agree → lock on the source, lease in the bucket
    → parts of killed sweeps settled → partitions that are old as a whole → the months before the moment up to which
    rows are due → result recorded

A row is due from the first midnight (UTC) at which it is older than the rule. A sweep that dies anywhere leaves at
most one part unfinished, which the next one settles; what has moved has moved.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from strongroom.access import Actor, Permission, require
from strongroom.archive.columns import table_codec
from strongroom.archive.definitions import definitions_of
from strongroom.archive.errors import (
    NoArchiveRuleError,
    RowsChangedError,
    SweepBlockedError,
    SweepInProgressError,
)
from strongroom.archive.family import Bounds, Family, check_moment_type, family_of
from strongroom.archive.interface import Archiver, Held, MovedPart, SweepSummary
from strongroom.archive.manifest import PartSource, encoded_table
from strongroom.archive.marks import prepare_marks
from strongroom.archive.moving import Journey, NotWholeError, move
from strongroom.archive.partitions import OldPartition, old_partitions, rows_in
from strongroom.archive.people import person_columns
from strongroom.archive.periods import DuePeriod, due_periods, held_rows, split
from strongroom.archive.references import columns_of, foreign_keys, partitioned_tables, primary_key
from strongroom.archive.settling import Settled, finish, settle
from strongroom.archive.standing import Part
from strongroom.audit import AuditSink, EventType, Target
from strongroom.catalog import ArchiveSweepRecord, ArchiveSweepRepository
from strongroom.clock import Clock, timestamp
from strongroom.errors import AccessDeniedError, StrongroomError
from strongroom.lifetimes import Lease, LeaseHeldError
from strongroom.policy import Policy, split_table
from strongroom.postgres import Connection, LockHeldError, advisory_lock, connect, server_errors
from strongroom.recording import RunLog
from strongroom.rules.checking import require_agreement
from strongroom.signing import SignerKey
from strongroom.storage import ObjectStore
from strongroom.vault import Vault

if TYPE_CHECKING:
    from sqlalchemy import Engine

DEFAULT_PART_ROWS = 1_000_000
_LOCK_PATIENCE_SECONDS = 5.0
_TRIES = 3
_SOURCE = "SELECT system_identifier::text, current_database() FROM pg_catalog.pg_control_system()"


@dataclass(frozen=True)
class ArchiveParts:
    """What sweeps work with; the composition root gives it."""

    store: ObjectStore
    vault: Vault
    engine: Engine
    sink: AuditSink
    signer: SignerKey
    clock: Clock


class SealedArchiver(Archiver):
    """Moves rows into sealed Parquet files.

    Args:
        parts: what it works with.
        part_rows: about how many rows of a table one part may have; a partition that is dropped is always one part.
    """

    def __init__(self, parts: ArchiveParts, part_rows: int = DEFAULT_PART_ROWS) -> None:
        self._parts = parts
        self._part_rows = part_rows

    def sweep(
        self, actor: Actor, policy: Policy, conninfo: str, table: str, *, dry_run: bool = False
    ) -> SweepSummary:
        log = self._log(actor, policy, table)
        try:
            require(actor, Permission.SWEEP_ARCHIVE)
        except AccessDeniedError as error:
            details = {"permission": str(Permission.SWEEP_ARCHIVE)}
            log.emit(EventType.ACCESS_PERMISSION_REFUSE, "result", "denied", error=error, details=details)
            raise
        began = time.monotonic()
        log.emit(EventType.ARCHIVE_SWEEP_EXECUTE, "attempt", details={"dry_run": dry_run})
        try:
            with connect(conninfo, application_name="strongroom archive") as connection:
                summary = self._run(connection, log, policy, table, dry_run=dry_run)
        except BaseException as error:
            _record_failure(log, error)
            raise
        summary = replace(summary, seconds=time.monotonic() - began)
        self._record(log, summary)
        return summary

    def _log(self, actor: Actor, policy: Policy, table: str) -> RunLog:
        target = Target(
            "table",
            f"{policy.database}/{encoded_table(table)}" if table in policy.tables else policy.database,
        )
        parts = self._parts
        return RunLog(
            parts.engine, parts.sink, actor, policy.database, target, policy.sha256, uuid.uuid4().hex
        )

    def _run(
        self, connection: Connection, log: RunLog, policy: Policy, table: str, *, dry_run: bool
    ) -> SweepSummary:
        require_agreement(policy, connection)
        lease = self._lease(connection, policy, table)
        journey, due = self._journey(connection, log, policy, table, lease)
        if dry_run:
            return self._foreseen(connection, journey, due)
        with _exclusive(connection, table), _leased(lease, table):
            prepare_marks(connection)
            settled = settle(
                connection, self._parts.store, self._parts.signer, log, journey.source, policy.database, table
            )
            moved = [self._finished(connection, log, part) for part in self._moved(connection, journey, due)]
            held = held_rows(connection, journey.family, due)
        return _summary(journey, moved, held, settled)

    def _lease(self, connection: Connection, policy: Policy, table: str) -> Lease:
        """So that a copy of the source, swept into the same bucket, does not take away what is in the making."""
        source = _source(connection)
        place = f"{source.system_identifier}/{source.database}"
        purpose = f"archive.{encoded_table(table)}"
        return Lease(self._parts.store, self._parts.clock, policy.database, place, purpose=purpose)

    def _journey(
        self, connection: Connection, log: RunLog, policy: Policy, table: str, lease: Lease
    ) -> tuple[Journey, Bounds]:
        keys = {
            link.to: primary_key(connection, split_table(link.to))
            for entry in policy.tables.values()
            for link in entry.links
        }
        family = family_of(policy, table, foreign_keys(connection), keys, partitioned_tables(connection))
        kinds = [_moment_type(connection, family, number) for number in range(len(family.members))]
        now = min(_now(connection), self._parts.clock.now())
        cutoff = family.root.rule.older_than.before(now.replace(hour=0, minute=0, second=0, microsecond=0))
        due = Bounds(None, cutoff.strftime("%Y-%m-%d %H:%M:%S+00"), kinds[0])
        journey = Journey(
            actor=log.actor,
            policy=policy,
            family=family,
            codecs={
                member.policy_name: table_codec(connection, member.policy_name) for member in family.members
            },
            definitions=definitions_of(connection, family),
            people=person_columns(policy, family, keys),
            source=_source(connection),
            cutoff=cutoff,
            correlation_id=log.correlation_id,
            store=self._parts.store,
            vault=self._parts.vault,
            signer=self._parts.signer,
            confirm=lease.confirm,
        )
        return journey, due

    def _moved(self, connection: Connection, journey: Journey, due: Bounds) -> Iterator[Part]:
        """Move everything that is due; a part is given out when its rows have left."""
        for partition in old_partitions(connection, journey.family, due):
            try:
                part = _patiently(connection, journey, partition.period, partition.bounds, partition)
            except (NotWholeError, SweepBlockedError):
                continue  # row by row, what can leave leaves
            if part is not None:
                yield part
        for period in due_periods(connection, journey.family, due):
            yield from self._period(connection, journey, period)

    def _period(self, connection: Connection, journey: Journey, period: DuePeriod) -> Iterator[Part]:
        rest = period
        while True:
            bounds = split(connection, journey.family, rest, self._part_rows)
            part = _patiently(connection, journey, period.name, bounds)
            if part is not None:
                yield part
            if bounds.upper == period.bounds.upper:
                return
            rest = replace(rest, bounds=replace(period.bounds, lower=bounds.upper))

    def _finished(self, connection: Connection, log: RunLog, part: Part) -> MovedPart:
        finish(connection, self._parts.store, self._parts.signer, log, part)
        manifest = part.manifest
        return MovedPart(part.part_id, manifest.period, manifest.method, manifest.rows, manifest.size_bytes)

    def _foreseen(self, connection: Connection, journey: Journey, due: Bounds) -> SweepSummary:
        """What a sweep would move now."""
        whole = [
            partition
            for partition in old_partitions(connection, journey.family, due)
            if (rows := rows_in(connection, partition))
            and rows
            == sum(period.rows for period in due_periods(connection, journey.family, partition.bounds))
        ]
        parts = [
            MovedPart(None, partition.period, "partition", rows_in(connection, partition), 0)
            for partition in whole
        ]
        for period in due_periods(connection, journey.family, due):
            if not any(_within(connection, period, partition) for partition in whole):
                parts.append(MovedPart(None, period.name, "rows", period.rows, 0))
        held = held_rows(connection, journey.family, due)
        return replace(_summary(journey, parts, held, Settled(0, 0)), dry_run=True)

    def _record(self, log: RunLog, summary: SweepSummary) -> None:
        held = sum(item.rows for item in summary.held)
        counts = {
            "parts": len(summary.parts),
            "rows": summary.rows,
            "held_rows": held,
            "finished_parts": summary.finished_parts,
            "discarded_parts": summary.discarded_parts,
        }
        event = log.event(
            EventType.ARCHIVE_SWEEP_EXECUTE,
            "result",
            "success",
            counts=counts,
            details={"dry_run": summary.dry_run},
        )
        with log.transaction() as control:
            if not summary.dry_run:
                ArchiveSweepRepository().keep(
                    control,
                    ArchiveSweepRecord(
                        summary.database,
                        summary.table,
                        self._parts.clock.now(),
                        datetime.fromisoformat(summary.cutoff),
                        summary.rows,
                        held,
                    ),
                )
            log.sink.emit(control, event)


def archived_tables(policy: Policy) -> tuple[str, ...]:
    """The tables with an archive rule, those that others belong to first: the order in which to sweep them."""
    ruled = [name for name, table in policy.tables.items() if table.archive]
    depth = {name: _depth(policy, name, ruled) for name in ruled}
    return tuple(sorted(ruled, key=lambda name: (depth[name], name)))


def _depth(policy: Policy, name: str, ruled: Sequence[str], seen: frozenset[str] = frozenset()) -> int:
    above = [
        link.to
        for link in policy.tables[name].links
        if link.meaning == "owns" and link.to in ruled and link.to not in (name, *seen)
    ]
    return max((1 + _depth(policy, to, ruled, seen | {name}) for to in above), default=0)


def _patiently(
    connection: Connection,
    journey: Journey,
    period: str,
    bounds: Bounds,
    partition: OldPartition | None = None,
) -> Part | None:
    """Move a part, and try again with a new snapshot when somebody changed its rows or added to them meanwhile."""
    for left in range(_TRIES - 1, -1, -1):
        try:
            return move(connection, journey, period, bounds, partition)
        except (RowsChangedError, SweepBlockedError):
            if not left:
                raise
    return None


def _within(connection: Connection, period: DuePeriod, partition: OldPartition) -> bool:
    """Whether a month lies in a partition's range."""
    bounds = period.bounds
    with server_errors("The source database"):
        query = (
            "SELECT %(lower)s::timestamptz >= %(from)s::timestamptz"
            " AND %(upper)s::timestamptz <= %(to)s::timestamptz"
        )
        values = {
            "lower": bounds.lower or "-infinity",
            "from": partition.bounds.lower or "-infinity",
            "upper": bounds.upper,
            "to": partition.bounds.upper,
        }
        row = connection.execute(query, values).fetchone()
    return bool(row and row[0])


def _summary(
    journey: Journey, parts: Sequence[MovedPart], held: tuple[Held, ...], settled: Settled
) -> SweepSummary:
    return SweepSummary(
        database=journey.policy.database,
        table=journey.family.root.policy_name,
        cutoff=timestamp(journey.cutoff),
        parts=tuple(parts),
        held=held,
        finished_parts=settled.finished,
        discarded_parts=settled.discarded,
        dry_run=False,
        seconds=0.0,
    )


@contextmanager
def _exclusive(connection: Connection, table: str) -> Iterator[None]:
    """The source's advisory lock for the table, with a little patience for a killed sweep's session to end."""
    try:
        lock = advisory_lock(connection, f"archive {table}", patience_seconds=_LOCK_PATIENCE_SECONDS)
        lock.__enter__()
    except LockHeldError as error:
        raise SweepInProgressError(
            f"A sweep of {table} is in progress: another session holds the source's lock.",
            hint="Wait for it; pg_locks on the source shows who it is.",
        ) from error
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


@contextmanager
def _leased(lease: Lease, table: str) -> Iterator[None]:
    """The bucket's own lock: the source's says nothing about a sweep of another server."""
    try:
        lease.__enter__()
    except LeaseHeldError as error:
        raise SweepInProgressError(
            f"A sweep of {table} is in progress on another server. {error.message}", hint=error.hint
        ) from error
    try:
        yield
    finally:
        lease.__exit__(None, None, None)


def _record_failure(log: RunLog, error: BaseException) -> None:
    try:
        log.emit(EventType.ARCHIVE_SWEEP_EXECUTE, "result", "failure", error=error)
    except StrongroomError as unrecorded:
        error.add_note(f"This failure could not be recorded: {unrecorded.message}")


def _moment_type(connection: Connection, family: Family, number: int) -> str:
    member = family.members[number]
    columns = {column.name: column.base_type for column in columns_of(connection, member.name)}
    if not columns:
        raise NoArchiveRuleError(
            f"The database has no table {member.policy_name}.",
            hint="`strongroom policy check` compares the two.",
        )
    return check_moment_type(member, columns.get(member.rule.by))


def _now(connection: Connection) -> datetime:
    with server_errors("The source database"):
        row = connection.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
    return datetime.fromtimestamp(float(row[0]) if row else 0.0, UTC)


def _source(connection: Connection) -> PartSource:
    with server_errors("The source database"):
        row = connection.execute(_SOURCE).fetchone()
    return PartSource(*(row or ("0", "")))

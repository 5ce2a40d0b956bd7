"""One part of an archive: rows leave the database in one transaction, once they are known to be safe.

    BEGIN, repeatable read
      nobody can change the tables' definitions; they are what they were
      count what is due, and from when to when                       the snapshot is taken here
      rows → Parquet → sealed → bucket, a file for each table         read in that snapshot
      each file read back out of the bucket, opened, decoded, compared value by value
      DELETE the same rows, all tables in one statement               as many as were counted
      every deferred constraint is checked
      mark the part in strongroom.archived_part
      manifest.json → bucket, signed
    COMMIT                                                            the rows change sides here
    receipt.json → bucket, signed; catalogue and audit log; the mark is noted as recorded

**Exactly the rows that were read.** The deletion runs in the snapshot that was read. A row that somebody changed or
deleted meanwhile makes PostgreSQL refuse it (a repeatable-read transaction may not overwrite what it cannot see), and a
row that was added meanwhile is not seen and stays. Then all of it is undone and tried again from a new snapshot.

**Nothing that cannot be read.** A host that writes archives holds public keys only, so it could not open what it wrote.
Each file is therefore sealed for one more recipient, whose private half is made for that one file, stays in the
memory of this process, and is gone when the file has been read back (`Vault.store_proven`). What is compared
comes out of the bucket, not out of a buffer.

**All tables in one statement**, so that each condition is evaluated on the state before, in whatever order the tables
refer to one another.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
from psycopg import errors as pg_errors
from psycopg import sql

from strongroom import __version__
from strongroom.access import Actor
from strongroom.archive.columns import SourceCodec
from strongroom.archive.definitions import Definitions, check_definitions, hold_definitions
from strongroom.archive.errors import RowsChangedError, SweepBlockedError
from strongroom.archive.family import Bounds, Family, Member
from strongroom.archive.manifest import (
    PERSONS_KIND,
    PERSONS_NAME,
    ROWS_KIND,
    Method,
    PartColumn,
    PartManifest,
    PartObject,
    PartRule,
    PartSource,
    PartTable,
    part_prefix,
    rows_name,
)
from strongroom.archive.marks import mark
from strongroom.archive.partitions import OldPartition, can_be_dropped, drop, hold_writers, rows_in
from strongroom.archive.people import PersonColumn, people_in
from strongroom.archive.persons import person_index
from strongroom.archive.rowfiles import PlainFile, RowsFile
from strongroom.archive.rowsource import batches
from strongroom.archive.settling import remove_unfinished
from strongroom.archive.standing import Part
from strongroom.durations import Duration, DurationError
from strongroom.policy import Policy
from strongroom.postgres import Connection, server_errors
from strongroom.signing import SignerKey
from strongroom.storage import ObjectStore
from strongroom.vault import StoredObject, Vault

_FIRST_YEAR = datetime(1900, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Journey:
    """What all parts of one sweep have in common."""

    actor: Actor
    policy: Policy
    family: Family
    codecs: Mapping[str, SourceCodec]
    """By the members' names in the policy."""
    definitions: Definitions
    """Of the members, as they were when the sweep began."""
    people: list[PersonColumn]
    source: PartSource
    cutoff: datetime
    correlation_id: str
    store: ObjectStore
    vault: Vault
    signer: SignerKey
    confirm: Callable[[], None]
    """Raises when another sweep has taken over; asked before the manifest is written."""


@dataclass(frozen=True)
class _Measure:
    """How many rows of a table are to leave, and from when to when."""

    rows: int
    first: str | None
    last: str | None
    newest: datetime | None
    """The last as a moment; the calendar's last year where it is later, or infinitely late."""


class NotWholeError(Exception):
    """Rows of a partition have to stay, so that it cannot be dropped."""


def move(
    connection: Connection,
    journey: Journey,
    period: str,
    bounds: Bounds,
    partition: OldPartition | None = None,
) -> Part | None:
    """Move the rows within the bounds, or a whole partition.

    Args:
        connection: the session that holds the sweep's lock.
        journey: what it belongs to.
        period: what the part's period is called.
        bounds: the range of the root's column.
        partition: to be detached and dropped; its range is the bounds.

    Returns:
        The part, without a receipt; None when there was nothing to move.

    Raises:
        NotWholeError: some of the partition's rows have to stay.
        RowsChangedError: rows were changed meanwhile; nothing moved.
        SweepBlockedError: the database does not let the rows go; nothing moved.
        ReadBackError: what the bucket gave back is not what was read; nothing moved.
    """
    with _transaction(connection):
        with _refusals():
            if partition is not None:
                hold_writers(connection, partition)
            hold_definitions(connection, journey.family)
        check_definitions(connection, journey.family, journey.definitions)
        measures = {
            member: _measure(connection, journey, member, bounds) for member in journey.family.members
        }
        there = measures[journey.family.root].rows
        if partition is not None and rows_in(connection, partition) != there:
            raise NotWholeError
        if not there:
            return None
        part_id, moment = _new_id(connection)
        prefix = part_prefix(journey.policy.database, journey.family.root.policy_name, period, part_id)
        with _cleared_on_error(journey.store, prefix):
            tables = tuple(
                _store_rows(connection, journey, member, bounds, measure, prefix)
                for member, measure in measures.items()
                if measure.rows or member == journey.family.root
            )
            persons = _store_people(connection, journey, bounds, prefix)
            dropped = _leave(connection, journey.family, bounds, measures, partition)
            method: Method = "partition" if dropped else "rows"
            manifest = _manifest(journey, period, part_id, moment, tables, persons, measures, method)
            signed = manifest.sign(journey.signer)
            digest = hashlib.sha256(signed).hexdigest()
            with server_errors("The source database"):
                mark(connection, manifest, digest)
            journey.confirm()
            journey.store.put_bytes(manifest.key, signed)
    return Part(manifest, digest, None)


@contextmanager
def _transaction(connection: Connection) -> Iterator[None]:
    """A repeatable-read transaction, whose snapshot is taken by the first query after locks."""
    with server_errors("The source database"):
        connection.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ WRITE")
        connection.execute("SET LOCAL lock_timeout = '10s'")
    try:
        yield
        with _refusals(), server_errors("The source database"):
            connection.execute("COMMIT")
    except BaseException:
        if not connection.closed:
            try:
                connection.execute("ROLLBACK")
            except psycopg.Error:
                connection.close()
        raise


@contextmanager
def _cleared_on_error(store: ObjectStore, prefix: str) -> Iterator[None]:
    """Take away what was stored for a part that did not come to its manifest.

    What cannot be taken away now, the next sweep finds.
    """
    try:
        yield
    except Exception:
        remove_unfinished(store, prefix)
        raise


def _measure(connection: Connection, journey: Journey, member: Member, bounds: Bounds) -> _Measure:
    query = sql.SQL(
        "SELECT count(*), min({by})::text, max({by})::text, CASE WHEN max({by}) >= {end} THEN {end}"
        " WHEN max({by}) >= {first} THEN (max({by})::timestamptz AT TIME ZONE 'UTC')::text END"
        " FROM {table} WHERE {here}"
    ).format(
        by=member.rows.column(member.rule.by),
        first=sql.Literal("1900-01-01"),
        end=sql.Literal("9999-01-01"),
        table=member.rows.source,
        here=journey.family.selected(member, bounds),
    )
    with server_errors("The source database"):
        row = connection.execute(query).fetchone()
    rows, first, last, newest = row if row is not None else (0, None, None, None)
    return _Measure(rows, first, last, datetime.fromisoformat(newest).replace(tzinfo=UTC) if newest else None)


def _store_rows(
    connection: Connection, journey: Journey, member: Member, bounds: Bounds, measure: _Measure, prefix: str
) -> PartTable:
    """Read, store, read back and compare the rows of one table."""
    codec = journey.codecs[member.policy_name]
    name = rows_name(member.policy_name)
    file = RowsFile(codec.schema, f"The file {prefix}{name}")
    rows = batches(connection, codec, journey.family.selected(member, bounds))
    stored = _store(journey, prefix + name, ROWS_KIND, file.content(rows), file.prove)
    if file.rows != measure.rows:
        raise RowsChangedError(
            f"{member.policy_name}: {measure.rows} rows were counted and {file.rows} were read.",
            hint="Nothing was deleted. The next sweep tries again.",
        )
    return PartTable(
        table=member.policy_name,
        rows=measure.rows,
        by=member.rule.by,
        first=measure.first,
        last=measure.last,
        columns=tuple(PartColumn(column.name, column.type_name) for column in codec.columns),
        object=_object(name, stored),
    )


def _store_people(connection: Connection, journey: Journey, bounds: Bounds, prefix: str) -> PartObject | None:
    if not journey.people:
        return None
    file = PlainFile(f"The file {prefix}{PERSONS_NAME}")
    index = person_index(people_in(connection, journey.family, bounds, journey.people))
    stored = _store(journey, prefix + PERSONS_NAME, PERSONS_KIND, file.content(index), file.prove)
    return _object(PERSONS_NAME, stored)


def _store(
    journey: Journey, key: str, kind: str, content: Iterator[object], prove: Callable[..., None]
) -> StoredObject:
    return journey.vault.store_proven(
        journey.actor,
        key,
        content,  # type: ignore[arg-type]  # pieces of bytes
        kind=kind,
        prove=prove,
        database=journey.policy.database,
        recipients=tuple(journey.policy.backup.recipients),
        correlation_id=journey.correlation_id,
    )


def _leave(
    connection: Connection,
    family: Family,
    bounds: Bounds,
    measures: Mapping[Member, _Measure],
    partition: OldPartition | None,
) -> bool:
    """Delete the rows; of a whole partition, those of other tables, and then the partition, where that is possible.

    Returns:
        Whether a partition was dropped.
    """
    leaving = [member for member in family.members if measures[member].rows]
    with _refusals(), server_errors("The source database"):
        dropped = partition is not None and can_be_dropped(connection, family, partition)
        by_row = [member for member in leaving if not dropped or member != family.root]
        if by_row:
            deleted = connection.execute(_deletion(family, bounds, by_row)).fetchone() or ()
            expected = tuple(measures[member].rows for member in by_row)
            if tuple(deleted) != expected:
                raise SweepBlockedError(
                    f"Of {family.root.policy_name} and what goes with it, {sum(deleted)} rows were deleted where"
                    f" {sum(expected)} had been archived.",
                    hint="A trigger or a rule on one of the tables keeps rows. Nothing was deleted.",
                )
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        if partition is not None and dropped:
            drop(connection, family, partition)
    return dropped


def _deletion(family: Family, bounds: Bounds, members: list[Member]) -> sql.Composed:
    names = [sql.Identifier(f"deleted_{number}") for number in range(len(members))]
    parts = [
        sql.SQL("{} AS (DELETE FROM {} WHERE {} RETURNING 1)").format(
            name, member.rows.source, family.selected(member, bounds)
        )
        for name, member in zip(names, members, strict=True)
    ]
    counts = [sql.SQL("(SELECT count(*) FROM {})").format(name) for name in names]
    return sql.SQL("WITH {} SELECT {}").format(sql.SQL(", ").join(parts), sql.SQL(", ").join(counts))


@contextmanager
def _refusals() -> Iterator[None]:
    """Tell what the database refuses: rows that were changed meanwhile, and rows that something refers to."""
    try:
        yield
    except Exception as error:
        cause = error if isinstance(error, psycopg.Error) else error.__cause__
        if isinstance(cause, pg_errors.SerializationFailure | pg_errors.DeadlockDetected):
            raise RowsChangedError(
                "Rows were changed while they were being archived.",
                hint="They stay where they are. The next sweep tries again.",
            ) from error
        if isinstance(cause, pg_errors.LockNotAvailable):
            raise RowsChangedError(
                "Somebody else holds a lock on what was to be archived.",
                hint="pg_locks on the source shows who it is. The next sweep tries again.",
            ) from error
        if isinstance(cause, pg_errors.ForeignKeyViolation | pg_errors.RestrictViolation):
            diagnosis = cause.diag
            raise SweepBlockedError(
                f"{diagnosis.schema_name}.{diagnosis.table_name} refers to rows that were to be archived, by"
                f" {diagnosis.constraint_name}.",
                hint="They stay where they are. Give that table the same archive rule, or delete its rows first.",
            ) from error
        if isinstance(cause, pg_errors.DependentObjectsStillExist):
            raise SweepBlockedError(
                "A partition cannot be dropped, since a view or a function depends on it.",
                hint="Let it depend on the partitioned table instead.",
            ) from error
        raise


def _manifest(
    journey: Journey,
    period: str,
    part_id: str,
    moment: datetime,
    tables: tuple[PartTable, ...],
    persons: PartObject | None,
    measures: Mapping[Member, _Measure],
    method: Method,
) -> PartManifest:
    rule = journey.family.root.rule
    newest = max((measure.newest for measure in measures.values() if measure.newest), default=_FIRST_YEAR)
    return PartManifest(
        part_id=part_id,
        database=journey.policy.database,
        table=journey.family.root.policy_name,
        period=period,
        method=method,
        rule=PartRule(str(rule.older_than), rule.by, str(rule.keep), rule.purpose),
        policy_sha256=journey.policy.sha256,
        source=journey.source,
        cutoff=journey.cutoff,
        archived_at=moment,
        delete_after=_end(rule.keep, newest),
        tables=tables,
        persons=persons,
        software={"strongroom": __version__},
    )


def _end(keep: Duration, newest: datetime) -> datetime:
    """When rows are old enough; the calendar's end where that is beyond it."""
    try:
        return keep.after(newest)
    except DurationError:
        return datetime.max.replace(tzinfo=UTC)


def _object(name: str, stored: StoredObject) -> PartObject:
    return PartObject(name, stored.size_bytes, stored.sha256, stored.plaintext_bytes, stored.epoch_ids)


def _new_id(connection: Connection) -> tuple[str, datetime]:
    """A part's id and the moment in it, by the source's clock.

    After the second come its microseconds and three random digits, in hexadecimal: later parts sort later.
    """
    with server_errors("The source database"):
        row = connection.execute("SELECT extract(epoch FROM transaction_timestamp())").fetchone()
    moment = datetime.fromtimestamp(float(row[0]) if row else 0.0, UTC)
    return f"{moment:%Y%m%dT%H%M%SZ}-{moment.microsecond:05x}{secrets.randbelow(16**3):03x}", moment

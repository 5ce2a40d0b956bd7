"""Making the index again from the bucket, in one transaction: nobody ever sees half an index.

    1 the attempt is recorded      2 the published log's entries are taken back into the control database
    3 the bucket is listed         4 key records, manifests, proofs, WAL receipts and the log are read and indexed,
                                     and what each copy's own store holds; a copy that does not answer is told
    5 what has nothing behind it, or nothing that names it, is told      6 the result is recorded

A listing that fails, or a store that does not answer, undoes steps 3 to 6: half a listing is not a bucket.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from strongroom.access import Actor, Permission, require
from strongroom.audit import AuditSink, Event, EventType, Target
from strongroom.audit.recovery import PublishedGap, published_gap, recover_log
from strongroom.backup.indexing.copies import Copies, OpenCopy
from strongroom.backup.indexing.inventory import Inventory
from strongroom.backup.indexing.leftovers import find_lost, find_unfinished, find_unknown
from strongroom.backup.indexing.logged import LoggedObjects
from strongroom.backup.indexing.report import IndexReport, Problem
from strongroom.backup.indexing.scan import Scan
from strongroom.backup.indexing.sources import IndexSource, KeyRecords, Manifests, Proofs
from strongroom.backup.indexing.wal import WalReceipts
from strongroom.catalog import CatalogUnavailableError
from strongroom.clock import Clock
from strongroom.errors import AccessDeniedError, IntegrityError, StrongroomError
from strongroom.signing import VerifierKey
from strongroom.storage import ObjectStore

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


class CatalogKeeper(ABC):
    """Keeps the index equal to the bucket."""

    @abstractmethod
    def rebuild(self, actor: Actor, *, forget: bool = False) -> IndexReport:
        """Index everything in the bucket that can be believed. Doing it again changes nothing.

        Args:
            actor: who asks; needs `rebuild_catalog`.
            forget: also remove rows that nothing in the bucket stands behind.

        Returns:
            What was found, and what is wrong; what is wrong keeps nothing else from being indexed.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            LogForkedError: the control database holds another history than the published log.
            TransientError: the store or the control database failed. The index is as it was.
        """

    @abstractmethod
    def check(self, actor: Actor) -> IndexReport:
        """Compare the index with the bucket, and change nothing.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            TransientError: the store or the control database failed.
        """


@dataclass(frozen=True)
class CatalogParts:
    """What the keeper works with; the composition root gives it."""

    store: ObjectStore
    engine: Engine
    sink: AuditSink
    trusted: VerifierKey
    """Signed everything that is to be believed. No private key is needed."""
    clock: Clock
    copies: Mapping[str, OpenCopy] = field(default_factory=dict)
    """Opens each copy's store, by the copy's name."""


class CatalogRebuilder(CatalogKeeper):
    """Keeps the index in the control database."""

    def __init__(self, parts: CatalogParts) -> None:
        self._parts = parts

    def rebuild(self, actor: Actor, *, forget: bool = False) -> IndexReport:
        trail = _Trail(self._parts, actor, uuid.uuid4().hex)
        trail.authorise()
        trail.emit("attempt")
        try:
            gap, problem = self._recover()
            with _answering(), self._parts.engine.begin() as connection:
                report = self._scan(connection, gap, problem, forget=forget)
                trail.result(connection, report)
        except BaseException as error:
            trail.failure(error)
            raise
        return report

    def check(self, actor: Actor) -> IndexReport:
        _Trail(self._parts, actor, uuid.uuid4().hex).authorise()
        try:
            gap, problem = published_gap(self._parts.engine, self._parts.store, self._parts.trusted), None
        except IntegrityError as error:
            gap, problem = PublishedGap(0, 0), error
        with _answering(), self._parts.engine.connect() as connection:
            report = self._scan(connection, gap, problem, forget=False)
            connection.rollback()
        return report

    def _recover(self) -> tuple[PublishedGap, IntegrityError | None]:
        """Take the log back first. A broken log is told, and keeps no backup from being found."""
        parts = self._parts
        try:
            report = recover_log(parts.engine, parts.store, parts.trusted, parts.clock)
        except IntegrityError as error:
            return PublishedGap(0, 0), error
        return PublishedGap(report.size, report.recovered), None

    def _scan(
        self, connection: Connection, gap: PublishedGap, problem: IntegrityError | None, *, forget: bool
    ) -> IndexReport:
        inventory = Inventory.take(connection, self._parts.store)
        scan = Scan(connection, self._parts.store, self._parts.trusted, inventory)
        if problem is not None:
            scan.findings.add(Problem.NOT_BELIEVED, "log/checkpoint", problem.message)
        copies = Copies(self._parts.copies, forget=forget)
        for source in (*_sources(), copies):
            source.read(scan)
        find_unknown(scan)
        forgotten = find_lost(scan, forget=forget) + copies.forgotten
        return _report(scan, gap, forgotten)


@contextmanager
def _answering() -> Iterator[None]:
    """Say of a control database that went away that it did."""
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except OperationalError as error:
        raise CatalogUnavailableError(
            "The control database went away; its index is as it was.",
            hint="Is it running, and is `control_database` right? Then run the same command again.",
        ) from error


def _sources() -> Sequence[IndexSource]:
    keys = KeyRecords()
    manifests = Manifests(keys)
    return (keys, manifests, Proofs(manifests), WalReceipts(keys), LoggedObjects())


def _report(scan: Scan, gap: PublishedGap, forgotten: int) -> IndexReport:
    return IndexReport(
        backups=scan.backups,
        proofs=scan.proofs,
        objects=scan.objects,
        copies=scan.copies,
        epochs=scan.epochs,
        unfinished_backups=find_unfinished(scan),
        log_entries=gap.size,
        log_behind=gap.behind,
        forgotten=forgotten,
        findings=tuple(scan.findings.first),
        problems={str(problem): count for problem, count in scan.findings.counts.items()},
    )


@dataclass(frozen=True)
class _Trail:
    """The events of one rebuild."""

    parts: CatalogParts
    actor: Actor
    correlation_id: str

    def authorise(self) -> None:
        try:
            require(self.actor, Permission.REBUILD_CATALOG)
        except AccessDeniedError as error:
            with self.parts.engine.begin() as connection:
                self.parts.sink.emit(
                    connection,
                    Event(
                        type=EventType.ACCESS_PERMISSION_REFUSE,
                        phase="result",
                        outcome="denied",
                        actor=self.actor,
                        target=Target("catalog", "catalog"),
                        details={"permission": str(Permission.REBUILD_CATALOG)},
                        correlation_id=self.correlation_id,
                        error_class=type(error).__name__,
                    ),
                )
            raise

    def emit(self, phase: Any, outcome: Any = None, **members: Any) -> None:
        with _answering(), self.parts.engine.begin() as connection:
            self.parts.sink.emit(connection, self._event(phase, outcome, **members))

    def failure(self, error: BaseException) -> None:
        """The rebuild failed. When even that cannot be recorded, the error says so."""
        try:
            self.emit("result", "failure", error_class=type(error).__name__)
        except StrongroomError as unrecorded:
            error.add_note(f"This failure could not be recorded: {unrecorded.message}")

    def result(self, connection: Connection, report: IndexReport) -> None:
        """In the transaction that makes the index."""
        counts = {
            "backups": report.backups.found,
            "proofs": report.proofs.found,
            "objects": report.objects.found,
            "copies": report.copies.found,
            "rows_written": report.differences,
            "rows_forgotten": report.forgotten,
            "log_entries_recovered": report.log_behind,
            "findings": report.problem_count,
        }
        outcome = "partial" if report.problem_count else "success"
        event = self._event("result", outcome, counts=counts, details=report.problems)
        self.parts.sink.emit(connection, event)

    def _event(self, phase: Any, outcome: Any = None, **members: Any) -> Event:
        return Event(
            type=EventType.CATALOG_INDEX_REBUILD,
            phase=phase,
            outcome=outcome,
            actor=self.actor,
            target=Target("catalog", "catalog"),
            correlation_id=self.correlation_id,
            **members,
        )

"""Copying to further stores, from the permission to the record of what each holds.

    permission → attempt recorded → advisory lock → unfinished uploads removed → keys → backups, locked and
    recorded one by one → WAL → proofs → audit log → result recorded

A run that dies anywhere leaves whole objects, and documents only where everything they name is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from strongroom.access import Actor
from strongroom.audit import AuditSink
from strongroom.backup.continuous.layout import coverage_key
from strongroom.backup.copying.areas import Area, BackupsArea, KeysArea, WalArea, areas_of
from strongroom.backup.copying.errors import CopyIncompleteError
from strongroom.backup.copying.filling import AreaFiller, Filled, Problem
from strongroom.backup.copying.following import ShippedLog, prefixes_since
from strongroom.backup.copying.interface import (
    CopyPlan,
    CopyReport,
    CopyStatus,
    FollowReport,
    Progress,
    Replicator,
)
from strongroom.backup.copying.locks import exclusive, turn
from strongroom.backup.copying.log import copy_log
from strongroom.backup.copying.records import CopyRecorder, Tally
from strongroom.catalog import BackupRepository, CopyRepository
from strongroom.clock import Clock
from strongroom.errors import IntegrityError
from strongroom.signing import VerifierKey
from strongroom.storage import ObjectStore, Retention

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from strongroom.policy import Policy

_SHOWN_PROBLEMS = 5


@dataclass(frozen=True)
class CopyParts:
    """What copying works with; the composition root gives it."""

    store: ObjectStore
    copies: Callable[[str], ObjectStore]
    """Gives a copy's store by its name."""
    engine: Engine
    sink: AuditSink
    verifier_key: VerifierKey
    """Signs what is copied; nothing else is."""
    clock: Clock


class StoreReplicator(Replicator):
    """Copies from one object store to others."""

    def __init__(self, parts: CopyParts) -> None:
        self._parts = parts

    def run(
        self, actor: Actor, policy: Policy | CopyPlan, copy: str, *, progress: Progress | None = None
    ) -> CopyReport:
        plan = policy if isinstance(policy, CopyPlan) else CopyPlan.from_policy(policy)
        parts = self._parts
        recorder = CopyRecorder(parts.engine, parts.sink, parts.clock, actor, plan, copy)
        recorder.authorise()
        target = parts.copies(copy)
        recorder.attempt()
        tally = Tally()
        try:
            with exclusive(parts.engine, f"{copy}/{plan.database}"):
                report = _Run(parts, plan, copy, target, recorder, tally, progress or _silent).execute()
        except BaseException as error:
            recorder.failed(tally, error)
            raise
        recorder.finished(tally)
        if report.problems:
            raise _incomplete(report)
        return report

    def follow(
        self,
        actor: Actor,
        policy: Policy | CopyPlan,
        copy: str,
        log: ShippedLog,
        *,
        progress: Progress | None = None,
    ) -> FollowReport:
        plan = policy if isinstance(policy, CopyPlan) else CopyPlan.from_policy(policy)
        parts = self._parts
        recorder = CopyRecorder(parts.engine, parts.sink, parts.clock, actor, plan, copy, "wal")
        recorder.authorise()
        target = parts.copies(copy)
        recorder.attempt()
        tally = Tally()
        try:
            with exclusive(parts.engine, _log_of(plan, copy)):
                run = _Run(parts, plan, copy, target, recorder, tally, progress or _silent)
                report = run.follow(log)
        except BaseException as error:
            recorder.failed(tally, error)
            raise
        recorder.finished(tally)
        if report.problems:
            raise _incomplete(report)
        return report

    def status(self, database: str, copy: str) -> CopyStatus:
        url, copies = self._parts.copies(copy).url, CopyRepository()
        with self._parts.engine.connect() as connection:
            known = {record.backup_id for record in BackupRepository().list(connection, database)}
            held = [item for item in copies.backups(connection, database, copy) if item.backup_id in known]
            run = copies.last_run(connection, database, copy)
            proof = copies.last_proof(connection, database, copy)
        return CopyStatus(
            copy=copy,
            url=url,
            backups=len(known),
            complete=len(held),
            newest=held[-1].backup_id if held else None,
            locked_until=held[-1].locked_until if held else None,
            last_run=run.finished_at if run else None,
            outcome=run.outcome if run else None,
            problems=run.problems if run else 0,
            proof=proof.result if proof else None,
            proven_backup=proof.backup_id if proof else None,
        )


class _Run:
    """One run to one copy."""

    def __init__(
        self,
        parts: CopyParts,
        plan: CopyPlan,
        copy: str,
        target: ObjectStore,
        recorder: CopyRecorder,
        tally: Tally,
        progress: Progress,
    ) -> None:
        self._parts, self._plan, self._copy, self._target = parts, plan, copy, target
        self._recorder, self._tally = recorder, tally
        self._retention = self._lock()
        self._filler = AreaFiller(parts.store, target, parts.verifier_key, progress, self._retention)

    def execute(self) -> CopyReport:
        began = time.monotonic()
        held: tuple[str, ...] = ()
        new: tuple[str, ...] = ()
        for area in areas_of(self._plan.database, self._copy):
            with self._alone_with(area):
                self._target.abort_incomplete_uploads(area.prefix)
                filled = self._counted(self._filler.fill(area))
            if isinstance(area, BackupsArea):
                held = tuple(sorted(key.split("/")[2] for key in filled.complete))
                new = self._record_backups(area, set(held))
        self._copy_log()
        return CopyReport(
            copy=self._copy,
            database=self._plan.database,
            backups=held,
            new_backups=new,
            copied_objects=self._tally.copied_objects,
            copied_bytes=self._tally.copied_bytes,
            locked_until=self._retention.until if self._retention and new else None,
            problems=tuple(self._tally.problems),
            seconds=time.monotonic() - began,
        )

    def follow(self, log: ShippedLog) -> FollowReport:
        """Copy what was shipped since the last time."""
        began, database = time.monotonic(), self._plan.database
        self._counted(self._filler.fill(KeysArea()))
        area = WalArea(database)
        prefixes = prefixes_since(self._parts.store, self._target, self._parts.verifier_key, database, log)
        if prefixes is None:
            self._target.abort_incomplete_uploads(area.prefix)
            filled = self._filler.fill(area)
        else:
            changing = coverage_key(database, log.system_identifier, log.timeline)
            filled = self._filler.follow(area, prefixes, changing)
        self._counted(filled)
        return FollowReport(
            copy=self._copy,
            database=database,
            compared="all" if prefixes is None else "new",
            copied_objects=self._tally.copied_objects,
            copied_bytes=self._tally.copied_bytes,
            problems=tuple(self._tally.problems),
            seconds=time.monotonic() - began,
        )

    def _alone_with(self, area: Area) -> AbstractContextManager[None]:
        """The log is also copied by runs that follow it; a run over everything waits for one of those to end."""
        if isinstance(area, WalArea):
            return turn(self._parts.engine, _log_of(self._plan, self._copy))
        return nullcontext()

    def _counted(self, filled: Filled) -> Filled:
        self._tally.copied_objects += filled.copied_objects
        self._tally.copied_bytes += filled.copied_bytes
        self._tally.problems += filled.problems
        return filled

    def _record_backups(self, area: Area, held: set[str]) -> tuple[str, ...]:
        """Lock and record the backups that are new in the copy, and forget those that it lost."""
        known = self._recorder.known()
        new = tuple(sorted(held - known))
        for backup_id in new:
            until = self._lock_backup(f"{area.prefix}{backup_id}/")
            self._recorder.holds(backup_id, until)
        self._recorder.forget(known - held)
        return new

    def _lock_backup(self, prefix: str) -> datetime | None:
        if self._retention is None:
            return None
        for info in list(self._target.list(prefix)):
            self._target.extend_retention(info.key, self._retention)
        return self._retention.until

    def _lock(self) -> Retention | None:
        plan = self._plan
        if plan.lock_mode is None or not self._target.capabilities().object_lock:
            return None
        until = self._parts.clock.now() + timedelta(days=plan.lock_days)
        return Retention(plan.lock_mode, until.replace(microsecond=0))

    def _copy_log(self) -> None:
        """All databases share the log, so one run at a time copies it."""
        with turn(self._parts.engine, f"{self._copy}/log"):
            try:
                written = copy_log(self._parts.store, self._target, self._parts.verifier_key)
            except IntegrityError as error:
                self._tally.problems.append(Problem("log/checkpoint", error.message))
                return
        self._tally.copied_objects += written


def _log_of(plan: CopyPlan, copy: str) -> str:
    return f"{copy}/{plan.database}/wal"


def _incomplete(report: CopyReport | FollowReport) -> CopyIncompleteError:
    shown = "\n".join(f"  {problem.message}" for problem in report.problems[:_SHOWN_PROBLEMS])
    more = len(report.problems) - _SHOWN_PROBLEMS
    return CopyIncompleteError(
        f"{len(report.problems)} things of {report.database} could not be copied to {report.copy}:\n{shown}"
        + (f"\n  and {more} more" if more > 0 else ""),
        hint="Everything else was copied. Verify the backups that are named, and take a new one.",
    )


def _silent(key: str, size_bytes: int) -> None:
    """Tell nobody."""

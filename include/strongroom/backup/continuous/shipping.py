"""Shipping the WAL of a database: one run at a time, recorded, and each able to go on where the last one stopped."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from strongroom.access import Actor, Permission, require
from strongroom.backup.continuous.archive import WalArchive
from strongroom.backup.continuous.draining import Tools
from strongroom.backup.continuous.errors import ShippingInProgressError
from strongroom.backup.continuous.layout import wal_prefix
from strongroom.backup.continuous.plan import WalPlan, WalSummary
from strongroom.backup.continuous.recording import WalRecorder
from strongroom.backup.continuous.records import record_reader
from strongroom.backup.continuous.run import Progress, ShippingRun
from strongroom.backup.continuous.slots import drop_slot
from strongroom.backup.continuous.source import WalSource, check_wal_source
from strongroom.backup.continuous.uploading import Uploader
from strongroom.backup.errors import BackupInProgressError, SourceNotReadyError
from strongroom.backup.lease import Lease
from strongroom.backup.wal import remove_stale_wal
from strongroom.clock import Clock
from strongroom.errors import AccessDeniedError
from strongroom.postgres import Connection, LockHeldError, advisory_lock, connect, find_binaries
from strongroom.storage import ObjectStore
from strongroom.vault import Vault

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from strongroom.audit import AuditSink
    from strongroom.policy import Policy
    from strongroom.signing import SignerKey

_LOCK = "wal"
_LOCK_PATIENCE_SECONDS = 3.0


@dataclass(frozen=True)
class WalParts:
    """What shipping works with; the composition root gives it."""

    store: ObjectStore
    vault: Vault
    engine: Engine
    sink: AuditSink
    signer: SignerKey
    clock: Clock
    """For the lease alone: times in the archive are the source's."""
    postgres_directories: Sequence[Path] = ()


class WalShipper(ABC):
    """Moves a database's WAL from its server into the archive."""

    @abstractmethod
    def ship(
        self,
        actor: Actor,
        policy: Policy | WalPlan,
        conninfo: str,
        *,
        progress: Progress | None = None,
        skip_damaged: str | None = None,
    ) -> WalSummary:
        """Ship everything that was committed up to now.

        Args:
            actor: who asks; needs `ship_wal` and `store_object`.
            policy: the database's policy, or the part of it that matters here.
            conninfo: of the source.
            progress: called after each step with its name and a number of segments.
            skip_damaged: the name of a segment that is left out, if it is damaged on the source: the archive goes
                on after it, and the run ends with the gap.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            ShippingInProgressError: another run ships this database's WAL now.
            SourceNotReadyError, MissingPrivilegeError: the hint says what to change.
            GapError: WAL is missing; the hint says what to do.
            SlotLagError: too much still waits on the source.
            DivergedTimelineError: the source's past is not the archive's.
            SegmentError: a segment is damaged, or another cluster's.
            TransientError: source, bucket or control database failed; the next run goes on from there.
        """

    @abstractmethod
    def stop(self, actor: Actor, plan: WalPlan, conninfo: str) -> bool:
        """Let the source remove its WAL again: what is not shipped by then never will be.

        Args:
            actor: who asks; needs `ship_wal`.
            plan: names the slot.
            conninfo: of the source.

        Returns:
            Whether there was a slot.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            ShippingInProgressError: a run ships this database's WAL now.
            SlotInUseError, SlotUnusableError: the slot is not ours to drop.
        """


class SlotWalShipper(WalShipper):
    """Ships from a physical replication slot, with `pg_receivewal`."""

    def __init__(self, parts: WalParts) -> None:
        self._parts = parts

    def ship(
        self,
        actor: Actor,
        policy: Policy | WalPlan,
        conninfo: str,
        *,
        progress: Progress | None = None,
        skip_damaged: str | None = None,
    ) -> WalSummary:
        plan = policy if isinstance(policy, WalPlan) else WalPlan.from_policy(policy)
        recorder = self._authorised(actor, plan)
        recorder.attempt()
        try:
            summary = self._locked_run(recorder, conninfo, progress or _silent, skip_damaged)
        except BaseException as error:
            recorder.failure(error)
            raise
        recorder.success(summary)
        return summary

    def stop(self, actor: Actor, plan: WalPlan, conninfo: str) -> bool:
        recorder = self._authorised(actor, plan)
        recorder.dropping_slot(plan.slot)
        try:
            with ExitStack() as stack:
                control = stack.enter_context(connect(conninfo, application_name="strongroom wal"))
                _exclude_others(stack, control)
                dropped = drop_slot(control, plan.slot)
        except BaseException as error:
            recorder.dropped_slot(plan.slot, error)
            raise
        recorder.dropped_slot(plan.slot)
        return dropped

    def _authorised(self, actor: Actor, plan: WalPlan) -> WalRecorder:
        recorder = WalRecorder.of(self._parts.engine, self._parts.sink, actor, plan, uuid.uuid4().hex)
        try:
            require(actor, Permission.SHIP_WAL)
        except AccessDeniedError as error:
            recorder.refused(error)
            raise
        return recorder

    def _locked_run(
        self, recorder: WalRecorder, conninfo: str, progress: Progress, skip_damaged: str | None
    ) -> WalSummary:
        store, signer = self._parts.store, self._parts.signer
        actor, plan = recorder.log.actor, recorder.plan
        with ExitStack() as stack:
            control = stack.enter_context(connect(conninfo, application_name="strongroom wal"))
            _exclude_others(stack, control)
            source = check_wal_source(control, conninfo)
            lease = self._lease(stack, plan, source, control)
            remove_stale_wal()
            store.abort_incomplete_uploads(wal_prefix(plan.database, source.system_identifier))
            run = ShippingRun(
                plan=plan,
                control=control,
                conninfo=conninfo,
                source=source,
                archive=WalArchive(store, plan.database, signer.verifier),
                uploader=Uploader(
                    store, self._parts.vault, signer, actor, plan, source, recorder, lease.fencing_number
                ),
                lease=lease,
                tools=self._tools(source),
                progress=progress,
                skip_damaged=skip_damaged,
            )
            return run.ship()

    def _lease(self, stack: ExitStack, plan: WalPlan, source: WalSource, control: Connection) -> Lease:
        place = f"{source.system_identifier}/{control.info.dbname}"
        lease = Lease(self._parts.store, self._parts.clock, plan.database, place, purpose="wal")
        try:
            return stack.enter_context(lease)
        except BackupInProgressError as error:
            raise _in_progress(error) from error

    def _tools(self, source: WalSource) -> Tools:
        """A `pg_receivewal` at least as new as the server, since older ones refuse it, and a reader of records."""
        search = tuple(self._parts.postgres_directories)
        newest = find_binaries(None, search)
        if newest.major < source.major:
            raise SourceNotReadyError(
                f"The source is PostgreSQL {source.version}; the programs here are of {newest.version}.",
                hint="Install the newer client programs, or name them in `postgres_directories`.",
            )
        return Tools(newest.tool("pg_receivewal"), record_reader(source.major, search))


def _exclude_others(stack: ExitStack, control: Connection) -> None:
    """Take the source's advisory lock, with a little patience for a killed run's session to end."""
    try:
        stack.enter_context(advisory_lock(control, _LOCK, patience_seconds=_LOCK_PATIENCE_SECONDS))
    except LockHeldError as error:
        raise _in_progress(error) from error


def _in_progress(error: LockHeldError | BackupInProgressError) -> ShippingInProgressError:
    return ShippingInProgressError(
        "The WAL of this database is being shipped by another run.",
        hint=f"Wait for it; pg_locks on the source shows who it is. ({error.message})",
    )


def _silent(stage: str, count: int) -> None:
    """Tell nobody."""

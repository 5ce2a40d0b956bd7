"""Bringing clusters back: plan first, then exactly that plan.

    plan = service.plan(actor, RestoreRequest("shop", RestoreTarget.at_time("2026-11-24T22:10:05Z"), directory))
    plan.sha256                     what a second person approves
    service.run(actor, plan, plan.sha256)

`plan.document()` is JSON that a task can hand to another one (references and sizes only); `parse_plan` reads it. A
plan stays executable while the archive grows: its target is explicit, and its hash covers nothing that moves.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from strongroom.access import Actor
from strongroom.backup.continuous.layout import wal_prefix
from strongroom.backup.continuous.segments import start_of
from strongroom.backup.restoring.copied import copies_used
from strongroom.backup.restoring.errors import NotEnoughRoomError, TargetError
from strongroom.backup.restoring.facts import RestoreFacts, gather
from strongroom.backup.restoring.objects import BackupObjects, SoundObjects, from_any_copy
from strongroom.backup.restoring.place import check_place, place_for
from strongroom.backup.restoring.plan import Estimate, RestorePlan, human_plan
from strongroom.backup.restoring.planning import make_plan
from strongroom.backup.restoring.report import RestoreReport
from strongroom.backup.restoring.request import RestoreRequest
from strongroom.backup.restoring.runner import Progress, RestoreSources, run_plan
from strongroom.backup.restoring.sourcing import SourceParts, epochs_of, sources_of
from strongroom.backup.restoring.trail import RestoreTrail
from strongroom.clock import Clock
from strongroom.lifetimes import LogFrom, Readers, reading
from strongroom.postgres import Cluster, find_binaries, free_bytes
from strongroom.storage import Expected, FallbackStore, ObjectStore
from strongroom.vault import NoPrivateKeyError, Vault, accepted_forms

if TYPE_CHECKING:
    from strongroom.audit import EventRecorder
    from strongroom.sealing import KeyProvider, KeyRing
    from strongroom.signing import VerifierKey


@dataclass(frozen=True)
class RestoreParts:
    """What restores work with; the composition root gives it."""

    store: ObjectStore
    verifier: VerifierKey
    """Manifests, proofs and receipts must be signed with it."""
    keyring: KeyRing
    provider: KeyProvider | None
    """Opens private halves; a host without one can plan, and is told that it cannot restore."""
    clock: Clock
    vault: Vault
    events: EventRecorder
    """Takes the events: the control database's queue, or a journal where there is none."""
    postgres_directories: Sequence[Path] = ()
    readers: Readers | None = None
    """Keeps purges away from what is restored; None where nothing purges."""


@dataclass(frozen=True)
class PlannedRestore:
    """A plan with what is known besides."""

    plan: RestorePlan
    estimate: Estimate

    def lines(self) -> list[str]:
        """Both as a person reads them."""
        return human_plan(self.plan, self.estimate)


class RestoreService(ABC):
    """Brings clusters back from the bucket."""

    @abstractmethod
    def plan(self, actor: Actor, request: RestoreRequest) -> PlannedRestore:
        """Decide what a restore would do. It is recorded, and nothing else is written.

        Args:
            actor: who asks; needs `restore_backup`.
            request: what is wanted.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            TargetError: the target cannot be reached: too early, too late, on another timeline.
            WalGapError: log on the way there is missing; the message names the first segment.
            HistoryMissingError: nobody knows how the log came to the timeline.
            BackupMissingError: there is no such backup, or none at all.
            DirectoryInUseError, NotEnoughRoomError, SocketPathTooLongError: the directory will not do.
            NoPrivateKeyError, KeyUnwrapError: this host cannot open what the plan needs.
            NoSuchServerVersionError: the server's major version is not installed here.
            StoreUnavailableError: the bucket does not answer.
        """

    @abstractmethod
    def run(
        self, actor: Actor, plan: RestorePlan, plan_sha256: str, *, progress: Progress | None = None
    ) -> RestoreReport:
        """Execute a plan that was approved, to the letter.

        Args:
            actor: who asks; needs `restore_backup` and `open_object`.
            plan: as `plan` made it.
            plan_sha256: the hash that was approved.
            progress: told a stage (`unpack`, `log`), how much of it is done, and how much it is in all.

        Returns:
            What came of it: the target was reached, and the cluster is where the plan says.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            PlanChangedError: the hash is another plan's, or what the plan rests on has changed.
            DirectoryInUseError, NotEnoughRoomError, DiskFullError: the directory will not do, or no longer does.
            IntegrityError: something stored is not what it was, or the target was not reached; what was written
                is marked, and called `data.failed`.
            TransientError: the bucket or the control database went away; the same call can be made again.
        """


class PhysicalRestoreService(RestoreService):
    """Restores physical backups and the archived log after them.

    Args:
        parts: what it works with.
        objects: where backups' objects come from, by actor; the vault without it.
    """

    def __init__(
        self, parts: RestoreParts, *, objects: Callable[[Actor], BackupObjects] | None = None
    ) -> None:
        self._parts = parts
        self._objects = objects or self._vault_objects

    def plan(self, actor: Actor, request: RestoreRequest) -> PlannedRestore:
        trail = self._trail(actor, request.database)
        trail.authorise()
        if request.start and request.then == "shutdown":
            raise TargetError("A server that is to be left stopped in recovery cannot be left running too.")
        facts = gather(
            self._parts.store, request.database, self._parts.verifier, with_log=_needs_log(request)
        )
        plan, estimate = make_plan(request, facts)
        self._check_keys(plan, facts)
        place = place_for(request.directory)
        binaries = find_binaries(plan.server.major, self._parts.postgres_directories)
        Cluster(
            place.data, binaries, socket_dir=place.sockets, log_path=place.log
        )  # its paths are not too long
        estimate = replace(estimate, available_bytes=_check_room(plan))
        trail.planned(plan)
        return PlannedRestore(plan, estimate)

    def run(
        self, actor: Actor, plan: RestorePlan, plan_sha256: str, *, progress: Progress | None = None
    ) -> RestoreReport:
        trail = self._trail(actor, plan.database)
        trail.authorise()
        plan.require(plan_sha256)
        trail.attempt(plan)
        try:
            report = self._run(actor, plan, trail.correlation_id, progress)
        except BaseException as error:
            trail.failure(plan, error)
            raise
        trail.success(plan, report)
        return report

    def _run(
        self, actor: Actor, plan: RestorePlan, correlation_id: str, progress: Progress | None
    ) -> RestoreReport:
        with copies_used(self._parts.store) as from_copies, self._reading(plan):
            with_log = plan.log.archived > 0 or plan.history is not None
            facts = gather(self._parts.store, plan.database, self._parts.verifier, with_log=with_log)
            self._check_keys(plan, facts)
            _check_room(plan)
            parts = SourceParts(
                self._parts.store,
                self._parts.verifier,
                self._parts.vault,
                self._objects(actor),
                self._parts.clock,
                self._parts.postgres_directories,
            )
            with sources_of(actor, plan, facts, parts, correlation_id) as sources:
                sources = replace(sources, from_copies=from_copies, progress=progress or sources.progress)
                self._expect(plan.database, sources)
                return from_any_copy(run_plan)(plan, place_for(Path(plan.directory)), sources)

    def _reading(self, plan: RestorePlan) -> AbstractContextManager[None]:
        """Keep purges away from the plan's backups and log."""
        log = None
        if plan.log.archived > 0:
            log = LogFrom(plan.server.system_identifier, start_of(plan.log.first, plan.server.segment_bytes))
        items = [f"backup/{backup.id}" for backup in plan.backups]
        return reading(self._parts.readers, plan.database, "restore", items, log)

    def _expect(self, database: str, sources: RestoreSources) -> None:
        """The log's segments are small: they are checked before they are handed out."""
        store = self._parts.store
        if isinstance(store, FallbackStore):
            rewrapped = self._parts.keyring.rewraps.below(wal_prefix(database))
            store.expect(
                Expected(
                    one.key, one.size_bytes, one.sha256, accepted_forms(one.stored(), rewrapped.get(one.key))
                )
                for one in sources.segments
            )

    def _vault_objects(self, actor: Actor) -> BackupObjects:
        return SoundObjects(self._parts.store, self._parts.vault, actor)

    def _trail(self, actor: Actor, database: str) -> RestoreTrail:
        return RestoreTrail(self._parts.events, actor, database, uuid.uuid4().hex)

    def _check_keys(self, plan: RestorePlan, facts: RestoreFacts) -> None:
        """Each object that will be opened is sealed to an epoch whose private half opens here.

        Raises:
            NoPrivateKeyError: it is not.
            KeyUnwrapError: the key that this host has is another one.
        """
        provider = self._parts.provider
        if provider is None:
            raise NoPrivateKeyError(
                "This host cannot restore: it holds public keys only.",
                hint="Restore where `keys` is set: the restore and verification workers.",
            )
        for epoch_ids in sorted(epochs_of(plan, facts)):
            if not self._parts.keyring.openers(provider, epoch_ids):
                raise NoPrivateKeyError(
                    f"Nothing here opens what is sealed to {', '.join(epoch_ids)} alone.",
                    hint="Use a host whose `keys` hold the private half, or the escrow key with `age -d`.",
                )


def _needs_log(request: RestoreRequest) -> bool:
    """A backup's own restore point needs nothing of the archive, and so nothing wrong there can be in the way."""
    return request.target.kind != "backup"


def _check_room(plan: RestorePlan) -> int:
    """How much room the plan's directory has, when that is enough.

    Raises:
        DirectoryInUseError: it is not free.
        NotEnoughRoomError: it is not enough; the message has both numbers.
    """
    place = place_for(Path(plan.directory))
    remains = check_place(place, plan.database, plan.requested)
    available = free_bytes(_existing(place.directory)) + remains
    if available < plan.needed_bytes:
        raise NotEnoughRoomError(
            f"The disk of {place.directory} has {available / 1e6:,.0f} MB free; the restore needs"
            f" {plan.needed_bytes / 1e6:,.0f} MB.",
            hint="Free some room, or name a directory on a larger disk with --into.",
        )
    return available


def _existing(directory: Path) -> Path:
    return directory if directory.is_dir() else _existing(directory.parent)

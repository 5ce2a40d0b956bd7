"""What a purge records: its events, and the index in the same transaction as the event that something is gone."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from strongroom.access import Actor, Permission, require
from strongroom.audit import AuditSink, EventType, Target
from strongroom.catalog import (
    ArchivePartRepository,
    BackupRepository,
    CopyRepository,
    ObjectRepository,
    PlanRecord,
    PlanRepository,
    ProofRepository,
)
from strongroom.clock import Clock
from strongroom.durations import Duration
from strongroom.errors import AccessDeniedError, StrongroomError
from strongroom.lifetimes import Kind
from strongroom.recording import RunLog
from strongroom.retention.facts import STORE
from strongroom.retention.marks import DeletedItem, marks_key
from strongroom.retention.purge import Purge
from strongroom.retention.values import Action, Plan

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_PLANS_KEPT = Duration(days=60)


@dataclass
class Done:
    """What a group's deletion came to."""

    items: Sequence[DeletedItem] = ()
    objects: int = 0
    size_bytes: int = 0


@dataclass(frozen=True)
class PurgeTrail:
    """The events of one run over one database."""

    engine: Engine
    sink: AuditSink
    clock: Clock
    actor: Actor
    database: str
    policy_sha256: str
    correlation_id: str
    plan_sha256: str | None = None
    _log: RunLog = field(init=False)

    def __post_init__(self) -> None:
        target = Target("retention", marks_key(self.database, STORE))
        log = RunLog(
            self.engine,
            self.sink,
            self.actor,
            self.database,
            target,
            self.policy_sha256,
            self.correlation_id,
        )
        object.__setattr__(self, "_log", log)

    def authorise(self, permission: Permission) -> None:
        """Let a permitted actor pass; a refusal is recorded.

        Raises:
            AccessDeniedError: the actor may not.
        """
        try:
            require(self.actor, permission)
        except AccessDeniedError as error:
            details = {"permission": str(permission)}
            self._log.emit(
                EventType.ACCESS_PERMISSION_REFUSE, "result", "denied", error=error, details=details
            )
            raise

    def planned(self, purge: Purge) -> None:
        """A plan was made: it is kept for whoever approves it or carries it out, and older ones are forgotten."""
        record = PlanRecord(
            purge.sha256, purge.database, purge.made_at, purge.needs_approval, purge.compressed()
        )
        plans = PlanRepository()
        with self._log.transaction() as connection:
            plans.forget(connection, purge.database, _PLANS_KEPT.before(self.clock.now()))
            plans.add(connection, record)
            self._emit(
                connection,
                EventType.RETENTION_PLAN_MAKE,
                "result",
                "success",
                counts=_counts(purge.plans),
                hashes={"plan_sha256": purge.sha256},
                details={"needs_approval": purge.needs_approval},
            )

    def attempt(self, purge: Purge) -> None:
        """The plan is about to be carried out."""
        self._run("attempt", purge)

    def success(self, purge: Purge, counts: Counter[str]) -> None:
        """It was carried out."""
        with self._log.transaction() as connection:
            PlanRepository().applied(connection, purge.sha256, self.clock.now())
            outcome = "partial" if counts["spared"] else "success"
            self._emit(
                connection,
                EventType.RETENTION_RUN_EXECUTE,
                "result",
                outcome,
                counts=dict(counts),
                hashes={"plan_sha256": purge.sha256},
            )

    def failure(self, purge: Purge, error: BaseException) -> None:
        """It failed. When even that cannot be recorded, the error says so."""
        try:
            hashes = {"plan_sha256": purge.sha256}
            self._log.emit(EventType.RETENTION_RUN_EXECUTE, "result", "failure", error=error, hashes=hashes)
        except StrongroomError as unrecorded:
            error.add_note(f"This failure could not be recorded: {unrecorded.message}")

    def marking(self, place: str, marked: Sequence[str], unmarked: Sequence[str], phase: Any) -> None:
        """What is marked, and what is kept after all."""
        outcome = None if phase == "attempt" else "success"
        self._log.emit(
            EventType.RETENTION_ITEM_MARK,
            phase,
            outcome,
            target=Target("retention", marks_key(self.database, place)),
            counts={"marked": len(marked), "unmarked": len(unmarked)},
            hashes={"items_sha256": _sha256(marked)},
            details={"place": place},
        )

    def locks(self, place: str, items: Sequence[str], phase: Any) -> None:
        """Whose locks last longer."""
        self._log.emit(
            EventType.RETENTION_LOCK_EXTEND,
            phase,
            None if phase == "attempt" else "success",
            counts={"items": len(items)},
            hashes={"items_sha256": _sha256(items)},
            details={"place": place},
        )

    @contextmanager
    def deletion(self, place: str, folder: str, group: Sequence[DeletedItem]) -> Iterator[Done]:
        """The deletion of some items below one folder: the attempt before it, and the result with the index after."""
        target = Target("folder", folder)
        members: dict[str, Any] = {
            "target": target,
            "hashes": {"items_sha256": _sha256(one.id for one in group)},
            "details": {"place": place, "kind": str(group[0].kind)},
        }
        counts = {"items": len(group), "objects": sum(len(one.keys) for one in group)}
        self._log.emit(EventType.RETENTION_ITEM_DELETE, "attempt", counts=counts, **members)
        done = Done()
        try:
            yield done
        except BaseException as error:
            try:
                self._log.emit(EventType.RETENTION_ITEM_DELETE, "result", "failure", error=error, **members)
            except StrongroomError as unrecorded:
                error.add_note(f"This failure could not be recorded: {unrecorded.message}")
            raise
        with self._log.transaction() as connection:
            for one in done.items:
                forget(connection, place, one)
            counts = {
                "items": len(done.items),
                "objects": done.objects,
                "removed_bytes": done.size_bytes,
            }
            outcome = "success" if len(done.items) == len(group) else "partial"
            self._emit(
                connection,
                EventType.RETENTION_ITEM_DELETE,
                "result",
                outcome,
                **{**members, "counts": counts},
            )

    def _run(self, phase: str, purge: Purge) -> None:
        self._log.emit(
            EventType.RETENTION_RUN_EXECUTE,
            phase,
            counts=_counts(purge.plans),
            hashes={"plan_sha256": purge.sha256},
        )

    def _emit(
        self, connection: Connection, kind: EventType, phase: Any, outcome: Any, **members: Any
    ) -> None:
        self.sink.emit(connection, self._log.event(kind, phase, outcome, **members))


def forget(connection: Connection, place: str, one: DeletedItem) -> None:
    """Take what is gone out of the index."""
    name = one.id.split("/", 1)[-1]
    if place != STORE:
        if one.kind is Kind.BACKUP:
            CopyRepository().forget_backups(connection, place, {name})
        return
    if one.kind is Kind.BACKUP:
        BackupRepository().remove(connection, name)
    for key in one.keys:
        ObjectRepository().remove(connection, key)
        if one.kind is Kind.PROOF:
            ProofRepository().remove(connection, key)
    if one.kind is Kind.ARCHIVE:
        ArchivePartRepository().remove(connection, name.rsplit("/", 1)[-1])


def _counts(plans: Iterable[Plan]) -> dict[str, int]:
    total: Counter[Action] = Counter()
    for plan in plans:
        total += plan.count()
    return {f"{action}_items": total[action] for action in Action if total[action]}


def _sha256(names: Iterable[str]) -> str:
    return hashlib.sha256("".join(f"{name}\n" for name in names).encode()).hexdigest()

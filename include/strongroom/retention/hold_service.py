"""Placing, enforcing and releasing legal holds.

    place     permission → attempt recorded → signed record in the bucket → index and result → stores locked
    release   permission → a second person's approval of this hold → attempt → record, index, result → unlocked
    enforce   what the standing holds reach now is locked in every store that can; what none reaches any more is not

A hold counts from the moment that its record is in the bucket: retention asks the bucket, and locking the objects is a
second fence for whoever deletes past Strongroom. Each step can be run again and converges.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from strongroom.access import Actor, Decision, Permission, require
from strongroom.audit import AuditSink, EventType, Target
from strongroom.catalog import HoldRepository
from strongroom.clock import Clock
from strongroom.errors import AccessDeniedError, NotFoundError, RefusedError
from strongroom.lifetimes import LifetimeSource
from strongroom.recording import RunLog
from strongroom.retention.approvals import PlanApprovals, Sought
from strongroom.retention.facts import STORE
from strongroom.retention.hold_locks import HoldLocks, LockReport
from strongroom.retention.hold_records import (
    BucketHolds,
    all_holds,
    document,
    key_of,
    release_sha256,
    to_record,
)
from strongroom.retention.holds import Hold, HoldScope, check_reason, held
from strongroom.signing import SignerKey, VerifierKey
from strongroom.storage import ObjectStore

if TYPE_CHECKING:
    from sqlalchemy import Engine


class HoldNotFoundError(NotFoundError):
    """There is no such hold."""


class HoldReleasedError(RefusedError):
    """The hold was released already."""


@dataclass(frozen=True)
class HoldParts:
    """What holds work with; the composition root gives it."""

    store: ObjectStore
    copies: Mapping[str, Callable[[], ObjectStore]]
    """Opens each copy by its name."""
    engine: Engine
    sink: AuditSink
    signer: Callable[[], SignerKey]
    """Asked for only when a hold is placed or released."""
    verifier: VerifierKey
    clock: Clock
    sources: Callable[[str, str | None], Iterable[LifetimeSource]]
    """What tells of a database's things, in the store or in the copy of that name."""
    person: Callable[[str], Actor]
    """Gives a person by their account, with the roles that they have."""


@dataclass(frozen=True)
class ReleasePlan:
    """The release of one hold, for a second person to approve by its hash."""

    hold: Hold

    @property
    def sha256(self) -> str:
        """The hash that is approved."""
        return release_sha256(self.hold)

    def lines(self) -> tuple[str, ...]:
        """The plan for people."""
        return (
            f"Release the hold {self.hold.id} on {self.hold.scope.words}.",
            f"It was placed {self.hold.placed_at:%Y-%m-%d %H:%M} UTC for {self.hold.reason}.",
            "From then on retention may delete what this hold alone has kept; the release itself deletes nothing.",
        )


class HoldService:
    """Places and releases holds, and keeps the stores locked as the standing ones say."""

    def __init__(self, parts: HoldParts) -> None:
        self._parts = parts
        self._holds = HoldRepository()
        self._bucket = BucketHolds(parts.store, parts.verifier)
        self.approvals = PlanApprovals(parts.engine, parts.sink, parts.person)

    def now(self) -> datetime:
        """The time by the installation's clock."""
        return self._parts.clock.now()

    def all(self) -> list[Hold]:
        """Every hold, as `all_holds` gives them."""
        return all_holds(self._parts.engine, self._bucket)

    def standing(self, database: str | None = None) -> list[Hold]:
        """The holds that stand, of one database or of all. Raises what `all` raises."""
        return [hold for hold in self.all() if hold.standing and database in (None, hold.scope.database)]

    def place(self, actor: Actor, scope: HoldScope, reason: str, *, person: Actor | None = None) -> Hold:
        """Place a hold: it stands when this returns.

        Args:
            actor: who asks; needs `place_hold`.
            scope: what it is on.
            reason: the case's reference.
            person: for whom a task asks; needs `place_hold` too.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            InputError: the reason is no reference.
            TransientError: the store or the control database does not answer; ask again.
        """
        check_reason(reason)
        now = self._parts.clock.now()
        hold_id = f"hold-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
        hold = Hold(hold_id, scope, reason, (person or actor).name, now)
        for one in (actor, person or actor):
            self._authorise(self._log(one, hold), Permission.PLACE_HOLD)
        log = self._log(actor, hold)
        log.emit(EventType.HOLD_RECORD_PLACE, "attempt", details=_details(hold))
        try:
            self._bucket.write(hold, self._parts.signer())
        except BaseException as error:
            log.emit(EventType.HOLD_RECORD_PLACE, "result", "failure", error=error)
            raise
        self._record(log, hold, EventType.HOLD_RECORD_PLACE)
        return hold

    def plan_release(self, hold_id: str) -> ReleasePlan:
        """What a second person is asked to approve.

        Raises:
            HoldNotFoundError: there is no such hold.
            HoldReleasedError: it was released already.
        """
        for hold in self.all():
            if hold.id == hold_id:
                if not hold.standing:
                    raise HoldReleasedError(f"The hold {hold_id} was released at {hold.released_at}.")
                return ReleasePlan(hold)
        raise HoldNotFoundError(f"There is no hold {hold_id}.", hint="`strongroom hold list` shows them.")

    def decide_release(self, plan: ReleasePlan, decision: Decision) -> None:
        """Take a second person's answer; `PlanApprovals.decide` says what is refused."""
        self.approvals.decide(sought(plan), decision)

    def release(self, actor: Actor, plan: ReleasePlan, run: str) -> Hold:
        """Release a hold that a second person has approved the release of, for this run.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            NotApprovedError: nobody has approved exactly this.
            SamePersonError: one person was both.
            HoldReleasedError: it was released meanwhile.
        """
        log = self._log(actor, plan.hold)
        self._authorise(log, Permission.RELEASE_HOLD)
        self.approvals.require(sought(plan), run)
        hold = self.plan_release(plan.hold.id).hold
        released = hold.release(self._parts.clock.now())
        hashes = {"plan_sha256": plan.sha256}
        log.emit(EventType.HOLD_RECORD_RELEASE, "attempt", details=_details(hold), hashes=hashes)
        try:
            self._bucket.write(released, self._parts.signer())
        except BaseException as error:
            log.emit(EventType.HOLD_RECORD_RELEASE, "result", "failure", error=error, hashes=hashes)
            raise
        self._record(log, released, EventType.HOLD_RECORD_RELEASE, hashes)
        self.approvals.withdraw(run)
        return released

    def enforce(self, actor: Actor, *, adopt: bool = False) -> tuple[LockReport, ...]:
        """Lock in every store what the standing holds reach, and unlock what none reaches any more.

        Args:
            actor: who asks; needs `place_hold`.
            adopt: take legal holds that the stores have already for ours: after a control database was lost.

        Returns:
            What was done in each store.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            IntegrityError: a hold's record cannot be believed; nothing was unlocked.
            TransientError: a store does not answer; run it again.
        """
        log = self._log(actor, None)
        self._authorise(log, Permission.PLACE_HOLD)
        self.index()
        self._restore_records()
        locks = HoldLocks(self._parts.engine, log)
        reports = [locks.enforce(STORE, self._parts.store, self._reached(None), adopt=adopt)]
        for name, opened in self._parts.copies.items():
            copy = opened()
            self._bucket.copy_to(copy)
            reports.append(locks.enforce(name, copy, self._reached(name), adopt=adopt))
        return tuple(reports)

    def _reached(self, copy: str | None) -> set[str]:
        """The keys of every object in one store that a standing hold reaches, and of the standing holds' records."""
        standing = self.standing()
        keys = {key_of(hold.id) for hold in standing}
        for database in sorted({hold.scope.database for hold in standing}):
            items = [item for source in self._parts.sources(database, copy) for item in source.items()]
            reached = held(items, standing)
            keys.update(one.key for item in items if item.id in reached for one in item.objects)
        return keys

    def _restore_records(self) -> None:
        """Write the record of a standing hold again that somebody removed from the bucket: retention asks there."""
        there = {hold.id for hold in self._bucket.all()}
        for hold in self.standing():
            if hold.id not in there:
                self._bucket.write(hold, self._parts.signer())

    def index(self) -> int:
        """Make the index know what the bucket knows, and say how many holds that is. Raises what `all` raises."""
        found = list(self._bucket.all())
        for hold in found:
            with self._parts.engine.begin() as connection:
                self._holds.add(connection, to_record(hold))
        return len(found)

    def _record(
        self, log: RunLog, hold: Hold, kind: EventType, hashes: Mapping[str, str] | None = None
    ) -> None:
        with log.transaction() as connection:
            self._holds.add(connection, to_record(hold))
            event = log.event(kind, "result", "success", details=_details(hold), hashes=hashes)
            self._parts.sink.emit(connection, event)

    def _log(self, actor: Actor, hold: Hold | None) -> RunLog:
        target = Target("hold", key_of(hold.id) if hold else "holds")
        database = hold.scope.database if hold else None
        parts = self._parts
        return RunLog(parts.engine, parts.sink, actor, database, target, None, uuid.uuid4().hex)

    def _authorise(self, log: RunLog, permission: Permission) -> None:
        try:
            require(log.actor, permission)
        except AccessDeniedError as error:
            log.emit(
                EventType.ACCESS_PERMISSION_REFUSE,
                "result",
                "denied",
                details={"permission": str(permission)},
                error=error,
            )
            raise


def sought(plan: ReleasePlan) -> Sought:
    """What the approval of a release is sought for."""
    return Sought(
        plan_sha256=plan.sha256,
        what="release of a hold",
        target=Target("hold", key_of(plan.hold.id)),
        permission=Permission.RELEASE_HOLD,
        request=EventType.HOLD_RELEASE_REQUEST,
        approve=EventType.HOLD_RELEASE_APPROVE,
        database=plan.hold.scope.database,
    )


def _details(hold: Hold) -> dict[str, str]:
    """What the log says of a hold: never the person that it is on."""
    scope = document(hold)["scope"]
    return {"reason": hold.reason, "scope": str(scope["kind"])}

"""Destroying an epoch's private half: what only it opens is gone, wherever it lies and whatever locks it.

    plan       which objects nothing here opens any more; refused for each that a policy or a hold still keeps
    approve    a second person names the plan by its hash
    destroy    planned again and compared → attempt published → the wrapped private half replaced by a mark, here and
               in every copy, with all its versions → looked for → result recorded

An object that a lock keeps beyond its time is what this is for: it cannot be deleted, and nobody will read it.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from strongroom.access import Actor, Decision, Permission, require
from strongroom.audit import AuditSink, EventType, Target
from strongroom.catalog import ObjectRecord, ObjectRepository
from strongroom.clock import Clock
from strongroom.errors import AccessDeniedError, InputError, RefusedError
from strongroom.lifetimes import LifetimeSource
from strongroom.recording import RunLog
from strongroom.retention.approvals import PlanApprovals, Sought
from strongroom.retention.destruction_plan import DestructionPlan, LostObject
from strongroom.retention.errors import NotGoneError, PlanChangedError
from strongroom.retention.facts import STORE
from strongroom.retention.hold_service import HoldService
from strongroom.retention.holds import Hold, held
from strongroom.retention.service import RetentionService
from strongroom.retention.unusual import ABOUT_THE_CLOCK
from strongroom.retention.values import Action
from strongroom.sealing import Epoch, EpochNotFoundError, KeyRing
from strongroom.sealing.epochs import ESCROW
from strongroom.sealing.keyring import mark_destroyed, private_versions
from strongroom.signing import SignerKey
from strongroom.storage import ObjectStore

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from strongroom.policy import Policy

_SEALED = ".age"


class DestructionBlockedError(RefusedError):
    """Something that only this key opens has to stay readable."""


@dataclass(frozen=True)
class DestructionParts:
    """What destroying keys works with; the composition root gives it."""

    store: ObjectStore
    copies: Mapping[str, Callable[[], ObjectStore]]
    keyring: KeyRing
    engine: Engine
    sink: AuditSink
    signer: SignerKey
    clock: Clock
    sources: Callable[[str, str | None], Iterable[LifetimeSource]]
    policies: Callable[[], Mapping[str, Policy]]
    retention: RetentionService
    holds: HoldService
    publish: Callable[[], object]
    """Publishes the log, so that the attempt is public before anything is destroyed."""


class KeyDestroyer:
    """Plans and carries out the destruction of private halves."""

    def __init__(self, parts: DestructionParts, approvals: PlanApprovals) -> None:
        self._parts = parts
        self._approvals = approvals

    def plan(self, actor: Actor, epoch_id: str) -> DestructionPlan:
        """Say what destroying an epoch's private half would do. Nothing is changed.

        Args:
            actor: who asks; needs `destroy_keys` and `plan_retention`.
            epoch_id: the epoch.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            EpochNotFoundError: there is no such epoch.
            InputError: its private half is not here, or was destroyed.
            IntegrityError: a key record or a hold cannot be believed.
            TransientError: a store or the control database does not answer.
        """
        self._authorise(self._log(actor, epoch_id))
        epoch = self._epoch(epoch_id)
        epochs = {one.id: one for one in self._parts.keyring.epochs()}
        with self._parts.engine.connect() as connection:
            records = ObjectRepository().sealed_to(connection, [epoch_id])
        lost = [one for one in records if not _readable(one, epoch_id, epochs)]
        kept = self._kept(actor, lost)
        return DestructionPlan(
            epoch_id=epoch_id,
            lost=tuple(_lost(one, epochs, kept) for one in lost),
            readable=len(records) - len(lost),
            obstacles=tuple(self._obstacles(epoch, epochs)),
        )

    def decide(self, plan: DestructionPlan, decision: Decision) -> None:
        """Take a second person's answer; `PlanApprovals.decide` says what is refused.

        Raises:
            DestructionBlockedError: what forbids it cannot be approved away.
        """
        if decision.approved:
            require_free(plan)
        self._approvals.decide(sought(plan), decision)

    def ask(self, plan: DestructionPlan, run: str, account: str) -> None:
        """Record that a person asks, for another one to answer later.

        Raises:
            DestructionBlockedError: something forbids it.
        """
        require_free(plan)
        self._approvals.ask(sought(plan), run, account, self._parts.clock.now())

    def asked_by(self, run: str) -> str | None:
        """The account that asked for a run at the command line."""
        request = self._approvals.asked(run)
        return request.requested_by if request else None

    def destroy(self, actor: Actor, plan: DestructionPlan, run: str) -> None:
        """Destroy the private half, as a second person has approved for this run. Again does what is left of it.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            NotApprovedError: nobody has approved exactly this plan for this run.
            PlanChangedError: something else would be lost by now.
            DestructionBlockedError: something that would be lost has to stay readable by now.
            NotGoneError: a store still has the private half afterwards.
            TransientError: a store does not answer; call it again.
        """
        log = self._log(actor, plan.epoch_id)
        self._authorise(log)
        self._approvals.require(sought(plan), run)
        now = self.plan(actor, plan.epoch_id)
        if now.sha256 != plan.sha256:
            raise PlanChangedError(
                f"Destroying {plan.epoch_id} would lose other objects by now.",
                hint="Plan and approve it again.",
            )
        require_free(now)
        hashes = {"plan_sha256": plan.sha256}
        counts = {"unreadable": len(plan.lost)}
        log.emit(EventType.KEY_EPOCH_DESTROY, "attempt", hashes=hashes, counts=counts)
        self._parts.publish()
        try:
            self._destroy(self._epoch(plan.epoch_id))
        except BaseException as error:
            log.emit(EventType.KEY_EPOCH_DESTROY, "result", "failure", hashes=hashes, error=error)
            raise
        log.emit(EventType.KEY_EPOCH_DESTROY, "result", "success", hashes=hashes, counts=counts)
        self._approvals.withdraw(run)

    def _destroy(self, epoch: Epoch) -> None:
        """The copies first: the store's own record tells that there is something left to do until the end."""
        parts = self._parts
        for name, store in [
            *((name, opened()) for name, opened in parts.copies.items()),
            (STORE, parts.store),
        ]:
            mark_destroyed(store, epoch, parts.signer, parts.clock.now())
            if private_versions(store, epoch.id):
                raise NotGoneError(f"The private half of {epoch.id} is still in the {name}.")

    def _epoch(self, epoch_id: str) -> Epoch:
        for epoch in self._parts.keyring.epochs():
            if epoch.id == epoch_id:
                self._check_destroyable(epoch)
                return epoch
        raise EpochNotFoundError(f"There is no epoch {epoch_id}.", hint="`strongroom keys list` shows them.")

    def _check_destroyable(self, epoch: Epoch) -> None:
        """Let an epoch pass whose private half is here, if only in an older version of its record."""
        if epoch.purpose == ESCROW:
            raise InputError(
                f"The private half of {epoch.id} is not here: it is an escrow's.",
                hint="Destroy it where it is kept.",
            )
        if epoch.destroyed_at is not None and not private_versions(self._parts.store, epoch.id):
            raise InputError(
                f"The private half of {epoch.id} was destroyed on {epoch.destroyed_at:%Y-%m-%d}."
            )

    def _obstacles(self, epoch: Epoch, epochs: Mapping[str, Epoch]) -> Iterator[str]:
        later = [
            one
            for one in epochs.values()
            if one.purpose == epoch.purpose and one.created_at > epoch.created_at
        ]
        if not any(one.may_seal(self._parts.clock.now()) for one in later):
            yield f"it is the epoch that seals what is of the purpose {epoch.purpose}: rotate first"
        stores = {STORE: self._parts.store, **{name: opened() for name, opened in self._parts.copies.items()}}
        for name, store in stores.items():
            locked = [
                one for one in private_versions(store, epoch.id) if _is_locked(store, one, self._parts.clock)
            ]
            if locked:
                yield f"the {name} has its record under a lock or a hold and would refuse to delete it"
            unknown = self._unknown(store)
            if unknown:
                yield (
                    f"the {name} holds {unknown} sealed objects that the index does not know, so that nobody can tell"
                    " who opens them: run `strongroom catalog rebuild`, or purge the copy"
                )

    def _unknown(self, store: ObjectStore) -> int:
        with self._parts.engine.connect() as connection:
            known = ObjectRepository().keys(connection)
        return sum(info.key.endswith(_SEALED) and info.key not in known for info in store.list(""))

    def _kept(self, actor: Actor, lost: Iterable[ObjectRecord]) -> dict[str, str]:
        """Why each of the objects has to stay readable, by key; those that nothing keeps are left out."""
        by_database: dict[str | None, set[str]] = defaultdict(set)
        for one in lost:
            by_database[one.database].add(one.key)
        policies, holds = self._parts.policies(), self._parts.holds.standing()
        found: dict[str, str] = {}
        for database, keys in by_database.items():
            if database is None or database not in policies:
                found.update(dict.fromkeys(keys, "no policy says how long it is kept"))
            else:
                found.update(self._kept_of(actor, policies[database], keys, holds))
        return found

    def _kept_of(self, actor: Actor, policy: Policy, keys: set[str], holds: Iterable[Hold]) -> dict[str, str]:
        reasons = dict.fromkeys(keys, "nothing that retention knows of names it")
        for plan in self._parts.retention.plan(actor, policy).plans:
            copy = None if plan.place == STORE else plan.place
            items = [one for source in self._parts.sources(policy.database, copy) for one in source.items()]
            reached = held(items, holds)
            decisions = {decision.item: decision for decision in plan.decisions}
            doubt = next((reason for reason in plan.unusual if reason.startswith(ABOUT_THE_CLOCK)), None)
            for item in items:
                decision = decisions.get(item.id)
                mine = keys & {one.key for one in item.objects}
                if item.id in reached:
                    reasons.update(dict.fromkeys(mine, f"the legal hold {reached[item.id][0]}"))
                elif doubt is not None:
                    reasons.update(dict.fromkeys(mine, f"nobody can tell whether its time is over: {doubt}"))
                elif decision is None:
                    reasons.update(dict.fromkeys(mine, "it came while this was planned"))
                elif _is_over(decision.action, decision.rule, decision.reason):
                    if copy is None:
                        for key in mine & reasons.keys():
                            del reasons[key]
                else:
                    reasons.update(dict.fromkeys(mine, decision.reason))
        return reasons

    def _log(self, actor: Actor, epoch_id: str) -> RunLog:
        parts, target = self._parts, Target("key", f"keys/{epoch_id}")
        return RunLog(parts.engine, parts.sink, actor, None, target, None, uuid.uuid4().hex)

    def _authorise(self, log: RunLog) -> None:
        try:
            require(log.actor, Permission.DESTROY_KEYS)
        except AccessDeniedError as error:
            details = {"permission": str(Permission.DESTROY_KEYS)}
            log.emit(EventType.ACCESS_PERMISSION_REFUSE, "result", "denied", details=details, error=error)
            raise


def sought(plan: DestructionPlan) -> Sought:
    """What the approval of a destruction is sought for."""
    return Sought(
        plan_sha256=plan.sha256,
        what="destruction of a key",
        target=Target("key", f"keys/{plan.epoch_id}"),
        permission=Permission.DESTROY_KEYS,
        request=EventType.KEY_DESTRUCTION_REQUEST,
        approve=EventType.KEY_DESTRUCTION_APPROVE,
    )


def require_free(plan: DestructionPlan) -> None:
    """Let a plan pass that nothing forbids.

    Raises:
        DestructionBlockedError: something that would be lost has to stay readable, or a store would refuse.
    """
    if plan.blocked:
        reasons = "\n".join(plan.why_not())
        raise DestructionBlockedError(
            f"The private half of {plan.epoch_id} cannot be destroyed:\n{reasons}",
            hint="`strongroom keys rewrap` brings what has to stay readable to the current epoch.",
        )


def _readable(record: ObjectRecord, without: str, epochs: Mapping[str, Epoch]) -> bool:
    """Whether another private half here opens it."""
    others = [epochs[one] for one in record.epoch_ids if one != without and one in epochs]
    return any(one.wrapped is not None for one in others)


def _lost(record: ObjectRecord, epochs: Mapping[str, Epoch], kept: Mapping[str, str]) -> LostObject:
    escrowed = any(epochs[one].purpose == ESCROW for one in record.epoch_ids if one in epochs)
    return LostObject(record.key, record.size_bytes, record.database, escrowed, kept.get(record.key))


def _is_over(action: Action, rule: str, reason: str) -> bool:
    """Whether the time of something is over, so that nothing but a lock keeps it, if anything does."""
    only_locked = rule == "lock" and "; " not in reason
    return action in (Action.MARK, Action.WAIT, Action.DELETE) or only_locked


def _is_locked(store: ObjectStore, version: tuple[str, str | None], clock: Clock) -> bool:
    info = store.head(version[0], version_id=version[1])
    locked = info.retention is not None and info.retention.until > clock.now()
    return locked or info.legal_hold

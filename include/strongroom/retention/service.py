"""Retention of one database: plan, and carry out a plan by its hash.

    purge = service.plan(actor, policy)               nothing is deleted, marked or locked
    purge.sha256                                      what a second person approves, where one has to
    service.apply(actor, policy, purge.sha256, run)

A plan is kept in the control database and can be carried out for three days. Carrying it out takes a lock in the
control database and a lease in the bucket; first it looks at everything again, and refuses when something that the
plan lets go has to stay by now. What was carried out lies in the bucket, signed: `retention/<database>/…`.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from strongroom.access import Actor, Permission
from strongroom.audit import AuditSink, EventType, Target
from strongroom.canonical import canonical_bytes
from strongroom.catalog import PlanRecord, PlanRepository
from strongroom.clock import Clock
from strongroom.lifetimes import Lease, LeaseHeldError
from strongroom.lifetimes.lease import lease_key
from strongroom.retention.applying import Applier, PlaceParts, PlaceReport
from strongroom.retention.approvals import PlanApprovals, Sought
from strongroom.retention.deleting import Deleter
from strongroom.retention.errors import PlanChangedError, PlanNotFoundError, PurgeInProgressError
from strongroom.retention.facts import STORE
from strongroom.retention.gathering import Gatherer, Sources
from strongroom.retention.looking import look
from strongroom.retention.marks import MarkStore, marks_key
from strongroom.retention.plan import plan
from strongroom.retention.purge import Purge, read_purge
from strongroom.retention.row_deleting import RowDeleter
from strongroom.retention.rules import RetentionRules
from strongroom.retention.text import human_size
from strongroom.retention.trail import PurgeTrail
from strongroom.retention.values import Action, Plan
from strongroom.storage import ObjectExistsError, ObjectStore

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from strongroom.policy import Policy
    from strongroom.signing import SignerKey

LONGEST_AGE = timedelta(days=3)
"""For how long a plan can be carried out: what it has not seen by then, a new one has to see."""

_MAKE_ONE = "`strongroom retention plan DATABASE` makes one, and prints its hash."
_KEPT = (Action.KEEP, Action.UNMARK)


@dataclass(frozen=True)
class RetentionParts:
    """What retention works with; the composition root gives it."""

    store: ObjectStore
    copies: Callable[[str], ObjectStore]
    """Opens a copy by its name."""
    engine: Engine
    sink: AuditSink
    signer: SignerKey
    clock: Clock
    sources: Sources
    approvals: PlanApprovals
    agree: Callable[[Policy], None]
    """Raises when the policy and the database that it is about do not agree; called before anything is deleted."""
    rows: Callable[[Policy, Callable[[], None]], RowDeleter] | None = None
    """Gives what deletes rows of the policy's database, asked before each batch whether to go on; None where rows are
    left alone."""


@dataclass(frozen=True)
class PurgeReport:
    """What a purge did: references and counts."""

    database: str
    plan_sha256: str
    places: tuple[PlaceReport, ...]

    def count(self) -> Counter[str]:
        """How much was done, over all places."""
        total: Counter[str] = Counter()
        for place in self.places:
            total["marked"] += len(place.marked)
            total["unmarked"] += len(place.unmarked)
            total["deleted"] += len(place.deleted)
            total["locked"] += len(place.locked)
            total["spared"] += len(place.spared)
            total["objects"] += place.objects
            total["removed_bytes"] += place.size_bytes
        return total

    def document(self) -> dict[str, Any]:
        """The report for programs: references and counts."""
        return {
            "database": self.database,
            "plan_sha256": self.plan_sha256,
            "counts": dict(self.count()),
            "places": [asdict(place) for place in self.places],
        }

    def lines(self) -> list[str]:
        """The report for people."""
        counts = self.count()
        told = [
            f"Deleted {counts['deleted']:,} ({counts['objects']:,} objects, {human_size(counts['removed_bytes'])}),"
            f" marked {counts['marked']:,}, kept after all {counts['unmarked']:,}, locks extended {counts['locked']:,}."
        ]
        for place in self.places:
            told += [
                f"  left alone in the {place.place}: {name}: {why}" for name, why in place.spared.items()
            ]
        return told


class RetentionService(ABC):
    """Decides and carries out what is deleted."""

    @abstractmethod
    def plan(self, actor: Actor, policy: Policy) -> Purge:
        """Decide what a purge would do, in the store and in each copy of the policy.

        Args:
            actor: who asks; needs `plan_retention`.
            policy: of the database.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            IntegrityError: the marks or a hold in the bucket are not what was written.
            TransientError: a store does not answer, also in the middle of a listing.
        """

    @abstractmethod
    def find(self, plan_sha256: str) -> Purge:
        """A plan that was made here.

        Raises:
            PlanNotFoundError: none has this hash.
        """

    @abstractmethod
    def latest(self, database: str) -> Purge:
        """The newest plan that was made of a database.

        Raises:
            PlanNotFoundError: none was made.
        """

    @abstractmethod
    def apply(self, actor: Actor, policy: Policy, plan_sha256: str, run: str) -> PurgeReport:
        """Carry out a plan, to the letter. The same plan again does what is left of it.

        Args:
            actor: who asks; needs `apply_retention`.
            policy: of the database, as it was when the plan was made.
            plan_sha256: the plan's hash.
            run: the run that it was approved for: `<DAG id>/<run id>`.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            PlanNotFoundError: no plan has this hash.
            NotApprovedError: it needs a second person, and nobody approved it for this run.
            PlanChangedError: policy, clock or facts changed, so that it is no longer right; nothing was done.
            PurgeInProgressError: another purge of this database runs now.
            NotGoneError: something is still there after it was deleted.
            TransientError: a store or the control database failed; the same call can be made again.
        """

    @abstractmethod
    def verify(self, actor: Actor, policy: Policy, plan_sha256: str) -> int:
        """Look anew, after a plan was carried out: what was deleted is gone, and what was kept is there.

        Args:
            actor: who asks; needs `plan_retention`.
            policy: of the database.
            plan_sha256: the plan's hash.

        Returns:
            How many things were looked for.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            PlanNotFoundError: no plan has this hash.
            NotGoneError: something that was deleted is there.
            KeptMissingError: something that was kept is not there.
            TransientError: a store does not answer.
        """


class PolicyRetentionService(RetentionService):
    """Retention by the rules of policies.

    Args:
        parts: what it works with.
    """

    def __init__(self, parts: RetentionParts) -> None:
        self._parts = parts
        self._gatherer = Gatherer(
            parts.store, parts.signer.verifier, parts.clock, parts.sources, parts.engine
        )

    def plan(self, actor: Actor, policy: Policy) -> Purge:
        trail = self._trail(actor, policy)
        trail.authorise(Permission.PLAN_RETENTION)
        rules = RetentionRules.from_policy(policy)
        plans: list[Plan] = []
        for place in places_of(policy):
            facts = self._gatherer.facts(
                policy.database,
                place,
                object_lock=self._store(place).capabilities().object_lock,
                kept_in_store=_kept(plans),
            )
            plans.append(plan(facts, rules, self._parts.clock.now()))
        purge = Purge(policy.database, tuple(plans))
        trail.planned(purge)
        return purge

    def find(self, plan_sha256: str) -> Purge:
        with self._parts.engine.connect() as connection:
            record = PlanRepository().find(connection, plan_sha256.strip().lower())
        if record is None:
            raise PlanNotFoundError(
                f"No retention plan with the hash {plan_sha256[:64]} was made here.", hint=_MAKE_ONE
            )
        return _checked(record)

    def latest(self, database: str) -> Purge:
        with self._parts.engine.connect() as connection:
            record = PlanRepository().latest(connection, database)
        if record is None:
            raise PlanNotFoundError(f"No retention plan of {database} was made here.", hint=_MAKE_ONE)
        return _checked(record)

    def apply(self, actor: Actor, policy: Policy, plan_sha256: str, run: str) -> PurgeReport:
        trail = self._trail(actor, policy)
        trail.authorise(Permission.APPLY_RETENTION)
        purge = self.find(plan_sha256)
        self._check(purge, policy)
        if purge.needs_approval:
            self._parts.approvals.require(sought(purge), run)
        trail.attempt(purge)
        try:
            self._parts.agree(policy)
            with self._alone(policy.database) as lease:
                report = self._run(purge, policy, trail, lease)
        except BaseException as error:
            trail.failure(purge, error)
            raise
        trail.success(purge, report.count())
        return report

    def verify(self, actor: Actor, policy: Policy, plan_sha256: str) -> int:
        self._trail(actor, policy).authorise(Permission.PLAN_RETENTION)
        purge = self.find(plan_sha256)
        looked_for = 0
        for carried_out in purge.plans:
            store = self._store(carried_out.place)
            facts = self._gatherer.facts(
                policy.database, carried_out.place, object_lock=store.capabilities().object_lock
            )
            looked_for += look(carried_out, facts)
        return looked_for

    def _check(self, purge: Purge, policy: Policy) -> None:
        now = self._parts.clock.now()
        if purge.database != policy.database:
            raise PlanChangedError(
                f"The plan {purge.sha256} is about {purge.database}, not {policy.database}."
            )
        if purge.policy_sha256 != policy.sha256:
            raise PlanChangedError(
                f"The policy of {policy.database} has changed since the plan was made.", hint="Plan again."
            )
        if not -timedelta(minutes=10) <= now - purge.made_at <= LONGEST_AGE:
            raise PlanChangedError(
                f"The plan was made on {purge.made_at:%Y-%m-%d %H:%M} UTC, and it is {now:%Y-%m-%d %H:%M} UTC:"
                f" a plan can be carried out for {LONGEST_AGE.days} days.",
                hint="Plan again.",
            )

    def _run(self, purge: Purge, policy: Policy, trail: PurgeTrail, lease: Lease) -> PurgeReport:
        parts, rules = self._parts, RetentionRules.from_policy(policy)
        marks = MarkStore(parts.store, policy.database, parts.signer.verifier)
        self._finish_interrupted(marks, trail, lease)
        if not purge.is_idle:
            self._keep_on_record(purge)
        reports: list[PlaceReport] = []
        fresh: list[Plan] = []
        for approved in purge.plans:
            store = self._store(approved.place)
            facts = self._gatherer.facts(
                policy.database,
                approved.place,
                object_lock=store.capabilities().object_lock,
                kept_in_store=_kept(fresh),
                store_now=parts.store.head(lease_key(policy.database, "purge")).modified_at,
            )
            fresh.append(plan(facts, rules, parts.clock.now()))
            deleter = parts.rows(policy, lease.confirm) if parts.rows and approved.place == STORE else None
            place = PlaceParts(
                store, marks, self._gatherer, rules, parts.signer, parts.clock, trail, lease.confirm, deleter
            )
            reports.append(Applier(place, approved, purge.sha256).run(facts))
        return PurgeReport(policy.database, purge.sha256, tuple(reports))

    def _finish_interrupted(self, marks: MarkStore, trail: PurgeTrail, lease: Lease) -> None:
        deletion = marks.deletion()
        if deletion is None:
            return
        store = self._store(deletion.place)
        Deleter(store, marks, self._parts.signer, trail, lease.confirm, lambda items: {}).finish(deletion)

    def _keep_on_record(self, purge: Purge) -> None:
        """Put the plan in the bucket, signed: the reason of everything that is kept and of everything that goes."""
        import zstandard

        data = canonical_bytes(self._parts.signer.sign_json(purge.document()))
        try:
            self._parts.store.put_bytes(record_key(purge), zstandard.ZstdCompressor(level=9).compress(data))
        except ObjectExistsError:
            return  # an earlier try of the same plan

    @contextmanager
    def _alone(self, database: str) -> Iterator[Lease]:
        """A lock in the control database, which ends with this session, and a lease that the bucket knows of.

        Raises:
            PurgeInProgressError: another purge has one of them.
        """
        with self._parts.engine.connect() as connection:
            names = ("strongroom purge", database)
            query = "SELECT pg_try_advisory_lock(hashtext(%s), hashtext(%s))"
            if not connection.exec_driver_sql(query, names).scalar():
                raise _in_progress(database)
            source = connection.exec_driver_sql(
                "SELECT system_identifier || '/' || current_database() FROM pg_control_system()"
            ).scalar()
            connection.commit()
            try:
                with Lease(
                    self._parts.store, self._parts.clock, database, str(source), purpose="purge"
                ) as lease:
                    yield lease
            except LeaseHeldError as error:
                raise _in_progress(database) from error
            finally:
                connection.exec_driver_sql("SELECT pg_advisory_unlock(hashtext(%s), hashtext(%s))", names)
                connection.commit()

    def _store(self, place: str) -> ObjectStore:
        return self._parts.store if place == STORE else self._parts.copies(place)

    def _trail(self, actor: Actor, policy: Policy) -> PurgeTrail:
        parts = self._parts
        return PurgeTrail(
            parts.engine, parts.sink, parts.clock, actor, policy.database, policy.sha256, uuid.uuid4().hex
        )


def places_of(policy: Policy) -> tuple[str, ...]:
    """Where the things of a database lie: the store, then the copies of its policy."""
    return (STORE, *policy.backup.copies)


def sought(purge: Purge) -> Sought:
    """What an approval of a purge is sought for."""
    return Sought(
        plan_sha256=purge.sha256,
        what="purge",
        target=Target("retention", marks_key(purge.database, STORE)),
        permission=Permission.APPROVE_RETENTION,
        request=EventType.RETENTION_PLAN_REQUEST,
        approve=EventType.RETENTION_PLAN_APPROVE,
        database=purge.database,
    )


def record_key(purge: Purge) -> str:
    """Where the plan of a purge that was carried out lies."""
    return f"retention/{purge.database}/{purge.made_at:%Y%m%dT%H%M%SZ}-{purge.sha256[:16]}.json.zst"


def _checked(record: PlanRecord) -> Purge:
    purge = read_purge(record.document)
    if purge.sha256 != record.plan_sha256:
        raise PlanChangedError(
            f"The plan {record.plan_sha256} in the control database is not what was put there.",
            hint="Plan again, and look at who can write to the control database.",
        )
    return purge


def _kept(plans: Sequence[Plan]) -> frozenset[str]:
    """What the store's own plan keeps; nothing while there is none yet."""
    return frozenset(one.item for one in plans[0].having(*_KEPT)) if plans else frozenset()


def _in_progress(database: str) -> PurgeInProgressError:
    return PurgeInProgressError(
        f"Another purge of {database} runs now.", hint="Wait for it; it looks at the same things."
    )

"""Destroying a private half: only what nothing keeps is lost, only with two people, and then it is gone everywhere."""

import json
import os
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import text

from strongroom.access import Actor, ActorKind, Decision, Role, SamePersonError
from strongroom.audit import QueueSink
from strongroom.catalog import ObjectRecord, ObjectRepository
from strongroom.clock import SystemClock
from strongroom.errors import AccessDeniedError, InputError
from strongroom.lifetimes import Item, ItemObject, Kind, LifetimeSource
from strongroom.policy import load_policies
from strongroom.retention.approvals import PlanApprovals
from strongroom.retention.destruction import DestructionBlockedError, DestructionParts, KeyDestroyer
from strongroom.retention.errors import NotApprovedError, PlanChangedError
from strongroom.retention.hold_service import HoldParts, HoldService
from strongroom.retention.holds import HoldScope, ScopeKind
from strongroom.retention.service import PolicyRetentionService, RetentionParts
from strongroom.sealing import KeyRing, LocalKeyProvider
from strongroom.sealing.keyring import private_versions
from strongroom.signing import SignerKey
from strongroom.storage import LocalObjectStore, ObjectLockedError, Retention
from tests.support import REPOSITORY

ACTOR = Actor("keys", ActorKind.COMMAND, frozenset({Role.OPERATOR}))
RUN = "key_rotation/manual__1"
KEY = "archive/shop/public.orders/2016/a.age"


def person(name):
    return Actor(name, ActorKind.PERSON, frozenset({Role.AUDITOR if name == "otto" else Role.OPERATOR}))


class Archives(LifetimeSource):
    """Tells of one archive, whose time is over or not."""

    def __init__(self):
        self.expires_at = datetime.now(UTC) - timedelta(days=1)
        self.locked_until = None

    def items(self):
        objects = (ItemObject(KEY, 6),)
        yield Item(
            Kind.ARCHIVE, "archive/public.orders/2016/a", "shop", datetime(2016, 1, 1, tzinfo=UTC), objects,
            expires_at=self.expires_at, table="public.orders", locked_until=self.locked_until,
        )  # fmt: skip


@pytest.fixture
def world(s3_store, control_database, tmp_path):
    """A bucket with two epochs, one archive that the older one opens, and a copy."""
    signer, clock, sink = SignerKey.generate("test"), SystemClock(), QueueSink()
    ring, provider = (
        KeyRing(s3_store, signer.verifier, clock),
        LocalKeyProvider.generate(tmp_path / "local.key"),
    )
    old, new = (ring.create_epoch(purpose="backup", provider=provider, signer=signer) for _ in range(2))
    copy = LocalObjectStore(tmp_path / "copy")
    for info in s3_store.list("keys/"):
        copy.put_bytes(info.key, s3_store.get_bytes(info.key))
    s3_store.put_bytes(KEY, b"sealed")
    archives = Archives()
    approvals = PlanApprovals(control_database, sink, person)
    holds = HoldService(
        HoldParts(s3_store, {}, control_database, sink, lambda: signer, signer.verifier, clock,
                  lambda database, name: [archives], person)
    )  # fmt: skip
    retention = PolicyRetentionService(
        RetentionParts(s3_store, lambda name: copy, control_database, sink, signer, clock,
                       lambda database, name: [archives], approvals, lambda policy: None)
    )  # fmt: skip
    published = []
    parts = DestructionParts(
        store=s3_store,
        copies={"offsite": lambda: copy},
        keyring=ring,
        engine=control_database,
        sink=sink,
        signer=signer,
        clock=clock,
        sources=lambda database, name: [archives],
        policies=lambda: load_policies(REPOSITORY / "include" / "policy").policies,
        retention=retention,
        holds=holds,
        publish=lambda: published.append(1),
    )
    made = SimpleNamespace(
        store=s3_store, copy=copy, ring=ring, old=old, new=new, provider=provider, archives=archives,
        holds=holds, engine=control_database, published=published, parts=parts,
        destroyer=KeyDestroyer(parts, approvals),
    )  # fmt: skip
    seal(made, KEY, old.id)
    return made


def seal(world, key, *epoch_ids, database="shop"):
    record = ObjectRecord(key, "archive", database, 6, "0" * 64, 1, False, epoch_ids, None, datetime.now(UTC))
    with world.engine.begin() as connection:
        ObjectRepository().add(connection, record)


def approve(world, plan, *, by="grace", asked="ada", sha256=None):
    decision = Decision(True, sha256 or plan.sha256, asked, by, datetime.now(UTC), RUN)
    world.destroyer.decide(plan, decision)


def test_what_is_over_is_lost_for_good_here_and_in_the_copy(world):
    plan = world.destroyer.plan(ACTOR, world.old.id)
    assert [one.key for one in plan.lost] == [KEY]
    assert not plan.blocked, plan.lines()
    assert KEY in "\n".join(plan.lines())
    approve(world, plan)
    world.destroyer.destroy(ACTOR, plan, RUN)
    assert world.published
    for store in (world.store, world.copy):
        assert private_versions(store, world.old.id) == []
        assert len(list(store.list_versions(f"keys/{world.old.id}.json"))) == 1
    (destroyed,) = [epoch for epoch in world.ring.epochs() if epoch.id == world.old.id]
    assert destroyed.destroyed_at is not None
    assert world.ring.identities(world.provider, [world.old.id]) == []
    assert [epoch.id for epoch in world.ring.epochs_for(["epoch"])] == [world.new.id]
    with pytest.raises(InputError, match="was destroyed"):
        world.destroyer.plan(ACTOR, world.old.id)


def test_an_object_that_only_a_lock_keeps_beyond_its_time_is_what_this_is_for(world):
    world.archives.locked_until = datetime.now(UTC) + timedelta(days=100)
    assert not world.destroyer.plan(ACTOR, world.old.id).blocked


def test_what_a_policy_still_keeps_forbids_it(world):
    world.archives.expires_at = datetime.now(UTC) + timedelta(days=1)
    plan = world.destroyer.plan(ACTOR, world.old.id)
    assert plan.blocked
    assert "has to stay readable" in "\n".join(plan.lines())
    with pytest.raises(DestructionBlockedError, match="rewrap"):
        approve(world, plan)


def test_a_clock_that_may_be_wrong_forbids_it(world):
    """Whether the time of an object is over is what that clock says."""
    world.archives.signed_moments = lambda: iter([datetime.now(UTC) - timedelta(days=900)])
    plan = world.destroyer.plan(ACTOR, world.old.id)
    assert "the clock may be ahead" in "\n".join(plan.lines())
    with pytest.raises(DestructionBlockedError, match="nobody can tell"):
        approve(world, plan)


def test_a_hold_forbids_it_also_one_that_is_placed_after_the_approval(world):
    plan = world.destroyer.plan(ACTOR, world.old.id)
    approve(world, plan)
    world.holds.place(ACTOR, HoldScope(ScopeKind.TABLE, "shop", table="public.orders"), "case-1")
    with pytest.raises(DestructionBlockedError, match="legal hold"):
        world.destroyer.destroy(ACTOR, plan, RUN)
    assert private_versions(world.store, world.old.id)


def test_what_no_policy_and_no_retention_knows_forbids_it(world):
    seal(world, "exports/1.age", world.old.id, database=None)
    seal(world, "archive/shop/lost.age", world.old.id)
    for key in ("exports/1.age", "archive/shop/lost.age"):
        world.store.put_bytes(key, b"sealed")
    reasons = "\n".join(world.destroyer.plan(ACTOR, world.old.id).why_not())
    assert "no policy says how long" in reasons
    assert "nothing that retention knows of names it" in reasons


def test_what_another_epoch_opens_too_is_not_lost(world):
    seal(world, KEY, world.old.id, world.new.id)
    plan = world.destroyer.plan(ACTOR, world.old.id)
    assert (plan.lost, plan.readable) == ((), 1)


def test_a_sealed_object_that_the_index_does_not_know_forbids_it(world):
    world.copy.put_bytes("backups/shop/1/base.tar.zst.age", b"sealed")
    plan = world.destroyer.plan(ACTOR, world.old.id)
    assert "catalog rebuild" in "\n".join(plan.obstacles)


def test_the_epoch_that_seals_now_and_an_escrow_cannot_be_destroyed(world):
    assert "rotate first" in "\n".join(world.destroyer.plan(ACTOR, world.new.id).obstacles)
    escrow = world.ring.add_escrow(world.old.recipient, world.parts.signer)
    with pytest.raises(InputError, match="escrow"):
        world.destroyer.plan(ACTOR, escrow.id)


def test_a_key_record_under_a_lock_forbids_it(world):
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    world.store.extend_retention(f"keys/{world.old.id}.json", Retention("governance", until))
    assert "under a lock" in "\n".join(world.destroyer.plan(ACTOR, world.old.id).obstacles)


def test_it_takes_two_people_and_exactly_the_approved_plan(world):
    plan = world.destroyer.plan(ACTOR, world.old.id)
    with pytest.raises(NotApprovedError):
        world.destroyer.destroy(ACTOR, plan, RUN)
    with pytest.raises(SamePersonError):
        approve(world, plan, by="ada")
    with pytest.raises(AccessDeniedError):
        approve(world, plan, by="otto")
    with pytest.raises(PlanChangedError):
        approve(world, plan, sha256="0" * 64)
    approve(world, plan)
    with pytest.raises(NotApprovedError):
        world.destroyer.destroy(ACTOR, replace(plan, lost=()), RUN)
    seal(world, "archive/shop/public.orders/2016/b.age", world.old.id)
    with pytest.raises(PlanChangedError):
        world.destroyer.destroy(ACTOR, plan, RUN)
    assert private_versions(world.store, world.old.id)


def test_the_log_has_who_asked_who_approved_the_attempt_and_the_result(world):
    plan = world.destroyer.plan(ACTOR, world.old.id)
    approve(world, plan)
    world.destroyer.destroy(ACTOR, plan, RUN)
    with world.engine.connect() as connection:
        rows = connection.execute(text("SELECT entry FROM audit_queue ORDER BY id")).scalars()
        events = [json.loads(bytes(row)) for row in rows]
    mine = [(one["type"], one["data"].get("outcome")) for one in events if one["type"].startswith("key:")]
    assert mine == [
        ("key:destruction:request", "success"),
        ("key:destruction:approve", "success"),
        ("key:epoch:destroy", None),
        ("key:epoch:destroy", "success"),
    ]


@pytest.mark.parametrize("position", range(8))
def test_killed_at_any_step_the_same_approval_finishes_it(world, position):
    plan = world.destroyer.plan(ACTOR, world.old.id)
    approve(world, plan)
    child = os.fork()
    if child == 0:
        world.engine.dispose(close=False)
        _die_at(world, position)
        world.destroyer.destroy(ACTOR, plan, RUN)
        os._exit(0)
    os.waitpid(child, 0)
    if private_versions(world.store, world.old.id):
        world.destroyer.destroy(ACTOR, plan, RUN)
    for store in (world.store, world.copy):
        assert private_versions(store, world.old.id) == []


def _die_at(world, position):
    calls = iter(range(1000))

    def deadly(real):
        def call(*arguments, **options):
            number = next(calls)
            if number * 2 == position:
                os.kill(os.getpid(), signal.SIGKILL)
            answer = real(*arguments, **options)
            if number * 2 + 1 == position:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return call

    for store in (world.store, world.copy):
        for name in ("put_bytes", "delete_version"):
            setattr(store, name, deadly(getattr(store, name)))


def test_a_store_that_refuses_to_delete_the_old_record_is_not_taken_for_done(world, monkeypatch):
    plan = world.destroyer.plan(ACTOR, world.old.id)
    approve(world, plan)

    def refuse(key, version_id):
        raise ObjectLockedError(f"{key!r} is locked")

    monkeypatch.setattr(world.store, "delete_version", refuse)
    with pytest.raises(ObjectLockedError):
        world.destroyer.destroy(ACTOR, plan, RUN)

"""Legal holds against a real bucket with Object Lock and a real control database."""

import json
import os
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from strongroom.access import Actor, ActorKind, Decision, Role, SamePersonError
from strongroom.audit import QueueSink
from strongroom.catalog import HoldRepository
from strongroom.clock import FixedClock
from strongroom.errors import AccessDeniedError, IntegrityError
from strongroom.lifetimes import Item, ItemObject, Kind, LifetimeSource
from strongroom.retention.errors import NotApprovedError, PlanChangedError
from strongroom.retention.hold_service import HoldParts, HoldReleasedError, HoldService
from strongroom.retention.holds import HoldScope, ScopeKind
from strongroom.signing import SignerKey
from strongroom.storage import LocalObjectStore, ObjectLockedError

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
TASK = Actor("legal_hold.place", ActorKind.TASK, frozenset({Role.OPERATOR}))
PEOPLE = {
    "ada": frozenset({Role.OPERATOR}),
    "grace": frozenset({Role.PRIVACY_OFFICER}),
    "otto": frozenset({Role.AUDITOR}),
}
FIRST, SECOND = "20261120T020000Z-0001", "20261121T020000Z-0001"
RUN = "legal_hold/manual__1"


def person(name):
    return Actor(name, ActorKind.PERSON, PEOPLE.get(name, frozenset()))


class Backups(LifetimeSource):
    """Tells of what lies below `backups/`, one folder a backup; the second builds on the first."""

    def __init__(self, store):
        self.store = store

    def items(self):
        folders = {}
        for info in self.store.list("backups/"):
            folders.setdefault(info.key.split("/")[2], []).append(ItemObject(info.key, info.size_bytes))
        for name, objects in folders.items():
            below = ("backup/" + FIRST,) if name == SECOND else ()
            moment = datetime.strptime(name[:16] + "+0000", "%Y%m%dT%H%M%SZ%z")
            yield Item(Kind.BACKUP, f"backup/{name}", "shop", moment, tuple(objects), below)


@pytest.fixture
def parts(s3_store, control_database):
    signer = SignerKey.generate("test")
    for name in (FIRST, SECOND):
        s3_store.put_bytes(f"backups/shop/{name}/base.tar.zst.age", b"sealed")
        s3_store.put_bytes(f"backups/shop/{name}/manifest.json", b"{}")
    return HoldParts(
        store=s3_store,
        copies={},
        engine=control_database,
        sink=QueueSink(),
        signer=lambda: signer,
        verifier=signer.verifier,
        clock=FixedClock(NOW),
        sources=lambda database, copy: [Backups(s3_store)],
        person=person,
    )


@pytest.fixture
def holds(parts):
    return HoldService(parts)


def on_backup(name):
    return HoldScope(ScopeKind.BACKUP, "shop", backup_id=name)


def locked(store):
    return {info.key for info in store.list("") if store.head(info.key).legal_hold}


def decision(plan, *, by="grace", asked="ada", sha256=None, approved=True):
    return Decision(approved, sha256 or plan.sha256, asked, by, NOW, RUN)


def events(engine):
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT entry FROM audit_queue ORDER BY id")).scalars()
        return [json.loads(bytes(row)) for row in rows]


def test_a_hold_stands_at_once_and_locks_the_backup_with_the_one_below_it(holds, parts):
    hold = holds.place(TASK, on_backup(SECOND), "case-1", person=person("ada"))
    assert [one.id for one in holds.standing("shop")] == [hold.id]
    (report,) = holds.enforce(TASK)
    everything = {info.key for info in parts.store.list("backups/")}
    assert locked(parts.store) == everything | {f"holds/{hold.id}.json"}
    assert (report.held, report.locked, report.unlocked) == (5, 5, 0)
    key = f"backups/shop/{FIRST}/manifest.json"
    with pytest.raises(ObjectLockedError, match="legal hold"):
        parts.store.delete_version(key, None)


def test_enforcing_again_changes_nothing_and_what_is_new_is_locked_too(holds, parts):
    holds.place(TASK, HoldScope(ScopeKind.DATABASE, "shop"), "case-1", person=person("ada"))
    holds.enforce(TASK)
    assert holds.enforce(TASK)[0].locked == 0
    parts.store.put_bytes("backups/shop/20261124T020000Z-0001/manifest.json", b"{}")
    assert holds.enforce(TASK)[0].locked == 1
    assert "backups/shop/20261124T020000Z-0001/manifest.json" in locked(parts.store)


def test_older_versions_of_an_object_are_locked_too(holds, parts):
    from strongroom.storage import Condition

    key = f"backups/shop/{FIRST}/manifest.json"
    parts.store.put_bytes(key, b"{ }", condition=Condition.OVERWRITE)
    holds.place(TASK, on_backup(FIRST), "case-1", person=person("ada"))
    holds.enforce(TASK)
    versions = [info.version_id for info in parts.store.list_versions(key)]
    assert len(versions) == 2
    assert all(parts.store.head(key, version_id=version).legal_hold for version in versions)


def test_a_release_takes_a_second_person_who_names_the_hold_by_its_hash(holds, parts):
    hold = holds.place(TASK, on_backup(FIRST), "case-1", person=person("ada"))
    holds.enforce(TASK)
    plan = holds.plan_release(hold.id)
    with pytest.raises(NotApprovedError):
        holds.release(TASK, plan, RUN)
    with pytest.raises(SamePersonError):
        holds.decide_release(plan, decision(plan, by="ada"))
    with pytest.raises(AccessDeniedError):
        holds.decide_release(plan, decision(plan, by="otto"))
    with pytest.raises(PlanChangedError):
        holds.decide_release(plan, decision(plan, sha256="0" * 64))
    holds.decide_release(plan, decision(plan, approved=False))
    with pytest.raises(NotApprovedError):
        holds.release(TASK, plan, RUN)
    assert locked(parts.store)
    holds.decide_release(plan, decision(plan))
    holds.release(TASK, plan, RUN)
    assert holds.standing() == []
    holds.enforce(TASK)
    assert locked(parts.store) == set()
    parts.store.delete_version(f"backups/shop/{FIRST}/manifest.json", None)


def test_an_approval_is_good_for_one_hold_once(holds):
    first = holds.place(TASK, on_backup(FIRST), "case-1", person=person("ada"))
    second = holds.place(TASK, on_backup(FIRST), "case-2", person=person("ada"))
    plan = holds.plan_release(first.id)
    holds.decide_release(plan, decision(plan))
    with pytest.raises(NotApprovedError):
        holds.release(TASK, holds.plan_release(second.id), RUN)
    holds.release(TASK, plan, RUN)
    with pytest.raises(HoldReleasedError):
        holds.plan_release(first.id)
    with pytest.raises(NotApprovedError):
        holds.release(TASK, plan, RUN)


def test_what_two_holds_reach_stays_locked_until_both_are_released(holds, parts):
    first = holds.place(TASK, on_backup(FIRST), "case-1", person=person("ada"))
    holds.place(TASK, on_backup(FIRST), "case-2", person=person("ada"))
    holds.enforce(TASK)
    plan = holds.plan_release(first.id)
    holds.decide_release(plan, decision(plan))
    holds.release(TASK, plan, RUN)
    holds.enforce(TASK)
    assert f"backups/shop/{FIRST}/manifest.json" in locked(parts.store)


def test_nobody_without_a_role_places_a_hold_and_the_refusal_is_recorded(holds, parts):
    with pytest.raises(AccessDeniedError):
        holds.place(TASK, on_backup(FIRST), "case-1", person=person("otto"))
    assert holds.all() == []
    (refused,) = events(parts.engine)
    assert refused["type"] == "access:permission:refuse"


def test_the_log_has_attempt_and_result_and_names_nobody(holds, parts):
    hold = holds.place(
        TASK, HoldScope(ScopeKind.PERSON, "shop", person="ab" * 16), "case-1", person=person("ada")
    )
    attempt, result = events(parts.engine)
    assert (attempt["data"]["phase"], result["data"]["outcome"]) == ("attempt", "success")
    assert attempt["subject"] == f"holds/{hold.id}.json"
    assert "ab" * 16 not in json.dumps([attempt, result])
    assert b"ada" not in parts.store.get_bytes(f"holds/{hold.id}.json")


def test_a_lost_control_database_loses_no_hold(holds, parts):
    hold = holds.place(TASK, on_backup(FIRST), "case-1", person=person("ada"))
    holds.enforce(TASK)
    with parts.engine.begin() as connection:
        connection.execute(text("TRUNCATE legal_hold, held_version"))
    assert [one.id for one in holds.standing()] == [hold.id]
    (report,) = holds.enforce(TASK)
    assert (report.held, report.foreign) == (3, 3)
    with parts.engine.connect() as connection:
        assert [one.hold_id for one in HoldRepository().list(connection)] == [hold.id]
    (report,) = holds.enforce(TASK, adopt=True)
    assert report.foreign == 0
    plan = holds.plan_release(hold.id)
    holds.decide_release(plan, decision(plan))
    holds.release(TASK, plan, RUN)
    holds.enforce(TASK)
    assert locked(parts.store) == set()


def test_a_record_that_somebody_removes_leaves_its_hold_standing(holds, parts):
    hold = holds.place(TASK, on_backup(FIRST), "case-1", person=person("ada"))
    for info in list(parts.store.list_versions(f"holds/{hold.id}.json")):
        parts.store.delete_version(info.key, info.version_id)
    assert [one.id for one in holds.standing()] == [hold.id]
    holds.enforce(TASK)
    assert f"holds/{hold.id}.json" in locked(parts.store)


def test_a_record_that_somebody_altered_stops_everything(holds, parts):
    from strongroom.storage import Condition

    hold = holds.place(TASK, on_backup(FIRST), "case-1", person=person("ada"))
    holds.enforce(TASK)
    key = f"holds/{hold.id}.json"
    forged = parts.store.get_bytes(key).replace(
        b'"released_at":null', b'"released_at":"2026-11-24T00:00:00Z"'
    )
    parts.store.put_bytes(key, forged, condition=Condition.OVERWRITE)
    with pytest.raises(IntegrityError):
        holds.standing()
    with pytest.raises(IntegrityError):
        holds.enforce(TASK)
    assert f"backups/shop/{FIRST}/manifest.json" in locked(parts.store)


def test_somebody_elses_legal_hold_is_never_lifted(holds, parts):
    key = f"backups/shop/{FIRST}/manifest.json"
    parts.store.set_hold(key, True)
    hold = holds.place(TASK, on_backup(FIRST), "case-1", person=person("ada"))
    assert holds.enforce(TASK)[0].foreign == 1
    plan = holds.plan_release(hold.id)
    holds.decide_release(plan, decision(plan))
    holds.release(TASK, plan, RUN)
    holds.enforce(TASK)
    assert locked(parts.store) == {key}


def test_a_listing_that_fails_unlocks_nothing(holds, parts):
    class Failing(Backups):
        def items(self):
            yield from list(super().items())[:1]
            raise ConnectionError

    hold = holds.place(TASK, HoldScope(ScopeKind.DATABASE, "shop"), "case-1", person=person("ada"))
    holds.enforce(TASK)
    before = locked(parts.store)
    failing = HoldService(replace(parts, sources=lambda database, copy: [Failing(parts.store)]))
    with pytest.raises(ConnectionError):
        failing.enforce(TASK)
    assert locked(parts.store) == before
    assert hold.standing


def test_a_bucket_without_legal_holds_is_told_and_the_hold_still_stands(parts, tmp_path):
    store = LocalObjectStore(tmp_path / "bucket")
    holds = HoldService(replace(parts, store=store, sources=lambda database, copy: [Backups(store)]))
    holds.place(TASK, on_backup(FIRST), "case-1", person=person("ada"))
    (report,) = holds.enforce(TASK)
    assert not report.supported
    assert len(holds.standing()) == 1


def test_copies_are_locked_where_they_can_be(parts, seaweed):
    from strongroom.storage import S3ObjectStore

    bucket = f"copy-{os.getpid()}-{id(parts)}"
    seaweed.create_bucket(bucket)
    copy = S3ObjectStore(seaweed.client(), bucket)
    copy.put_bytes(f"backups/shop/{FIRST}/manifest.json", b"{}")
    sources = {None: parts.store, "offsite": copy}
    holds = HoldService(
        replace(
            parts,
            copies={"offsite": lambda: copy},
            sources=lambda database, name: [Backups(sources[name])],
        )
    )
    hold = holds.place(TASK, on_backup(FIRST), "case-1", person=person("ada"))
    reports = holds.enforce(TASK)
    assert [report.store for report in reports] == ["store", "offsite"]
    record = f"holds/{hold.id}.json"
    assert locked(copy) == {f"backups/shop/{FIRST}/manifest.json", record}
    assert copy.get_bytes(record) == parts.store.get_bytes(record)


@pytest.mark.parametrize("moment", range(8))
def test_a_run_that_is_killed_while_it_locks_is_made_good_by_the_next(holds, parts, moment):
    hold = holds.place(TASK, on_backup(FIRST), "case-1", person=person("ada"))
    child = os.fork()
    if child == 0:
        parts.engine.dispose(close=False)
        _die_at(parts.store, moment)
        HoldService(parts).enforce(TASK)
        os._exit(0)
    os.waitpid(child, 0)
    holds.enforce(TASK)
    assert f"backups/shop/{FIRST}/base.tar.zst.age" in locked(parts.store)
    plan = holds.plan_release(hold.id)
    holds.decide_release(plan, decision(plan))
    holds.release(TASK, plan, RUN)
    holds.enforce(TASK)
    assert locked(parts.store) == set()


def _die_at(store, moment):
    """Kill this process before or after one of its calls that lock an object."""
    calls = iter(range(100))
    real = store.set_hold

    def set_hold(*arguments, **options):
        number = next(calls)
        if number * 2 == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        real(*arguments, **options)
        if number * 2 + 1 == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    store.set_hold = set_hold


def test_ids_of_holds_sort_by_time(holds, parts):
    first = holds.place(TASK, on_backup(FIRST), "case-1", person=person("ada"))
    parts.clock.moment += timedelta(seconds=1)
    second = holds.place(TASK, on_backup(FIRST), "case-1", person=person("ada"))
    assert first.id < second.id
    assert [hold.id for hold in holds.all()] == [first.id, second.id]

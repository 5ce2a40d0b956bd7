"""A purge from its plan to the look at what is gone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from strongroom.access import Actor, ActorKind, Role
from strongroom.catalog import BackupNotFoundError, BackupRepository
from strongroom.errors import AccessDeniedError
from strongroom.lifetimes import Kind
from strongroom.retention import Action, NotApprovedError, PlanChangedError, PlanNotFoundError
from strongroom.retention.service import record_key
from tests.integration.retention.estate import TASK, Estate


def history(estate: Estate, days: int = 10) -> None:
    """One backup a day, and all log."""
    for day in range(days):
        estate.backup(day)
    estate.log(days)


def test_what_is_over_is_marked_first_and_goes_after_the_grace_period(estate: Estate) -> None:
    history(estate)
    before = estate.backups()

    first = estate.purge()

    assert estate.backups() == before, "marking deletes nothing"
    assert first.count()["marked"] > 5
    assert first.count()["deleted"] == 0
    estate.wait(days=2)
    assert estate.purge().count()["deleted"] == 0, "the grace period is not over"
    estate.wait(days=1, hours=1)
    estate.backup(-3)
    last = estate.purge()
    gone = {name.split("/")[1] for name in last.places[0].deleted if name.startswith("backup/")}
    assert gone == set(before) - set(estate.backups())
    assert len(gone) == 6
    assert not [key for key in estate.keys("backups/") if key.split("/")[2] in gone]
    with estate.engine.connect() as connection, pytest.raises(BackupNotFoundError):
        BackupRepository().get(connection, sorted(gone)[0])


def test_log_before_the_window_goes_and_the_rest_stays_whole(estate: Estate) -> None:
    history(estate)
    estate.purge()
    estate.wait(days=3, hours=1)

    report = estate.purge()

    deleted = [name for name in report.places[0].deleted if name.startswith("wal/")]
    assert deleted
    left = sorted(key for key in estate.keys("wal/") if key.endswith(".zst.age"))
    numbers = [int(key.split("/")[-1][16:24], 16) for key in left]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "no hole"
    assert not [item for item in estate.plan().plans[0].decisions if item.kind is Kind.DEBRIS]


def test_the_first_purge_needs_a_second_person(estate: Estate) -> None:
    history(estate)
    made = estate.plan()

    with pytest.raises(NotApprovedError):
        estate.apply(made)

    assert any("the first purge" in reason for reason in made.plans[0].unusual)
    assert estate.keys("tombstones/") == []


def test_purges_with_nothing_to_do_do_not_make_a_later_first_one_everyday(estate: Estate) -> None:
    estate.backup(0)
    estate.apply(estate.plan())
    estate.wait(days=5)
    for days in (-4.5, -4.4, -4.3):
        estate.backup(days)

    assert any("the first purge" in reason for reason in estate.plan().plans[0].unusual)


def test_an_approval_is_for_one_run(estate: Estate) -> None:
    history(estate)
    made = estate.plan()
    estate.approve(made)

    with pytest.raises(NotApprovedError):
        estate.apply(made, "retention_purge/another")


def test_an_everyday_purge_runs_without_anybody(estate: Estate) -> None:
    history(estate, 4)
    estate.backup(4.5)
    estate.purge()
    estate.wait(hours=12)
    estate.backup(-0.4)
    made = estate.plan()

    assert not made.needs_approval
    estate.apply(made)


def test_a_plan_that_was_carried_out_is_on_record_and_again_does_nothing(estate: Estate) -> None:
    history(estate)
    made = estate.plan()
    estate.approve(made)
    estate.apply(made)

    again = estate.apply(made)

    assert again.count()["marked"] == 0
    assert estate.keys("retention/") == [record_key(made)]
    assert estate.service().find(made.sha256) == made


def test_an_unknown_hash_is_no_plan(estate: Estate) -> None:
    with pytest.raises(PlanNotFoundError, match="retention plan DATABASE"):
        estate.service().apply(TASK, estate.policy, "0" * 64, "run")


def test_a_plan_of_another_policy_or_another_day_is_refused(estate: Estate) -> None:
    history(estate)
    made = estate.plan()
    estate.approve(made)
    estate.policy_text = estate.policy_text.replace("last: 2", "last: 3")
    with pytest.raises(PlanChangedError, match="policy"):
        estate.apply(made)
    estate.policy_text = estate.policy_text.replace("last: 3", "last: 2")
    estate.wait(days=4)
    with pytest.raises(PlanChangedError, match="3 days"):
        estate.apply(made)


def test_who_may_not_purge_is_refused_and_that_is_recorded(estate: Estate) -> None:
    history(estate, 2)
    auditor = Actor("auditor", ActorKind.PERSON, frozenset({Role.AUDITOR}))
    made = estate.service().plan(auditor, estate.policy)

    with pytest.raises(AccessDeniedError):
        estate.service().apply(auditor, estate.policy, made.sha256, "run")

    assert estate.events("access:permission:refuse")[0]["details"] == {"permission": "apply_retention"}


def test_each_step_is_recorded_before_and_after(estate: Estate) -> None:
    history(estate)
    estate.purge()
    estate.wait(days=4)
    estate.purge()

    deletions = estate.events("retention:item:delete")
    assert {event["phase"] for event in deletions} == {"attempt", "result"}
    assert sum(event["counts"]["items"] for event in deletions if event["phase"] == "result") == sum(
        event["counts"]["items"] for event in deletions if event["phase"] == "attempt"
    )
    runs = estate.events("retention:run:execute")
    assert [event["phase"] for event in runs].count("attempt") == 2
    assert all(event["outcome"] == "success" for event in runs if event["phase"] == "result")


def test_a_chain_stays_as_long_as_its_last_backup(estate: Estate) -> None:
    full = estate.backup(20)
    child = estate.backup(19, parent=full)
    estate.backup(0, parent=child)
    estate.backup(12)
    estate.backup(5)

    made = estate.plan().plans[0]

    marked = [one.item for one in made.having(Action.MARK) if one.kind is Kind.BACKUP]
    assert marked == [f"backup/{estate.manifest(12).backup_id}"]


def test_a_lock_is_extended_for_what_stays_and_holds_what_goes(in_s3: Estate) -> None:
    from strongroom.storage import Retention

    in_s3.policy_text += "  lock: {mode: governance, days: 10}\n"
    lock = Retention("governance", in_s3.clock.now() + timedelta(days=1))
    new = in_s3.backup(0, locked=lock)
    in_s3.backup(1, locked=lock)
    old = in_s3.backup(30, locked=lock)

    made = in_s3.plan().plans[0]
    report = in_s3.purge()

    assert "Object Lock" in made.by_item[f"backup/{old.backup_id}"].reason
    assert f"backup/{new.backup_id}" in report.places[0].locked
    retention = in_s3.store.head(new.key).retention
    assert retention is not None
    assert retention.until > lock.until + timedelta(days=8)
    kept = in_s3.store.head(old.key).retention
    assert kept is not None
    assert kept.until < lock.until + timedelta(days=1), "what is over is not locked for longer"

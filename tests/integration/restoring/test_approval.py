"""A restore needs two people: the approval is one person's word on one plan, for one run."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError as RowRefusedError

from strongroom.access import Actor, ActorKind, Decision, SamePersonError, roles_for
from strongroom.audit import QueueSink
from strongroom.backup.restoring.approval import NotApprovedError, RestoreApprovals
from strongroom.backup.restoring.configuration import RecoveryTarget
from strongroom.backup.restoring.errors import PlanChangedError
from strongroom.backup.restoring.plan import PlannedBackup, PlannedLog, PlannedServer, RestorePlan
from strongroom.catalog import ApprovalRecord, ApprovalRepository
from strongroom.errors import AccessDeniedError

PLAN = RestorePlan(
    database="shop",
    directory="/restored/shop",
    requested="to the backup's own restore point",
    target=RecoveryTarget.at_name("strongroom_20261124T000000Z-0001", timeline="1"),
    start=False,
    server=PlannedServer(18, "18.6", "7000000000000000001", 1 << 24),
    backups=(PlannedBackup("20261124T000000Z-0001", "0" * 64),),
    log=PlannedLog("000000010000000000000002", "000000010000000000000003", 2, 0, 0, "0" * 64),
    history=None,
    fetched_bytes=1,
    written_bytes=1,
    needed_bytes=1,
)
RUN = "restore/manual__2026-11-24T00:00:00+00:00"
YES = Decision(True, PLAN.sha256, "ada", "grace", datetime(2026, 11, 24, tzinfo=UTC), RUN)


ROLES = {"ada": ["operator"], "grace": ["operator"], "dora": ["privacy_officer"], "otto": ["auditor"]}


def person(account, roles=ROLES):
    return Actor(account, ActorKind.PERSON, roles_for(account, roles))


@pytest.fixture
def approvals(control_database):
    return RestoreApprovals(control_database, QueueSink(), person)


def events(engine):
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT entry FROM audit_queue ORDER BY id")).scalars()
        return [json.loads(bytes(row)) for row in rows]


def test_a_second_persons_approval_lets_this_plan_run_once_for_this_run(approvals):
    approvals.decide(PLAN, YES)
    assert approvals.require(PLAN, RUN).approved_by == "grace"
    with pytest.raises(NotApprovedError):
        approvals.require(PLAN, "restore/another-run")
    with pytest.raises(NotApprovedError):
        approvals.require(replace(PLAN, directory="/restored/elsewhere"), RUN)


def test_both_people_are_in_the_log_as_two_commitments(approvals, control_database):
    approvals.decide(PLAN, YES)
    asked, approved = events(control_database)
    assert (asked["type"], approved["type"]) == ("restore:plan:request", "restore:plan:approve")
    names = [event["data"]["actor"]["name"] for event in (asked, approved)]
    assert len(set(names)) == 2
    assert all(name.startswith("person:") for name in names)
    assert approved["data"]["hashes"]["plan_sha256"] == PLAN.sha256


@pytest.mark.parametrize(
    "same", [{"decided_by": "ada"}, {"decided_by": "ADA"}, {"decided_by": None}, {"requested_by": None}]
)
def test_one_person_is_refused_and_that_is_recorded(approvals, control_database, same):
    approvals.decide(PLAN, YES)
    with pytest.raises(SamePersonError):
        approvals.decide(PLAN, replace(YES, **same))
    with pytest.raises(NotApprovedError):
        approvals.require(PLAN, RUN)
    recorded = [(event["type"], event["data"]["outcome"]) for event in events(control_database)[2:]]
    assert ("restore:plan:approve", "denied") in recorded or same == {"decided_by": None}
    assert ("restore:plan:request", "success") in recorded or same == {"requested_by": None}


@pytest.mark.parametrize("named", ["", "0" * 64, PLAN.sha256[:63]])
def test_an_approval_that_names_another_plan_is_none(approvals, named):
    with pytest.raises(PlanChangedError, match="another plan"):
        approvals.decide(PLAN, replace(YES, plan_sha256=named))
    with pytest.raises(NotApprovedError):
        approvals.require(PLAN, RUN)


@pytest.mark.parametrize("who", ["otto", "stranger"])
def test_a_person_without_a_role_for_it_cannot_approve_and_that_is_recorded(approvals, control_database, who):
    with pytest.raises(AccessDeniedError, match="no role that may approve") as refused:
        approvals.decide(PLAN, replace(YES, decided_by=who))
    assert who not in str(refused.value)
    with pytest.raises(NotApprovedError):
        approvals.require(PLAN, RUN)
    answer = events(control_database)[-1]["data"]
    assert (answer["outcome"], answer["error_class"]) == ("denied", "AccessDeniedError")


def test_a_privacy_officer_may_be_the_second_person(approvals):
    approvals.decide(PLAN, replace(YES, decided_by="dora"))
    assert approvals.require(PLAN, RUN).approved_by == "dora"


def test_an_approval_ends_with_the_role_of_who_gave_it(approvals, control_database):
    approvals.decide(PLAN, YES)
    later = RestoreApprovals(control_database, QueueSink(), lambda account: person(account, {}))
    with pytest.raises(AccessDeniedError):
        later.require(PLAN, RUN)


def test_a_rejection_withdraws_an_approval(approvals):
    approvals.decide(PLAN, YES)
    approvals.decide(PLAN, replace(YES, approved=False, plan_sha256=""))
    with pytest.raises(NotApprovedError):
        approvals.require(PLAN, RUN)


def test_the_control_database_itself_refuses_one_person_twice(control_database):
    record = ApprovalRecord(PLAN.sha256, RUN, "ada", "Ada", YES.decided_at)
    with pytest.raises(RowRefusedError), control_database.begin() as connection:
        ApprovalRepository().add(connection, record)

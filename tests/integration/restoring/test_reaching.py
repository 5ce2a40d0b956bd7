"""Each kind of target is reached exactly: what had been committed by then is there, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy import text

from strongroom.backup.restoring.request import RestoreTarget
from strongroom.clock import timestamp
from tests.integration.restoring.conftest import Archived
from tests.integration.restoring.site import ACTOR, committed_by, engine_of, numbers, opened


def test_a_backup_alone_is_restored_to_its_own_point(archived: Archived, into: Path) -> None:
    report = archived.site.restore(RestoreTarget("backup"), into, backup_id=archived.first_backup)

    assert report.stopped == f'at restore point "strongroom_{archived.first_backup}"'
    with opened(report, archived.site.source) as cluster:
        assert numbers(cluster) <= {commit.number for commit in archived.commits}


def test_to_a_moment_under_load_every_row_and_no_other(archived: Archived, into: Path) -> None:
    middle = archived.commits[len(archived.commits) * 2 // 3]
    report = archived.site.restore(RestoreTarget.at_time(timestamp(middle.at)), into)

    with opened(report, archived.site.source) as cluster:
        assert numbers(cluster) == committed_by(archived.commits, middle.at)


def test_to_a_position(archived: Archived, into: Path) -> None:
    commit = archived.commits[len(archived.commits) // 2]
    report = archived.site.restore(RestoreTarget.at_lsn(commit.lsn), into)

    with opened(report, archived.site.source) as cluster:
        assert commit.number in numbers(cluster)


def test_to_the_end_of_the_archive(archived: Archived, into: Path) -> None:
    report = archived.site.restore(RestoreTarget("latest"), into)

    with opened(report, archived.site.source) as cluster:
        assert numbers(cluster) == {commit.number for commit in archived.commits}


def test_to_a_quiet_moment_after_the_last_commit(archived: Archived, into: Path) -> None:
    report = archived.site.restore(RestoreTarget.at_time(timestamp(archived.stopped_at)), into)

    with opened(report, archived.site.source) as cluster:
        assert numbers(cluster) == {commit.number for commit in archived.commits}


def test_plan_attempt_and_result_are_recorded(archived: Archived, into: Path) -> None:
    query = text("SELECT convert_from(entry, 'UTF8')::jsonb FROM audit_queue ORDER BY id")
    engine = engine_of(archived.site.control_url)
    with engine.connect() as connection:
        before = len(connection.execute(query).fetchall())
    report = archived.site.restore(RestoreTarget("backup"), into)
    with engine.connect() as connection:
        events = [row[0] for row in connection.execute(query).fetchall()[before:]]
    found = [
        (event["type"], event["data"]["phase"]) for event in events if event["type"].startswith("restore:")
    ]
    assert found == [
        ("restore:plan:make", "result"),
        ("restore:run:execute", "attempt"),
        ("restore:run:execute", "result"),
    ]
    assert all(report.plan_sha256 in json.dumps(event) for event in events if "restore:" in event["type"])


def test_the_plan_says_all_that_a_person_must_know(archived: Archived, into: Path) -> None:
    request = archived.site.request(RestoreTarget("latest"), into)
    planned = archived.site.restores().plan(ACTOR, request)
    lines = "\n".join(planned.lines())
    for part in ("from ", "log ", "stops at ", "archive ", "fetched ", "needs ", "takes ", "plan hash "):
        assert f"  {part}" in lines
    assert archived.second_backup in lines
    assert planned.plan.sha256 in lines
    assert not into.exists()

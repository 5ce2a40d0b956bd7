"""Each kind of target is reached exactly: what had been committed by then is there, and nothing else."""

from __future__ import annotations

from pathlib import Path

from strongroom.backup.restoring.request import RestoreTarget
from strongroom.clock import timestamp
from tests.integration.restoring.conftest import Archived
from tests.integration.restoring.site import ACTOR, committed_by, numbers, opened


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


def test_the_plan_is_readable(archived: Archived, into: Path) -> None:
    request = archived.site.request(RestoreTarget("latest"), into)
    print("\n".join(archived.site.restores().plan(ACTOR, request).lines()))

"""A moment after an incremental backup is reached from its whole chain."""

from __future__ import annotations

from pathlib import Path

from strongroom.backup.restoring.request import RestoreTarget
from strongroom.clock import timestamp
from strongroom.durations import Duration
from strongroom.postgres import Cluster
from tests.integration.restoring.site import ACTOR, Load, Site, committed_by, numbers, opened

WEEK = Duration.parse("7d")


def test_a_moment_after_an_incremental_backup(
    source: Cluster, control_url: str, tmp_path: Path, into: Path
) -> None:
    site = Site(tmp_path, control_url, source)
    site.make_keys()
    with Load(site.conninfo) as load:
        before = numbers(source)
        full = site.back_up(full_every=WEEK)
        load.run_for(0.4)
        first = site.back_up(full_every=WEEK)
        load.run_for(0.4)
        second = site.back_up(full_every=WEEK)
        load.run_for(0.6)
    site.ship()
    commit = sorted(load.commits, key=lambda item: item.at)[-20]

    service = site.restores()
    plan = service.plan(ACTOR, site.request(RestoreTarget.at_time(timestamp(commit.at)), into)).plan
    assert [item.id for item in plan.backups] == [full, first, second]
    report = service.run(ACTOR, plan, plan.sha256)
    with opened(report, source) as cluster:
        assert numbers(cluster) - before == committed_by(load.commits, commit.at) - before
    assert not (into / "staging").exists()

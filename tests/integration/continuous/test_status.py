"""`wal_status`: what is archived, what waits, and everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from strongroom.backup.continuous import GapError, WalStatus, wal_status
from strongroom.backup.continuous.segments import start_of
from strongroom.postgres import Cluster, parse_lsn
from tests.integration.continuous.conftest import FORGETS_WAL, MakeCluster
from tests.integration.continuous.place import Place, drop_slot, sql, write_rows, write_segments

MIB = 1 << 20


def status(place: Place) -> WalStatus:
    return wal_status(place.archive, place.plan, place.conninfo)


def test_nothing_shipped_is_a_problem_and_everything_shipped_is_none(place: Place, source: Cluster) -> None:
    before = status(place)
    assert (before.timelines, before.frontier, before.covered_until) == ((), None, None)
    assert len(before.problems) == 2
    write_rows(source)
    summary = place.ship()
    after = status(place)
    assert after.problems == ()
    assert (after.frontier, after.covered_until) == (summary.position, summary.covered_until)
    (timeline,) = after.timelines
    assert (timeline.timeline, timeline.segments, timeline.gaps) == (1, summary.segments, ())
    assert after.source is not None
    assert after.source.wal_status == "reserved"
    assert after.source.lag_bytes < MIB


def test_wal_that_waits_is_measured_and_late_runs_are_told(place: Place, source: Cluster) -> None:
    write_rows(source)
    place.ship()
    write_segments(source, 4)
    found = status(replace(place, plan=replace(place.plan, max_lag_bytes=MIB)))
    assert found.source is not None
    assert 4 * MIB <= found.source.lag_bytes < 6 * MIB
    assert found.source.held_bytes >= found.source.lag_bytes
    assert any("limit is" in problem for problem in found.problems)
    late = status(replace(place, plan=replace(place.plan, ship_every=timedelta(microseconds=1))))
    assert any("last run" in problem for problem in late.problems)


def test_a_gap_a_lost_slot_and_a_source_that_is_down_are_told(
    make_cluster: MakeCluster, make_place: Callable[[Cluster], Place]
) -> None:
    cluster = make_cluster(FORGETS_WAL)
    place = make_place(cluster)
    write_rows(cluster)
    before = place.ship()
    drop_slot(place, cluster)
    assert any("no replication slot" in problem for problem in status(place).problems)
    write_segments(cluster, 6)
    sql(cluster, "CHECKPOINT", "CHECKPOINT")
    write_rows(cluster)
    with pytest.raises(GapError):
        place.ship()
    found = status(place)
    (timeline,) = found.timelines
    assert [start_of(name, MIB) for name in timeline.gaps] == [parse_lsn(before.position)]
    assert found.problems == ()
    cluster.stop("immediate")
    down = status(place)
    assert (down.timelines, down.source) == (found.timelines, None)
    assert "cannot be asked" in down.problems[0]

"""Another server behind the same name: a promoted standby, a snapshot, a foreign cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest
from psycopg.conninfo import make_conninfo

from strongroom.backup.continuous import (
    DivergedTimelineError,
    parse_history,
)
from strongroom.backup.continuous.layout import history_receipt_key
from strongroom.backup.errors import SourceNotReadyError
from strongroom.postgres import (
    Cluster,
    parse_lsn,
)
from tests.integration.continuous.conftest import KEEPS_WAL, MakeCluster
from tests.integration.continuous.place import (
    Place,
    write_rows,
    write_segments,
)
from tests.integration.continuous.standby import caught_up, promote, standby
from tests.integration.continuous.test_shipping import cluster_id, first_lsn

MIB = 1 << 20
MakePlace = Callable[..., Place]


def test_a_failover_is_followed_with_its_history_and_without_a_hole(
    make_cluster: MakeCluster, make_place: MakePlace
) -> None:
    primary = make_cluster(KEEPS_WAL)
    place = make_place(primary)
    write_rows(primary)
    place.ship()
    begin = first_lsn(place)
    with standby(primary) as promoted:
        write_segments(primary, 2)
        write_rows(primary)
        caught_up(promoted, primary)
        primary.stop("immediate")
        promote(promoted)
        write_rows(promoted)
        hosts = f"{primary.socket_dir},{promoted.socket_dir}"
        either = make_conninfo(
            promoted.conninfo(), host=hosts, port="5432,5432", target_session_attrs="primary"
        )
        moved = replace(place, conninfo=either)
        summary = moved.ship()

        assert summary.timeline == 2
        identifier = cluster_id(place)
        assert place.archive.timelines(identifier) == [1, 2]
        frontier = place.archive.frontier(identifier, 2, begin, MIB)
        assert (frontier.gap, frontier.position) == (None, parse_lsn(summary.position))
        receipt = place.archive.history_receipt(identifier, 2)
        assert parse_history(2, place.opened(receipt.file)) == receipt.history
        assert place.opened(receipt.file) == (promoted.data_dir / "pg_wal/00000002.history").read_bytes()
        for timeline in (1, 2):
            for item in place.archive.segments(identifier, timeline):
                path = promoted.data_dir / "pg_wal" / item.name
                if path.is_file():
                    assert place.opened(item) == path.read_bytes()

        primary.start()
        moved = replace(place, conninfo=promoted.conninfo())
        write_rows(primary)
        with pytest.raises(DivergedTimelineError, match="timeline 2"):
            place.ship()

        place.store.delete_version(history_receipt_key("shop", identifier, 2), None)
        write_rows(promoted)
        moved.ship()
        assert place.archive.history(identifier, 2) == receipt.history
        with pytest.raises(SourceNotReadyError, match="standby"), standby(promoted) as second:
            replace(place, conninfo=second.conninfo()).ship()


def test_a_second_server_promoted_to_the_same_timeline_elsewhere_is_refused(
    make_cluster: MakeCluster, make_place: MakePlace
) -> None:
    primary = make_cluster(KEEPS_WAL)
    place = make_place(primary)
    write_rows(primary)
    place.ship()
    with standby(primary) as first, standby(primary) as second:
        caught_up(first, primary)
        promote(first)
        write_rows(first)
        replace(place, conninfo=first.conninfo()).ship()
        write_segments(primary, 2)
        caught_up(second, primary)
        promote(second)
        write_rows(second)
        with pytest.raises(DivergedTimelineError, match="left its predecessor elsewhere"):
            replace(place, conninfo=second.conninfo()).ship()


def test_a_server_that_was_put_back_to_a_snapshot_is_refused_until_it_has_a_timeline_of_its_own(
    make_cluster: MakeCluster, make_place: MakePlace
) -> None:
    cluster = make_cluster(KEEPS_WAL)
    place = make_place(cluster)
    write_rows(cluster)
    place.ship()
    cluster.stop()
    snapshot = cluster.data_dir.with_name("snapshot")
    subprocess.run(["cp", "-a", cluster.data_dir, snapshot], check=True)
    cluster.start()
    write_segments(cluster, 3)
    archived = place.ship()
    cluster.stop()
    subprocess.run(["rm", "-r", cluster.data_dir], check=True)
    snapshot.rename(cluster.data_dir)
    cluster.start()
    write_rows(cluster)
    before = {item.key for item in place.store.list("wal/")}

    with pytest.raises(DivergedTimelineError, match="earlier state") as refused:
        place.ship()

    assert {item.key for item in place.store.list("wal/")} == before
    assert "pg_promote" in str(refused.value.hint)
    cluster.stop()
    signal = cluster.data_dir / "standby.signal"
    signal.touch()
    cluster.start()
    promote(cluster)
    write_rows(cluster)
    summary = place.ship()
    assert summary.timeline == 2
    begin = first_lsn(place)
    frontier = place.archive.frontier(cluster_id(place), 2, begin, MIB)
    assert (frontier.gap, frontier.lsn) == (None, summary.position)
    assert place.archive.frontier(cluster_id(place), 1, begin, MIB).lsn == archived.position


def test_another_cluster_behind_the_same_name_gets_an_archive_of_its_own(
    place: Place, source: Cluster, make_cluster: MakeCluster
) -> None:
    write_rows(source)
    place.ship()
    kept = {item.key for item in place.store.list("wal/")}
    other = make_cluster(KEEPS_WAL)
    write_rows(other)
    summary = replace(place, conninfo=other.conninfo()).ship()
    assert summary.new_cluster
    assert "another cluster" in summary.warnings[0]
    assert len(place.archive.system_ids()) == 2
    assert kept < {item.key for item in place.store.list("wal/")}
    write_rows(other)
    assert not replace(place, conninfo=other.conninfo()).ship().new_cluster

"""Bad luck on the source: dropped slots, failovers, other clusters, damage. Nothing is lost silently."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from psycopg.conninfo import make_conninfo

from strongroom.backup.continuous import (
    DivergedTimelineError,
    ForeignSegmentError,
    GapError,
    SegmentError,
    SlotInUseError,
    SlotUnusableError,
    parse_history,
)
from strongroom.backup.continuous.draining import Drain, Drained, Window
from strongroom.backup.continuous.layout import history_receipt_key
from strongroom.backup.continuous.segments import start_of
from strongroom.backup.errors import SourceNotReadyError
from strongroom.errors import StrongroomError
from strongroom.postgres import (
    Cluster,
    find_binaries,
    format_lsn,
    parse_lsn,
    run_as,
    scratch_cluster,
    segment_name,
)
from strongroom.storage import Retention
from tests.integration.backup.conftest import server_root
from tests.integration.continuous.conftest import FORGETS_WAL, KEEPS_WAL, MakeCluster
from tests.integration.continuous.place import ACTOR, Place, sql, write_rows, write_segments
from tests.integration.continuous.test_shipping import assert_identical, cluster_id, restart_lsn

MIB = 1 << 20
MakePlace = Callable[..., Place]


def drop_slot(place: Place, cluster: Cluster) -> None:
    sql(cluster, f"SELECT pg_drop_replication_slot('{place.plan.slot}')")


def first_lsn(place: Place) -> int:
    return start_of(place.archive.segments(cluster_id(place), 1)[0].name, MIB)


@contextmanager
def standby(primary: Cluster) -> Iterator[Cluster]:
    """A standby that follows the primary over its socket."""
    with server_root() as root, scratch_cluster(root, primary.binaries, "standby") as scratch:
        cluster = scratch.cluster()
        scratch.data_dir.rmdir()
        copied = run_as(
            scratch.account,
            [
                primary.binaries.tool("pg_basebackup"),
                f"--pgdata={scratch.data_dir}",
                f"--dbname={primary.conninfo()}",
                "--write-recovery-conf",
                "--checkpoint=fast",
            ],
        )
        assert copied.returncode == 0, copied.stderr
        cluster.start()
        yield cluster


def promote(cluster: Cluster) -> None:
    assert sql(cluster, "SELECT pg_promote()") is True


def caught_up(follower: Cluster, primary: Cluster) -> None:
    target = str(sql(primary, "SELECT pg_current_wal_flush_lsn()::text"))
    query = f"SELECT pg_last_wal_replay_lsn() >= '{target}'"
    for _ in range(400):
        if sql(follower, query, "SELECT pg_sleep(0.05)") == "" and sql(follower, query):
            return
    pytest.fail("The standby does not catch up.")


def test_a_dropped_slot_is_made_again_and_no_gap_is_claimed_where_there_is_none(
    place: Place, source: Cluster
) -> None:
    write_rows(source)
    place.ship()
    drop_slot(place, source)
    write_segments(source, 3)
    summary = place.ship()
    assert summary.slot_created
    frontier = place.archive.frontier(cluster_id(place), 1, first_lsn(place), MIB)
    assert (frontier.gap, frontier.position) == (None, parse_lsn(summary.position))
    assert_identical(place, source)


def test_a_dropped_slot_with_wal_gone_is_a_named_gap_and_a_new_range_begins(
    make_cluster: MakeCluster, make_place: MakePlace
) -> None:
    cluster = make_cluster(FORGETS_WAL)
    place = make_place(cluster)
    write_rows(cluster)
    before = place.ship()
    drop_slot(place, cluster)
    write_segments(cluster, 6)
    sql(cluster, "CHECKPOINT", "CHECKPOINT")
    write_rows(cluster)

    with pytest.raises(GapError, match="was gone") as caught:
        place.ship()

    frontier = place.archive.frontier(cluster_id(place), 1, first_lsn(place), MIB)
    assert frontier.position == parse_lsn(before.position)
    assert frontier.gap == caught.value.first_missing
    assert start_of(caught.value.first_missing, MIB) == parse_lsn(before.position)
    assert "backup run" in str(caught.value.hint)
    write_rows(cluster)
    after = place.ship()
    newest = place.archive.frontier(cluster_id(place), 1, parse_lsn(after.position) - 1, MIB)
    assert (newest.gap, newest.covered_until) == (None, after.covered_until)
    with place.engine.connect() as connection:
        rows = connection.execute(sqlalchemy.text("SELECT entry FROM audit_queue")).scalars().all()
    assert sum(b'"wal:gap:find"' in bytes(row) for row in rows) == 1


def test_a_slot_that_the_server_gave_up_on_is_replaced(
    make_cluster: MakeCluster, make_place: MakePlace
) -> None:
    cluster = make_cluster({**FORGETS_WAL, "max_slot_wal_keep_size": "2MB"})
    place = make_place(cluster)
    write_rows(cluster)
    place.ship()
    write_segments(cluster, 8)
    sql(cluster, "CHECKPOINT", "CHECKPOINT")
    query = f"SELECT wal_status FROM pg_replication_slots WHERE slot_name = '{place.plan.slot}'"
    assert sql(cluster, query) == "lost"
    with pytest.raises(GapError):
        place.ship()
    write_rows(cluster)
    place.ship()
    assert sql(cluster, query) in ("reserved", "extended")


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


@pytest.mark.parametrize(
    ("offset", "error"),
    [(24, ForeignSegmentError), (3 * 8192 + 8, SegmentError), (8, SegmentError), (5000, SegmentError)],
)
def test_a_damaged_or_foreign_segment_is_not_archived(
    place: Place,
    source: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    offset: int,
    error: type[StrongroomError],
) -> None:
    write_rows(source)
    place.ship()
    write_segments(source, 2)
    before = {item.key for item in place.store.list("wal/")}
    position = restart_lsn(place, source)
    receive = Drain._receive

    def damage(drain: Drain, names: Any) -> list[Path]:
        paths = receive(drain, names)
        content = bytearray(paths[1].read_bytes())
        content[offset] ^= 0x40
        paths[1].write_bytes(content)
        return paths

    with monkeypatch.context() as patch:
        patch.setattr(Drain, "_receive", damage)
        with pytest.raises(error):
            place.ship()
    assert {item.key for item in place.store.list("wal/")} == before
    assert restart_lsn(place, source) == position
    place.ship()
    assert_identical(place, source)


def test_a_segment_that_stays_damaged_can_be_left_out_and_that_is_a_gap(
    make_cluster: MakeCluster, make_place: MakePlace
) -> None:
    cluster = make_cluster(KEEPS_WAL)
    place = make_place(cluster)
    write_rows(cluster)
    before = place.ship()
    write_segments(cluster, 4)
    harmed = segment_name(1, parse_lsn(before.position) + 2 * MIB, MIB)
    path = cluster.data_dir / "pg_wal" / harmed
    content = bytearray(path.read_bytes())
    content[6000] ^= 1
    with path.open("r+b") as file:
        file.write(content)
    with pytest.raises(SegmentError, match=harmed) as found:
        place.ship()
    assert f"--skip-damaged {harmed}" in str(found.value.hint)
    with pytest.raises(GapError, match="damaged") as gap:
        place.shipper().ship(ACTOR, place.plan, place.conninfo, skip_damaged=harmed)
    assert gap.value.first_missing == harmed
    frontier = place.archive.frontier(cluster_id(place), 1, first_lsn(place), MIB)
    assert (frontier.position, frontier.gap) == (start_of(harmed, MIB), harmed)
    write_rows(cluster)
    after = place.ship()
    assert (
        place.archive.frontier(cluster_id(place), 1, start_of(harmed, MIB) + MIB, MIB).lsn == after.position
    )
    assert_identical(place, cluster)


def test_a_segment_removed_in_the_middle_of_a_run_is_the_one_that_is_named(
    place: Place, source: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(source)
    place.ship()
    write_segments(source, 4)
    fetch, seen = Drain.fetch, []

    def lose_one(drain: Drain, window: Window) -> Drained:
        drained = fetch(drain, window)
        if seen:
            return drained
        seen.append(window.names[2])
        after = format_lsn(start_of(window.names[3], MIB))
        sql(source, f"SELECT pg_replication_slot_advance('{place.plan.slot}', '{after}')")
        return Drained(drained.paths[:2], window.names[2])

    monkeypatch.setattr(Drain, "fetch", lose_one)
    with pytest.raises(GapError) as caught:
        place.ship()
    assert caught.value.first_missing == seen[0]
    frontier = place.archive.frontier(cluster_id(place), 1, first_lsn(place), MIB)
    assert (frontier.position, frontier.gap) == (start_of(seen[0], MIB), seen[0])


def test_a_leftover_that_is_locked_is_stored_beside(
    place: Place, source: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from strongroom.storage import LocalObjectStore, ObjectLockedError

    write_rows(source)
    place.ship()
    write_segments(source, 1)

    class Stop(Exception):
        pass

    def stop(stage: str, _count: int) -> None:
        if stage == "uploaded":
            raise Stop

    with pytest.raises(Stop):
        place.ship(progress=stop)

    class Locked(LocalObjectStore):
        def delete_version(self, key: str, version_id: str | None) -> None:
            raise ObjectLockedError(f"{key} is locked.")

    summary = place.ship(store=Locked(place.directory / "bucket"))
    assert summary.leftovers_removed == 0
    keys = [item.key for item in place.archive.segments(cluster_id(place), 1)]
    assert any(len(key.rsplit("/", 1)[1].split(".")[1]) == 4 for key in keys)
    assert_identical(place, source)


def test_what_is_shipped_is_locked_from_the_sources_clock_on(
    source: Cluster, place: Place, s3_store: Any
) -> None:
    locked = replace(place, plan=replace(place.plan, lock_mode="governance", lock_days=1))
    write_rows(source)
    summary = locked.ship(store=s3_store)
    keys = [item.key for item in s3_store.list("wal/") if not item.key.endswith("coverage.json")]
    assert len(keys) == summary.segments + 1
    for key in keys:
        retention = s3_store.head(key).retention
        assert isinstance(retention, Retention)
        assert abs((retention.until - summary.covered_until).total_seconds() - 86_400) < 2


def test_a_slot_of_the_wrong_kind_or_in_use_is_refused(
    make_cluster: MakeCluster, make_place: MakePlace
) -> None:
    cluster = make_cluster({**KEEPS_WAL, "wal_level": "logical"})
    place = make_place(cluster)
    sql(cluster, f"SELECT pg_create_logical_replication_slot('{place.plan.slot}', 'pgoutput')")
    with pytest.raises(SlotUnusableError, match="logical"):
        place.ship()
    drop_slot(place, cluster)
    place.ship()
    with (
        streaming(place, cluster),
        pytest.raises(SlotInUseError, match="Another program"),
    ):
        place.ship()


@contextmanager
def streaming(place: Place, cluster: Cluster) -> Iterator[None]:
    import tempfile
    import time

    with tempfile.TemporaryDirectory() as directory:
        program = find_binaries().tool("pg_receivewal")
        receiver = subprocess.Popen(
            [program, "-D", directory, "-S", place.plan.slot, "-d", cluster.conninfo()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            query = f"SELECT active FROM pg_replication_slots WHERE slot_name = '{place.plan.slot}'"
            for _ in range(200):
                if sql(cluster, query):
                    break
                time.sleep(0.05)
            yield
        finally:
            receiver.kill()
            receiver.wait()
            for _ in range(200):
                if not sql(cluster, query):
                    break
                time.sleep(0.05)


def test_all_slots_in_use_says_so(make_cluster: MakeCluster, make_place: MakePlace) -> None:
    cluster = make_cluster({**KEEPS_WAL, "max_replication_slots": "1"})
    place = make_place(cluster)
    sql(cluster, "SELECT pg_create_physical_replication_slot('somebody')")
    with pytest.raises(SourceNotReadyError, match="slots"):
        place.ship()

"""Bad luck on the source: dropped slots, damage, locks. Nothing is lost silently."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from strongroom.backup.continuous import (
    ForeignSegmentError,
    GapError,
    SegmentError,
    SlotInUseError,
    SlotUnusableError,
)
from strongroom.backup.continuous.draining import Drain, Drained, Window
from strongroom.backup.continuous.segments import start_of
from strongroom.backup.errors import SourceNotReadyError
from strongroom.errors import StrongroomError
from strongroom.postgres import (
    Cluster,
    find_binaries,
    format_lsn,
    parse_lsn,
    segment_name,
)
from strongroom.storage import Retention
from tests.integration.continuous.conftest import FORGETS_WAL, KEEPS_WAL, MakeCluster
from tests.integration.continuous.place import (
    ACTOR,
    Place,
    drop_slot,
    sql,
    write_rows,
    write_segments,
)
from tests.integration.continuous.test_shipping import assert_identical, cluster_id, first_lsn, restart_lsn

MIB = 1 << 20
MakePlace = Callable[..., Place]


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

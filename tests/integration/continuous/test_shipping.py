"""WAL goes from the server into the archive: all of it, once, in order, and byte for byte."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from strongroom.access import Actor, ActorKind, Role
from strongroom.backup.continuous import ShippingInProgressError, SlotLagError
from strongroom.backup.continuous.segments import start_of
from strongroom.clock import Clock
from strongroom.errors import AccessDeniedError, TransientError
from strongroom.postgres import Cluster, MissingPrivilegeError, connect, find_binaries, parse_lsn
from strongroom.storage import LocalObjectStore, ObjectInfo, StoreUnavailableError
from strongroom.storage.interface import Buffer
from tests.integration.audit.faults import unavailable
from tests.integration.continuous.conftest import KEEPS_WAL, MakeCluster
from tests.integration.continuous.place import (
    ACTOR,
    Place,
    sql,
    write_rows,
    write_segments,
)
from tests.support import require

MIB = 1 << 20


def cluster_id(place: Place) -> str:
    (identifier,) = place.archive.system_ids()
    return identifier


def first_lsn(place: Place) -> int:
    return start_of(place.archive.segments(cluster_id(place), 1)[0].name, MIB)


def shipped(place: Place) -> list[str]:
    return [item.name for item in place.archive.segments(cluster_id(place), 1)]


def assert_continuous(place: Place, segment_bytes: int = MIB) -> None:
    starts = [start_of(name, segment_bytes) for name in shipped(place)]
    assert len(starts) > 1
    assert all(after - before == segment_bytes for before, after in pairwise(starts))


def assert_identical(place: Place, cluster: Cluster) -> None:
    """Each archived segment, opened, is the server's file."""
    segments = place.archive.segments(cluster_id(place), 1)
    for item in segments:
        assert place.opened(item) == (cluster.data_dir / "pg_wal" / item.name).read_bytes()


def restart_lsn(place: Place, cluster: Cluster) -> int:
    return parse_lsn(
        str(
            sql(
                cluster,
                f"SELECT restart_lsn::text FROM pg_replication_slots WHERE slot_name = '{place.plan.slot}'",
            )
        )
    )


def test_what_was_committed_before_a_run_is_in_the_archive_after_it(place: Place, source: Cluster) -> None:
    write_rows(source)
    committed = parse_lsn(str(sql(source, "SELECT pg_current_wal_insert_lsn()::text")))
    before = sql(source, "SELECT clock_timestamp()")
    summary = place.ship()
    frontier = place.archive.frontier(cluster_id(place), 1, committed - 1, MIB)
    assert frontier.position >= committed
    assert frontier.covered_until == summary.covered_until
    assert frontier.covered_until >= before  # type: ignore[operator]
    assert frontier.gap is None
    assert restart_lsn(place, source) == frontier.position
    assert summary.switched
    assert summary.slot_created
    assert_identical(place, source)


def test_a_server_under_load_ships_without_a_hole_and_byte_for_byte(
    make_place: Callable[[Cluster], Place], make_cluster: MakeCluster
) -> None:
    pgbench = find_binaries().bin_dir / "pgbench"
    require("pgbench", pgbench.is_file())
    cluster = make_cluster(KEEPS_WAL, segment_megabytes=16)
    place = make_place(cluster)
    subprocess.run([pgbench, "-i", "-s", "2", "-q", cluster.conninfo()], check=True, capture_output=True)
    load = subprocess.Popen(
        [pgbench, "-c", "2", "-T", "4", "-n", cluster.conninfo()],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    runs = 0
    while load.poll() is None:
        place.ship()
        runs += 1
    assert load.returncode == 0
    place.ship()
    assert runs > 1
    assert_continuous(place, 16 * MIB)
    assert_identical(place, cluster)


def test_a_quiet_server_is_not_made_to_switch_and_stays_covered(place: Place, source: Cluster) -> None:
    write_rows(source)
    first = place.ship()
    position = sql(source, "SELECT pg_current_wal_insert_lsn()::text")
    second, third = place.ship(), place.ship()
    assert sql(source, "SELECT pg_current_wal_insert_lsn()::text") == position
    assert [second.segments, third.segments] == [0, 0]
    assert first.switched
    assert not second.switched
    frontier = place.archive.frontier(cluster_id(place), 1, parse_lsn(first.position) - 1, MIB)
    assert frontier.covered_until == third.covered_until > first.covered_until


def test_a_checkpoint_alone_is_nothing_to_switch_for(place: Place, source: Cluster) -> None:
    write_rows(source)
    place.ship()
    sql(source, "CHECKPOINT")
    assert not place.ship().switched


def test_a_transaction_that_was_open_and_commits_later_is_shipped(place: Place, source: Cluster) -> None:
    write_rows(source)
    with connect(source.conninfo(), application_name="test", autocommit=False) as open_session:
        open_session.execute("INSERT INTO public.note (words) VALUES ('late')")
        place.ship()
        assert not place.ship().switched
        open_session.commit()
    assert place.ship().switched


def test_a_days_outage_is_caught_up_in_windows_with_little_room(
    place: Place, source: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strongroom.backup.continuous.draining._WINDOW_BYTES", 8 * MIB)
    place.ship()
    write_segments(source, 30)
    found: list[int] = []

    def watch(stage: str, _count: int) -> None:
        if stage == "uploaded":
            found.append(
                sum(
                    len(list(path.iterdir()))
                    for path in Path("/dev/shm").glob(f"strongroom-wal.{os.getpid()}.*")
                )
            )

    summary = place.ship(progress=watch)
    assert summary.segments >= 30
    assert len(found) >= 4
    assert max(found) <= 9
    assert_continuous(place)
    assert_identical(place, source)
    assert not list(Path("/dev/shm").glob(f"strongroom-wal.{os.getpid()}.*"))


@pytest.mark.parametrize("stage", ["fetched", "uploaded", "receipted", "advanced"])
def test_after_a_kill_the_next_run_goes_on_without_a_hole(place: Place, source: Cluster, stage: str) -> None:
    place.ship()
    write_segments(source, 3)
    command = [sys.executable, "-m", "tests.integration.continuous.place", str(place.write_config()), stage]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as killed:
        assert killed.wait() == -signal.SIGKILL

    summary = place.ship()

    assert summary.leftovers_removed == (0 if stage != "uploaded" else 4)
    assert_continuous(place)
    assert_identical(place, source)
    assert restart_lsn(place, source) == parse_lsn(summary.position)
    assert not list(Path("/dev/shm").glob(f"strongroom-wal.{killed.pid}.*"))


def test_the_slot_does_not_move_before_the_receipt_is_written(place: Place, source: Cluster) -> None:
    place.ship()
    write_segments(source, 2)
    before = restart_lsn(place, source)
    seen: dict[str, int] = {}
    place.ship(progress=lambda stage, _count: seen.update({stage: restart_lsn(place, source)}))
    assert seen["fetched"] == seen["uploaded"] == seen["receipted"] == before
    assert seen["advanced"] > before


def test_a_source_that_stops_in_the_middle_costs_one_run(place: Place, source: Cluster) -> None:
    write_segments(source, 2)

    def stop_source(stage: str, _count: int) -> None:
        if stage == "uploaded":
            source.stop("immediate")

    try:
        with pytest.raises(TransientError):
            place.ship(progress=stop_source)
    finally:
        source.start()
    place.ship()
    assert_continuous(place)
    assert_identical(place, source)


def test_shipping_ends_when_the_slot_is_dropped_and_that_is_recorded(place: Place, source: Cluster) -> None:
    place.ship()
    assert place.shipper().stop(ACTOR, place.plan, place.conninfo)
    query = f"SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{place.plan.slot}'"
    assert sql(source, query) == 0
    assert not place.shipper().stop(ACTOR, place.plan, place.conninfo)
    auditor = Actor("reader", ActorKind.TASK, frozenset({Role.AUDITOR}))
    with pytest.raises(AccessDeniedError):
        place.shipper().stop(auditor, place.plan, place.conninfo)
    with place.engine.connect() as connection:
        rows = connection.execute(sqlalchemy.text("SELECT entry FROM audit_queue")).scalars().all()
    assert sum(b'"wal:slot:drop"' in bytes(row) for row in rows) == 4


def test_of_two_runs_at_once_exactly_one_ships(place: Place, source: Cluster) -> None:
    write_segments(source, 1)
    reached, go_on = threading.Event(), threading.Event()

    def wait(_stage: str, _count: int) -> None:
        reached.set()
        go_on.wait(30)

    first = threading.Thread(target=lambda: place.ship(progress=wait))
    first.start()
    assert reached.wait(30)
    try:
        with pytest.raises(ShippingInProgressError):
            place.ship()
    finally:
        go_on.set()
        first.join()
    assert_identical(place, source)


class _OffByADay(Clock):
    def now(self):  # type: ignore[no-untyped-def]
        from strongroom.clock import SystemClock

        return SystemClock().now() + timedelta(days=self.days)

    def __init__(self, days: int) -> None:
        self.days = days


@pytest.mark.parametrize("days", [-1, 1])
def test_the_clock_of_the_backup_host_does_not_matter(place: Place, source: Cluster, days: int) -> None:
    wrong = replace(place, clock=_OffByADay(days))
    write_rows(source)
    before = sql(source, "SELECT clock_timestamp()")
    summary = wrong.ship()
    after = sql(source, "SELECT clock_timestamp()")
    assert before <= summary.covered_until <= after  # type: ignore[operator]
    write_rows(source)
    assert place.ship().covered_until > summary.covered_until
    assert_continuous(place)


def test_too_much_waiting_wal_fails_the_run_with_what_to_do(place: Place, source: Cluster) -> None:
    strict = replace(place, plan=replace(place.plan, max_lag_bytes=1))
    write_rows(source)

    def write_meanwhile(stage: str, _count: int) -> None:
        if stage == "advanced":
            write_rows(source)

    with pytest.raises(SlotLagError, match="still wait") as caught:
        strict.ship(progress=write_meanwhile)
    assert "pg_drop_replication_slot" in str(caught.value.hint)


class _NoSegments(LocalObjectStore):
    def put_stream(self, key: str, chunks: Iterable[Buffer], **options: Any) -> ObjectInfo:
        if key.endswith(".zst.age"):
            unavailable()
        return super().put_stream(key, chunks, **options)


def test_a_failed_run_says_when_the_sources_disk_fills_up_meanwhile(place: Place, source: Cluster) -> None:
    place.ship()
    write_segments(source, 2)
    strict = replace(place, plan=replace(place.plan, max_lag_bytes=MIB))
    with pytest.raises(StoreUnavailableError) as caught:
        strict.ship(store=_NoSegments(place.directory / "bucket"))
    assert "holds back" in str(caught.value.hint)


def test_the_run_is_recorded_and_an_auditor_may_not_ship(place: Place, source: Cluster) -> None:
    write_rows(source)
    place.ship()
    auditor = Actor("reader", ActorKind.TASK, frozenset({Role.AUDITOR}))
    with pytest.raises(AccessDeniedError):
        place.ship(actor=auditor)
    with place.engine.connect() as connection:
        rows = connection.execute(sqlalchemy.text("SELECT entry FROM audit_queue")).scalars().all()
    events = [json.loads(bytes(row)) for row in rows]
    own = [event["data"] for event in events if event["type"] == "wal:segment:ship"]
    assert [(event["phase"], event.get("outcome")) for event in own] == [
        ("attempt", None),
        ("result", "success"),
    ]
    assert own[1]["counts"]["segments"] >= 1
    assert [event["data"]["outcome"] for event in events if event["type"] == "access:permission:refuse"] == [
        "denied"
    ]


def test_a_user_without_rights_is_told_the_exact_grants(place: Place, source: Cluster) -> None:
    sql(source, 'CREATE ROLE "ship it" LOGIN')
    limited = replace(place, conninfo=f"{place.conninfo} user='ship it'")
    with pytest.raises(MissingPrivilegeError) as caught:
        limited.ship()
    sql(source, *(caught.value.hint or "").splitlines()[1:])
    write_rows(source)
    assert limited.ship().segments > 0


@pytest.mark.parametrize(("major", "megabytes"), [(15, 16), (18, 64)])
def test_older_servers_and_large_segments(
    make_cluster: MakeCluster, make_place: Callable[[Cluster], Place], major: int, megabytes: int
) -> None:
    require("PostgreSQL 15", major != 15 or Path("/usr/lib/postgresql/15/bin/postgres").is_file())
    cluster = make_cluster(KEEPS_WAL, segment_megabytes=megabytes, major=major)
    place = make_place(cluster)
    write_segments(cluster, 2)
    place.ship()
    assert not place.ship().switched
    assert_continuous(place, megabytes * MIB)
    assert_identical(place, cluster)

"""A source that cannot tell what has changed gets a full backup, which says why, and starts a new chain."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from strongroom.backup import BackupSummary
from strongroom.postgres import Cluster, run_as
from tests.integration.chains.estate import PLAIN, SUMMARISED, Estate, estate, server

SMALL = ("--data-checksums", "--wal-segsize=1")


@pytest.fixture
def moving(control_server: Cluster) -> Iterator[Estate]:
    """An installation whose source may be stopped and changed."""
    with server(18, SUMMARISED, initdb=SMALL) as source, estate(source, control_server) as made:
        yield made


def reason(summary: BackupSummary) -> str:
    assert summary.kind == "full"
    assert summary.parent_id is None
    assert summary.kind_reason is not None
    return summary.kind_reason


def test_an_older_server_gives_full_backups_and_says_so(control_server: Cluster) -> None:
    with server(15, PLAIN, initdb=SMALL) as source, estate(source, control_server) as old:
        old.back_up()
        assert "has no incremental backups; 17 brought them" in reason(old.back_up())


def test_another_cluster_under_the_same_name_starts_a_new_chain(shop: Estate, moving: Estate) -> None:
    shop.back_up()
    world = replace(shop.world, conninfo=moving.world.conninfo)
    assert "its system identifier changed" in reason(replace(shop, world=world).back_up())


def test_a_source_that_changes_under_a_chain_starts_a_new_one(moving: Estate) -> None:
    """One server through its life: promoted, without checksums, without summaries, and with them again."""
    source, cluster = moving.server, moving.server.cluster
    moving.back_up()
    assert moving.back_up().kind == "incremental"

    cluster.stop()
    (cluster.data_dir / "standby.signal").touch()
    cluster.start()
    source.execute("SELECT pg_promote()", "CHECKPOINT")
    assert "went over from timeline 1 to 2" in reason(moving.back_up())
    assert moving.back_up().kind == "incremental"

    cluster.stop()
    run_as(cluster.account, [cluster.binaries.tool("pg_checksums"), "--disable", "-D", cluster.data_dir])
    cluster.start()
    assert "page checksums were switched off" in reason(moving.back_up())
    assert moving.back_up().kind == "incremental"

    cluster.settings["summarize_wal"] = "off"
    cluster.stop()
    cluster.start()
    assert "summarize_wal = off" in reason(moving.back_up())
    proof = moving.prove()
    assert proof.problems() == []


def forget_summaries(moving: Estate) -> None:
    """Let the server summarise what there is, and lose it, as wal_summary_keep_time would after some days."""
    ((position,),) = moving.server.execute("SELECT pg_current_wal_lsn()::text")
    moving.server.execute("CREATE TABLE public.t (x int)", "DROP TABLE public.t", "CHECKPOINT")
    summarised = f"SELECT max(end_lsn) > '{position}' FROM pg_available_wal_summaries()"
    deadline = time.monotonic() + 60
    while not moving.server.execute(summarised)[0][0]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for path in (moving.server.cluster.data_dir / "pg_wal" / "summaries").iterdir():
        path.unlink()


def test_a_missing_summary_means_a_full_backup(moving: Estate) -> None:
    moving.back_up()
    forget_summaries(moving)
    assert "has no WAL summary for" in reason(moving.back_up())
    assert moving.back_up().kind == "incremental"


@pytest.mark.parametrize("spaces", [False, True], ids=["by program", "over the protocol"])
def test_when_the_server_itself_refuses_the_same_run_takes_a_full_backup(
    moving: Estate, monkeypatch: pytest.MonkeyPatch, spaces: bool
) -> None:
    if spaces:
        moving.server.tablespace("extra")
    moving.back_up()
    forget_summaries(moving)
    monkeypatch.setattr("strongroom.backup.physical.why_source_needs_full", lambda *_: None)
    again = moving.back_up()
    assert "cannot make an incremental backup" in reason(again)
    assert "WAL summaries are required" in reason(again)
    assert moving.world.incomplete() == []
    assert moving.prove().proven

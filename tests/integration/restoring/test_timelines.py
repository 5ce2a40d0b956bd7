"""After a failover the way follows the new timeline; a restored server can be left in recovery as well."""

from __future__ import annotations

from pathlib import Path

from strongroom.backup.restoring.request import RestoreTarget
from strongroom.clock import timestamp
from strongroom.postgres import connect
from tests.integration.restoring.conftest import Archived
from tests.integration.restoring.site import ACTOR, committed_by, numbers, opened

LATEST = RestoreTarget("latest")


def test_the_archive_goes_on_after_a_failover(archived: Archived, into: Path) -> None:
    """A restored server is promoted, takes over, and ships its own log: the next restore follows it."""
    site = archived.site
    commit = archived.commits[-20]
    first = site.restore(RestoreTarget.at_time(timestamp(commit.at)), into)
    assert first.timeline == 1
    with opened(first, site.source) as promoted:
        with connect(promoted.conninfo("shop"), application_name="test") as connection:
            connection.execute("INSERT INTO public.load VALUES (-1, 'on the new timeline')")
            connection.execute("CHECKPOINT")
            row = connection.execute("SELECT system_identifier FROM pg_control_system()").fetchone()
        assert row is not None
        site.put_history(str(row[0]), promoted.data_dir / "pg_wal" / "00000002.history")
        site.ship(promoted)

    followed = site.restore(LATEST, into.with_name("followed"))
    assert followed.timeline == 2
    with opened(followed, site.source) as cluster:
        assert numbers(cluster) == committed_by(archived.commits, commit.at) | {-1}

    service = site.restores()
    plan = service.plan(ACTOR, site.request(LATEST, into.with_name("old"), timeline=1)).plan
    with opened(service.run(ACTOR, plan, plan.sha256), site.source) as cluster:
        assert numbers(cluster) == {one.number for one in archived.commits}


def test_a_server_is_left_in_recovery_open_for_reading_and_goes_on_later(
    archived: Archived, into: Path
) -> None:
    commit = archived.commits[-15]
    target = RestoreTarget.at_time(timestamp(commit.at))
    report = archived.site.restore(target, into, then="pause", start=True)

    with opened(report, archived.site.source) as cluster:
        with connect(cluster.conninfo("shop"), application_name="test") as connection:
            assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
        assert numbers(cluster) == committed_by(archived.commits, commit.at)


def test_a_server_is_left_in_recovery_and_stopped(archived: Archived, into: Path) -> None:
    commit = archived.commits[-15]
    report = archived.site.restore(RestoreTarget.at_lsn(commit.lsn), into, then="shutdown")

    assert report.stopped.startswith("before LSN ")
    assert (into / "data" / "recovery.signal").exists()
    assert "recovery_target_lsn" in (into / "data" / "postgresql.conf").read_text()


def test_a_server_is_left_running_and_cut_off(archived: Archived, into: Path) -> None:
    report = archived.site.restore(RestoreTarget("backup"), into, start=True)

    assert report.running
    with opened(report, archived.site.source) as cluster:
        with connect(cluster.conninfo(), application_name="test") as connection:
            settings = dict(
                connection.execute(
                    "SELECT name, setting FROM pg_settings"
                    " WHERE name IN ('archive_mode', 'listen_addresses', 'primary_conninfo', 'autovacuum')"
                ).fetchall()
            )
        assert settings == {
            "archive_mode": "off",
            "listen_addresses": "",
            "primary_conninfo": "",
            "autovacuum": "on",
        }
    assert "max_wal_size" in (into / "data" / "postgresql.conf.original").read_text()

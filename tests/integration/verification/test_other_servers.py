"""Servers of other majors and settings than the ones we would choose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from strongroom.backup.verification import Status
from strongroom.backup.verification.run import RestoreRun
from strongroom.postgres import (
    Cluster,
    NoSuchServerVersionError,
    connect,
    find_binaries,
    run_as,
    scratch_cluster,
)
from tests.integration.verification.conftest import open_directory
from tests.integration.verification.place import Place, after
from tests.support import require

HOSTILE = """
archive_mode = on
archive_command = 'false'
shared_preload_libraries = ''
listen_addresses = '*'
max_connections = 300
max_prepared_transactions = 7
"""


@pytest.fixture
def old_server() -> Iterator[Cluster]:
    """PostgreSQL 15 without page checksums, with a prepared transaction, and settings not to be restored."""
    try:
        binaries = find_binaries(15)
    except NoSuchServerVersionError:
        require("PostgreSQL 15", present=False)
        raise
    with open_directory() as directory, scratch_cluster(directory, binaries, "old") as scratch:
        cluster = scratch.cluster({"fsync": "off", "archive_mode": "off"})
        cluster.initialise()
        run_as(cluster.account, [binaries.tool("pg_checksums"), "--disable", "-D", cluster.data_dir])
        with (cluster.data_dir / "postgresql.conf").open("a") as configuration:
            configuration.write(HOSTILE)
        cluster.start()
        with connect(cluster.conninfo(), application_name="test") as connection:
            connection.execute("CREATE DATABASE shop")
            connection.execute("ALTER SYSTEM SET work_mem = '5MB'")
        with connect(cluster.conninfo("shop"), application_name="test") as connection:
            connection.execute("CREATE TABLE public.t AS SELECT g FROM generate_series(1, 1000) g")
            connection.execute("BEGIN")
            connection.execute("CREATE TABLE public.pending (x int)")
            connection.execute("PREPARE TRANSACTION 'half done'")
        yield cluster


def test_an_older_server_is_proven_cut_off_from_what_it_knew_at_home(
    old_server: Cluster, control_url: str, tmp_path: Path
) -> None:
    with open_directory() as scratch_root:
        place = Place(tmp_path, control_url, scratch_root, "")
        place = replace(place, backup_id=place.back_up(old_server.conninfo("shop")))
        seen: dict[str, str] = {}
        proof = place.verify(levels=after("L3", lambda restore: seen.update(_settings(restore))))
        assert proof.problems() == []
        assert proof.proven
        assert proof.server_version.startswith("15.")
        checks = {check.name: check.status for level in proof.levels for check in level.checks}
        assert checks["page checksums"] is Status.NOT_APPLICABLE
        assert checks["amcheck"] is Status.PASSED
        assert place.left_over() == []
        assert seen == {
            "archive_mode": "off",
            "listen_addresses": "",
            "primary_conninfo": "",
            "work_mem": "4MB",
            "max_connections": "300",
            "max_prepared_transactions": "7",
        }


def _settings(restore: RestoreRun) -> dict[str, str]:
    """What the scratch server runs with: nothing of its former home but what its log needs."""
    assert restore.cluster is not None
    names = [
        "archive_mode",
        "listen_addresses",
        "primary_conninfo",
        "work_mem",
        "max_connections",
        "max_prepared_transactions",
    ]
    with connect(restore.cluster.conninfo(), application_name="test") as connection:
        query = "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s)"
        return dict(connection.execute(query, (names,)).fetchall())

"""A standby beside a primary, and its promotion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from strongroom.postgres import Cluster, run_as, scratch_cluster
from tests.integration.backup.conftest import server_root
from tests.integration.continuous.place import sql


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

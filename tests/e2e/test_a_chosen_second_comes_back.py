"""The restore pipeline brings Pagila and the sample back to a chosen second, while both are written to.

Its name sorts before the leak scan's, which then looks at what it left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from psycopg.conninfo import make_conninfo

from strongroom.clock import timestamp
from strongroom.embedded.airflow_parts import APPROVER
from strongroom.embedded.rest import wait_until
from strongroom.postgres import connect, find_binaries, run_as
from tests.e2e.conftest import Running
from tests.e2e.test_a_cluster_comes_back import DAG, _stop, answer, ask, await_task
from tests.integration.restoring.company import Writers, clock, contents, payments
from tests.support import TEST_DATA, require

pytestmark = [pytest.mark.e2e, pytest.mark.airflow]

WAL_DAG = "wal_archive.shop"


@dataclass(frozen=True)
class ShopServer:
    """The sample shop's server as its superuser, with Pagila beside the shop."""

    running: Running

    def conninfo(self, database: str = "postgres") -> str:
        return make_conninfo(
            host="127.0.0.1",
            port=self.running.state["ports"]["shop"],
            user="postgres",
            password=self.running.credentials["shop_superuser"],
            dbname=database.replace("sample", "shop"),
        )


@pytest.fixture
def server(running: Running) -> Iterator[ShopServer]:
    require("Pagila (../shared/data)", (TEST_DATA / "pagila.sql").is_file())
    server = ShopServer(running)
    with connect(server.conninfo(), application_name="test") as connection:
        connection.execute("CREATE DATABASE pagila")
        try:
            psql = [
                find_binaries().tool("psql"),
                "-q",
                "-v",
                "ON_ERROR_STOP=1",
                "-f",
                TEST_DATA / "pagila.sql",
            ]
            loaded = run_as(None, [*psql, server.conninfo("pagila")])
            assert loaded.returncode == 0, loaded.stderr
            yield server
        finally:
            connection.execute("DROP DATABASE pagila WITH (FORCE)")


def test_both_databases_at_a_chosen_second_under_load(running: Running, server: ShopServer) -> None:
    writers = Writers(server)
    with writers.working():
        writers.wait_for(100)
        with writers.held():
            expected, rows = contents(server.conninfo), payments(server.conninfo)
            second = timestamp(clock(server))
        writers.wait_for(100)
        ship(running)
    assert contents(server.conninfo) != expected

    run_id = ask(running, "chosen-second", target="time", time=second, start=True)
    await_task(running, run_id, "approve", "awaiting_input")
    answer(running, APPROVER, run_id, "Approve", running.api().result(DAG, run_id, "plan")["sha256"])
    assert await_task(running, run_id, "restore", "success", "failed") == "success", (
        running.api().failed_task_log(DAG, run_id)
    )
    report = running.api().result(DAG, run_id, "restore")
    try:
        restored = restored_conninfo(report["socket_directory"])
        assert contents(restored) == expected
        assert payments(restored) == rows
    finally:
        _stop(report["data_directory"])


def ship(running: Running) -> None:
    """Ship what was committed until now, by the pipeline."""
    run_id = f"second-{time.time_ns()}"
    api = running.api()
    api.trigger(WAL_DAG, run_id)
    assert wait_until(lambda: api.run(WAL_DAG, run_id)["state"] in ("success", "failed"), seconds=240)
    assert api.run(WAL_DAG, run_id)["state"] == "success", api.failed_task_log(WAL_DAG, run_id)


def restored_conninfo(socket_directory: str) -> Callable[[str], str]:
    """How the restored server's databases are reached."""

    def conninfo_of(database: str) -> str:
        return make_conninfo(
            host=socket_directory, user="postgres", dbname=database.replace("sample", "shop")
        )

    return conninfo_of

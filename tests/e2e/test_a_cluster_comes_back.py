"""The restore pipeline over REST: planned, approved by a second person only, executed, and the data is there.

Its name sorts before the leak scan's, which then looks at what it left.
"""

from __future__ import annotations

import subprocess
import time
from urllib.parse import quote

import psycopg
import pytest

from strongroom.embedded.airflow_parts import ADMIN, APPROVER, VIEWER
from strongroom.embedded.rest import ApiError, wait_until
from strongroom.postgres import find_binaries, service_account
from strongroom.sample.world import ORDERS_PER_CUSTOMER
from tests.e2e.conftest import CUSTOMERS

pytestmark = [pytest.mark.e2e, pytest.mark.airflow]

DAG = "restore"
_SECONDS_TO_READ = 10
COUNTS = "SELECT (SELECT count(*) FROM customer), (SELECT count(*) FROM orders)"


def path(run_id: str, task_id: str) -> str:
    return f"/dags/{DAG}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}"


def ask(running, folder: str, **conf: object) -> str:
    """Start a run as the administrator."""
    run_id = f"{folder}-{time.time_ns()}"
    document = {"database": "shop", "folder": folder, **conf}
    running.api().post(f"/dags/{DAG}/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": document})
    return run_id


def await_task(running, run_id: str, task_id: str, *states: str) -> str:
    """Wait until a task is in one of the states."""
    api, found = running.api(), []

    def there() -> bool:
        try:
            found[:] = [api.get(path(run_id, task_id))["state"]]
        except ApiError as error:
            if error.status is not None:
                raise
            return False  # a busy machine's API server is given more time
        return found[0] in states

    assert wait_until(there, seconds=240), found
    return str(found[0])


def answer(running, user: str, run_id: str, option: str, plan_hash: str | None) -> None:
    """Answer as a person, who is slower than a program: Airflow fails a task that is answered in the very second in
    which it begins to wait, before its scheduler has seen that."""
    time.sleep(_SECONDS_TO_READ)
    running.api(user)._authorised(
        "PATCH",
        f"/api/v2{path(run_id, 'approve')}/-1/hitlDetails",
        {"chosen_options": [option], "params_input": {"plan_hash": plan_hash}},
    )


@pytest.fixture(scope="module")
def asked(running):
    """A run that waits for its approval, and the plan's hash."""
    run_id = ask(running, "comes-back", start=True)
    await_task(running, run_id, "approve", "awaiting_input")
    return run_id, running.api().result(DAG, run_id, "plan")


def test_it_waits_and_shows_the_plan_with_its_hash(running, asked):
    run_id, planned = asked
    shown = running.api(APPROVER).get(f"{path(run_id, 'approve')}/-1/hitlDetails")
    assert planned["sha256"] in shown["body"]
    assert shown["options"] == ["Approve", "Reject"]
    assert "shop" in shown["subject"]


def test_a_viewer_cannot_approve(running, asked):
    run_id, planned = asked
    with pytest.raises(ApiError) as refused:
        answer(running, VIEWER, run_id, "Approve", planned["sha256"])
    assert refused.value.status == 403


def test_whoever_asked_cannot_approve_and_a_second_person_brings_the_cluster_back(running, asked):
    run_id, planned = asked
    answer(running, ADMIN, run_id, "Approve", planned["sha256"])
    await_task(running, run_id, "approve", "failed")
    assert "cannot approve it too" in running.api().failed_task_log(DAG, run_id)
    assert await_task(running, run_id, "restore", "upstream_failed")
    assert not (running.folder.restored / "comes-back").exists()
    cleared = {"dry_run": False, "dag_run_id": run_id, "task_ids": ["approve"], "include_downstream": True}
    running.api().post(f"/dags/{DAG}/clearTaskInstances", {**cleared, "only_failed": False})
    await_task(running, run_id, "approve", "awaiting_input")
    answer(running, APPROVER, run_id, "Approve", planned["sha256"])
    assert await_task(running, run_id, "restore", "success", "failed") == "success", (
        running.api().failed_task_log(DAG, run_id)
    )
    report = running.api().result(DAG, run_id, "restore")
    try:
        with psycopg.connect(host=report["socket_directory"], user="postgres", dbname="shop") as restored:
            assert restored.execute(COUNTS).fetchone() == (CUSTOMERS, CUSTOMERS * ORDERS_PER_CUSTOMER)
    finally:
        _stop(report["data_directory"])
    await_task(running, run_id, "seal_audit_log", "success")
    assert running.strongroom("audit", "verify").returncode == 0


def _stop(data_directory: str) -> None:
    account = service_account()
    options = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    command = [find_binaries().tool("pg_ctl"), "-D", data_directory, "-m", "fast", "stop"]
    subprocess.run(command, check=True, capture_output=True, cwd="/", **options)


def test_a_rejection_restores_nothing(running):
    run_id = ask(running, "rejected")
    await_task(running, run_id, "approve", "awaiting_input")
    answer(running, APPROVER, run_id, "Reject", None)
    await_task(running, run_id, "restore", "upstream_failed")
    assert "Reject" in running.api().failed_task_log(DAG, run_id)
    assert not (running.folder.restored / "rejected").exists()


@pytest.mark.parametrize(
    "conf",
    [{"database": "shpo"}, {"folder": "../up"}, {"target": "yesterday"}, {"time": "2026-11-24 10:00"}],
)
def test_a_form_with_a_wrong_field_is_refused_at_once(running, conf):
    with pytest.raises(ApiError) as refused:
        ask(running, **{"folder": "wrong", **conf})
    assert refused.value.status == 400


def test_what_cannot_be_restored_fails_in_the_plan(running):
    run_id = ask(running, "future", target="time", time="2099-01-01T00:00:00+00:00")
    await_task(running, run_id, "plan", "failed")
    assert "2099-01-01" in running.api().failed_task_log(DAG, run_id)

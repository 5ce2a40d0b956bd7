"""First light: one command, and there is a backup, restored and proven, with a log that others can check."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from strongroom.embedded.airflow_parts import ADMIN, VIEWER
from strongroom.embedded.pipelines import BACKUP_DAG, VERIFICATION_DAG
from strongroom.embedded.rest import AirflowApi, ApiError, wait_until
from strongroom.embedded.sessions import marked_processes
from strongroom.postgres.processes import ProcessIdentity

WAL_DAG = "wal_archive.shop"

pytestmark = [pytest.mark.e2e, pytest.mark.airflow]


def test_it_prints_the_proof_the_address_and_how_to_sign_in(running):
    assert re.search(r"Backup \d{8}T\d{6}Z-[0-9a-f]{4} of shop: PROVEN", running.printed)
    assert f"http://127.0.0.1:{running.state['ports']['ui']}" in running.printed
    assert f"{ADMIN} / {running.credentials['airflow_admin']}" in running.printed
    assert f"{running.folder.path / 'escrow.key'} opens every backup" in running.printed


def test_backup_and_proof_were_pipeline_runs_that_succeeded(running):
    done = running.state["done"]["first_backup"]
    api = running.api()
    assert api.run(BACKUP_DAG, done["backup_run"])["state"] == "success"
    verification = api.run(VERIFICATION_DAG, done["verification_run"])
    assert (verification["state"], verification["run_type"]) == ("success", "asset_triggered")


def test_the_proof_is_in_the_bucket_and_covers_every_level(running):
    done = running.state["done"]["first_backup"]
    backup = running.api().result(BACKUP_DAG, done["backup_run"], "back_up")
    shown = running.strongroom("verify", "show", "shop", "--backup", backup["backup_id"], "--json")
    assert shown.returncode == 0, shown.stderr
    proof = json.loads(shown.stdout)
    assert proof["result"] == "proven"
    assert {level["level"] for level in proof["levels"]} >= {"L0", "L1", "L2", "L3", "L4", "L5"}


def test_the_log_is_shipped_by_its_own_pipeline(running):
    api = running.api()
    api.trigger(WAL_DAG, "by-hand")
    ended = wait_until(lambda: api.run(WAL_DAG, "by-hand")["state"] in ("success", "failed"), seconds=180)
    assert ended
    assert api.run(WAL_DAG, "by-hand")["state"] == "success", api.failed_task_log(WAL_DAG, "by-hand")
    assert not [run for run in api.runs_since(WAL_DAG, "2000-01-01T00:00:00Z") if run["state"] == "failed"]
    status = json.loads(running.strongroom("wal", "status", "shop", "--json").stdout)
    assert status["problems"] == []
    assert status["source"]["wal_status"] == "reserved"
    assert [item["gaps"] for item in status["timelines"]] == [[]]


def test_every_pipeline_file_and_plugin_loads(running):
    assert running.api().import_errors() == []
    assert running.api().get("/plugins/importErrors")["import_errors"] == []


def test_the_log_can_be_verified_from_the_bucket(running):
    verified = running.strongroom("audit", "verify")
    assert verified.returncode == 0, verified.stderr


def test_the_log_still_holds_in_the_bucket_when_the_control_database_is_unknown(running, tmp_path):
    import yaml

    settings = yaml.safe_load(running.folder.settings.read_text())
    del settings["control_database"]
    alone = tmp_path / "settings.yaml"
    settings["signing_key"] = str(running.folder.path / "keys" / "signing.key")
    settings.pop("keys")
    alone.write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "strongroom.cli", "--settings", str(alone), "audit", "verify"]
    verified = subprocess.run(command, capture_output=True, text=True, check=False)
    assert verified.returncode == 0, verified.stderr


def test_nobody_gets_in_without_the_password(running):
    with pytest.raises(ApiError) as refused:
        running.api(password="wrong").get("/dags")
    assert refused.value.status == 401


def test_a_request_without_a_token_is_refused(running):
    api = running.api()
    with pytest.raises(ApiError) as refused:
        api._send("GET", "/api/v2/dags")
    assert refused.value.status == 401


def test_a_viewer_sees_pipelines_and_starts_none(running):
    viewer = running.api(VIEWER)
    assert viewer.dag_exists(BACKUP_DAG)
    with pytest.raises(ApiError) as refused:
        viewer.trigger(BACKUP_DAG, "not-allowed")
    assert refused.value.status == 403


def test_every_part_listens_on_this_machine_alone(running):
    listening = subprocess.run(["cat", "/proc/net/tcp"], capture_output=True, text=True, check=True).stdout
    ours = {f"{port:04X}" for part in running.state["parts"].values() for port in part["ports"].values()}
    local = [line.split()[1].split(":") for line in listening.splitlines()[1:] if line.split()[3] == "0A"]
    exposed = [port for address, port in local if port in ours and address != "0100007F"]
    assert exposed == []


def test_status_names_every_part_with_its_log(running):
    status = running.embedded("status")
    for name, part in running.state["parts"].items():
        assert re.search(rf"^{name} +running +process {part['pid']}", status.stdout, re.MULTILINE)
        assert Path(part["log_path"]).is_file()


def test_a_second_start_is_harmless_and_quick(running):
    before = running.state["parts"]
    began = time.monotonic()
    again = running.embedded("up")
    assert time.monotonic() - began < 20
    assert running.state["parts"] == before
    assert "PROVEN" in again.stdout


def test_files_with_secrets_are_for_their_owner_alone(running):
    for name in ("settings.yaml", "credentials.json", "state.json", "s3-identities.json"):
        assert (running.folder.path / name).stat().st_mode & 0o077 == 0
    assert (running.folder.path / "keys").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in running.folder.logs.glob("*.log"))


def test_the_restored_server_and_its_files_are_gone(running):
    assert list(running.folder.scratch.iterdir()) == []


def test_airflow_asks_for_a_password_also_on_its_pages(running):
    anonymous = AirflowApi(running.state["ports"]["ui"], "nobody", "")
    with pytest.raises(ApiError):
        anonymous.get("/connections")


def test_what_ends_by_itself_is_started_again(running):
    triggerer = running.state["parts"]["triggerer"]["pid"]
    os.kill(triggerer, signal.SIGKILL)
    assert "triggerer      DIED" in running.embedded("status", check=False).stdout
    running.embedded("up")
    parts = running.state["parts"]
    assert parts["triggerer"]["pid"] != triggerer
    assert running.embedded("status").returncode == 0


def test_down_leaves_no_process_and_keeps_the_data(running):
    """The last test of this file: it stops everything."""
    sessions = {part["pid"] for part in running.state["parts"].values()}
    stopped = running.embedded("down")
    assert _processes_in(sessions) == []
    assert "control" in stopped.stdout
    assert running.state["parts"] == {}
    assert marked_processes(running.folder.path) == []
    assert running.embedded("down").stdout == "Nothing was running.\n"
    assert (running.folder.path / "postgres" / "shop" / "PG_VERSION").is_file()


def _processes_in(sessions: set[int]) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(ProcessLookupError, ValueError):
            pid = int(entry.name)
            if os.getsid(pid) in sessions and ProcessIdentity.of(pid) is not None:
                found.append(pid)
    return found

"""A table of a logical backup over REST: asked for, approved by a second person, and beside the living one.

Its name sorts before the leak scan's, which then looks at what it left.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from strongroom.embedded.airflow_parts import APPROVER
from strongroom.embedded.rest import ApiError
from tests.e2e.test_a_cluster_comes_back import DAG, answer, await_task, path
from tests.support import REPOSITORY

pytestmark = [pytest.mark.e2e, pytest.mark.airflow]

FORM = {
    "database": "shop",
    "what": "tables",
    "tables": ["public.customer"],
    "new_name": "rescued",
    "connection": "shop_owner",
}


def ask(running, **conf: object) -> str:
    """Start a run as the administrator."""
    run_id = f"table-{time.time_ns()}"
    document = {"dag_run_id": run_id, "logical_date": None, "conf": {**FORM, **conf}}
    running.api().post(f"/dags/{DAG}/dagRuns", document)
    return run_id


@pytest.fixture(scope="module")
def logical_backup(running, tmp_path_factory) -> str:
    """A logical backup beside the physical ones."""
    policies = Path(tmp_path_factory.mktemp("logical")) / "policy"
    shutil.copytree(REPOSITORY / "include" / "policy", policies)
    lines = (policies / "shop.yaml").read_text().splitlines(keepends=True)
    text = "".join(line for line in lines if not line.startswith(("  wal:", "  full_every:")))
    (policies / "shop.yaml").write_text(text.replace("method: physical", "method: logical"))
    settings = ["--settings", str(running.folder.settings)]
    done = subprocess.run(
        [sys.executable, "-m", "strongroom.cli", *settings, "backup", "run", "shop"],
        env={**os.environ, "STRONGROOM_POLICY_DIRECTORY": str(policies)},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    listed = running.strongroom("restore", "contents", "shop")
    assert "customer" in listed.stdout, listed.stderr
    return done.stdout


def test_a_table_is_back_beside_the_living_one_once_a_second_person_has_approved(running, logical_backup):
    run_id = ask(running)
    await_task(running, run_id, "approve", "awaiting_input", "upstream_failed")
    planned = running.api().result(DAG, run_id, "plan")
    shown = running.api(APPROVER).get(f"{path(run_id, 'approve')}/-1/hitlDetails")
    for words in ("public.customer", "the living source", "schema rescued", planned["sha256"]):
        assert words in shown["body"]
    assert shown["subject"] == "Restore shop (tables) into the new schema rescued?"
    answer(running, APPROVER, run_id, "Approve", planned["sha256"])
    assert await_task(running, run_id, "restore", "success", "failed") == "success", (
        running.api().failed_task_log(DAG, run_id)
    )
    assert running.api().result(DAG, run_id, "restore")["compared"] == 1
    with running.shop() as shop:
        both = "SELECT (SELECT count(*) FROM rescued.customer), (SELECT count(*) FROM public.customer)"
        rescued, living = shop.execute(both).fetchone()
    assert rescued == living > 0
    with psycopg.connect(running.settings.databases["shop_owner"].get_secret_value()) as owner:
        owner.execute("DROP SCHEMA rescued CASCADE")
    await_task(running, run_id, "seal_audit_log", "success")


@pytest.mark.parametrize(
    "conf", [{"tables": "public.customer"}, {"tables": [""]}, {"what": "everything"}, {"owners": "perhaps"}]
)
def test_a_form_with_a_wrong_field_is_refused_at_once(running, conf):
    with pytest.raises(ApiError) as refused:
        ask(running, **conf)
    assert refused.value.status == 400

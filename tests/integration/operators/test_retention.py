"""The purge pipeline's operators: plan, the word of two people, execution, a last look."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tests.support import REPOSITORY

EXECUTE = """
import json, sys
from datetime import datetime, timezone
from types import SimpleNamespace
from strongroom_airflow.operators import restore, retention
name, arguments, starter, event = (json.loads(text) for text in sys.argv[1:])
context = {
    "ti": SimpleNamespace(
        dag_id="retention_purge", run_id="manual__1", task_id="task", try_number=1, map_index=-1
    ),
    "dag_run": SimpleNamespace(conf={}, triggering_user_name=starter), "params": {"database": None},
}
people = {"subject": "Purge?", "params": restore.plan_hash_field()}
extra = people if name in ("RequestPurgeOperator", "ApprovePurgeOperator") else {}
operator = getattr(retention, name)(task_id="task", **extra, **arguments)
try:
    if event is None:
        value = operator.execute(context)
    else:
        event["responded_at"] = datetime.now(timezone.utc)
        value = bool(operator.execute_complete(context, event))
    print("RESULT" + json.dumps({"value": value}))
except BaseException as error:
    print("RESULT" + json.dumps({"error": type(error).__name__, "message": str(error)}))
"""


@pytest.fixture
def run(installation, tmp_path):
    policies = tmp_path / "policies"
    policies.mkdir()
    shop = (REPOSITORY / "include" / "policy" / "shop.yaml").read_text()
    kept = "keep: {last: 1, daily: 0, weekly: 0, monthly: 0, yearly: 0, proven: 1}"
    lines = [line for line in shop.splitlines() if not line.startswith(("  keep:", "  lock:"))]
    changed = "\n".join(lines).replace("backup:\n", f"backup:\n  {kept}\n", 1)
    (policies / "shop.yaml").write_text(f"retention: {{grace: 1s}}\n{changed}\n")
    installation.configure(
        policy_directory=str(policies),
        person_roles={"ada": ["operator"], "grace": ["privacy_officer"], "otto": ["auditor"]},
    )
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "PYTHONPATH": f"{REPOSITORY / 'include'}:{REPOSITORY / 'plugins'}",
        "STRONGROOM_SETTINGS": str(installation.folder / "settings.yaml"),
    }

    def run(operator, arguments, starter="ada", event=None):
        values = [json.dumps(value) for value in (operator, arguments, starter, event)]
        done = subprocess.run(
            [sys.executable, "-c", EXECUTE, *values],
            env=environment, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert "RESULT" in done.stdout, done.stderr[-3000:]
        answer = json.loads(done.stdout.rsplit("RESULT", 1)[1])
        return SimpleNamespace(**{"value": None, "error": None, "message": "", **answer})

    yield run
    installation.configure()


def answer(who, plan_hash, option="Approve"):
    """What Airflow hands over when somebody has answered."""
    person = {"id": who, "name": who}
    return {"chosen_options": [option], "params_input": {"plan_hash": plan_hash}, "responded_by_user": person}


def test_an_unusual_purge_takes_two_people_and_then_marks_and_deletes(run, installation):
    for _ in range(2):
        assert installation.run("backup", "run", "shop").returncode == 0
    before = sorted(installation.bucket.glob("backups/shop/*/manifest.json"))
    planned = run("RetentionPlanOperator", {"database": "shop"}, starter=None).value
    assert planned["needs_approval"]
    assert planned["sha256"] in planned["text"]
    assert "the first purge" in planned["text"]
    arguments, sha256 = {"planned": planned}, planned["sha256"]

    assert run("PurgeOperator", arguments, starter=None).error == "NotApprovedError"
    assert run("ApprovePurgeOperator", arguments, None, answer("grace", sha256)).error == "SamePersonError"
    blind = run("RequestPurgeOperator", arguments, None, answer("ada", ""))
    assert blind.error == "PlanChangedError"
    assert run("RequestPurgeOperator", arguments, None, answer("ada", sha256)).value is True
    assert run("ApprovePurgeOperator", arguments, None, answer("ada", sha256)).error == "SamePersonError"
    assert run("ApprovePurgeOperator", arguments, None, answer("otto", sha256)).error == "AccessDeniedError"
    assert run("ApprovePurgeOperator", arguments, None, answer("grace", sha256)).value is True
    marked = run("PurgeOperator", arguments, starter=None)
    assert marked.error is None, marked.message
    assert marked.value["marked"] == 2
    assert run("VerifyPurgeOperator", arguments, starter=None).value > 2
    assert sorted(installation.bucket.glob("backups/shop/*/manifest.json")) == before

    everyday = run("RetentionPlanOperator", {"database": "shop"}, starter=None).value
    assert not everyday["needs_approval"]
    for operator in ("RequestPurgeOperator", "ApprovePurgeOperator"):
        assert run(operator, {"planned": everyday}, None).error is None
    purged = run("PurgeOperator", {"planned": everyday}, starter=None)
    assert purged.error is None, purged.message
    assert purged.value["deleted"] == 2
    assert run("VerifyPurgeOperator", {"planned": everyday}, starter=None).error is None
    assert sorted(installation.bucket.glob("backups/shop/*/manifest.json")) == before[-1:]


def test_a_person_who_starts_a_run_is_the_first_of_the_two(run, installation):
    assert installation.run("backup", "run", "shop").returncode == 0
    planned = run("RetentionPlanOperator", {"database": "shop"}).value
    if not planned["needs_approval"]:
        planned["needs_approval"] = True
    assert run("RequestPurgeOperator", {"planned": planned}).error is None
    own = run("ApprovePurgeOperator", {"planned": planned}, "ada", answer("ada", planned["sha256"]))
    assert own.error == "SamePersonError"
    approved = run("ApprovePurgeOperator", {"planned": planned}, "ada", answer("grace", planned["sha256"]))
    assert approved.value is True


def test_a_run_about_another_database_skips_this_one(run):
    skipped = run("RetentionPlanOperator", {"database": "shop", "only": "warehouse"})
    assert skipped.error == "AirflowSkipException"

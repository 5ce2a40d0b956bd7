"""The purge pipeline's operators: plan, the word of two people, execution, a last look."""

import json
import os
import subprocess
import sys

import pytest

from tests.support import REPOSITORY

EXECUTE = """
import json, sys
from datetime import datetime, timezone
from types import SimpleNamespace
from strongroom_airflow.operators import approving, retention
planned, answers = None, []
for name, starter, who, plan_hash in json.loads(sys.argv[1]):
    context = {
        "ti": SimpleNamespace(
            dag_id="retention_purge", run_id="manual__1", task_id="task", try_number=1, map_index=-1
        ),
        "dag_run": SimpleNamespace(conf={}, triggering_user_name=starter), "params": {"database": None},
    }
    people = {"subject": "Purge?", "params": approving.plan_hash_field()}
    extra = people if name in ("RequestPurgeOperator", "ApprovePurgeOperator") else {}
    arguments = {"database": "shop"} if name == "RetentionPlanOperator" else {"planned": planned}
    operator = getattr(retention, name)(task_id="task", **extra, **arguments)
    try:
        if who is None:
            value = operator.execute(context)
        else:
            value = bool(operator.execute_complete(context, {
                "chosen_options": ["Approve"], "responded_by_user": {"id": who, "name": who},
                "params_input": {"plan_hash": planned["sha256"] if plan_hash else ""},
                "responded_at": datetime.now(timezone.utc),
            }))
        planned = value if name == "RetentionPlanOperator" else planned
        answers.append(value)
    except Exception as error:
        answers.append(type(error).__name__)
print("RESULT" + json.dumps(answers))
"""
PLAN, PURGE, VERIFY = "RetentionPlanOperator", "PurgeOperator", "VerifyPurgeOperator"
REQUEST, APPROVE = "RequestPurgeOperator", "ApprovePurgeOperator"


@pytest.fixture
def run(installation, tmp_path):
    policies = tmp_path / "policies"
    policies.mkdir()
    shop = (REPOSITORY / "include" / "policy" / "shop.yaml").read_text()
    kept = "keep: {last: 1, daily: 0, weekly: 0, monthly: 0, yearly: 0, proven: 1}"
    lines = [line for line in shop.splitlines() if not line.startswith(("  keep:", "  lock:", "    retain:"))]
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

    def run(*steps):
        """Execute operators one after the other: name, who started the run, who answers, whether with the hash."""
        done = subprocess.run(
            [sys.executable, "-c", EXECUTE, json.dumps([(*step, None, None, None)[:4] for step in steps])],
            env=environment, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert "RESULT" in done.stdout, done.stderr[-3000:]
        return json.loads(done.stdout.rsplit("RESULT", 1)[1])

    yield run
    installation.configure()


def test_an_unusual_purge_takes_two_people_and_then_marks_and_deletes(run, installation):
    for _ in range(2):
        assert installation.run("backup", "run", "shop").returncode == 0
    before = sorted(installation.bucket.glob("backups/shop/*/manifest.json"))

    planned, unapproved, alone, blind, first, same, powerless, second, marked, looked = run(
        (PLAN,),
        (PURGE,),
        (APPROVE, None, "grace", True),
        (REQUEST, None, "ada", False),
        (REQUEST, None, "ada", True),
        (APPROVE, None, "ada", True),
        (APPROVE, None, "otto", True),
        (APPROVE, None, "grace", True),
        (PURGE,),
        (VERIFY,),
    )

    assert planned["needs_approval"]
    assert planned["sha256"] in planned["text"]
    assert "the first purge" in planned["text"]
    assert (unapproved, alone, blind) == ("NotApprovedError", "SamePersonError", "PlanChangedError")
    assert first is True
    assert (same, powerless, second) == ("SamePersonError", "AccessDeniedError", True)
    assert (marked["marked"], marked["deleted"], looked) == (2, 0, 3)
    assert sorted(installation.bucket.glob("backups/shop/*/manifest.json")) == before

    everyday, requested, approved, purged, looked, own, other = run(
        (PLAN,),
        (REQUEST,),
        (APPROVE,),
        (PURGE,),
        (VERIFY,),
        (REQUEST, "ada", None, None),
        (APPROVE, "ada", "ada", True),
    )
    assert not everyday["needs_approval"]
    assert (requested, approved) == (None, None)
    assert purged["deleted"] == 2
    assert looked == 3
    assert (own, other) == (None, "SamePersonError")
    assert sorted(installation.bucket.glob("backups/shop/*/manifest.json")) == before[-1:]

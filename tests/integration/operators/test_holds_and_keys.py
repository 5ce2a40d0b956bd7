"""The operators of `legal_hold` and `key_rotation`: what one person may do, and what takes two."""

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
from strongroom_airflow.operators import holds, keys
from strongroom_airflow.operators.approving import plan_hash_field
name, dag_id, arguments, user, event = (json.loads(text) for text in sys.argv[1:])
context = {
    "ti": SimpleNamespace(dag_id=dag_id, run_id="manual__1", task_id="task", try_number=1, map_index=-1),
    "dag_run": SimpleNamespace(conf={}, triggering_user_name=user), "params": {},
}
approval = {"subject": "?", "params": plan_hash_field()}
extra = approval if name.startswith("Approve") else {}
operator = getattr(holds, name, None) or getattr(keys, name)
operator = operator(task_id="task", **extra, **arguments)
try:
    if event is None:
        value = operator.execute(context)
    else:
        event["responded_at"] = datetime.now(timezone.utc)
        value = bool(operator.execute_complete(context, event))
    print("RESULT" + json.dumps({"value": value}))
except Exception as error:
    print("RESULT" + json.dumps({"error": type(error).__name__, "message": str(error)}))
"""
PLACE = {
    "action": "place",
    "kind": "database",
    "database": "shop",
    "reason": "case-1",
    "scope": {"table": ""},
}


@pytest.fixture
def run(installation, tmp_path):
    installation.configure(
        person_roles={"ada": ["operator"], "grace": ["privacy_officer", "operator"], "otto": ["auditor"]}
    )
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "PYTHONPATH": f"{REPOSITORY / 'include'}:{REPOSITORY / 'plugins'}",
        "STRONGROOM_SETTINGS": str(installation.folder / "settings.yaml"),
    }

    def run(operator, arguments, user="ada", event=None):
        dag_id = "legal_hold" if "Hold" in operator or "Release" in operator else "key_rotation"
        values = [json.dumps(value) for value in (operator, dag_id, arguments, user, event)]
        done = subprocess.run(
            [sys.executable, "-c", EXECUTE, *values],
            env=environment, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert "RESULT" in done.stdout, done.stderr[-3000:]
        answer = json.loads(done.stdout.rsplit("RESULT", 1)[1])
        return SimpleNamespace(**{"value": None, "error": None, "message": "", **answer})

    yield run
    installation.configure()


def answer(who, plan_hash):
    """What Airflow hands over when somebody has answered."""
    return {
        "chosen_options": ["Approve"],
        "params_input": {"plan_hash": plan_hash},
        "responded_by_user": {"id": who, "name": who},
    }


def test_one_person_places_a_hold_and_two_release_it(run, installation):
    assert run("PlaceHoldOperator", PLACE, user="otto").error == "AccessDeniedError"
    hold_id = run("PlaceHoldOperator", PLACE).value
    assert run("EnforceHoldsOperator", {}).value == {"store": 0}
    skipped = run("PlanReleaseOperator", {"action": "place", "hold_id": ""})
    assert skipped.error == "AirflowSkipException"
    planned = run("PlanReleaseOperator", {"action": "release", "hold_id": hold_id}).value
    assert hold_id in planned["text"]
    assert run("ReleaseHoldOperator", {"planned": planned}).error == "NotApprovedError"
    own = run("ApproveReleaseOperator", {"planned": planned}, event=answer("ada", planned["sha256"]))
    assert own.error == "SamePersonError"
    approved = run("ApproveReleaseOperator", {"planned": planned}, event=answer("grace", planned["sha256"]))
    assert (approved.error, approved.value) == (None, True)
    assert run("ReleaseHoldOperator", {"planned": planned}).value == hold_id
    assert installation.json("hold", "list") == []


def test_a_key_is_rotated_everything_rewrapped_and_the_old_one_destroyed_by_two(run, installation):
    (old,) = [one["id"] for one in installation.json("keys", "list") if one["purpose"] == "backup"]
    new = run("RotateKeyOperator", {"action": "rotate", "purpose": "backup", "days": "30"}).value
    planning = {"action": "destroy", "epoch_id": old}
    refused = run("PlanDestructionOperator", planning)
    assert (refused.error, "has to stay readable" in refused.message) == ("DestructionBlockedError", True)
    report = run("RewrapOperator", {"action": "rotate", "database": ""}).value
    assert report["rewrapped"] > 0
    planned = run("PlanDestructionOperator", planning).value
    assert "0 objects" in planned["text"]
    assert run("DestroyKeyOperator", {"planned": planned}).error == "NotApprovedError"
    own = run("ApproveDestructionOperator", {"planned": planned}, event=answer("ada", planned["sha256"]))
    assert own.error == "SamePersonError"
    approved = run(
        "ApproveDestructionOperator", {"planned": planned}, event=answer("grace", planned["sha256"])
    )
    assert (approved.error, approved.value) == (None, True)
    assert run("DestroyKeyOperator", {"planned": planned}).value == old
    shown = {one["id"]: one for one in installation.json("keys", "list")}
    assert shown[old]["destroyed_at"]
    assert shown[new]["destroyed_at"] is None
    assert installation.json("verify", "run", "shop")["result"] == "proven"

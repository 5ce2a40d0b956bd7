"""The restore pipeline's operators: plan, a second person's word, execution."""

import json
import shutil
from types import SimpleNamespace

import pytest

from strongroom.postgres import connect
from tests.support import REPOSITORY

EXECUTE = """
import json, sys
from datetime import datetime, timezone
from types import SimpleNamespace
from strongroom_airflow.operators import approving, restore
name, arguments, conf, event = (json.loads(text) for text in sys.argv[1:])
fields = restore.RestorePlanOperator.template_fields
context = {
    "ti": SimpleNamespace(dag_id="restore", run_id="manual__1", task_id="task", try_number=1, map_index=-1),
    "dag_run": SimpleNamespace(conf=conf, triggering_user_name="ada"), "params": dict.fromkeys(fields),
}
approval = {"subject": "Restore?", "params": approving.plan_hash_field()}
extra = approval if name == "ApproveRestoreOperator" else {}
operator = getattr(restore, name)(task_id="task", **extra, **arguments)
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


@pytest.fixture
def run(installation, open_folder, worker):
    installation.configure(
        restore_directory=str(open_folder / "restored"),
        person_roles={"ada": ["operator"], "grace": ["operator"], "otto": ["auditor"]},
    )
    environment = {"STRONGROOM_SETTINGS": str(installation.folder / "settings.yaml")}

    def run(operator, arguments, conf=None, event=None):
        values = [json.dumps(value) for value in (operator, arguments, conf or {}, event)]
        answer = worker.execute(EXECUTE, values, environment)
        return SimpleNamespace(**{"value": None, "error": None, "message": "", **answer})

    yield run
    installation.configure()


def answer(who, plan_hash, option="Approve"):
    """What Airflow hands over when somebody has answered."""
    person = {"id": who, "name": who}
    return {"chosen_options": [option], "params_input": {"plan_hash": plan_hash}, "responded_by_user": person}


def test_only_what_a_second_person_approved_is_restored(run, installation, open_folder):
    planned = run("RestorePlanOperator", {"database": "shop", "target": "backup", "folder": "first"}).value
    assert planned["sha256"] in planned["text"]
    unapproved = run("RestoreOperator", {"planned": planned})
    assert unapproved.error == "NotApprovedError"
    own = run("ApproveRestoreOperator", {"planned": planned}, event=answer("ada", planned["sha256"]))
    assert own.error == "SamePersonError"
    blind = run("ApproveRestoreOperator", {"planned": planned}, event=answer("grace", ""))
    assert blind.error == "PlanChangedError"
    powerless = run("ApproveRestoreOperator", {"planned": planned}, event=answer("otto", planned["sha256"]))
    assert powerless.error == "AccessDeniedError"
    rejected = run("ApproveRestoreOperator", {"planned": planned}, event=answer("grace", None, "Reject"))
    assert rejected.error == "HITLRejectException"
    assert run("RestoreOperator", {"planned": planned}).error == "NotApprovedError"
    approved = run("ApproveRestoreOperator", {"planned": planned}, event=answer("grace", planned["sha256"]))
    assert (approved.error, approved.value) == (None, True)
    changed = {**planned, "plan": {**planned["plan"], "directory": "/tmp/elsewhere"}}
    assert run("RestoreOperator", {"planned": changed}).error == "NotApprovedError"
    done = run("RestoreOperator", {"planned": planned})
    assert done.error is None, done.message
    assert done.value["data_directory"] == str(open_folder / "restored" / "first" / "data")
    assert (open_folder / "restored" / "first" / "data" / "PG_VERSION").is_file()


@pytest.fixture(scope="module")
def logical_backup(installation, open_folder):
    """A logical backup of the shop beside its physical ones."""
    policies = open_folder / "logical-policy"
    shutil.copytree(REPOSITORY / "include" / "policy", policies)
    lines = (policies / "shop.yaml").read_text().splitlines(keepends=True)
    text = "".join(line for line in lines if not line.startswith(("  wal:", "  full_every:")))
    (policies / "shop.yaml").write_text(text.replace("method: physical", "method: logical"))
    installation.configure(policy_directory=str(policies))
    return installation.json("backup", "run", "shop")["backup_id"]


def test_tables_come_back_beside_the_living_ones_once_a_second_person_has_approved(
    run, installation, logical_backup
):
    asked = {"database": "shop", "what": "tables", "tables": '["public.customer"]', "new_name": "last_week"}
    planned = run("RestorePlanOperator", asked).value
    for words in ("public.customer", "the living source", logical_backup, planned["sha256"]):
        assert words in planned["text"]
    changed = {**planned, "plan": {**planned["plan"], "new_name": "elsewhere"}}
    run("ApproveRestoreOperator", {"planned": planned}, event=answer("grace", planned["sha256"]))
    assert run("RestoreOperator", {"planned": changed}).error == "NotApprovedError"
    done = run("RestoreOperator", {"planned": planned})
    assert done.error is None, done.message
    assert (done.value["target"], done.value["compared"]) == ("last_week", 1)
    with connect(installation.shop.conninfo("shop"), application_name="test") as connection:
        same = connection.execute(
            "SELECT (SELECT count(*) FROM last_week.customer) = (SELECT count(*) FROM public.customer)"
        ).fetchone()
    assert same == (True,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"folder": "../up"}, "cannot be a restore's folder"),
        ({"database": "shpo"}, "No policy"),
        ({"target": "time"}, "needs `time`"),
        ({"target": "time", "time": "2026-11-24T10:00:00"}, "names no time zone"),
        ({"target": "backup", "value": "0/1"}, "does not use it"),
        ({"target": "time", "time": "2001-01-01T00:00:00Z"}, ""),
        ({"backup_id": "20200101T000000Z-0000"}, "20200101T000000Z-0000"),
        ({"what": "tables", "new_name": "x"}, "`folder` filled in"),
    ],
)
def test_what_cannot_be_restored_is_refused_in_the_plan(run, arguments, message):
    asked = {"database": "shop", "target": "backup", "folder": "refused", **arguments}
    refused = run("RestorePlanOperator", asked)
    assert refused.error is not None
    assert message in refused.message


def test_a_misspelt_field_of_a_request_is_not_ignored(run):
    asked = {"database": "shop", "target": "backup", "folder": "refused"}
    refused = run("RestorePlanOperator", asked, conf={"tiem": "2026-11-24T10:00:00Z"})
    assert (refused.error, "tiem" in refused.message) == ("InputError", True)

"""The pipelines: each file loads, says what it does, and stays the same from parse to parse."""

import json

import pytest

LOAD = """
import json
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder={folder!r})
print("RESULT" + json.dumps({{
    "errors": bag.import_errors,
    "dags": {{dag_id: {{
        "documented": bool((dag.doc_md or "").strip()),
        "tasks": {{task.task_id: [task.retries, task.task_type] for task in dag.tasks}},
        "upstream": {{task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks}},
        "teardowns": [task.task_id for task in dag.tasks if task.is_teardown],
        "catchup": dag.catchup, "max_active_runs": dag.max_active_runs, "starts": dag.start_date is not None,
    }} for dag_id, dag in bag.dags.items()}},
}}))
"""


@pytest.fixture
def load(run_python, repository_dags):
    def load(**variables):
        printed = run_python(LOAD.format(folder=repository_dags), **variables)
        return json.loads(printed.split("RESULT", 1)[1])

    return load


@pytest.fixture
def repository_dags():
    from tests.support import REPOSITORY

    return str(REPOSITORY / "dags")


def test_every_pipeline_loads_and_is_documented(load):
    found = load()
    assert found["errors"] == {}
    expected = {
        "nightly_backup.shop",
        "restore_verification.shop",
        "wal_archive.shop",
        "audit_seal",
        "health_check",
        "restore",
        "legal_hold",
        "key_rotation",
        "retention_purge",
        "archive_sweep",
    }
    assert expected <= found["dags"].keys()
    assert all(dag["documented"] for dag in found["dags"].values())


def test_no_pipeline_catches_up_or_runs_twice_at_once(load):
    for dag_id, dag in load()["dags"].items():
        assert dag["catchup"] is False
        # each restores into a folder of its own; a release that waits must not hold up a hold
        assert dag["max_active_runs"] == 1 or dag_id in {"restore", "legal_hold", "key_rotation"}


def test_what_was_due_before_the_installation_moves_and_deletes_nothing(load):
    """With a start date in the past, Airflow runs at once for the last time that a schedule was due."""
    dags = load()["dags"]
    assert not dags["archive_sweep"]["starts"]
    assert not dags["retention_purge"]["starts"]


def test_the_log_is_sealed_at_the_end_of_each_pipeline(load):
    for dag in load()["dags"].values():
        assert "seal_audit_log" in dag["tasks"]


def test_a_broken_policy_is_an_import_error_and_stops_only_its_own_database(load, tmp_path):
    from tests.support import REPOSITORY

    shop = (REPOSITORY / "include" / "policy" / "shop.yaml").read_text()
    (tmp_path / "shop.yaml").write_text(shop)
    (tmp_path / "broken.yaml").write_text("database: broken\nbakcup: {}\n")
    found = load(STRONGROOM_POLICY_DIRECTORY=str(tmp_path))
    (message,) = found["errors"].values()
    assert "broken.yaml" in message
    assert "bakcup" in message
    assert "nightly_backup.shop" in found["dags"]


def test_the_policies_are_looked_for_where_the_settings_say(load, tmp_path):
    from tests.support import REPOSITORY

    policies = tmp_path / "policies"
    policies.mkdir()
    shop = (REPOSITORY / "include" / "policy" / "shop.yaml").read_text()
    (policies / "warehouse.yaml").write_text(shop.replace("database: shop", "database: warehouse"))
    settings = tmp_path / "settings.yaml"
    settings.write_text("policy_directory: ./policies\n")
    found = load(STRONGROOM_SETTINGS=str(settings))
    assert found["errors"] == {}
    assert "nightly_backup.warehouse" in found["dags"]
    assert "nightly_backup.shop" not in found["dags"]


def test_two_parses_give_the_same_pipelines(run_python, repository_dags):
    code = f"""
import json
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
bag = DagBag(dag_folder={repository_dags!r})
print("RESULT" + json.dumps({{dag_id: DagSerialization.to_dict(dag) for dag_id, dag in bag.dags.items()}},
    sort_keys=True, default=str))
"""
    first, second = (run_python(code).split("RESULT", 1)[1] for _ in range(2))
    assert first == second


def test_parsing_imports_nothing_heavy(run_python, repository_dags, tmp_path):
    code = f"""
import sys
import airflow.dag_processing.dagbag
airflow.dag_processing.dagbag.DagBag(dag_folder={str(tmp_path)!r})
before = set(sys.modules)
airflow.dag_processing.dagbag.DagBag(dag_folder={repository_dags!r})
heavy = ["boto3", "pandas", "great_expectations", "strongroom.backup", "strongroom.storage.s3"]
print("RESULT", [name for name in heavy if name in sys.modules and name not in before])
"""
    assert run_python(code).split("RESULT ", 1)[1].strip() == "[]"


def test_sealing_the_log_does_not_hide_that_a_run_failed(load):
    for dag_id, dag in load()["dags"].items():
        if len(dag["tasks"]) > 1:
            assert dag["teardowns"] == ["seal_audit_log"], dag_id


def test_each_copy_of_a_policy_is_a_task_after_the_backup_and_after_each_shipment(load, tmp_path):
    from tests.support import REPOSITORY

    shop = (REPOSITORY / "include" / "policy" / "shop.yaml").read_text()
    (tmp_path / "shop.yaml").write_text(shop.replace("backup:\n", "backup:\n  copies: [offsite, vault]\n", 1))
    dags = load(STRONGROOM_POLICY_DIRECTORY=str(tmp_path))["dags"]
    for dag_id, first in (("nightly_backup.shop", "back_up"), ("wal_archive.shop", "ship_wal")):
        upstream = dags[dag_id]["upstream"]
        assert upstream["copy_to_offsite"] == upstream["copy_to_vault"] == [first]
        assert sorted(upstream["seal_audit_log"]) == sorted([first, "copy_to_offsite", "copy_to_vault"])

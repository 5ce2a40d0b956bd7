"""The operators, each executed in a process of its own with Airflow's connections in its environment."""

import json
from types import SimpleNamespace

import pytest

EXECUTE = """
import json, sys
from types import SimpleNamespace
from strongroom_airflow import operators
name, dag_id, arguments = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
operator = getattr(operators, name)(task_id="task", **arguments)
instance = SimpleNamespace(
    dag_id=dag_id, run_id="manual__2026-11-24T00:00:00+00:00", task_id="task", try_number=1, map_index=-1
)
class Events(dict):
    def __missing__(self, key):
        self[key] = SimpleNamespace(extra={})
        return self[key]
context = {"ti": instance, "outlet_events": Events(), "triggering_asset_events": {}}
try:
    print("RESULT" + json.dumps({"value": operator.execute(context)}))
except Exception as error:
    print("RESULT" + json.dumps({"error": type(error).__name__, "message": str(error)}))
"""


@pytest.fixture
def execute(installation, worker):
    socket = str(installation.shop.socket_dir)
    connection = {"conn_type": "postgres", "host": socket, "login": "postgres"}
    environment = {
        "STRONGROOM_SETTINGS": str(installation.folder / "settings.yaml"),
        "AIRFLOW_CONN_DB_SHOP": json.dumps({**connection, "schema": "shop"}),
        "AIRFLOW_CONN_ELSEWHERE": json.dumps({**connection, "host": "db.example.org", "schema": "shop"}),
    }

    def execute(operator: str, dag_id: str = "my_exports", **arguments: object) -> SimpleNamespace:
        answer = worker.execute(EXECUTE, [operator, dag_id, json.dumps(arguments)], environment)
        return SimpleNamespace(**{"value": None, "error": None, "message": "", **answer})

    return execute


@pytest.fixture
def trusted(installation):
    """`my_exports` may take objects out of the vault."""
    installation.configure(dag_roles={"my_exports": ["operator"]})
    yield
    installation.configure()


def test_a_querys_result_goes_into_the_vault_and_comes_out_again(execute, trusted, tmp_path):
    sealed = execute(
        "SealOperator",
        key="exports/customers.csv.zst.age",
        conn_id="db_shop",
        sql="SELECT customer_id, email FROM public.customer ORDER BY customer_id;",
    )
    assert sealed.error is None, sealed.message
    assert set(sealed.value) == {"key", "kind", "size_bytes", "plaintext_bytes", "sha256"}
    target = tmp_path / "customers.csv"
    opened = execute("UnsealOperator", key="exports/customers.csv.zst.age", path=str(target))
    assert opened.error is None, opened.message
    lines = target.read_text().splitlines()
    assert (lines[0], len(lines)) == ("customer_id,email", 101)
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_file_goes_into_the_vault(execute, tmp_path):
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear customer")
    sealed = execute("SealOperator", key="letters/first.txt.age", path=str(letter))
    assert sealed.value["plaintext_bytes"] == len("Dear customer")
    again = execute("SealOperator", key="letters/first.txt.age", path=str(letter))
    assert again.error == "ObjectExistsError"


def test_a_dag_without_a_role_may_store_and_not_open(execute, tmp_path):
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear customer")
    assert execute("SealOperator", key="letters/second.txt.age", path=str(letter)).error is None
    refused = execute("UnsealOperator", key="letters/second.txt.age", path=str(tmp_path / "out"))
    assert refused.error == "AccessDeniedError"
    assert list(tmp_path.glob("*out*")) == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"key": "a.age"}, "InputError"),
        ({"key": "a.age", "path": "/nowhere/x"}, "InputError"),
        ({"key": "plain.txt", "path": "/etc/hostname"}, "ObjectKeyError"),
        ({"key": "../escape.age", "path": "/etc/hostname"}, "InvalidKeyError"),
        ({"key": "b.csv.zst.age", "conn_id": "elsewhere", "sql": "SELECT 1"}, "ConfigurationError"),
    ],
)
def test_what_cannot_be_sealed_is_refused_with_a_reason(execute, arguments, error):
    assert execute("SealOperator", **arguments).error == error


def test_a_query_cannot_change_the_database(execute):
    done = execute(
        "SealOperator",
        key="exports/deleted.csv.zst.age",
        conn_id="db_shop",
        sql="DELETE FROM public.product_view RETURNING *",
    )
    assert done.error is not None


def test_the_pipelines_operators_back_up_prove_and_ship(execute):
    taken = execute("BackupOperator", dag_id="nightly_backup.shop", database="shop")
    assert taken.error is None, taken.message
    proof = execute(
        "VerifyBackupOperator",
        dag_id="restore_verification.shop",
        database="shop",
        backup_id=taken.value["backup_id"],
    )
    assert (proof.error, proof.value["result"]) == (None, "proven")
    shipped = execute("WalShipOperator", dag_id="wal_archive.shop", database="shop")
    assert shipped.error is None, shipped.message
    assert shipped.value["segments"] > 0
    sealed = execute("SealAuditLogOperator", dag_id="audit_seal")
    assert sealed.value["entries"] > 0


def test_a_copy_is_a_task_that_needs_no_private_key(execute, installation, tmp_path):
    (tmp_path / "offsite").mkdir()
    copies = {"offsite": {"kind": "local", "directory": str(tmp_path / "offsite")}}
    installation.configure(copies=copies, keys=None)
    try:
        copied = execute("CopyOperator", dag_id="nightly_backup.shop", database="shop", to="offsite")
        shipped = execute("WalShipOperator", dag_id="wal_archive.shop", database="shop")
        followed = execute(
            "CopyWalOperator", dag_id="wal_archive.shop", database="shop", to="offsite", shipped=shipped.value
        )
    finally:
        installation.configure()
    assert followed.error is None, followed.message
    assert (followed.value["copy"], followed.value["copied_objects"] > 0) == ("offsite", True)
    assert copied.error is None, copied.message
    assert (copied.value["copy"], copied.value["backups"]) == ("offsite", len(copied.value["new_backups"]))
    assert copied.value["copied_bytes"] > 0


def test_a_sweep_is_a_task_that_needs_no_private_key(execute, installation):
    installation.configure(keys=None)
    try:
        found = execute("ArchivedTablesOperator", dag_id="archive_sweep")
        swept = execute("SweepOperator", dag_id="archive_sweep", database="shop", table="public.payment")
    finally:
        installation.configure()
    assert found.error is None, found.message
    assert found.value[0] == {"database": "shop", "table": "public.orders"}
    assert {"database": "shop", "table": "public.payment"} in found.value
    assert swept.error is None, swept.message
    assert (swept.value["rows"], swept.value["held_rows"]) == (0, 0)  # payments go with their orders

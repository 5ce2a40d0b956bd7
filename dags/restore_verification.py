"""`restore_verification.<database>`: every backup is restored into a scratch server and proven."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, Param

from strongroom_airflow.assets import backup_asset
from strongroom_airflow.operators import SealAuditLogOperator, VerifyBackupOperator
from strongroom_airflow.policies import policies
from strongroom_airflow.retries import RETRY_ARGUMENTS

DOCUMENTATION = """
### Restore verification of {database}

Starts by itself after each backup. Restores it into a PostgreSQL of the same version that listens on no network,
checks it, signs a proof, and destroys the scratch server whatever happens.

| level | what it catches |
|---|---|
| L0 | an object that is missing, shorter, or another one |
| L1 | anything that does not decrypt or decompress; a manifest that was edited |
| L2 | a missing WAL segment (a logical backup needs none) |
| L3 | a backup that does not recover to its named restore point, or a dump that does not restore without an error |
| L4 | broken pages, broken indexes, tables that cannot be read |
| L5 | rows that differ from those at the source; business rules that do not hold |

Trigger it by hand with a backup's id to prove an older one. `strongroom verify show {database}` prints the proof.
"""

for policy in policies():
    with DAG(
        dag_id=f"restore_verification.{policy.database}",
        schedule=[backup_asset(policy.database)],
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        default_args=RETRY_ARGUMENTS,
        params={
            "backup_id": Param(
                None,
                type=["null", "string"],
                pattern=r"^\d{8}T\d{6}Z-[0-9a-f]{4}$",
                title="Backup",
                description="The id of the backup to prove. Empty: the one just taken, or the newest.",
            )
        },
        render_template_as_native_obj=True,
        tags=["strongroom", "verification", policy.database],
        doc_md=DOCUMENTATION.format(database=policy.database),
    ):
        # A teardown runs whatever happened before it, and does not decide how the run ended.
        (
            VerifyBackupOperator(
                task_id="restore_and_prove", database=policy.database, backup_id="{{ params.backup_id }}"
            )
            >> SealAuditLogOperator(task_id="seal_audit_log").as_teardown()
        )

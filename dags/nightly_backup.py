"""`nightly_backup.<database>`: an encrypted backup of each database, on its policy's schedule."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, CronTriggerTimetable

from strongroom_airflow.operators import BackupOperator, CopyOperator, SealAuditLogOperator
from strongroom_airflow.policies import policies
from strongroom_airflow.retries import RETRY_ARGUMENTS

DOCUMENTATION = """
### Nightly backup of {database}

Takes a backup as the policy says: `physical` copies the whole cluster, or what changed since the last backup
(base backup → zstd → age → bucket), `logical` dumps one database (definitions by `pg_dump`, rows by COPY, several
streams in one snapshot). Nothing of it is written to this host's disk, and this host cannot read what it wrote: it
holds public keys only.

1. **back_up** takes a lease, removes what a killed run left, streams the backup, and writes the signed manifest last.
2. **copy_to_…** brings each copy that the policy names up to the bucket, unopened. A copy that fails fails this run;
   the backup stands, and is proven all the same.
3. **seal_audit_log** publishes the events of this run in the tamper-evident log.

When it is done, `restore_verification.{database}` starts by itself. **A backup counts only when that has proven it.**
Trigger it by hand at any time; a second run while one is going is refused, and nothing is lost.
"""

for policy in policies():
    with DAG(
        dag_id=f"nightly_backup.{policy.database}",
        schedule=CronTriggerTimetable(policy.backup.schedule, timezone=policy.backup.timezone),
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        default_args=RETRY_ARGUMENTS,
        tags=["strongroom", "backup", policy.database],
        doc_md=DOCUMENTATION.format(database=policy.database),
    ):
        back_up = BackupOperator(task_id="back_up", database=policy.database)
        # A teardown runs whatever happened before it, and does not decide how the run ended.
        seal = SealAuditLogOperator(task_id="seal_audit_log").as_teardown()
        back_up >> seal
        for name in policy.backup.copies:
            back_up >> CopyOperator(task_id=f"copy_to_{name}", database=policy.database, to=name) >> seal

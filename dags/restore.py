"""`restore`: a whole cluster to any moment, into a new directory, once a second person has approved the plan."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from strongroom_airflow.operators import SealAuditLogOperator
from strongroom_airflow.operators.restore import (
    ApproveRestoreOperator,
    RestoreOperator,
    RestorePlanOperator,
    plan_hash_field,
)
from strongroom_airflow.policies import policies
from strongroom_airflow.retries import RETRY_ARGUMENTS

DOCUMENTATION = """
### Restore a cluster

Into a **new** directory below the settings' `restore_directory`, never over anything that is there.

1. **plan** finds the backup and the log that lead to the target, and refuses what cannot be done: a gap in the log, a
   moment in the future or before the first backup, a folder that exists, too small a disk. Nothing is written.
2. **approve** shows the plan to a person. It must be **somebody else** than the one who started this run (that is
   checked in code), who names the plan by its hash. *Reject* ends the run.
3. **restore** executes exactly the approved plan.
4. **seal_audit_log** publishes who asked, who approved, and what came of it.

| target | what comes back |
|---|---|
| `backup` | the restore point of a backup (the newest without an id): what its proof has shown |
| `time` | everything that was committed up to a moment, and nothing later |
| `lsn` | everything that was written before a position in the log |
| `point` | a named restore point (with the backup to begin from) |
| `latest` | the end of the archive |

When the person who started the run has answered by mistake, clear the task *approve*: it asks again.
"""

MOMENT = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$"

PARAMS = {
    "database": Param(
        type="string", enum=[policy.database for policy in policies()], title="Database",
        description="The whole cluster of this database comes back.",
    ),
    "target": Param(
        "backup",
        type="string",
        enum=["backup", "time", "lsn", "point", "latest"],
        values_display={
            "backup": "A backup's own restore point",
            "time": "A moment",
            "lsn": "A position in the log",
            "point": "A named restore point",
            "latest": "The end of the archive",
        },
        title="Restore to",
    ),
    "time": Param(
        None, type=["null", "string"], pattern=MOMENT, title="Moment",
        description="For a moment only, to the second and with its time zone: 2026-11-24T22:10:05+01:00.",
    ),
    "value": Param(
        None, type=["null", "string"], maxLength=63, title="Position or restore point",
        description="For a position (0/3000060) or a named restore point only.",
    ),
    "backup_id": Param(
        None, type=["null", "string"], pattern=r"^\d{8}T\d{6}Z-[0-9a-f]{4}$", title="Backup",
        description="Begin from this backup. Empty: the newest that leads to the target.",
    ),
    "folder": Param(
        type="string", pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", title="Folder",
        description="A new name; the directory is made below the settings' restore_directory.",
    ),
    "start": Param(
        False, type="boolean", title="Leave the server running",
        description="It listens on a Unix socket in the directory, on no network.",
    ),
}  # fmt: skip

with DAG(
    dag_id="restore",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=8,  # one that waits for its approval must not hold up another one
    allowed_run_types=["manual"],
    default_args={**RETRY_ARGUMENTS, "queue": "restore"},
    params=PARAMS,
    tags=["strongroom", "restore"],
    doc_md=DOCUMENTATION,
):
    plan = RestorePlanOperator(
        task_id="plan",
        database="{{ params.database }}",
        target="{{ params.target }}",
        folder="{{ params.folder }}",
        time="{{ params.time or '' }}",
        value="{{ params.value or '' }}",
        backup_id="{{ params.backup_id or '' }}",
        start="{{ params.start }}",
    )
    approve = ApproveRestoreOperator(
        task_id="approve",
        subject="Restore {{ params.database }} into the folder {{ params.folder }}?",
        planned=plan.output,
        params=plan_hash_field(),
        response_timeout=timedelta(days=1),
        retries=0,
    )
    restore = RestoreOperator(task_id="restore", planned=plan.output)
    # A teardown runs whatever happened before it, and does not decide how the run ended.
    plan >> approve >> restore >> SealAuditLogOperator(task_id="seal_audit_log").as_teardown()

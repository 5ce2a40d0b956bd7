"""`restore`: a cluster to any moment, a database, or single tables, once a second person has approved the plan."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from strongroom_airflow.operators import SealAuditLogOperator
from strongroom_airflow.operators.approving import plan_hash_field
from strongroom_airflow.operators.restore import (
    ApproveRestoreOperator,
    RestoreOperator,
    RestorePlanOperator,
)
from strongroom_airflow.policies import policies
from strongroom_airflow.retries import RETRY_ARGUMENTS

DOCUMENTATION = """
### Restore

**Nothing that exists is touched.** Choose what comes back, and fill in its section of the form:

| what | from | into | needs |
|---|---|---|---|
| a whole cluster | physical backups, the archived log | a new directory below `restore_directory` | `folder` |
| one database | a logical backup | a new database of a server that runs | `new_name` |
| tables or schemas | a logical backup | a new schema of a database that lives | `tables` or `schemas`, `new_name` |

1. **plan** finds what leads there, and refuses what cannot be done, before anything is written: a gap in the log, a
   moment in the future or before the first backup, a folder, database or schema that exists, a table that the backup
   does not have, a server without the roles or extensions, too small a disk.
2. **approve** shows the plan to a person. It must be **somebody else** than the one who started this run, with a role
   that may approve restores (`person_roles` in the settings); both is checked in code. They name the plan by its hash.
   *Reject* ends the run.
3. **restore** executes exactly the approved plan.
4. **seal_audit_log** publishes who asked, who approved, and what came of it.

A cluster comes back to

| target | what comes back |
|---|---|
| `backup` | the restore point of a backup (the newest without an id): what its proof has shown |
| `time` | everything that was committed up to a moment, and nothing later |
| `lsn` | everything that was written before a position in the log |
| `point` | a named restore point (with the backup to begin from) |
| `latest` | the end of the archive |

A logical backup is one moment. `strongroom restore contents <database>` lists its tables. The user of the target's
connection must be allowed to make a schema (`GRANT CREATE ON DATABASE`), or for a whole database to make databases
(`CREATEDB`); the one that backups use need not be.

When the person who started the run has answered by mistake, clear the task *approve*: it asks again.
"""

MOMENT = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$"
CLUSTER, LOGICAL = "A whole cluster", "A database or tables"
NAME = {"type": "string", "minLength": 1, "maxLength": 140}

PARAMS = {
    "database": Param(
        type="string", enum=[policy.database for policy in policies()], title="Database",
        description="Whose backup is restored.",
    ),
    "what": Param(
        "cluster",
        type="string",
        enum=["cluster", "database", "tables"],
        values_display={
            "cluster": "The whole cluster, into a new directory",
            "database": "The database, under a new name in a server that runs (from a logical backup)",
            "tables": "Tables or schemas, into a new schema (from a logical backup)",
        },
        title="What comes back",
        description="Fill in its section below, and leave the other one as it is.",
    ),
    "backup_id": Param(
        None, type=["null", "string"], pattern=r"^\d{8}T\d{6}Z-[0-9a-f]{4}$", title="Backup",
        description="Restore from this backup. Empty: the newest that will do.",
    ),
    "folder": Param(
        None, type=["null", "string"], pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", title="Folder", section=CLUSTER,
        description="A new name; the directory is made below the settings' restore_directory.",
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
        section=CLUSTER,
    ),
    "time": Param(
        None, type=["null", "string"], pattern=MOMENT, title="Moment", section=CLUSTER,
        description="For a moment only, to the second and with its time zone: 2026-11-24T22:10:05+01:00.",
    ),
    "value": Param(
        None, type=["null", "string"], maxLength=63, title="Position or restore point", section=CLUSTER,
        description="For a position (0/3000060) or a named restore point only.",
    ),
    "start": Param(
        False, type="boolean", title="Leave the server running", section=CLUSTER,
        description="It listens on a Unix socket in the directory, on no network.",
    ),
    "tables": Param(
        None, type=["null", "array"], items=NAME, title="Tables", section=LOGICAL,
        description="For tables: one a line, as schema.table; a part with a dot or a quote in double quotes. Partitions"
        " come with what they are partitions of.",
    ),
    "schemas": Param(
        None, type=["null", "array"], items=NAME, title="Schemas", section=LOGICAL,
        description="For tables: all tables of these schemas, one schema a line.",
    ),
    "new_name": Param(
        None, type=["null", "string"], maxLength=140, title="New name", section=LOGICAL,
        description="The new schema that the tables go into, or the new database's name. It must not exist yet.",
    ),
    "table_name": Param(
        None, type=["null", "string"], maxLength=140, title="The table's new name", section=LOGICAL,
        description="For a single table only. Empty: it keeps its name.",
    ),
    "connection": Param(
        None, type=["null", "string"], pattern=r"^[A-Za-z0-9_.-]{1,200}$", title="Target connection", section=LOGICAL,
        description="The server that it comes back in: shop_owner stands for the Airflow connection db_shop_owner."
        " Empty: the database's own, whose user must be allowed to write there.",
    ),
    "target_database": Param(
        None, type=["null", "string"], maxLength=63, title="Target database", section=LOGICAL,
        description="Another database of that server than its connection names.",
    ),
    "owners": Param(
        True, type="boolean", title="Owners and privileges", section=LOGICAL,
        description="For a whole database: restore them; their roles must exist on the server. Tables never get them.",
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
        what="{{ params.what }}",
        backup_id="{{ params.backup_id or '' }}",
        target="{{ params.target }}",
        folder="{{ params.folder or '' }}",
        time="{{ params.time or '' }}",
        value="{{ params.value or '' }}",
        start="{{ params.start }}",
        tables="{{ (params.tables or []) | tojson }}",
        schemas="{{ (params.schemas or []) | tojson }}",
        table_name="{{ params.table_name or '' }}",
        new_name="{{ params.new_name or '' }}",
        connection="{{ params.connection or '' }}",
        target_database="{{ params.target_database or '' }}",
        owners="{{ params.owners }}",
    )
    approve = ApproveRestoreOperator(
        task_id="approve",
        subject="Restore {{ params.database }} ({{ params.what }}) into the new"
        " {{ {'cluster': 'folder', 'database': 'database', 'tables': 'schema'}[params.what] }}"
        " {{ params.folder or params.new_name }}?",
        planned=plan.output,
        params=plan_hash_field(),
        response_timeout=timedelta(days=1),
        retries=0,
    )
    restore = RestoreOperator(task_id="restore", planned=plan.output)
    # A teardown runs whatever happened before it, and does not decide how the run ended.
    plan >> approve >> restore >> SealAuditLogOperator(task_id="seal_audit_log").as_teardown()

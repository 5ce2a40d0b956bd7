"""`archive_sweep`: rows that are past their time move into sealed files, table by table, every day."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable

from strongroom_airflow.operators import ArchivedTablesOperator, SealAuditLogOperator, SweepOperator
from strongroom_airflow.retries import RETRY_ARGUMENTS

DOCUMENTATION = """
### Archive sweep

Moves the rows that are older than the `archive` rule of their table into encrypted Parquet files in the bucket.

1. **find_tables** reads the policies: which tables have such a rule.
2. **sweep**, once for each of them: the rows of a month are read in one snapshot, written, sealed, *read back out of
   the bucket and compared value by value*, and only then deleted, in the transaction that read them. Rows of other
   tables that belong to them go with them. A partition that is old as a whole is detached and dropped. The files are
   sealed for keys that this host does not have.
3. **seal_audit_log** publishes what moved.

A row that something else still refers to **stays**, and the task's log says why. The task **fails** and moves nothing
when the policy and the database disagree (`strongroom policy check`), and when the source was restored to a
moment before rows had left it. A run that is killed loses nothing; the next one finishes or takes away what it left.

`strongroom archive sweep DATABASE --dry-run` tells what would move.
"""

with DAG(
    dag_id="archive_sweep",
    # Without a start date: what was due before the installation began moves or deletes nothing on its first day.
    schedule=CronTriggerTimetable("0 4 * * *", timezone="UTC", run_immediately=timedelta(minutes=5)),
    catchup=False,
    max_active_runs=1,
    default_args={**RETRY_ARGUMENTS, "queue": "backup"},
    tags=["strongroom", "archive"],
    doc_md=DOCUMENTATION,
):
    tables = ArchivedTablesOperator(task_id="find_tables")
    sweep = SweepOperator.partial(task_id="sweep", max_active_tis_per_dagrun=1).expand_kwargs(tables.output)
    # A teardown runs whatever happened before it, and does not decide how the run ended.
    sweep >> SealAuditLogOperator(task_id="seal_audit_log").as_teardown()

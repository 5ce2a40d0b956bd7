"""`health_check`: what has to hold every day, looked at every day."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, CronTriggerTimetable

from strongroom_airflow.operators import CheckPolicyOperator, SealAuditLogOperator
from strongroom_airflow.policies import policies
from strongroom_airflow.retries import RETRY_ARGUMENTS

with DAG(
    dag_id="health_check",
    schedule=CronTriggerTimetable("30 5 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args=RETRY_ARGUMENTS,
    tags=["strongroom", "health"],
    doc_md="""
### Health check

Each check is a task; a task that **fails is the alert**, and its log names every finding.

* **check_policy_…** compares a database with its policy: tables, columns and partitions that nobody classified, links
  and foreign keys that contradict each other, replacements that the database would refuse, rules about time that
  cannot be followed. It tells what changed in the database since the day before. While it fails, no rows of that
  database are moved or deleted: mend the policy or the database.

`strongroom policy check --database X` does the same at a terminal.
""",
):
    # A teardown runs whatever happened before it, and does not decide how the run ended.
    seal = SealAuditLogOperator(task_id="seal_audit_log").as_teardown()
    for policy in policies():
        CheckPolicyOperator(task_id=f"check_policy_{policy.database}", database=policy.database) >> seal

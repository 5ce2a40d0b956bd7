"""`audit_seal`: the backstop that publishes audit events which no task has published yet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, DeltaTriggerTimetable

from strongroom_airflow.operators import SealAuditLogOperator
from strongroom_airflow.retries import RETRY_ARGUMENTS

with DAG(
    dag_id="audit_seal",
    schedule=DeltaTriggerTimetable(timedelta(minutes=5)),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args=RETRY_ARGUMENTS,
    tags=["strongroom", "audit"],
    doc_md="""
### Audit log

Moves recorded events into the Merkle log, signs its new head and publishes it in the bucket. Each pipeline does
this for its own events when it ends; this one catches what a killed task left behind. It **refuses to sign** when
the control database is behind what was published, which happens when an old copy of it was restored.
`strongroom audit verify` checks the whole log from the bucket alone.
""",
):
    SealAuditLogOperator(task_id="seal_audit_log")

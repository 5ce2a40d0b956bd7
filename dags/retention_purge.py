"""`retention_purge`: every day what is over is planned, approved where it has to be, deleted, and looked for."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable, Param, TaskGroup

from strongroom_airflow.operators import SealAuditLogOperator
from strongroom_airflow.operators.approving import plan_hash_field
from strongroom_airflow.operators.holds import EnforceHoldsOperator
from strongroom_airflow.operators.retention import (
    ApprovePurgeOperator,
    PurgeOperator,
    RequestPurgeOperator,
    RetentionPlanOperator,
    VerifyPurgeOperator,
)
from strongroom_airflow.policies import policies
from strongroom_airflow.retries import RETRY_ARGUMENTS

DOCUMENTATION = """
### Purge what is over

For each database, by its policy's `keep`, `wal` and `retention`:

1. **plan** decides what becomes of everything in the store and its copies, each with a reason. Nothing is deleted.
2. **request** and **approve** let an everyday purge pass. A person has to look when it is the first purge, when the
   policy has changed, when much goes at once (`approve_above_percent`), or when a clock may be wrong. Then it takes
   **two different people**, who name the plan by its hash: who started the run counts as the first; in a scheduled
   run the first one answers *request*.
3. **purge** looks at everything again and carries out exactly the approved plan: what is over is marked; what was
   marked before the grace period began is deleted, with every version. It stops before it has done anything when
   something that the plan lets go has to stay by now.
4. **verify** looks anew: what was deleted is gone, what was kept is there.

`strongroom retention show DATABASE` prints the newest plan whole. docs/retention.md explains every reason.
"""

with DAG(
    dag_id="retention_purge",
    # Without a start date: what was due before the installation began moves or deletes nothing on its first day.
    schedule=CronTriggerTimetable("30 4 * * *", timezone="UTC", run_immediately=timedelta(minutes=5)),
    catchup=False,
    max_active_runs=1,
    default_args={**RETRY_ARGUMENTS, "queue": "backup"},
    params={
        "database": Param(
            None, type=["null", "string"], title="Database", description="Only this one. Empty: all of them.",
            enum=[None, *(policy.database for policy in policies())],
        )
    },
    tags=["strongroom", "retention"],
    doc_md=DOCUMENTATION,
):  # fmt: skip
    enforce = EnforceHoldsOperator(task_id="enforce_holds")
    seal = SealAuditLogOperator(task_id="seal_audit_log").as_teardown()
    for policy in policies():
        with TaskGroup(group_id=policy.database):
            plan = RetentionPlanOperator(
                task_id="plan", database=policy.database, only="{{ params.database or '' }}"
            )
            people = {"planned": plan.output, "params": plan_hash_field(), "retries": 0}
            request = RequestPurgeOperator(
                task_id="request",
                subject=f"Ask for the purge of {policy.database}?",
                response_timeout=timedelta(hours=10),
                **people,
            )
            approve = ApprovePurgeOperator(
                task_id="approve",
                subject=f"Approve the purge of {policy.database}?",
                response_timeout=timedelta(hours=10),
                **people,
            )
            purge = PurgeOperator(task_id="purge", planned=plan.output)
            verify = VerifyPurgeOperator(task_id="verify", planned=plan.output)
            enforce >> plan >> request >> approve >> purge >> verify >> seal

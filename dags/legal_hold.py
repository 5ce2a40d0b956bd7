"""`legal_hold`: a hold that is placed at once, or released once a second person has approved it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from strongroom_airflow.operators import SealAuditLogOperator
from strongroom_airflow.operators.approving import plan_hash_field
from strongroom_airflow.operators.holds import (
    ApproveReleaseOperator,
    EnforceHoldsOperator,
    PlaceHoldOperator,
    PlanReleaseOperator,
    ReleaseHoldOperator,
)
from strongroom_airflow.policies import policies
from strongroom_airflow.retries import RETRY_ARGUMENTS

DOCUMENTATION = """
### Place or release a legal hold

While a hold stands, nothing that it reaches is deleted: not by retention, not by a purge that was approved already,
and where the bucket has Object Lock by nobody at all.

* **Place**: it stands as soon as the task *place* is done. One person is enough; they need the role *operator* or
  *privacy_officer* (setting `person_roles`).
* **Release**: *plan_release* says which hold it is; **somebody else** than the one who started the run approves it by
  its hash; then *release* releases it. Nothing is deleted by that: what was waiting goes with the next purge.

| on | reaches |
|---|---|
| `database` | everything of it |
| `table` | its archives and rows, and every backup and all log of its database |
| `person` | archives and rows that hold them or cannot tell, every backup, all log. Named by a keyed hash only |
| `period` | what brings back any moment of it |
| `backup` | the backup |

and always what those build on, need and are proven by. The reason is a case's reference, never a text about somebody.
"""

MOMENT = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$"
SCOPE = ("table", "person", "since", "until", "backup_id")

PARAMS = {
    "action": Param(
        "place", type="string", enum=["place", "release"], title="What to do",
        values_display={"place": "Place a hold", "release": "Release a hold"},
    ),
    "database": Param(
        type="string", enum=[policy.database for policy in policies()], title="Database",
    ),
    "on": Param(
        "database", type="string", enum=["database", "table", "person", "period", "backup"], title="Hold on",
        description="To place one: what of the database. Fill in only the fields that belong to it.",
    ),
    "reason": Param(
        None, type=["null", "string"], pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/#-]{0,99}$", title="Case",
        description="To place one: the case's reference, such as case-2026-114. No names.",
    ),
    "table": Param(
        None, type=["null", "string"], maxLength=200, title="Table",
        description="For a hold on a table: schema.table, as the policy names it.",
    ),
    "person": Param(
        None, type=["null", "string"], pattern="^[0-9a-f]{32,128}$", title="Person",
        description="For a hold on a person: their keyed hash, as archives index it. Never an identifier of theirs.",
    ),
    "since": Param(
        None, type=["null", "string"], pattern=MOMENT, title="Period from",
        description="For a hold on a period: its begin, to the second and with its time zone: 2026-01-01T00:00:00Z.",
    ),
    "until": Param(
        None, type=["null", "string"], pattern=MOMENT, title="Period to",
        description="For a hold on a period: its end, written the same way.",
    ),
    "backup_id": Param(
        None, type=["null", "string"], pattern=r"^\d{8}T\d{6}Z-[0-9a-f]{4}$", title="Backup",
        description="For a hold on a backup: its id, as `strongroom backup list` prints it.",
    ),
    "hold_id": Param(
        None, type=["null", "string"], pattern=r"^hold-\d{8}T\d{6}Z-[0-9a-f]{4}$", title="Hold to release",
        description="To release one: its id, as `strongroom hold list` and the task *place* print it.",
    ),
}  # fmt: skip

with DAG(
    dag_id="legal_hold",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=8,  # a release that waits for its approval must not hold up a hold
    allowed_run_types=["manual"],
    default_args={**RETRY_ARGUMENTS, "queue": "backup"},
    params=PARAMS,
    tags=["strongroom", "retention"],
    doc_md=DOCUMENTATION,
):
    place = PlaceHoldOperator(
        task_id="place",
        action="{{ params.action }}",
        kind="{{ params.on }}",
        database="{{ params.database }}",
        reason="{{ params.reason or '' }}",
        scope={name: f"{{{{ params.{name} or '' }}}}" for name in SCOPE},
    )
    plan = PlanReleaseOperator(
        task_id="plan_release", action="{{ params.action }}", hold_id="{{ params.hold_id or '' }}"
    )
    approve = ApproveReleaseOperator(
        task_id="approve",
        subject="Release the legal hold {{ params.hold_id }}?",
        planned=plan.output,
        params=plan_hash_field(),
        response_timeout=timedelta(days=7),
        retries=0,
    )
    release = ReleaseHoldOperator(task_id="release", planned=plan.output)
    enforce = EnforceHoldsOperator(task_id="enforce", trigger_rule="none_failed_min_one_success")
    plan >> approve >> release
    [place, release] >> enforce >> SealAuditLogOperator(task_id="seal_audit_log").as_teardown()

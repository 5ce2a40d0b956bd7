"""`key_rotation`: a new epoch, everything brought to it, or an old one's private half destroyed by two people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from strongroom_airflow.operators import SealAuditLogOperator
from strongroom_airflow.operators.approving import plan_hash_field
from strongroom_airflow.operators.keys import (
    ApproveDestructionOperator,
    DestroyKeyOperator,
    PlanDestructionOperator,
    RewrapOperator,
    RotateKeyOperator,
)
from strongroom_airflow.policies import policies
from strongroom_airflow.retries import RETRY_ARGUMENTS

DOCUMENTATION = """
### Rotate, rewrap or destroy a key

* **rotate**: *rotate* makes a new epoch, which seals from then on; *rewrap* then gives everything that older epochs
  open a header for it, in the bucket and in every copy. The payload's bytes stay as they are.
* **rewrap**: the second half alone, for one database or all. It goes on where a run was stopped.
* **destroy**: an epoch's private half, here and in every copy. *plan_destruction* lists what nothing can read any more,
  and fails when a policy or a legal hold still keeps any of that. **Somebody else** than the one who started the run
  approves the plan by its hash. It cannot be undone.

docs/keys.md says how a rewrapped object is still the one that a manifest names.
"""

PARAMS = {
    "action": Param(
        "rotate", type="string", enum=["rotate", "rewrap", "destroy"], title="What to do",
        values_display={
            "rotate": "Make a new epoch and bring everything to it",
            "rewrap": "Bring everything to the current epochs",
            "destroy": "Destroy an old epoch's private half",
        },
    ),
    "purpose": Param(
        "backup", type="string", pattern="^[a-z][a-z0-9_-]{0,39}$", title="Purpose",
        description="To rotate: what the new epoch seals. Strongroom's own are of the purpose backup.",
    ),
    "days": Param(
        365, type="integer", minimum=1, maximum=3650, title="Days",
        description="To rotate: for how many days the new epoch may seal.",
    ),
    "database": Param(
        None, type=["null", "string"], title="Database",
        enum=[None, *(policy.database for policy in policies())],
        description="To rewrap: only this one's objects. Empty: all.",
    ),
    "epoch_id": Param(
        None, type=["null", "string"], pattern=r"^[a-z][a-z0-9_-]{0,39}-\d{8}T\d{6}Z-[0-9a-f]{4}$",
        title="Epoch to destroy",
        description="To destroy: its id, as `strongroom keys list` prints it. There is no way back.",
    ),
}  # fmt: skip

with DAG(
    dag_id="key_rotation",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=4,  # one that waits for its approval must not hold up a rotation
    allowed_run_types=["manual"],
    default_args={**RETRY_ARGUMENTS, "queue": "restore"},
    params=PARAMS,
    tags=["strongroom", "keys"],
    doc_md=DOCUMENTATION,
):
    action = "{{ params.action }}"
    rotate = RotateKeyOperator(
        task_id="rotate", action=action, purpose="{{ params.purpose }}", days="{{ params.days }}", retries=0
    )
    rewrap = RewrapOperator(
        task_id="rewrap",
        action=action,
        database="{{ params.database or '' }}",
        trigger_rule="none_failed",
    )
    plan = PlanDestructionOperator(
        task_id="plan_destruction", action=action, epoch_id="{{ params.epoch_id or '' }}"
    )
    approve = ApproveDestructionOperator(
        task_id="approve",
        subject="Destroy the private half of {{ params.epoch_id }}?",
        planned=plan.output,
        params=plan_hash_field(),
        response_timeout=timedelta(days=1),
        retries=0,
    )
    destroy = DestroyKeyOperator(task_id="destroy", planned=plan.output)
    rotate >> rewrap
    plan >> approve >> destroy
    [rewrap, destroy] >> SealAuditLogOperator(task_id="seal_audit_log").as_teardown()

"""The life of keys: a new epoch, objects brought to it, and an old one's private half destroyed by two people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from strongroom_airflow.hooks import StrongroomHook
from strongroom_airflow.operators.approving import ApprovePlanOperator, refuse_unknown_fields, run_of, starter

if TYPE_CHECKING:
    from airflow.sdk import Context

    from strongroom.access import Decision
    from strongroom.services import Services


class RotateKeyOperator(BaseOperator):
    """Makes a new epoch; skips when the run does not rotate. Returns its id.

    Args:
        action: `rotate`, `rewrap`, or `destroy`.
        purpose: what the epoch seals.
        days: for how many days it may.
    """

    template_fields: Sequence[str] = ("action", "purpose", "days")

    def __init__(self, *, action: str, purpose: str, days: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.action = action
        self.purpose = purpose
        self.days = days

    def execute(self, context: Context) -> str:
        """Rotate."""
        from datetime import timedelta

        refuse_unknown_fields(context)
        if self.action != "rotate":
            raise AirflowSkipException("This run makes no new epoch.")
        hook = StrongroomHook()
        epoch = hook.services.key_rotation.rotate(
            hook.actor(context), purpose=self.purpose, lifetime=timedelta(days=int(self.days))
        )
        return epoch.id


class RewrapOperator(BaseOperator):
    """Brings what older epochs open to the current ones; skips when the run destroys. Returns counts.

    Args:
        action: `rotate`, `rewrap`, or `destroy`.
        database: whose objects; all when it is empty.
    """

    template_fields: Sequence[str] = ("action", "database")

    def __init__(self, *, action: str, database: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.action = action
        self.database = database

    def execute(self, context: Context) -> dict[str, int]:
        """Rewrap."""
        if self.action == "destroy":
            raise AirflowSkipException("This run rewraps nothing.")
        hook = StrongroomHook()
        report = hook.services.rewrapper.run(
            hook.actor(context),
            self.database or None,
            progress=lambda key: self.log.info("Rewrapped %s", key),
        )
        return {
            "rewrapped": report.rewrapped,
            "current": report.current,
            "old_versions": report.old_versions,
        }


class PlanDestructionOperator(BaseOperator):
    """Says what destroying an epoch's private half would do; skips when the run does not destroy.

    Fails when something that only this key opens has to stay readable.

    Args:
        action: `rotate`, `rewrap`, or `destroy`.
        epoch_id: the epoch.
    """

    template_fields: Sequence[str] = ("action", "epoch_id")

    def __init__(self, *, action: str, epoch_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.action = action
        self.epoch_id = epoch_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Plan it."""
        if self.action != "destroy":
            raise AirflowSkipException("This run destroys nothing.")
        from strongroom.retention.destruction import require_free

        hook = StrongroomHook()
        services = hook.services
        starter(context, services)
        plan = services.key_destroyer.plan(hook.actor(context), self.epoch_id)
        for line in plan.lines():
            self.log.info(line)
        require_free(plan)
        return {"epoch_id": plan.epoch_id, "sha256": plan.sha256, "text": "\n".join(plan.lines())}


class ApproveDestructionOperator(ApprovePlanOperator):
    """Asks a second person whether an epoch's private half may be destroyed."""

    def decide(self, services: Services, decision: Decision) -> None:
        """Check and record the answer."""
        actor = services.person(decision.decided_by or "nobody")
        plan = services.key_destroyer.plan(actor, str(self.planned["epoch_id"]))
        services.key_destroyer.decide(plan, decision)


class DestroyKeyOperator(BaseOperator):
    """Destroys an epoch's private half, as a second person has approved for this run. Returns the epoch's id.

    Args:
        planned: what `PlanDestructionOperator` returned.
    """

    template_fields: Sequence[str] = ("planned",)

    def __init__(self, *, planned: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.planned = planned

    def execute(self, context: Context) -> str:
        """Destroy it."""
        hook = StrongroomHook()
        destroyer = hook.services.key_destroyer
        plan = destroyer.plan(hook.actor(context), str(self.planned["epoch_id"]))
        destroyer.destroy(hook.actor(context), plan, run_of(context))
        return plan.epoch_id

"""Both kinds of restore through one door: clusters from physical backups, databases and tables from logical ones."""

from __future__ import annotations

from collections.abc import Callable

from strongroom.access import Actor
from strongroom.backup.restoring.logical import (
    LogicalRestorePlan,
    LogicalRestorer,
    LogicalRestoreRequest,
    LogicalRestoreResult,
    PlannedLogicalRestore,
    parse_logical_plan,
)
from strongroom.backup.restoring.logical.plan import PLAN_FORMAT as LOGICAL_FORMAT
from strongroom.backup.restoring.plan import RestorePlan, parse_plan
from strongroom.backup.restoring.report import RestoreReport
from strongroom.backup.restoring.request import RestoreRequest
from strongroom.backup.restoring.runner import Progress
from strongroom.backup.restoring.service import PlannedRestore, RestoreService
from strongroom.canonical import JsonObject

AnyRequest = RestoreRequest | LogicalRestoreRequest
AnyPlanned = PlannedRestore | PlannedLogicalRestore
AnyPlan = RestorePlan | LogicalRestorePlan
AnyReport = RestoreReport | LogicalRestoreResult


class Restores:
    """Plans and executes restores of both kinds.

    Args:
        clusters: gives what restores clusters.
        logical: gives what restores databases and tables; it needs the control database, so it is made when needed.
    """

    def __init__(
        self, clusters: Callable[[], RestoreService], logical: Callable[[], LogicalRestorer]
    ) -> None:
        self._clusters = clusters
        self._logical = logical

    def plan(self, actor: Actor, request: AnyRequest) -> AnyPlanned:
        """Decide what a restore would do; see `RestoreService.plan` and `LogicalRestorer.plan`."""
        if isinstance(request, LogicalRestoreRequest):
            return self._logical().plan(actor, request)
        return self._clusters().plan(actor, request)

    def run(
        self, actor: Actor, plan: AnyPlan, plan_sha256: str, *, progress: Progress | None = None
    ) -> AnyReport:
        """Execute a plan that was approved; see `RestoreService.run` and `LogicalRestorer.run`."""
        if isinstance(plan, LogicalRestorePlan):
            return self._logical().run(actor, plan, plan_sha256)
        return self._clusters().run(actor, plan, plan_sha256, progress=progress)


def parse_any_plan(document: JsonObject) -> AnyPlan:
    """The plan in a document, of whichever kind it says it is; check its hash next.

    Raises:
        InputError: it is no plan.
    """
    if document.get("format") == LOGICAL_FORMAT:
        return parse_logical_plan(document)
    return parse_plan(document)

"""Retention: what is kept, what is deleted, and why; planned, approved, carried out and checked."""

from strongroom.retention.errors import (
    KeptMissingError,
    NotApprovedError,
    NotGoneError,
    PlanChangedError,
    PlanNotFoundError,
    PurgeInProgressError,
)
from strongroom.retention.facts import Facts, LastPurge, Mark
from strongroom.retention.plan import plan
from strongroom.retention.purge import Purge
from strongroom.retention.rules import RetentionRules
from strongroom.retention.values import Action, Decision, LockExtension, Plan, parse_plan

__all__ = [
    "Action",
    "Decision",
    "Facts",
    "KeptMissingError",
    "LastPurge",
    "LockExtension",
    "Mark",
    "NotApprovedError",
    "NotGoneError",
    "Plan",
    "PlanChangedError",
    "PlanNotFoundError",
    "Purge",
    "PurgeInProgressError",
    "RetentionRules",
    "parse_plan",
    "plan",
]

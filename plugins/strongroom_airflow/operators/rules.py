"""Comparing a policy with its database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from strongroom_airflow.hooks import StrongroomHook

if TYPE_CHECKING:
    from airflow.sdk import Context


class CheckPolicyOperator(BaseOperator):
    """Compares a database with its policy, and fails with every point in which they do not agree.

    Returns the two hashes and how much changed in the database since last time.

    Args:
        database: the database's name in its policy.
    """

    template_fields: Sequence[str] = ("database",)

    def __init__(self, *, database: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.database = database

    def execute(self, context: Context) -> dict[str, Any]:
        """Compare the two."""
        hook = StrongroomHook()
        report = hook.services.rules.check(hook.actor(context), hook.services.policy(self.database))
        for line in report.lines():
            self.log.info(line)
        report.require()
        return {
            "policy_sha256": report.policy_sha256,
            "catalogue_sha256": report.catalogue_sha256,
            "changes": len(report.changes),
        }

"""When a failed task tries again: a server or a network that failed may come back; nothing else gets better alone."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception="strongroom.errors.TransientError",
            action=RetryAction.RETRY,
            retry_delay=timedelta(minutes=2),
            reason="a server or a network failed in a way that may pass",
        ),
        RetryRule(
            exception="strongroom.errors.StrongroomError",
            action=RetryAction.FAIL,
            reason="trying again would fail the same way; the message says what to do",
        ),
    ]
)

RETRY_ARGUMENTS = {"retries": 3, "retry_delay": timedelta(minutes=1), "retry_policy": RETRY_POLICY}
"""Default arguments for a DAG's tasks. A task that was killed is tried again too: every step converges."""

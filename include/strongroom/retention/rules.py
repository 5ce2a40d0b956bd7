"""The rules of one database's retention, as its policy states them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from strongroom.durations import Duration, DurationError

if TYPE_CHECKING:
    from strongroom.policy import Policy


_GRACE = Duration(days=3)
_EVIDENCE = Duration(months=36)


@dataclass(frozen=True)
class RetentionRules:
    """What is kept, and what a purge may do.

    Args:
        policy_sha256: of the policy that states them.
        last: how many of the newest backups stay.
        daily: for how many days one backup of each day stays; `weekly`, `monthly`, `yearly` likewise.
        proven: how many of the newest proven backups stay, whatever their age; at least one.
        timezone: where days, weeks, months and years begin.
        wal_keep: how far back any moment can be restored; None where the policy does not say.
        grace: how long what is to go stays marked before it goes.
        approve_above: the share of the data from which on marking it needs a second person.
        evidence: how long proofs stay when their backup is gone.
        lock_mode: the kind of Object Lock of backups; None without one.
        lock_days: for how many days ahead what is kept is locked.
    """

    policy_sha256: str
    last: int = 3
    daily: int = 7
    weekly: int = 4
    monthly: int = 12
    yearly: int = 0
    proven: int = 2
    timezone: str = "UTC"
    wal_keep: Duration | None = None
    grace: Duration = _GRACE
    approve_above: float = 0.25
    evidence: Duration = _EVIDENCE
    lock_mode: Literal["governance", "compliance"] | None = None
    lock_days: int = 0

    @classmethod
    def from_policy(cls, policy: Policy) -> RetentionRules:
        """The rules in a policy."""
        backup, keep, lock = policy.backup, policy.backup.keep, policy.backup.lock
        return cls(
            policy_sha256=policy.sha256,
            last=keep.last,
            daily=keep.daily,
            weekly=keep.weekly,
            monthly=keep.monthly,
            yearly=keep.yearly,
            proven=keep.proven,
            timezone=backup.timezone,
            wal_keep=backup.wal.keep if backup.wal else None,
            grace=policy.retention.grace,
            approve_above=policy.retention.approve_above_percent / 100,
            evidence=policy.retention.evidence,
            lock_mode=lock.mode if lock else None,
            lock_days=lock.days if lock else 0,
        )

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the calendar rules."""
        return ZoneInfo(self.timezone)


def earlier(moment: datetime, duration: Duration) -> datetime:
    """The moment that much earlier; the calendar's beginning where it does not reach back that far."""
    try:
        return duration.before(moment)
    except DurationError:
        return datetime.min.replace(tzinfo=moment.tzinfo)


def later(moment: datetime, duration: Duration) -> datetime:
    """The moment that much later; the calendar's end where it does not reach that far."""
    try:
        return duration.after(moment)
    except DurationError:
        return datetime.max.replace(tzinfo=moment.tzinfo)

"""What a policy says about shipping WAL, and what a run of the shipper gives back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from strongroom.backup.continuous.slots import slot_name
from strongroom.errors import ConfigurationError
from strongroom.policy.words import size_bytes

if TYPE_CHECKING:
    from strongroom.policy import Policy

DEFAULT_MAX_LAG_BYTES = 10 * 1000**3


@dataclass(frozen=True)
class WalPlan:
    """What a policy says about the WAL of one database."""

    database: str
    policy_sha256: str
    slot: str
    recipients: tuple[str, ...] = ("epoch", "escrow")
    max_lag_bytes: int = DEFAULT_MAX_LAG_BYTES
    """How much WAL may wait on the source."""
    ship_every: timedelta = timedelta(minutes=5)
    lock_mode: Literal["governance", "compliance"] | None = None
    lock_days: int = 0

    @classmethod
    def from_policy(cls, policy: Policy) -> WalPlan:
        """The part of a policy that this is about.

        Raises:
            ConfigurationError: it does not ask for continuous WAL, or cannot have it.
        """
        backup = policy.backup
        if backup.wal is None:
            raise ConfigurationError(
                f"The policy of {policy.database} does not ask for continuous WAL.",
                hint="Add `backup.wal: {ship_every: 5m, keep: 14d}` to it.",
            )
        if backup.method != "physical":
            raise ConfigurationError(
                f"The policy of {policy.database} ships WAL, which only physical backups can use.",
                hint="Set `backup.method: physical`, or take `backup.wal` out.",
            )
        return cls(
            database=policy.database,
            policy_sha256=policy.sha256,
            slot=backup.wal.slot or slot_name(policy.database),
            recipients=tuple(backup.recipients),
            max_lag_bytes=size_bytes(backup.wal.max_lag),
            ship_every=backup.wal.ship_every.approximate,
            lock_mode=backup.lock.mode if backup.lock else None,
            lock_days=backup.lock.days if backup.lock else 0,
        )


@dataclass(frozen=True)
class WalSummary:
    """What a run shipped: references and sizes, safe to log and to pass between tasks."""

    database: str
    system_identifier: str
    timeline: int
    segments: int
    first_segment: str | None
    last_segment: str | None
    plaintext_bytes: int
    stored_bytes: int
    covered_until: datetime
    """Everything that was committed before it, by the source's clock, is in the archive."""
    position: str
    """Up to where the archive holds the log."""
    switched: bool
    """Whether a segment was completed early, so that the data-loss window keeps to the schedule."""
    slot_created: bool
    new_cluster: bool
    """The archive had nothing of this cluster: a backup is needed before anything can be restored."""
    leftovers_removed: int
    """Segments of killed runs that no receipt names, deleted and shipped again."""
    lag_bytes_found: int
    """How much WAL waited on the source when the run began."""
    lag_bytes_left: int
    warnings: tuple[str, ...]
    seconds: float

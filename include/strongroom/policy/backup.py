"""What a policy says about backups: when, sealed for whom, kept how long."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from strongroom.durations import Duration
from strongroom.policy.words import Name, Part, Schedule, Size, TimeZone

RecipientName = Literal["epoch", "escrow"]
"""For whom backups are sealed: the current key epoch, or the escrow key that is kept elsewhere."""

Count = Annotated[int, Field(ge=0, le=10_000)]
AtLeastOne = Annotated[int, Field(ge=1, le=10_000)]


class Wal(Part):
    """Continuous shipping of the write-ahead log, for restoring to any moment."""

    ship_every: Duration
    """How often complete WAL segments are sealed and uploaded."""

    keep: Duration
    """How far back any moment can be restored."""

    max_lag: Size = "10GB"
    """How much WAL may wait on the source before shipping it counts as failed."""

    slot: Name | None = None
    """The replication slot on the source; without it, `strongroom_wal_` and the database's name."""


class Keep(Part):
    """How many backups stay. A backup stays as long as one rule keeps it."""

    last: AtLeastOne = 3
    """The newest backups."""

    daily: Count = 7
    """One of each day, for this many days."""

    weekly: Count = 4
    """One of each ISO week, for this many weeks."""

    monthly: Count = 12
    """One of each month, for this many months."""

    yearly: Count = 0
    """One of each year, for this many years."""

    proven: AtLeastOne = 2
    """The newest backups that were restored and proven; never fewer stay, whatever their age."""


class Lock(Part):
    """S3 Object Lock: how long nobody, this program included, can delete a new backup."""

    mode: Literal["governance", "compliance"]
    """`governance` can be lifted by an account with the permission; `compliance` by nobody before its date."""

    days: Annotated[int, Field(ge=1, le=36_500)]
    """Days from the upload."""


class Backup(Part):
    """How the database is backed up."""

    method: Literal["physical", "logical"] = "physical"
    """`physical` copies the whole cluster (replication protocol); `logical` dumps one database (pg_dump)."""

    schedule: Schedule
    """When: a cron schedule of five fields."""

    timezone: TimeZone = "UTC"
    """The time zone of the schedule."""

    full_every: Duration | None = None
    """Time between full backups, with incremental ones between; without it, every backup is full."""

    recipients: tuple[RecipientName, ...] = ("epoch", "escrow")
    """For whom backups are sealed."""

    copies: tuple[Name, ...] = ()
    """Further stores that each sealed object is copied to, unopened."""

    wal: Wal | None = None
    """Continuous shipping of the write-ahead log; without it, only backups can be restored."""

    keep: Keep = Keep()
    """How many backups stay."""

    lock: Lock | None = None
    """S3 Object Lock of new backups; without it, the bucket's own default applies."""

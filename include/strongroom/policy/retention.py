"""What a policy says about deleting: how long something stays marked first, and when a second person has to look."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from strongroom.durations import Duration
from strongroom.policy.words import Part

Percent = Annotated[int, Field(ge=0, le=100)]


class Retention(Part):
    """How what is over is deleted. What stays, and how long, stands in `keep`, `wal` and the tables' own rules."""

    grace: Duration = Duration(days=3)
    """How long something stays marked before it is deleted; until then it can still be restored and kept."""

    approve_above_percent: Percent = 25
    """A purge that marks a larger share of the backups, the log or the archives at once needs a second person."""

    evidence: Duration = Duration(months=36)
    """How long the proofs of a backup stay when the backup itself is gone."""

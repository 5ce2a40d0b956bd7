"""What a database looked like when its policy was last compared with it, and the policy that last agreed.

It is no index of the bucket: it is observed here, and made again by the next comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from strongroom.catalog import tables


@dataclass(frozen=True)
class PolicyCheckRecord:
    """The newest comparison of a database with its policy."""

    database: str
    checked_at: datetime
    catalogue_sha256: str
    catalogue: Mapping[str, Any]
    """Names, types and rules as they were then; no rows."""
    findings: int
    """In how many points they did not agree."""
    agreed_at: datetime | None
    """When they last agreed; None when they never did."""
    policy_sha256: str | None
    """Of the policy that agreed then."""
    policy: Mapping[str, Any] | None
    """That policy."""


class PolicyCheckRepository:
    """Reads and writes comparisons, inside the caller's transaction."""

    def keep(self, connection: Connection, record: PolicyCheckRecord) -> None:
        """Record a comparison in place of the one before it."""
        values = asdict(record)
        statement = insert(tables.policy_check).values(values)
        connection.execute(statement.on_conflict_do_update(index_elements=["database"], set_=values))

    def find(self, connection: Connection, database: str) -> PolicyCheckRecord | None:
        """The newest comparison, or None before the first."""
        statement = select(tables.policy_check).where(tables.policy_check.c.database == database)
        row = connection.execute(statement).mappings().one_or_none()
        return PolicyCheckRecord(**row) if row else None

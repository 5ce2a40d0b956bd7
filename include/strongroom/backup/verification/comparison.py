"""L5: whether the restored tables hold what the source held when the backup was taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from strongroom.backup.fingerprints import FingerprintDocument, TableFingerprint
from strongroom.backup.verification.checks import Fingerprints
from strongroom.backup.verification.proof import NotComparable
from strongroom.postgres import Fingerprint
from strongroom.postgres.fingerprint import TableName


@dataclass
class Comparison:
    """What comparing all tables found."""

    equal: int = 0
    rows: int = 0
    differences: list[str] = field(default_factory=list)
    not_comparable: list[NotComparable] = field(default_factory=list)


Restored = Mapping[TableName, Fingerprint | None]
"""The restored tables; None for one that could not be read."""


def wanted_tables(source: Sequence[TableFingerprint], wanted: Fingerprints) -> list[TableFingerprint]:
    """The tables whose content the policy wants compared."""
    if wanted == "all":
        return list(source)
    return [table for table in source if label(table) in wanted]


def unknown_tables(source: FingerprintDocument, wanted: Fingerprints) -> list[str]:
    """Tables that the policy names and that the source did not have."""
    if isinstance(wanted, str):
        return []
    known = {label(table) for tables in source.databases.values() for table in tables.tables}
    return sorted(set(wanted) - known)


def compare(
    comparison: Comparison,
    database: str,
    source: Sequence[TableFingerprint],
    restored: Restored,
) -> None:
    """Add one database's tables to a comparison.

    Args:
        source: the tables as they were.
        restored: the tables as they are now.
    """
    for table in source:
        now = restored.get((table.schema, table.name))
        if not table.comparable:
            reason = table.reason or "no reason was given"
            comparison.not_comparable.append(NotComparable(database, table.schema, table.name, reason))
        elif now is None:
            comparison.differences.append(f"{database}.{label(table)} is missing")
        elif now.rows != table.rows:
            comparison.differences.append(
                f"{database}.{label(table)} has {now.rows} rows instead of {table.rows}"
            )
        elif now.hash != table.hash:
            comparison.differences.append(
                f"{database}.{label(table)} has other content in its {now.rows} rows"
            )
        else:
            comparison.equal += 1
            comparison.rows += now.rows


def label(table: TableFingerprint) -> str:
    """`schema.table`."""
    return f"{table.schema}.{table.name}"

"""What moving cold rows into the archive looks like from outside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from strongroom.access import Actor
from strongroom.policy import Policy


@dataclass(frozen=True)
class Held:
    """Rows that are old enough and stay all the same, since something refers to them."""

    table: str
    """The table whose rows refer to them or to rows that would have to go with them."""
    rows: int
    reason: str
    """In words, without any value of a row."""


@dataclass(frozen=True)
class MovedPart:
    """A part that a sweep made, or would make."""

    part_id: str | None
    """None in a dry run."""
    period: str
    method: str
    """`rows`, or `partition` for a partition that is detached and dropped."""
    rows: int
    """Of all its tables; in a dry run, of the rule's table."""
    stored_bytes: int


@dataclass(frozen=True)
class SweepSummary:
    """What a sweep did: safe to log, to pass between tasks, and to print."""

    database: str
    table: str
    cutoff: str
    """Rows before this moment were due (RFC 3339)."""
    parts: tuple[MovedPart, ...]
    held: tuple[Held, ...]
    finished_parts: int
    """Parts of an earlier run that was killed: their rows had left, and what was missing was added."""
    discarded_parts: int
    """Parts of an earlier run that was killed: their rows had not left, and they were taken away."""
    dry_run: bool
    seconds: float

    @property
    def rows(self) -> int:
        """How many rows moved, or would."""
        return sum(part.rows for part in self.parts)


class Archiver(ABC):
    """Moves rows that are older than their rule into sealed files."""

    @abstractmethod
    def sweep(
        self, actor: Actor, policy: Policy, conninfo: str, table: str, *, dry_run: bool = False
    ) -> SweepSummary:
        """Move every row of a table that is due, with the rows that belong to it. Again is harmless.

        Args:
            actor: who asks; needs `sweep_archive` and `store_object`.
            policy: of the database.
            conninfo: of the source.
            table: a table with an archive rule, as the policy names it.
            dry_run: whether to say what would move and move nothing.

        Raises:
            AccessDeniedError: the actor may not; the refusal is recorded.
            RulesError: policy and database do not agree; it names every point.
            NoArchiveRuleError: the policy has no archive rule for the table, or the table does not fit it.
            UnsupportedTypeError: a column's type cannot be archived without loss.
            SweepInProgressError: another run sweeps this table now.
            SweepBlockedError: the database does not let the rows go, and why.
            ReadBackError: what the bucket gave back is not what was read; nothing was deleted.
            ArchiveDivergedError: the source was restored to a moment before rows had left it.
            RowsChangedError: rows were changed meanwhile, again and again; the next run tries once more.
            TransientError: source, bucket or control database failed; the next run goes on from there.
        """

"""What a rebuild or a check of the index found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

MAX_FINDINGS = 1000
"""How many findings are told one by one; the rest are counted."""


class Problem(StrEnum):
    """What is wrong with one thing in the bucket or in the index."""

    NOT_BELIEVED = "not_believed"
    """A manifest, a proof or a record: unsigned, altered, signed by another key, or not where it belongs."""
    MISSING = "missing"
    """A signed document names it, and the bucket does not hold it."""
    DIFFERENT = "different"
    """The bucket holds it with another size than the one that was recorded."""
    LOST = "lost"
    """The index knows it, and nothing in the bucket stands behind that."""
    UNREACHABLE = "unreachable"
    """A copy could not be looked at: nobody knows what it holds."""
    UNKNOWN = "unknown"
    """A sealed object that no signed document and no entry of the log names."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    problem: Problem
    key: str
    """Of the object in the bucket."""
    detail: str
    """A sentence."""


@dataclass
class Tally:
    """How many rows of one kind the bucket supports, and how many of them the index did not have like that."""

    found: int = 0
    added: int = 0
    changed: int = 0

    def count(self, old: object, new: object) -> bool:
        """Count a row; returns whether it must be written."""
        self.found += 1
        self.added += old is None
        self.changed += old is not None and old != new
        return old != new


class Findings:
    """What is wrong, collected in bounded memory."""

    def __init__(self) -> None:
        self.counts: Counter[Problem] = Counter()
        self.first: list[Finding] = []

    def add(self, problem: Problem, key: str, detail: str) -> None:
        """Note one thing that is wrong."""
        self.counts[problem] += 1
        if len(self.first) < MAX_FINDINGS:
            self.first.append(Finding(problem, key, detail))


@dataclass(frozen=True)
class IndexReport:
    """The index against the bucket."""

    backups: Tally
    proofs: Tally
    objects: Tally
    copies: Tally
    """Backups that copies hold whole, and the newest run to each copy."""
    epochs: int
    """How many key records the bucket holds that can be believed."""
    unfinished_backups: int
    """Folders of backups that have no manifest: running now, or left by a killed run."""
    log_entries: int
    """How many entries the published audit log has."""
    log_behind: int
    """How many of them the control database did not have."""
    forgotten: int
    """How many rows were removed since nothing stands behind them."""
    findings: tuple[Finding, ...]
    """The first of them, at most `MAX_FINDINGS`."""
    problems: dict[str, int] = field(default_factory=dict)
    """How many of each there are in all."""

    @property
    def differences(self) -> int:
        """How many rows the index did not have, or had otherwise."""
        return sum(
            tally.added + tally.changed for tally in (self.backups, self.proofs, self.objects, self.copies)
        )

    @property
    def problem_count(self) -> int:
        """How many things are wrong."""
        return sum(self.problems.values())

"""One line of the benchmark table: ours beside a peer's, measured in the same run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """A comparison.

    `ratio` is ours / peer. `limit` bounds it: from below where more is better (a rate), from above where less is
    (a time); `ok` says whether it was kept.
    """

    name: str
    ours: float
    peer: float
    unit: str
    ratio: float
    limit: float
    ok: bool


def rate_row(name: str, ours: float, peer: float, unit: str, at_least: float) -> Row:
    """A row in which more is better: the ratio must reach `at_least`."""
    ratio = ours / peer
    return Row(name, ours, peer, unit, ratio, at_least, ratio >= at_least)


def time_row(name: str, ours: float, peer: float, unit: str, at_most: float) -> Row:
    """A row in which less is better: the ratio must not pass `at_most`."""
    ratio = ours / peer
    return Row(name, ours, peer, unit, ratio, at_most, ratio <= at_most)


def table(rows: Sequence[Row]) -> str:
    """The rows as text."""
    lines = [f"{'what':<44}{'ours':>10}{'peer':>10} {'unit':<8}{'ratio':>7}{'limit':>7}"]
    for row in rows:
        verdict = "ok" if row.ok else "MISSED"
        lines.append(
            f"{row.name:<44}{row.ours:>10.2f}{row.peer:>10.2f} {row.unit:<8}{row.ratio:>7.2f}{row.limit:>7.2f}"
            f"  {verdict}"
        )
    return "\n".join(lines)


def peak_memory_mib() -> float:
    """The most resident memory that this process has had: `ru_maxrss` would count its parent's too, across exec."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))

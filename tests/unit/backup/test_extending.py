"""When a full backup is due, and where summaries of the WAL are missing."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.backup.extending import _due
from strongroom.backup.summaries import first_gap
from strongroom.durations import Duration

FULL = datetime(2026, 8, 24, 2, 0, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("every", "later", "due"),
    [
        ("7d", timedelta(days=6), False),
        ("7d", timedelta(days=6, hours=22, minutes=59), False),
        ("7d", timedelta(days=7) - timedelta(seconds=3), True),
        ("7d", timedelta(days=7), True),
        ("7d", timedelta(days=30), True),
        ("1h", timedelta(minutes=56), False),
        ("1h", timedelta(minutes=58), True),
        ("1mo", timedelta(days=30), False),
        ("1mo", timedelta(days=31), True),
    ],
)
def test_a_run_that_starts_a_moment_early_does_not_wait_for_another_day(
    every: str, later: timedelta, due: bool
) -> None:
    assert _due(FULL, Duration.parse(every), FULL + later) is due


@pytest.mark.parametrize(
    ("summaries", "gap"),
    [
        ([(0, 100)], None),
        ([(10, 50), (50, 100)], None),
        ([(0, 60), (20, 50), (60, 120)], None),
        ([], 10),
        ([(20, 100)], 10),
        ([(0, 50), (60, 100)], 50),
        ([(0, 50)], 50),
    ],
)
def test_a_missing_summary_is_found(summaries: list[tuple[int, int]], gap: int | None) -> None:
    assert first_gap(10, 100, summaries) == gap


def test_what_the_server_is_still_going_to_summarise_is_no_gap() -> None:
    assert first_gap(10, 10, []) is None
    assert first_gap(10, 5, []) is None


@given(st.lists(st.integers(min_value=0, max_value=50), min_size=2, unique=True))
def test_pieces_without_a_hole_have_no_gap_and_one_removed_leaves_one(cuts: list[int]) -> None:
    bounds = sorted(cuts)
    pieces = list(itertools.pairwise(bounds))
    assert first_gap(bounds[0], bounds[-1], pieces) is None
    for missing in pieces:
        assert first_gap(bounds[0], bounds[-1], [piece for piece in pieces if piece != missing]) == missing[0]

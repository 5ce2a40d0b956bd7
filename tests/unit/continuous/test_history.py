"""Timeline histories: read as PostgreSQL writes them, and which timeline's file holds which part of the log."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.backup.continuous import HistoryError, Leg, TimelineHistory, TimelineSwitch, parse_history
from strongroom.backup.continuous.history import history_name, timeline_of_history

MIB = 1 << 20
SIZE = 16 * MIB
TEXT = """1\t0/50000A0\tno recovery target specified

2\t0/9000000\tbefore 2026-11-24 12:00:00+00  # moved
"""
THIRD = TimelineHistory(3, (TimelineSwitch(1, 0x50000A0), TimelineSwitch(2, 0x9000000)))


def test_a_history_is_read_as_postgresql_writes_it() -> None:
    assert parse_history(3, TEXT) == THIRD
    assert parse_history(3, TEXT.encode()) == THIRD
    assert parse_history(3, THIRD.format()) == THIRD


def test_a_position_belongs_to_one_timeline() -> None:
    found = [THIRD.timeline_at(at) for at in (0, 0x500009F, 0x50000A0, 0x8FFFFFF, 0x9000000)]
    assert found == [1, 1, 2, 2, 3]


def test_the_segment_of_a_switch_belongs_to_the_new_timeline() -> None:
    assert THIRD.legs(SIZE) == [
        Leg(1, 0, 0x5000000),
        Leg(2, 0x5000000, 0x9000000),
        Leg(3, 0x9000000, None),
    ]


def test_two_switches_in_one_segment_leave_it_to_the_last_timeline() -> None:
    history = TimelineHistory(3, (TimelineSwitch(1, 0x50000A0), TimelineSwitch(2, 0x5000200)))
    assert history.legs(SIZE) == [Leg(1, 0, 0x5000000), Leg(3, 0x5000000, None)]
    assert history.headers_in(0x5000000, SIZE) == {1, 2, 3}


def test_only_a_copied_segment_keeps_the_old_timelines_headers() -> None:
    assert THIRD.headers_in(0x4000000, SIZE) == {1}
    assert THIRD.headers_in(0x5000000, SIZE) == {1, 2}
    assert THIRD.headers_in(0x6000000, SIZE) == {2}
    assert THIRD.headers_in(0xA000000, SIZE) == {3}


def test_a_timeline_extends_those_with_the_same_past_alone() -> None:
    second = TimelineHistory(2, (TimelineSwitch(1, 0x50000A0),))
    assert THIRD.extends(second)
    assert THIRD.extends(TimelineHistory(1))
    assert not second.extends(THIRD)
    assert not THIRD.extends(TimelineHistory(2, (TimelineSwitch(1, 0x6000000),)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x\t0/1\tr",
        "1 5000000",
        "1",
        "3\t0/5000000\tr",
        "2\t0/5000000\tr\n1\t0/6000000\tr",
        "1\t0/6000000\tr\n2\t0/5000000\tr",
        "0\t0/5000000\tr",
        "1\t0/5000000\tr\n" * (1 << 17),
    ],
)
def test_what_is_no_history_is_refused(text: str) -> None:
    with pytest.raises(HistoryError):
        parse_history(3, text)


def test_a_history_of_the_first_timeline_is_empty() -> None:
    assert parse_history(1, "").legs(SIZE) == [Leg(1, 0, None)]


def test_names() -> None:
    assert history_name(31) == "0000001F.history"
    assert timeline_of_history("0000001F.history") == 31
    assert timeline_of_history("0000001f.history") is None


@given(
    st.lists(st.integers(1, 1 << 40), max_size=6),
    st.integers(1, 4),
    st.sampled_from([1 << 20, 1 << 24, 1 << 26]),
    st.integers(0, 1 << 40),
)
def test_every_position_lies_in_exactly_one_leg_whose_file_holds_it(
    positions: list[int], step: int, size: int, position: int
) -> None:
    switches = [TimelineSwitch(1 + number * step, place) for number, place in enumerate(sorted(positions))]
    history = TimelineHistory(1 + len(switches) * step, tuple(switches))
    legs = history.legs(size)
    assert legs[0].start == 0
    assert legs[-1].end is None
    assert all(before.end == after.start for before, after in itertools.pairwise(legs))
    (owner,) = [leg for leg in legs if leg.start <= position and (leg.end is None or position < leg.end)]
    assert owner.timeline >= history.timeline_at(position)
    assert history.timeline_at(position) in history.headers_in(position - position % size, size)

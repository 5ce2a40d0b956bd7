from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel

from strongroom.durations import DURATION_PATTERN, Duration, DurationError

durations = st.builds(
    Duration,
    months=st.integers(0, 1200),
    days=st.integers(1, 40_000),
    seconds=st.integers(0, 10_000_000),
)
moments = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)).map(
    lambda moment: moment.replace(tzinfo=UTC)
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "months", "days", "seconds"),
    [
        ("6y", 72, 0, 0),
        ("3mo", 3, 0, 0),
        ("2w", 0, 14, 0),
        ("14d", 0, 14, 0),
        ("2h", 0, 0, 7200),
        ("5m", 0, 0, 300),
        ("45s", 0, 0, 45),
        ("1y6mo", 18, 0, 0),
        ("1d12h30m", 0, 1, 45_000),
    ],
)
def test_every_unit_and_their_combinations_are_read(text: str, months: int, days: int, seconds: int) -> None:
    assert Duration.parse(text) == Duration(months, days, seconds)


@pytest.mark.parametrize(
    "text", ["", "7", "d", "7 d", "-1d", "1.5h", "7D", "1d1y", "1d1d", "1mo1mo", "٣d", "1d\n"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(DurationError) as caught:
        Duration.parse(text)

    assert str(caught.value) == f"{text!r} is not a duration; write it like '6y', '3mo', '14d', '2h' or '5m'"


@pytest.mark.parametrize("text", ["0d", "0y0mo"])
def test_nothing_is_no_duration(text: str) -> None:
    with pytest.raises(DurationError, match="the smallest is '1s'"):
        Duration.parse(text)


@pytest.mark.parametrize("text", ["1001y", "999999999y", "999999999d", "999y999mo"])
def test_a_thousand_years_are_the_limit(text: str) -> None:
    with pytest.raises(DurationError, match="longer than a thousand years"):
        Duration.parse(text)


@pytest.mark.parametrize(
    ("start", "text", "end"),
    [
        ("2024-01-31", "1mo", "2024-02-29"),
        ("2023-01-31", "1mo", "2023-02-28"),
        ("2024-02-29", "1y", "2025-02-28"),
        ("2024-02-29", "4y", "2028-02-29"),
        ("2024-08-31", "1mo", "2024-09-30"),
        ("2024-12-15", "1mo", "2025-01-15"),
        ("2024-01-31", "1mo1d", "2024-03-01"),
    ],
)
def test_a_month_without_the_day_ends_on_its_last_day(start: str, text: str, end: str) -> None:
    assert Duration.parse(text).after(at(start)) == at(end)


def test_going_back_takes_the_last_day_too() -> None:
    assert Duration.parse("1mo").before(at("2024-03-31")) == at("2024-02-29")
    assert Duration.parse("6y").before(at("2026-11-24")) == at("2020-11-24")


def test_a_day_keeps_the_wall_clock_and_24_hours_do_not_when_the_clocks_change() -> None:
    noon = datetime(2026, 3, 28, 12, tzinfo=ZoneInfo("Europe/Brussels"))

    assert Duration.parse("1d").after(noon).hour == 12
    assert Duration.parse("24h").after(noon).hour == 13


def test_a_wall_time_that_the_clocks_skip_becomes_a_real_one() -> None:
    early = datetime(2026, 3, 28, 2, 30, tzinfo=ZoneInfo("Europe/Brussels"))

    assert Duration.parse("1d").after(early).isoformat() == "2026-03-29T03:30:00+02:00"


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(DurationError, match="without a time zone"):
        Duration.parse("1d").after(datetime(2026, 1, 1))


def test_the_end_of_the_calendar_is_an_error_and_not_a_crash() -> None:
    with pytest.raises(DurationError, match="The calendar has no moment 1000y before the year 500"):
        Duration.parse("1000y").before(datetime(500, 1, 1, tzinfo=UTC))
    with pytest.raises(DurationError, match="after the year 9999"):
        Duration.parse("2d").after(datetime(9999, 12, 31, tzinfo=UTC))


@given(durations)
def test_writing_and_reading_a_duration_changes_nothing(duration: Duration) -> None:
    assert Duration.parse(str(duration)) == duration


@given(durations, moments)
def test_before_is_earlier_and_after_is_later(duration: Duration, moment: datetime) -> None:
    assert duration.before(moment) < moment < duration.after(moment)


@given(st.integers(1, 1200), moments)
def test_months_land_on_the_same_day_or_on_the_last_day_of_the_month(months: int, moment: datetime) -> None:
    later = Duration(months=months).after(moment)

    assert (later.year * 12 + later.month) - (moment.year * 12 + moment.month) == months
    assert later.day == moment.day or (later.day < moment.day and (later + timedelta(days=1)).day == 1)


@given(durations, moments)
def test_the_approximate_length_is_off_by_days_at_most(duration: Duration, moment: datetime) -> None:
    assert abs((duration.after(moment) - moment) - duration.approximate) < timedelta(days=4)


@given(durations, durations)
def test_order_is_total_and_follows_the_approximate_length(one: Duration, other: Duration) -> None:
    assert (one < other) + (one == other) + (other < one) == 1
    assume(one.approximate != other.approximate)
    assert (one < other) == (one.approximate < other.approximate)


def test_a_pydantic_model_reads_and_writes_it() -> None:
    class Rule(BaseModel, strict=True):
        keep: Duration

    rule = Rule.model_validate_json('{"keep": "12mo"}')

    assert rule.keep == Duration.parse("1y")
    assert rule.model_dump_json() == '{"keep":"1y"}'
    assert Rule.model_json_schema()["properties"]["keep"]["pattern"] == DURATION_PATTERN

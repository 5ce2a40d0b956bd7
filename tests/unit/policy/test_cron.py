from __future__ import annotations

from datetime import timedelta

import pytest

from strongroom.policy.cron import Cron


@pytest.mark.parametrize(
    ("text", "gap"),
    [
        ("0 2 * * *", timedelta(days=1)),
        ("*/5 * * * *", timedelta(minutes=5)),
        ("0 2,14 * * *", timedelta(hours=12)),
        ("0 22 * * MON-FRI", timedelta(days=3)),
        ("0 0 * * 7", timedelta(days=7)),
        ("30 1 1 * *", timedelta(days=31)),
        ("0 0 1 JAN *", timedelta(days=366)),
        ("0 0 29 2 *", timedelta(days=1461)),
        ("0 0 1,15 * MON", timedelta(days=7)),
        ("10-20/5 3 * * *", timedelta(hours=23, minutes=50)),
    ],
)
def test_the_longest_time_between_two_runs_is_known(text: str, gap: timedelta) -> None:
    assert Cron.parse(text).longest_gap() == gap


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is not a cron schedule of five fields"),
        ("@daily", "is not a cron schedule of five fields"),
        ("0 2 * *", "is not a cron schedule of five fields"),
        ("0 0 2 * * *", "is not a cron schedule of five fields"),
        ("60 2 * * *", "'60' is no minute of a cron schedule: it goes from 0 to 59"),
        ("0 24 * * *", "'24' is no hour of a cron schedule: it goes from 0 to 23"),
        ("0 2 0 * *", "'0' is no day of month of a cron schedule: it goes from 1 to 31"),
        ("0 2 * 13 *", "'13' is no month of a cron schedule: it goes from 1 to 12"),
        ("0 2 * * 8", "'8' is no day of week of a cron schedule: it goes from 0 to 7"),
        ("0 2 * * FOO", "'FOO' is no day of week of a cron schedule"),
        ("MON 2 * * *", "'MON' is no minute of a cron schedule"),
        ("*/0 2 * * *", "'*/0' is no minute of a cron schedule"),
        ("5-1 2 * * *", "'5-1' is no minute of a cron schedule"),
        ("1,,2 2 * * *", "'' is no minute of a cron schedule"),
        ("0 2 31 2 *", "'0 2 31 2 *' names a day that never comes"),
        ("-1 2 * * *", "'-1' is no minute of a cron schedule"),
    ],
)
def test_a_schedule_that_would_never_run_as_meant_is_refused(text: str, what: str) -> None:
    with pytest.raises(ValueError) as caught:
        Cron.parse(text)

    assert what in str(caught.value)


def test_airflow_reads_the_same_schedules() -> None:
    croniter = pytest.importorskip("croniter").croniter
    for text in ("0 2 * * *", "0 22 * * MON-FRI", "0 0 29 2 *", "10-20/5 3 * * *", "0 0 1,15 * MON"):
        assert croniter.is_valid(text)

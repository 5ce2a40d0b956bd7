"""Cron schedules: five fields, checked, with the longest time between two runs.

    minute 0-59   hour 0-23   day of month 1-31   month 1-12 or JAN-DEC   day of week 0-7 or SUN-SAT

A field is `*`, a value, a range `a-b`, any of these with a step `/n`, or several separated by commas. When both days
are restricted, either one matches (as in Vixie cron, and in Airflow).
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from strongroom.policy.suggestions import shown

_MONTHS = tuple(name.upper() for name in calendar.month_abbr)
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of month", 1, 31),
    ("month", 1, 12),
    ("day of week", 0, 7),
)
_PART = re.compile(r"(\*|[0-9]{1,2}|[A-Z]{3})(?:-([0-9]{1,2}|[A-Z]{3}))?(?:/([0-9]{1,2}))?", re.IGNORECASE)
_EIGHT_YEARS_DAYS = 8 * 366
_SOME_YEARS_START = date(2023, 1, 1)


@dataclass(frozen=True, slots=True)
class Cron:
    """When something runs, in a time zone that is named elsewhere."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""

    either_day: bool
    """Whether a day of the month *or* a day of the week is enough."""

    @classmethod
    def parse(cls, text: str) -> Cron:
        """The schedule that `text` names.

        Raises:
            ValueError: not five fields, a value outside its range, or a day that never comes.
        """
        fields = text.split()
        if len(fields) != len(_FIELDS):
            raise ValueError(
                f"{shown(text)} is not a cron schedule of five fields (minute, hour, day of month, month, "
                'day of week); for 2 o\'clock each night write "0 2 * * *"'
            )
        minutes, hours, days, months, weekdays = (
            _values(field, *limits) for field, limits in zip(fields, _FIELDS, strict=True)
        )
        either = not fields[2].startswith("*") and not fields[4].startswith("*")
        cron = cls(minutes, hours, days, months, frozenset(day % 7 for day in weekdays), either)
        if not cron._run_days(1):
            raise ValueError(f"{shown(text)} names a day that never comes")
        return cron

    def longest_gap(self) -> timedelta:
        """The longest time between two runs, by a clock that is never changed."""
        days = self._run_days(_EIGHT_YEARS_DAYS)
        times = sorted(60 * hour + minute for hour in self.hours for minute in self.minutes)
        inside = max((later - one for one, later in pairwise(times)), default=0)
        nights = max(((later - one).days for one, later in pairwise(days)), default=0)
        across = nights * 24 * 60 - times[-1] + times[0]
        return timedelta(minutes=max(inside, across))

    def _run_days(self, most: int) -> list[date]:
        days = (_SOME_YEARS_START + timedelta(days=number) for number in range(_EIGHT_YEARS_DAYS))
        found: list[date] = []
        for day in days:
            if self._runs_on(day):
                found.append(day)
                if len(found) == most:
                    break
        return found

    def _runs_on(self, day: date) -> bool:
        in_month, in_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        matches = in_month or in_week if self.either_day else in_month and in_week
        return day.month in self.months and matches


def _values(field: str, name: str, least: int, most: int) -> frozenset[int]:
    values: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None or (match[1] == "*" and match[2]):
            raise ValueError(f"{shown(part)} is no {name} of a cron schedule")
        first, last = _range(match, name, least, most)
        step = int(match[3]) if match[3] else 1
        if not (least <= first <= last <= most) or step < 1:
            raise ValueError(f"{shown(part)} is no {name} of a cron schedule: it goes from {least} to {most}")
        values.update(range(first, last + 1, step))
    return frozenset(values)


def _range(match: re.Match[str], name: str, least: int, most: int) -> tuple[int, int]:
    if match[1] == "*":
        return least, most
    first = _number(match[1], name)
    if match[2]:
        return first, _number(match[2], name)
    return first, most if match[3] else first


def _number(text: str, name: str) -> int:
    if text.isdigit():
        return int(text)
    names = {"month": _MONTHS, "day of week": _WEEKDAYS}.get(name, ())
    if text.upper() not in names:
        raise ValueError(f"{shown(text)} is no {name} of a cron schedule")
    return names.index(text.upper())

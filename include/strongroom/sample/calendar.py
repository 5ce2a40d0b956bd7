"""Ten years of business: the day on which each customer joined and each order was placed.

The shop grows, sells more in November and December, and less at weekends. A calendar spreads a number of
events over the days by whole-number weights, so that event `i` has its day without those before it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache
from itertools import accumulate
from random import Random

from strongroom.sample.randomness import Wheel, words

YEARS = 10
DAY_SECONDS = 86_400

_MONTH = (90, 85, 90, 95, 100, 95, 80, 80, 100, 110, 150, 160)
_WEEKDAY = (110, 105, 100, 100, 95, 80, 90)
_HOUR = (4, 2, 1, 1, 1, 3, 10, 25, 45, 60, 65, 60, 70, 60, 55, 50, 55, 65, 75, 90, 100, 85, 45, 15)


class Calendar:
    """The days from ten years before the reference date up to the day before it.

    Args:
        reference: the first day that has not happened yet in the sample.
    """

    def __init__(self, reference: date) -> None:
        self.reference = reference
        self.first_day = _years_before(reference, YEARS)
        self.days = (reference - self.first_day).days
        moments = [self.first_day + timedelta(days=day) for day in range(self.days)]
        self._growth = list(
            accumulate(
                ((day + 150) * _MONTH[moment.month - 1] * _WEEKDAY[moment.weekday()])
                for day, moment in enumerate(moments)
            )
        )

    def spread(self, total: int) -> list[int]:
        """How many of `total` events happened before each day; one more entry than days."""
        whole = self._growth[-1]
        return [0, *(total * reached // whole for reached in self._growth)]

    def date_text(self, day: int) -> str:
        """The date of a day of this calendar, as ISO 8601."""
        return _date_prefixes(self.first_day, self.days)[day].rstrip()

    def day_of(self, moment: date) -> int:
        """The number of a date in this calendar; may be outside it."""
        return (moment - self.first_day).days

    def stamps(self, seconds: Iterable[int]) -> list[str]:
        """Seconds since the first day, in PostgreSQL's notation; later than the last day: its end."""
        dates, clock = _date_prefixes(self.first_day, self.days), _clock_texts()
        last = self.days * DAY_SECONDS - 1
        known = list(seconds)
        if known and max(known) > last:
            known = [min(second, last) for second in known]
        return [dates[second // DAY_SECONDS] + clock[second % DAY_SECONDS] for second in known]


def days_of(cumulative: list[int], start: int, end: int) -> list[int]:
    """The day of each of the events `start` to `end`."""
    days: list[int] = []
    position = start
    while position < end:
        day = bisect_right(cumulative, position) - 1
        until = min(end, cumulative[day + 1])
        days += [day] * (until - position)
        position = until
    return days


def moments(source: Random, days: list[int]) -> list[int]:
    """A moment in each of the days, in seconds since the first day, in order of time."""
    hours = _hours().draw(source, len(days))
    within = words(source, len(days))
    return sorted(
        [
            day * DAY_SECONDS + hour + (word * 3600 >> 16)
            for day, hour, word in zip(days, hours, within, strict=True)
        ]
    )


@lru_cache(maxsize=1)
def _hours() -> Wheel[int]:
    return Wheel([hour * 3600 for hour in range(24)], _HOUR)


@lru_cache(maxsize=1)
def _clock_texts() -> list[str]:
    return [f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}+00" for s in range(DAY_SECONDS)]


@lru_cache(maxsize=2)
def _date_prefixes(first_day: date, days: int) -> list[str]:
    return [f"{first_day + timedelta(days=day)} " for day in range(days)]


def _years_before(moment: date, years: int) -> date:
    """The same day so many years before; the last of February for a leap day."""
    try:
        return moment.replace(year=moment.year - years)
    except ValueError:
        return moment.replace(year=moment.year - years, day=28)

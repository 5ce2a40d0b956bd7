"""Durations as people write them: `6y`, `3mo`, `14d`, `5m`, `1y6mo`; years and months follow the calendar.

    text   = part+            each unit at most once, the largest first
    part   = digits unit
    unit   = y (year) · mo (month) · w (7 days) · d (day) · h (hour) · m (minute) · s (second)

Adding months keeps the day of the month, or takes the month's last day where it has no such day (Regulation
(EEC, Euratom) 1182/71, article 3(2)(c)). Days keep the wall clock of the moment's own time zone; hours,
minutes and seconds are elapsed time.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import total_ordering
from typing import TYPE_CHECKING, Any

from strongroom.errors import InputError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

_UNITS = ("y", "mo", "w", "d", "h", "m", "s")
_PATTERN = "".join(f"(?:([0-9]{{1,9}}){unit})?" for unit in _UNITS)
_TEXT = re.compile(_PATTERN)
_LONGEST = timedelta(days=365250)
_MEAN_MONTH = timedelta(days=30, hours=10, minutes=29, seconds=6)
_WRITE_LIKE = "write it like '6y', '3mo', '14d', '2h' or '5m'"

DURATION_PATTERN = "^(?=[0-9])" + "".join(f"([0-9]{{1,9}}{unit})?" for unit in _UNITS) + "$"
"""What a duration looks like, for a JSON Schema (ECMA 262)."""


class DurationError(InputError, ValueError):
    """A text is no duration, or a moment that far away does not exist."""


@total_ordering
@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time on the calendar, longer than nothing and at most a thousand years.

    Durations of different units compare by their approximate length (a month is a twelfth of 365.2425 days).
    """

    months: int = 0
    """Calendar months; a year is twelve."""

    days: int = 0
    """Calendar days; a week is seven."""

    seconds: int = 0
    """Elapsed seconds, below or above a day: `24h` is not `1d` on the day the clocks change."""

    def __post_init__(self) -> None:
        if min(self.months, self.days, self.seconds) < 0:
            raise DurationError("A duration cannot be negative")
        if not (self.months or self.days or self.seconds):
            raise DurationError("A duration of nothing is no duration; the smallest is '1s'")
        if max(self.months // 12, self.days // 365, self.seconds // 31_536_000) > 1000 or (
            self.approximate > _LONGEST
        ):
            raise DurationError("A duration is longer than a thousand years")

    @classmethod
    def parse(cls, text: str) -> Duration:
        """The duration that `text` names.

        Raises:
            DurationError: not of the form in this module's docstring, nothing, or beyond a thousand years.
        """
        match = _TEXT.fullmatch(text)
        if match is None or not text:
            raise DurationError(f"{_shown(text)} is not a duration; {_WRITE_LIKE}")
        years, months, weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return cls(12 * years + months, 7 * weeks + days, 3600 * hours + 60 * minutes + seconds)

    @property
    def approximate(self) -> timedelta:
        """About how long this is, for comparing and for limits; never for computing a date."""
        return self.months * _MEAN_MONTH + timedelta(days=self.days, seconds=self.seconds)

    def after(self, moment: datetime) -> datetime:
        """The moment this much later, in the moment's own time zone.

        Raises:
            DurationError: the moment has no time zone, or the calendar ends before the result.
        """
        return self._moved(moment, 1)

    def before(self, moment: datetime) -> datetime:
        """The moment this much earlier, in the moment's own time zone.

        Raises:
            DurationError: the moment has no time zone, or the calendar begins after the result.
        """
        return self._moved(moment, -1)

    def _moved(self, moment: datetime, sign: int) -> datetime:
        if moment.tzinfo is None:
            raise DurationError("A moment without a time zone cannot be moved by a duration")
        try:
            wall = _add_months(moment, sign * self.months) + timedelta(days=sign * self.days)
            # Through UTC: elapsed time ignores the wall clock, and a skipped wall time becomes a real one.
            elapsed = wall.astimezone(UTC) + timedelta(seconds=sign * self.seconds)
            return elapsed.astimezone(moment.tzinfo)
        except (OverflowError, ValueError) as error:
            where = "after" if sign > 0 else "before"
            raise DurationError(
                f"The calendar has no moment {self} {where} the year {moment.year}"
            ) from error

    def __str__(self) -> str:
        minutes, seconds = divmod(self.seconds, 60)
        hours, minutes = divmod(minutes, 60)
        years, months = divmod(self.months, 12)
        parts = ((years, "y"), (months, "mo"), (self.days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"))
        return "".join(f"{count}{unit}" for count, unit in parts if count)

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Duration):
            return NotImplemented
        return self._order() < other._order()

    def _order(self) -> tuple[timedelta, int, int]:
        return self.approximate, self.months, self.days

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            cls._validated,
            serialization=core_schema.plain_serializer_function_ser_schema(
                str, return_schema=core_schema.str_schema()
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "pattern": DURATION_PATTERN, "examples": ["6y", "3mo", "14d", "5m"]}

    @classmethod
    def _validated(cls, value: Any) -> Duration:
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        raise ValueError(f"{_shown(value)} is not a duration; {_WRITE_LIKE}")


def _add_months(moment: datetime, months: int) -> datetime:
    """The same day of another month, or that month's last day."""
    year, month_index = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    if not 1 <= year <= 9999:
        raise OverflowError("the calendar has the years 1 to 9999")
    day = min(moment.day, calendar.monthrange(year, month_index + 1)[1])
    return moment.replace(year=year, month=month_index + 1, day=day)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

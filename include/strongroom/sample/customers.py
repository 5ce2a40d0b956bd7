"""Customers, their homes, and what they agreed to, block by block."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta

from strongroom.sample.calendar import DAY_SECONDS, Calendar, days_of, moments
from strongroom.sample.people import People
from strongroom.sample.randomness import Wheel, numbers_below, stream, words
from strongroom.sample.rows import NULL, Columns
from strongroom.sample.world import World

_CHANNELS = Wheel(("email", "phone", "none"), (80, 12, 8))
_TOPICS = Wheel(("{news}", "{sale}", "{news,sale}", "{garden}", "{kitchen,sale}", "{news,garden,kitchen}"))
_SOURCES = Wheel(("checkout", "footer", "fair", "app"), (60, 25, 5, 10))
_PURPOSES = ("newsletter", "profiling", "phone_calls")
_NO_ADDRESS = 2_000
_NO_PHONE = 20_000
_NO_BIRTH_DATE = 16_000
_DORMANT_DAYS = 3 * 365
NEVER = -1
"""The moment of the last order of somebody who never ordered."""


def joined_seconds(world: World, start: int, end: int) -> list[int]:
    """When each customer joined; the first one before everything else."""
    days = days_of(world.customers_by_day, start, end)
    joined = moments(stream(world.spec.seed, "customers/time", start), days)
    if start == 0:
        joined[0] = 0
    return joined


def address_columns(world: World, start: int, end: int) -> Columns:
    """Rows of address: the homes of the customers of a block of whole cohorts."""
    people = world.people
    homes = [people.home(number) for number in sorted({people.home_id(c) for c in range(start + 1, end + 1)})]
    return (
        [str(home.address_id) for home in homes],
        [home.street for home in homes],
        [home.postal_code for home in homes],
        [home.city for home in homes],
        [home.country for home in homes],
    )


def customer_columns(world: World, start: int, end: int, last_orders: Sequence[int]) -> Columns:
    """Rows of customer.

    Args:
        last_orders: for each customer of the block, when the last order was placed, or `NEVER`.
    """
    people, numbers, count = world.people, range(start + 1, end + 1), end - start
    source = stream(world.spec.seed, "customers/rest", start)
    joined = joined_seconds(world, start, end)
    referrers = map(people.referrer, numbers)
    return (
        map(str, numbers),
        map(people.email, numbers),
        map(people.name, numbers),
        [
            NULL if word < _NO_PHONE else people.phone(number)
            for number, word in zip(numbers, words(source, count), strict=True)
        ],
        _birth_dates(world.calendar, words(source, count)),
        _statuses(world, last_orders, words(source, count)),
        [
            NULL if word < _NO_ADDRESS else str(people.home_id(number))
            for number, word in zip(numbers, words(source, count), strict=True)
        ],
        [str(number) if number else NULL for number in referrers],
        _preferences(people, numbers, words(source, count), _CHANNELS.draw(source, count)),
        world.calendar.stamps(joined),
        _last_orders(world.calendar, joined, last_orders),
    )


def newsletter_columns(world: World, start: int, end: int) -> Columns:
    """Rows of newsletter_subscription: half of the customers, and readers who never bought anything."""
    people = world.people
    source = stream(world.spec.seed, "newsletter", start)
    joined = joined_seconds(world, start, end)
    rows: list[tuple[str, int]] = []
    for number, second, word in zip(
        range(start + 1, end + 1), joined, words(source, end - start), strict=True
    ):
        if word & 1:
            rows.append((people.email(number), second))
        if number % 3 == 1:
            rows.append((people.reader_email(number), second + word))
    count = len(rows)
    left = words(source, count)
    started = [second for _, second in rows]
    horizon = world.calendar.days * DAY_SECONDS
    ended = [
        second + (word << 10) if word & 3 == 0 and second + (word << 10) < horizon else None
        for second, word in zip(started, left, strict=True)
    ]
    return (
        [email for email, _ in rows],
        _TOPICS.draw(source, count),
        _SOURCES.draw(source, count),
        world.calendar.stamps(started),
        _optional_stamps(world.calendar, ended),
    )


def consent_columns(world: World, start: int, end: int) -> Columns:
    """Rows of consent: an answer per purpose on joining, sometimes taken back later."""
    source = stream(world.spec.seed, "consent", start)
    joined = joined_seconds(world, start, end)
    horizon = world.calendar.days * DAY_SECONDS
    rows: list[tuple[int, int, str, bool, int]] = []
    for number, second in zip(range(start + 1, end + 1), joined, strict=True):
        drawn = words(source, 3)
        for place, purpose in enumerate(_PURPOSES):
            granted = drawn[place] < 40_000 >> place
            rows.append((number * 6 - 5 + place, number, purpose, granted, second))
            later = second + (drawn[place] << 11)
            if granted and drawn[place] & 7 == 0 and later < horizon:
                rows.append((number * 6 - 2 + place, number, purpose, False, later))
    versions = numbers_below(source, 4, len(rows))
    return (
        [str(row[0]) for row in rows],
        [str(row[1]) for row in rows],
        [row[2] for row in rows],
        ["t" if row[3] else "f" for row in rows],
        [str(version + 1) for version in versions],
        _SOURCES.draw(source, len(rows)),
        world.calendar.stamps([row[4] for row in rows]),
    )


def _birth_dates(calendar: Calendar, drawn: Sequence[int]) -> list[str]:
    """Adults of 18 to 88 years on the first day of the calendar; some did not say."""
    oldest = calendar.first_day - timedelta(days=88 * 365)
    return [
        NULL if word < _NO_BIRTH_DATE else str(oldest + timedelta(days=word * 25_500 >> 16)) for word in drawn
    ]


def _statuses(world: World, last_orders: Sequence[int], drawn: Sequence[int]) -> list[str]:
    dormant = (world.calendar.days - _DORMANT_DAYS) * DAY_SECONDS
    return [
        "blocked" if word < 300 else "dormant" if last < dormant else "active"
        for last, word in zip(last_orders, drawn, strict=True)
    ]


def _preferences(people: People, numbers: range, drawn: Sequence[int], channels: Sequence[str]) -> list[str]:
    """JSON that holds an e-mail address: the registered one, a second one, or that of the referrer."""
    texts = []
    for number, word, channel in zip(numbers, drawn, channels, strict=True):
        contact = people.other_email(number) if word & 7 == 0 else people.email(number)
        preferences: dict[str, object] = {
            "language": people.locale(number).language,
            "contact": {"channel": channel, "email": contact},
            "theme": ("light", "dark")[word >> 8 & 1],
        }
        if word & 63 == 1 and number > 1:
            preferences["gift_for"] = people.name(word % (number - 1) + 1)
        texts.append(json.dumps(preferences, ensure_ascii=False))
    return texts


def _last_orders(calendar: Calendar, joined: Sequence[int], last_orders: Sequence[int]) -> list[str]:
    return _optional_stamps(calendar, [None if last == NEVER else last for last in last_orders])


def _optional_stamps(calendar: Calendar, seconds: Sequence[int | None]) -> list[str]:
    known = iter(calendar.stamps([second for second in seconds if second is not None]))
    return [NULL if second is None else next(known) for second in seconds]

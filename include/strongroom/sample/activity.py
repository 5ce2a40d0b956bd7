"""The catalogue and what machines write down: products, rates, sign-ins, page views."""

from __future__ import annotations

import json

from strongroom.sample.calendar import days_of, moments
from strongroom.sample.prose import USER_AGENTS
from strongroom.sample.randomness import Wheel, scattered, stream, words
from strongroom.sample.rows import Columns, cents
from strongroom.sample.world import World

LOGINS_PER_CUSTOMER = 12
VIEWS_PER_CUSTOMER = 6
CURRENCIES = ("GBP", "PLN", "SEK", "USD", "JPY")

_CATEGORIES = ("kitchen", "garden", "toys", "books", "office", "textiles", "lighting", "outdoor")
_ADJECTIVES = (
    "Blue",
    "Folding",
    "Compact",
    "Solid",
    "Light",
    "Classic",
    "Double",
    "Silent",
    "Nordic",
    "Round",
)
_NOUNS = (
    "kettle",
    "lamp",
    "chair",
    "blanket",
    "planter",
    "notebook",
    "tent",
    "puzzle",
    "shelf",
    "clock",
    "bowl",
)
_DEVICES = ("desktop", "phone", "tablet")
_IPV4_NETWORKS = ("192.0.2", "198.51.100", "203.0.113")
_AGENTS = Wheel(USER_AGENTS, [1 + (place * 7) % 13 for place in range(len(USER_AGENTS))])


def product_columns(world: World, start: int, end: int) -> Columns:
    """Rows of product."""
    numbers = range(start + 1, end + 1)
    drawn = [scattered(number, world.spec.seed * 1_000 + 21) for number in numbers]
    return (
        map(str, numbers),
        [f"MS-{number:05}-{word & 0xFFF:03X}" for number, word in zip(numbers, drawn, strict=True)],
        [f"{_ADJECTIVES[word % 10]} {_NOUNS[word // 10 % 11]} {word >> 24}" for word in drawn],
        [_CATEGORIES[word // 128 % 8] for word in drawn],
        cents(world.prices_cents[number] for number in numbers),
        [json.dumps({"weight_g": word % 9_000 + 50, "boxed": bool(word & 1)}) for word in drawn],
        ["f" if word % 11 == 0 else "t" for word in drawn],
    )


def exchange_rate_columns(world: World, start: int, end: int) -> Columns:
    """Rows of exchange_rate: one per currency and week."""
    rows = [(CURRENCIES[at % len(CURRENCIES)], at // len(CURRENCIES)) for at in range(start, end)]
    drawn = words(stream(world.spec.seed, "rates", start), len(rows))
    return (
        [currency for currency, _ in rows],
        [world.calendar.date_text(week * 7) for _, week in rows],
        [f"{1 + ord(currency[0]) % 9}.{word:06}" for (currency, _), word in zip(rows, drawn, strict=True)],
    )


def exchange_rate_count(world: World) -> int:
    """How many rows exchange_rate has."""
    return len(CURRENCIES) * (world.calendar.days // 7)


def login_columns(world: World, start: int, end: int) -> Columns:
    """Rows of login_event, from addresses that are set aside for documentation."""
    count = end - start
    days = days_of(world.calendar.spread(world.spec.customers * LOGINS_PER_CUSTOMER), start, end)
    source = stream(world.spec.seed, "logins", start)
    seconds = moments(source, days)
    people = world.buyers(source, days)
    return (
        map(str, range(start + 1, end + 1)),
        map(str, people),
        world.calendar.stamps(seconds),
        map(_address, words(source, count), words(source, count)),
        _AGENTS.draw(source, count),
        ["f" if word < 4_000 else "t" for word in words(source, count)],
    )


def view_columns(world: World, start: int, end: int) -> Columns:
    """Rows of product_view: an even sample of all days, products and devices."""
    total = world.spec.customers * VIEWS_PER_CUSTOMER
    possible = world.calendar.days * world.products * len(_DEVICES)
    cells = [at * possible // total for at in range(start, min(end, possible))]
    drawn = words(stream(world.spec.seed, "views", start), len(cells))
    per_day = world.products * len(_DEVICES)
    return (
        [str(cell % per_day // len(_DEVICES) + 1) for cell in cells],
        [world.calendar.date_text(cell // per_day) for cell in cells],
        [_DEVICES[cell % len(_DEVICES)] for cell in cells],
        [str(word * word >> 20) for word in drawn],
    )


def _address(first: int, second: int) -> str:
    if first < 48_000:
        return f"{_IPV4_NETWORKS[first % 3]}.{second & 0xFF}"
    return f"2001:db8:{first & 0xFFF:x}::{second:x}"

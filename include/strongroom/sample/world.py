"""What is fixed once seed, size and reference date are: how many rows, on which days, at which prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from random import Random

from strongroom.sample.calendar import Calendar
from strongroom.sample.errors import SampleSizeError
from strongroom.sample.people import COHORT, People
from strongroom.sample.randomness import Wheel, scattered, stream, words
from strongroom.sample.rows import cents

GENERATOR_VERSION = 1
"""Goes up when the same seed no longer gives the same rows."""

ORDERS_PER_CUSTOMER = 10
ORDERS_PER_TICKET = 12
LARGEST_CUSTOMERS = 20_000_000


@dataclass(frozen=True)
class SampleSpec:
    """What decides every byte of a sample.

    Attributes:
        customers: how many customers; everything else grows with them.
        seed: another seed makes another company.
        reference: the first day that has not happened yet; history covers the ten years before it.
    """

    customers: int
    seed: int
    reference: date

    def __post_init__(self) -> None:
        if not 1 <= self.customers <= LARGEST_CUSTOMERS:
            raise SampleSizeError(
                f"a sample of {self.customers} customers cannot be made",
                hint=f"Ask for 1 to {LARGEST_CUSTOMERS:,} customers.",
            )


class World:
    """The company that a specification describes, as far as all its tables must agree on it."""

    def __init__(self, spec: SampleSpec) -> None:
        self.spec = spec
        self.people = People(spec.seed)
        self.calendar = Calendar(spec.reference)
        self.orders = spec.customers * ORDERS_PER_CUSTOMER
        self.products = min(5_000, max(50, spec.customers // 10))
        self.staff = min(400, max(5, spec.customers // 200))
        self.tickets = -(-self.orders // ORDERS_PER_TICKET)
        self.customers_by_day = self.calendar.spread(spec.customers)
        self._present_by_day = [max(1, joined) for joined in self.customers_by_day]
        self.orders_by_day = self.calendar.spread(self.orders)
        self.prices_cents = [
            0,
            *(_price_cents(spec.seed, product) for product in range(1, self.products + 1)),
        ]
        self.prices = cents(self.prices_cents)
        self.popular = Wheel(
            _shuffled(spec.seed, "products", self.products),
            [1_000_000 // (rank + 5) for rank in range(self.products)],
        )
        buyers = COHORT * 3 // 4
        self.active_slots = Wheel(
            _shuffled(spec.seed, "buyers", COHORT)[:buyers],
            [100_000 // (rank + 12) for rank in range(buyers)],
        )

    def customers_before(self, day: int) -> int:
        """How many customers had joined before a day; the first one is always there."""
        return self._present_by_day[day]

    def buyers(self, source: Random, days: Sequence[int]) -> list[int]:
        """Who acts on each of the days: some customers often, a quarter of them never."""
        present, slots = self._present_by_day, self.active_slots.draw(source, len(days))
        return [
            number + 1
            if (number := (word * -(-present[day] // COHORT) >> 16) * COHORT + slot - 1) < present[day]
            else number % present[day] + 1
            for day, slot, word in zip(days, slots, words(source, len(days)), strict=True)
        ]


@lru_cache(maxsize=2)
def world_of(spec: SampleSpec) -> World:
    """The world of a specification, made once per process."""
    return World(spec)


def _price_cents(seed: int, product_id: int) -> int:
    drawn = scattered(product_id, seed * 1_000 + 20)
    return (149, 399, 895, 1_295, 2_450, 4_900, 11_900, 34_900)[drawn & 7] + drawn // 8 % 97 * 5


def _shuffled(seed: int, purpose: str, count: int) -> list[int]:
    numbers = list(range(1, count + 1))
    stream(seed, purpose).shuffle(numbers)
    return numbers

"""Orders, their lines and payments, block by block.

A block covers consecutive order numbers. What several tables must agree on (who ordered, when, what it came
to) is drawn from the block's own sources, so each table can be made alone, in any process, in any order.
"""

from __future__ import annotations

from functools import cached_property
from itertools import accumulate, chain, repeat
from operator import mul, sub

from strongroom.sample.calendar import DAY_SECONDS, days_of, moments
from strongroom.sample.prose import single_sentences
from strongroom.sample.randomness import Wheel, numbers_below, stream, words
from strongroom.sample.rows import NULL, Columns, cents
from strongroom.sample.world import World

_SETTLED = Wheel(("delivered", "returned", "cancelled"), (90, 5, 5))
_RECENT = Wheel(("placed", "paid", "shipped", "delivered", "cancelled"), (15, 20, 30, 30, 5))
_RECENT_DAYS = 21
_LINES = Wheel((1, 2, 3, 4, 5, 6, 8, 12, 20), (400, 260, 150, 80, 50, 30, 18, 10, 2))
_QUANTITIES = Wheel((1, 2, 3, 4, 5, 6, 10, 24), (700, 160, 50, 40, 20, 15, 10, 5))
_CURRENCIES = Wheel(("EUR", "GBP", "PLN", "SEK", "USD"), (78, 12, 5, 3, 2))
_METHODS = Wheel(("card", "bank_transfer", "wallet", "invoice"), (50, 20, 20, 10))


class OrderBlock:
    """The orders with numbers above `start` and up to `end`.

    Attributes:
        seconds: when each was placed, in seconds since the calendar's first day, ascending.
        customers: who placed each.
    """

    def __init__(self, world: World, start: int, end: int) -> None:
        self.world, self.start, self.count = world, start, end - start
        seed = world.spec.seed
        days = days_of(world.orders_by_day, start, end)
        self.numbers = range(start + 1, end + 1)
        self.seconds = moments(stream(seed, "orders/time", start), days)
        source = stream(seed, "orders/customer", start)
        self.customers = world.buyers(source, days)

    @cached_property
    def ids(self) -> list[str]:
        """The order numbers, as text."""
        return list(map(str, self.numbers))

    @cached_property
    def stamps(self) -> list[str]:
        """When each was placed, as text."""
        return self.world.calendar.stamps(self.seconds)

    @cached_property
    def statuses(self) -> list[str]:
        """The state of each order on the reference date."""
        source = stream(self.world.spec.seed, "orders/status", self.start)
        drawn = words(source, self.count)
        recent = (self.world.calendar.days - _RECENT_DAYS) * DAY_SECONDS
        return [
            (_RECENT if second >= recent else _SETTLED).slots[word]
            for second, word in zip(self.seconds, drawn, strict=True)
        ]

    @cached_property
    def _line_source(self) -> tuple[list[int], list[int], list[int]]:
        source = stream(self.world.spec.seed, "orders/lines", self.start)
        counts = _LINES.draw(source, self.count)
        total = sum(counts)
        return counts, self.world.popular.draw(source, total), _QUANTITIES.draw(source, total)

    @cached_property
    def line_counts(self) -> list[int]:
        """How many lines each order has."""
        return self._line_source[0]

    @cached_property
    def line_prices(self) -> list[int]:
        """The price of one piece on each line, in cents."""
        return list(map(self.world.prices_cents.__getitem__, self._line_source[1]))

    @cached_property
    def totals(self) -> list[int]:
        """What each order comes to, in cents: the sum of its lines."""
        reached = [0, *accumulate(map(mul, self.line_prices, self._line_source[2]))]
        ends = list(accumulate(self.line_counts))
        return list(map(sub, map(reached.__getitem__, ends), map(reached.__getitem__, [0, *ends[:-1]])))

    def line_columns(self) -> Columns:
        """Rows of order_line."""
        counts, products, quantities = self._line_source
        ordinals = list(map(str, range(1, max(counts) + 1)))
        return (
            chain.from_iterable(map(repeat, self.ids, counts)),
            chain.from_iterable(map(repeat, self.stamps, counts)),
            chain.from_iterable(ordinals[:count] for count in counts),
            map(str, products),
            map(str, quantities),
            map(self.world.prices.__getitem__, products),
        )


def order_columns(world: World, start: int, end: int) -> Columns:
    """Rows of orders."""
    block = OrderBlock(world, start, end)
    source = stream(world.spec.seed, "orders/rest", start)
    references = source.randbytes(16 * block.count).hex()
    ship_to, notes = _deliveries(block)
    return (
        block.ids,
        block.stamps,
        map(str, block.customers),
        block.statuses,
        cents(block.totals),
        _CURRENCIES.draw(source, block.count),
        ship_to,
        notes,
        [references[at : at + 32] for at in range(0, 32 * block.count, 32)],
    )


def line_columns(world: World, start: int, end: int) -> Columns:
    """Rows of order_line."""
    return OrderBlock(world, start, end).line_columns()


def payment_columns(world: World, start: int, end: int) -> Columns:
    """Rows of payment: one for each order that was paid, a second one for money given back."""
    block = OrderBlock(world, start, end)
    source = stream(world.spec.seed, "payments", start)
    methods = _METHODS.draw(source, block.count)
    digits = numbers_below(source, 10_000, block.count)
    references = source.randbytes(8 * block.count).hex()
    delays = words(source, block.count)
    chosen = [at for at, status in enumerate(block.statuses) if status not in ("placed", "cancelled")]
    refunds = [at for at in chosen if block.statuses[at] == "returned"]
    both = chosen + refunds
    paid, refunded = len(chosen), len(refunds)
    names = [world.people.name(block.customers[at]) for at in chosen]
    given_back = dict(zip(chosen, names, strict=True))
    amounts = cents(block.totals)
    return (
        [str(2 * block.numbers[at] - 1) for at in chosen] + [str(2 * block.numbers[at]) for at in refunds],
        [block.ids[at] for at in both],
        [block.stamps[at] for at in both],
        [methods[at] for at in chosen] + ["refund"] * refunded,
        [amounts[at] for at in chosen] + [f"-{amounts[at]}" for at in refunds],
        names + [given_back[at] for at in refunds],
        [f"{digits[at]:04}" if methods[at] == "card" else NULL for at in chosen] + [NULL] * refunded,
        [references[16 * at : 16 * at + 16] for at in chosen]
        + [f"RF-{references[16 * at : 16 * at + 12]}" for at in refunds],
        world.calendar.stamps(
            [block.seconds[at] + delays[at] * (1 if place < paid else 12) for place, at in enumerate(both)]
        ),
    )


def _deliveries(block: OrderBlock) -> tuple[list[str], list[str]]:
    """Where each order goes, and what is written on the card of the few that are presents."""
    people = block.world.people
    source = stream(block.world.spec.seed, "orders/delivery", block.start)
    gifts = words(source, block.count)
    wishes = single_sentences(source, block.count)
    ship_to, notes = [], []
    for customer, gift, wish in zip(block.customers, gifts, wishes, strict=True):
        name, note = people.name(customer), NULL
        if gift < 3_000:
            receiver = people.name(gift % customer + 1)
            name, note = receiver, f"For {receiver} from {name}: {wish}"
        ship_to.append(f"{name}, {people.home_line(customer)}")
        notes.append(note)
    return ship_to, notes

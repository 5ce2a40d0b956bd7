"""Staff, tickets and the messages between customers and staff; comments on everything."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from strongroom.sample.calendar import DAY_SECONDS, days_of, moments
from strongroom.sample.orders import OrderBlock
from strongroom.sample.people import People
from strongroom.sample.prose import SUBJECTS, paragraphs
from strongroom.sample.randomness import Wheel, numbers_below, scattered, stream, words
from strongroom.sample.rows import NULL, Columns
from strongroom.sample.world import ORDERS_PER_TICKET, World

_DEPARTMENTS = ("service", "warehouse", "finance", "marketing")
_SUBJECTS = Wheel(SUBJECTS)
_OPEN_DAYS = 10
_MESSAGES = Wheel((1, 2, 3, 4, 5, 7), (15, 30, 25, 15, 10, 5))
_MOST_MESSAGES = 8
_TARGETS = Wheel(("product", "order", "customer", "ticket"), (55, 20, 10, 15))
COMMENTS_PER_CUSTOMER = 3


def staff_columns(world: World, start: int, end: int) -> Columns:
    """Rows of support.staff: a tree of five reports to each manager."""
    numbers = range(start + 1, end + 1)
    people = [world.people.staff(number) for number in numbers]
    drawn = [scattered(number, world.spec.seed * 1_000 + 30) for number in numbers]
    first = world.calendar.first_day
    return (
        map(str, numbers),
        [email for _, email in people],
        [name for name, _ in people],
        [_DEPARTMENTS[number % len(_DEPARTMENTS)] for number in drawn],
        [NULL if number == 1 else str((number - 2) // 5 + 1) for number in numbers],
        [str(first + timedelta(days=number % world.calendar.days)) for number in drawn],
    )


class TicketBlock:
    """The tickets about the orders of one block: one for every twelfth order."""

    def __init__(self, world: World, start: int, end: int) -> None:
        self.world, self.start = world, start
        orders = OrderBlock(world, start, end)
        self.places = range(-start % ORDERS_PER_TICKET, orders.count, ORDERS_PER_TICKET)
        self.count = len(self.places)
        self.ids = [(start + place) // ORDERS_PER_TICKET + 1 for place in self.places]
        self.orders = [orders.numbers[place] for place in self.places]
        self.order_stamps = [orders.stamps[place] for place in self.places]
        self.customers = [orders.customers[place] for place in self.places]
        source = stream(world.spec.seed, "tickets", start)
        waits = words(source, self.count)
        self.opened = [
            orders.seconds[place] + 3_600 + wait * 4 for place, wait in zip(self.places, waits, strict=True)
        ]
        self.staff = [number + 1 for number in numbers_below(source, world.staff, self.count)]
        self.subjects = _SUBJECTS.draw(source, self.count)
        self.message_counts = _MESSAGES.draw(source, self.count)
        self.about_order = [word < 45_000 for word in words(source, self.count)]
        self.closing_delays = [7 * DAY_SECONDS + word * 8 for word in words(source, self.count)]

    def columns(self) -> Columns:
        """Rows of support.ticket."""
        horizon = (self.world.calendar.days - _OPEN_DAYS) * DAY_SECONDS
        solved = [opened < horizon for opened in self.opened]
        closed = self.world.calendar.stamps(
            opened + delay for opened, delay in zip(self.opened, self.closing_delays, strict=True)
        )
        return (
            map(str, self.ids),
            map(str, self.customers),
            [NULL if number % 9 == 0 else str(number) for number in self.staff],
            [
                str(order) if about else NULL
                for order, about in zip(self.orders, self.about_order, strict=True)
            ],
            [
                stamp if about else NULL
                for stamp, about in zip(self.order_stamps, self.about_order, strict=True)
            ],
            self.subjects,
            ["solved" if done else ("open", "waiting")[at & 1] for at, done in enumerate(solved)],
            self.world.calendar.stamps(self.opened),
            [stamp if done else NULL for stamp, done in zip(closed, solved, strict=True)],
        )

    def message_columns(self) -> Columns:
        """Rows of support.ticket_message: customer and staff in turn."""
        rows = [
            (number, turn, customer, staff, opened + turn * 50_000)
            for number, customer, staff, opened, count in zip(
                self.ids, self.customers, self.staff, self.opened, self.message_counts, strict=True
            )
            for turn in range(count)
        ]
        source = stream(self.world.spec.seed, "messages", self.start)
        bodies = paragraphs(source, len(rows), 2, 12)
        drawn = words(source, len(rows))
        return (
            [str((row[0] - 1) * _MOST_MESSAGES + row[1] + 1) for row in rows],
            [str(row[0]) for row in rows],
            [NULL if row[1] & 1 else str(row[2]) for row in rows],
            [str(row[3]) if row[1] & 1 else NULL for row in rows],
            self.world.calendar.stamps([row[4] for row in rows]),
            [
                _signed(self.world.people, row[1], row[2], body, word)
                for row, body, word in zip(rows, bodies, drawn, strict=True)
            ],
        )


def ticket_columns(world: World, start: int, end: int) -> Columns:
    """Rows of support.ticket, for the orders of a block."""
    return TicketBlock(world, start, end).columns()


def message_columns(world: World, start: int, end: int) -> Columns:
    """Rows of support.ticket_message, for the orders of a block."""
    return TicketBlock(world, start, end).message_columns()


def comment_columns(world: World, start: int, end: int) -> Columns:
    """Rows of comment, on products, orders, customers and tickets that existed by then."""
    count = end - start
    days = days_of(world.calendar.spread(world.spec.customers * COMMENTS_PER_CUSTOMER), start, end)
    source = stream(world.spec.seed, "comments", start)
    seconds = moments(source, days)
    kinds, drawn = _TARGETS.draw(source, count), words(source, count)
    targets = [_target(world, kind, day, word) for kind, day, word in zip(kinds, days, drawn, strict=True)]
    authors = world.buyers(source, days)
    by_staff = [kind in ("customer", "ticket") for kind, _ in targets]
    staff = numbers_below(source, world.staff, count)
    return (
        map(str, range(start + 1, end + 1)),
        [kind for kind, _ in targets],
        [str(number) for _, number in targets],
        [NULL if ours else str(author) for ours, author in zip(by_staff, authors, strict=True)],
        [str(number + 1) if ours else NULL for ours, number in zip(by_staff, staff, strict=True)],
        _mentioning(world, days, paragraphs(source, count, 1, 6), words(source, count)),
        world.calendar.stamps(seconds),
    )


def _target(world: World, kind: str, day: int, word: int) -> tuple[str, int]:
    """What a comment points at; products when nothing of the kind existed by then."""
    orders = world.orders_by_day[day]
    existing = {
        "product": world.products,
        "order": orders,
        "customer": world.customers_before(day),
        "ticket": -(-orders // ORDERS_PER_TICKET),
    }[kind]
    if not existing:
        return "product", word % world.products + 1
    # A word has too few values to reach every order: scatter it first.
    return kind, scattered(word, day) % existing + 1


def _signed(people: People, turn: int, customer: int, body: str, word: int) -> str:
    """A message with what people add to it: a signature, or the name and address of somebody else."""
    if turn & 1:
        return f"Dear {people.name(customer)},\\n{body}"
    if word < 5_000:
        other = word % customer + 1
        return f"{body} Please reply to {people.name(other)} ({people.email(other)}) instead."
    return f"{body}\\n{people.name(customer)}" if word & 1 else body


def _mentioning(world: World, days: list[int], bodies: list[str], drawn: Sequence[int]) -> list[str]:
    people = world.people
    return [
        f"{body} {people.name(word % world.customers_before(day) + 1)} says the same."
        if word < 3_000
        else body
        for body, day, word in zip(bodies, days, drawn, strict=True)
    ]

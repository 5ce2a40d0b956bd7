"""The work of making a sample: tables in loading order, cut into blocks that any process can make."""
# ruff: noqa: E501 - one table per entry

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from strongroom.sample.activity import (
    LOGINS_PER_CUSTOMER,
    VIEWS_PER_CUSTOMER,
    exchange_rate_columns,
    exchange_rate_count,
    login_columns,
    product_columns,
    view_columns,
)
from strongroom.sample.customers import (
    NEVER,
    address_columns,
    consent_columns,
    customer_columns,
    newsletter_columns,
)
from strongroom.sample.orders import OrderBlock, line_columns, order_columns, payment_columns
from strongroom.sample.people import COHORT
from strongroom.sample.rows import Columns, copy_text
from strongroom.sample.support import (
    COMMENTS_PER_CUSTOMER,
    comment_columns,
    message_columns,
    staff_columns,
    ticket_columns,
)
from strongroom.sample.world import SampleSpec, World, world_of

Maker = Callable[[World, int, int], Columns]

ORDER_BLOCK = 10_000
CUSTOMER_BLOCK = 12 * COHORT
EVENT_BLOCK = 20_000


@dataclass(frozen=True)
class TablePlan:
    """How one table is filled.

    Attributes:
        name: schema and table.
        columns: the columns that COPY fills, in order.
        make: makes the rows of a block; None for customers, whose rows need their last orders too.
        basis: how many of what the blocks count: orders, customers, or rows.
        block_size: how many of them make one block.
        by_year: whether blocks end where a year does, so that each goes into one partition.
    """

    name: str
    columns: str
    make: Maker | None
    basis: int
    block_size: int
    by_year: bool = False


@dataclass(frozen=True)
class Block:
    """A piece of one table.

    Attributes:
        target: the table or partition that COPY writes to.
        last_orders: for customers, when each ordered last.
    """

    table: str
    target: str
    columns: str
    start: int
    end: int
    last_orders: array[int] | None = None


@dataclass(frozen=True)
class MadeBlock:
    """A block's rows in COPY's text format.

    Attributes:
        last_orders: for orders, the last moment each customer of the block ordered.
    """

    text: bytes
    last_orders: dict[int, int] | None = None


def table_plans(world: World) -> list[TablePlan]:
    """All tables, in loading order: customers after orders, since they know their last one."""
    customers, orders = world.spec.customers, world.orders
    return [
        TablePlan("public.product", "product_id, sku, name, category, price, attributes, active",
                  product_columns, world.products, EVENT_BLOCK),
        TablePlan("public.exchange_rate", "currency, valid_on, rate",
                  exchange_rate_columns, exchange_rate_count(world), EVENT_BLOCK),
        TablePlan("support.staff", "staff_id, email, full_name, department, manager_id, hired_on",
                  staff_columns, world.staff, EVENT_BLOCK),
        TablePlan("public.address", "address_id, street, postal_code, city, country",
                  address_columns, customers, CUSTOMER_BLOCK),
        TablePlan("public.orders", "order_id, ordered_at, customer_id, status, total, currency, ship_to, gift_note, reference",
                  order_columns, orders, ORDER_BLOCK, by_year=True),
        TablePlan("public.customer", "customer_id, email, full_name, phone, birth_date, status, address_id, referred_by, "
                  "preferences, created_at, last_order_at", None, customers, CUSTOMER_BLOCK),
        TablePlan("public.order_line", "order_id, ordered_at, line_number, product_id, quantity, unit_price",
                  line_columns, orders, ORDER_BLOCK, by_year=True),
        TablePlan("public.payment", "payment_id, order_id, ordered_at, method, amount, payer_name, card_last4, reference, paid_at",
                  payment_columns, orders, ORDER_BLOCK, by_year=True),
        TablePlan("public.newsletter_subscription", "email, topics, source, subscribed_at, unsubscribed_at",
                  newsletter_columns, customers, CUSTOMER_BLOCK),
        TablePlan("public.consent", "consent_id, customer_id, purpose, granted, notice_version, channel, recorded_at",
                  consent_columns, customers, CUSTOMER_BLOCK),
        TablePlan("public.login_event", "login_event_id, customer_id, occurred_at, ip, user_agent, succeeded",
                  login_columns, customers * LOGINS_PER_CUSTOMER, EVENT_BLOCK),
        TablePlan("public.product_view", "product_id, viewed_on, device, views",
                  view_columns, customers * VIEWS_PER_CUSTOMER, EVENT_BLOCK),
        TablePlan("support.ticket", "ticket_id, customer_id, assigned_to, order_id, ordered_at, subject, status, "
                  "opened_at, closed_at", ticket_columns, orders, ORDER_BLOCK, by_year=True),
        TablePlan("support.ticket_message", "message_id, ticket_id, author_customer_id, author_staff_id, sent_at, body",
                  message_columns, orders, ORDER_BLOCK, by_year=True),
        TablePlan("public.comment", "comment_id, target_type, target_id, author_customer_id, author_staff_id, body, "
                  "created_at", comment_columns, customers * COMMENTS_PER_CUSTOMER, EVENT_BLOCK),
    ]  # fmt: skip


def blocks_of(world: World, plan: TablePlan, last_orders: array[int]) -> Iterator[Block]:
    """The blocks of one table, in order."""
    for year, first, beyond in _spans(world, plan):
        partitioned = plan.name == "public.orders"
        target = f"public.orders_{year}" if partitioned else plan.name
        for start in range(first, beyond, plan.block_size):
            end = min(start + plan.block_size, beyond)
            known = last_orders[start:end] if plan.name == "public.customer" else None
            yield Block(plan.name, target, plan.columns, start, end, known)


def make_block(spec: SampleSpec, block: Block) -> MadeBlock:
    """Make the rows of a block; the same for the same arguments, in any process."""
    world = world_of(spec)
    if block.last_orders is not None:
        return MadeBlock(copy_text(customer_columns(world, block.start, block.end, block.last_orders)))
    text = copy_text(_maker(spec, block.table)(world, block.start, block.end))
    if block.table != "public.orders":
        return MadeBlock(text)
    orders = OrderBlock(world, block.start, block.end)
    return MadeBlock(text, dict(zip(orders.customers, orders.seconds, strict=True)))


def sample_blocks(spec: SampleSpec) -> Iterator[tuple[Block, MadeBlock]]:
    """Make a whole sample in this process, block by block, in loading order."""
    world = world_of(spec)
    last_orders = no_orders(spec)
    for plan in table_plans(world):
        for block in blocks_of(world, plan, last_orders):
            made = make_block(spec, block)
            remember(last_orders, made)
            yield block, made


def no_orders(spec: SampleSpec) -> array[int]:
    """The last order of every customer, before any order was made: eight bytes each."""
    return array("q", [NEVER]) * spec.customers


def remember(last_orders: array[int], made: MadeBlock) -> None:
    """Note when each customer of a block of orders ordered; blocks come in order of time."""
    for customer, second in (made.last_orders or {}).items():
        last_orders[customer - 1] = second


def partition_years(world: World) -> range:
    """The years that orders has a partition for: the history and the next year."""
    return range(world.calendar.first_day.year, world.calendar.reference.year + 2)


def _spans(world: World, plan: TablePlan) -> Iterator[tuple[int, int, int]]:
    """Year, first and last for each run of a table's basis that may share a block."""
    if not plan.by_year:
        yield 0, 0, plan.basis
        return
    for year in partition_years(world):
        first, beyond = _orders_before_year(world, year), _orders_before_year(world, year + 1)
        if first < beyond:
            yield year, first, beyond


def _orders_before_year(world: World, year: int) -> int:
    day = world.calendar.day_of(date(year, 1, 1))
    return world.orders_by_day[min(max(day, 0), world.calendar.days)]


def _maker(spec: SampleSpec, table: str) -> Maker:
    for plan in table_plans(world_of(spec)):
        if plan.name == table and plan.make:
            return plan.make
    raise LookupError(table)

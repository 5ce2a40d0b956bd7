"""Which rows of a table may go now, counted by the period that they are from.

Rows are counted by calendar month, and in the month that the limit lies in by day, both in UTC, so that a group keeps
its name while it waits. A group counts only when the time of its last moment is over. A moment that is infinite, or
before the calendar's beginning, is no age: such rows stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg import sql

from strongroom.lifetimes import Item
from strongroom.postgres import Connection
from strongroom.retention.rows import RowRule, as_moment, joined
from strongroom.retention.rules import earlier, later

_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_LAST = timedelta(microseconds=1)


@dataclass(frozen=True)
class Period:
    """A month or a day.

    Args:
        start: the first moment.
        end: the first moment after it.
    """

    start: datetime
    end: datetime

    @classmethod
    def of(cls, item: Item) -> Period:
        """The period that an item of rows covers."""
        start, last = item.covers or (item.created_at, item.created_at)
        return cls(start, last + _LAST)

    @property
    def name(self) -> str:
        """`2026-05`, or a single day of it."""
        whole = self.end - self.start > timedelta(days=1)
        return f"{self.start:%Y-%m}" if whole else f"{self.start:%Y-%m-%d}"

    @property
    def covers(self) -> tuple[datetime, datetime]:
        """Its first and its last moment."""
        return self.start, self.end - _LAST


@dataclass(frozen=True)
class RowGroup:
    """The rows of one table from one period.

    Args:
        period: when they are from.
        free: how many may go.
        kept: how many stay although their time is over.
    """

    period: Period
    free: int
    kept: int


def count_rows(connection: Connection, rule: RowRule) -> Iterator[RowGroup]:
    """The groups of a table's rows whose time is over, oldest first."""
    limit = earlier(rule.now, rule.retain.period)
    month = limit.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    query = sql.SQL(
        "SELECT period, moment < {month}, count(*) FILTER (WHERE NOT kept), count(*) FILTER (WHERE kept) FROM ("
        "SELECT date_trunc(CASE WHEN {moment} < {month} THEN 'month' ELSE 'day' END, {moment}) AS period,"
        " {moment} AS moment, {kept} AS kept"
        " FROM {table} AS t0 WHERE {column} < {limit} AND {column} >= {first} AND isfinite({column})) AS expired"
        " GROUP BY 1, 2 ORDER BY 1"
    ).format(
        month=sql.SQL("{}::timestamptz").format(sql.Literal(month.isoformat())),
        moment=_in_utc(rule),
        kept=kept(rule),
        table=table_of(rule),
        column=sql.Identifier("t0", rule.moment.name),
        limit=as_moment(limit, rule.moment),
        first=as_moment(_FIRST, rule.moment),
    )
    for start, whole_month, free, held in connection.execute(query):
        end = _next_month(start) if whole_month else start + timedelta(days=1)
        if later(end, rule.retain.period) <= rule.now:
            yield RowGroup(Period(start, end), free, held)


def count_free(connection: Connection, rule: RowRule, period: Period) -> int:
    """How many rows of a period may go."""
    query = sql.SQL("SELECT count(*) FROM {} AS t0 WHERE {} AND NOT {}").format(
        table_of(rule), within(rule, period), kept(rule)
    )
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def table_rows(connection: Connection, rule: RowRule) -> int:
    """About how many rows the table has: by the server's statistics, counted where it has none."""
    name = table_of(rule).as_string(connection)
    row = connection.execute(
        "SELECT sum(c.reltuples), bool_or(c.reltuples < 0) FROM pg_catalog.pg_class AS c"
        " WHERE c.relkind <> 'p' AND c.oid IN"
        " (SELECT %(table)s::regclass UNION ALL SELECT relid FROM pg_catalog.pg_partition_tree(%(table)s::regclass))",
        {"table": name},
    ).fetchone()
    if row is not None and row[0] and not row[1]:
        return int(row[0])
    counted = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table_of(rule))).fetchone()
    return int(counted[0]) if counted else 0


def kept(rule: RowRule) -> sql.Composable:
    """Whether something keeps the row `t0`."""
    conditions = [
        sql.SQL("EXISTS (SELECT FROM {rows}{further})").format(
            rows=joined(blocker.path),
            further=sql.SQL(" AND {}").format(blocker.condition) if blocker.condition else sql.SQL(""),
        )
        for blocker in rule.blockers
    ]
    return sql.SQL("({})").format(sql.SQL(" OR ").join(conditions)) if conditions else sql.SQL("false")


def within(rule: RowRule, period: Period) -> sql.Composable:
    """Whether the row `t0` is from a period."""
    return sql.SQL("{column} >= {start} AND {column} < {end}").format(
        column=sql.Identifier("t0", rule.moment.name),
        start=as_moment(period.start, rule.moment),
        end=as_moment(period.end, rule.moment),
    )


def table_of(rule: RowRule) -> sql.Identifier:
    """The table's quoted name."""
    return sql.Identifier(rule.live.id.schema, rule.live.id.name)


def _in_utc(rule: RowRule) -> sql.Composable:
    column = sql.Identifier("t0", rule.moment.name)
    if rule.moment.base_type == "timestamp with time zone":
        return column
    return sql.SQL("(CAST({} AS timestamp) AT TIME ZONE 'UTC')").format(column)


def _next_month(start: datetime) -> datetime:
    return (start.replace(day=1) + timedelta(days=32)).replace(day=1)

"""Rows of the database as things with a lifetime, for the planner: one item for each table and period.

    rows/public.login_event/2026-05          rows that go when their grace period is over, with a count
    rows/public.login_event/2026-05/kept     rows whose time is over, and that something keeps, with the reason

An item of rows has one object, which is none of the bucket: the statement of how many rows it is. A plan hashes it, so
that rows which came or went since the plan was made are noticed when it is carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from strongroom.clock import Clock
from strongroom.lifetimes import Item, ItemObject, Kind, LifetimeSource
from strongroom.policy import Policy
from strongroom.postgres import Connection, connect, server_errors
from strongroom.retention.row_counting import RowGroup, count_rows, table_rows
from strongroom.retention.rows import RowRule, row_rules
from strongroom.retention.rules import later
from strongroom.rules import check_policy, read_catalogue

APPLICATION_NAME = "strongroom-rows"
"""What the server shows in `pg_stat_activity`."""


class RowLifetimes(LifetimeSource):
    """Tells of the rows whose time is over by `retain` rules.

    Args:
        policy: of the database.
        conninfo: gives the database's connection string; asked only where a table has such a rule.
        clock: the time.
    """

    def __init__(self, policy: Policy, conninfo: Callable[[], str], clock: Clock) -> None:
        self._policy, self._conninfo, self._clock = policy, conninfo, clock

    def items(self) -> Iterator[Item]:
        """Every group of rows whose time is over, those that something keeps apart from those that may go.

        None where the policy and the database do not agree: then no purge is carried out.

        Raises:
            PostgresError: the database refused or did not answer.
        """
        if not any(table.retain for table in self._policy.tables.values()):
            return
        with connect(self._conninfo(), application_name=APPLICATION_NAME) as connection:
            connection.execute("SET default_transaction_isolation = 'repeatable read'")
            with server_errors("The database server"), connection.transaction():
                catalogue = read_catalogue(connection)
                if check_policy(self._policy, catalogue):
                    return
                for rule in row_rules(self._policy, catalogue, self._clock.now()):
                    yield from _items(connection, rule)


def _items(connection: Connection, rule: RowRule) -> Iterator[Item]:
    groups = list(count_rows(connection, rule))
    whole = table_rows(connection, rule) if groups else 0
    for group in groups:
        if rule.waits_for is not None:
            yield _item(rule, group, group.free + group.kept, whole, rule.waits_for)
            continue
        if group.free:
            yield _item(rule, group, group.free, whole, None)
        if group.kept:
            reasons = dict.fromkeys(blocker.why for blocker in rule.blockers)
            yield _item(rule, group, group.kept, whole, "; or ".join(reasons))


def _item(rule: RowRule, group: RowGroup, rows: int, whole: int, waits_for: str | None) -> Item:
    name = item_id(rule.name, group.period.name) + ("/kept" if waits_for else "")
    return Item(
        kind=Kind.ROWS,
        id=name,
        database=rule.policy.database,
        created_at=group.period.start,
        objects=() if waits_for else (ItemObject(f"{name}/{rows}", 0),),
        expires_at=later(group.period.end, rule.retain.period),
        table=rule.name,
        covers=group.period.covers,
        waits_for=f"{_counted(rows)} of {rule.name} from {group.period.name}: {waits_for}"
        if waits_for
        else None,
        detail=f"{_counted(rows)} of {rule.name} from {group.period.name}, kept for {rule.retain.period} after "
        f"{rule.retain.start}",
        counts={"rows": rows, "table_rows": whole},
    )


def item_id(table: str, period: str) -> str:
    """The name of the rows of a table and a period."""
    return f"rows/{table}/{period}"


def _counted(rows: int) -> str:
    return "one row" if rows == 1 else f"{rows:,} rows"

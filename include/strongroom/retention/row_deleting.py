"""Deleting rows that a plan deletes: batch by batch, children first, each batch in one transaction.

    lock a batch of rows that may still go → empty what only mentions them → delete what belongs to them, children first
    → delete the rows themselves → the batch's count is what was locked, or nothing of it has happened

A batch looks for itself which rows may go: one that got a reason to stay since the plan was made stays. A killed run
leaves whole batches; the next plan counts what is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from psycopg import sql

from strongroom.clock import Clock
from strongroom.lifetimes import Item
from strongroom.policy import Policy
from strongroom.postgres import Connection, connect, server_errors
from strongroom.retention.errors import NotGoneError
from strongroom.retention.row_counting import Period, count_free, kept, table_of, within
from strongroom.retention.row_lifetimes import APPLICATION_NAME
from strongroom.retention.rows import Path, RowRule, matched, row_rules
from strongroom.retention.rules import later
from strongroom.rules import require_agreement

_BATCH_ROWS = 1000
_DOOMED = sql.Identifier("pg_temp", "strongroom_doomed")


@dataclass(frozen=True)
class RowsGone:
    """What became of one item.

    Args:
        rows: how many rows of its table went.
        others: how many rows that belonged to them went with them.
        spared: why nothing was done; None where it was.
    """

    rows: int = 0
    others: int = 0
    spared: str | None = None


class RowDeleter:
    """Deletes rows of one database.

    Args:
        policy: of the database.
        conninfo: gives its connection string.
        clock: the time.
        alive: raises when the purge may not go on; asked before each batch.
        batch_rows: how many rows go in one transaction.
    """

    def __init__(
        self,
        policy: Policy,
        conninfo: Callable[[], str],
        clock: Clock,
        alive: Callable[[], None],
        batch_rows: int = _BATCH_ROWS,
    ) -> None:
        self._policy, self._conninfo, self._clock, self._alive = policy, conninfo, clock, alive
        self._batch_rows = batch_rows

    def delete(self, item: Item) -> RowsGone:
        """Delete the rows of an item, if there are exactly as many as the plan said.

        Raises:
            RulesError: the policy and the database do not agree.
            NotGoneError: rows that were locked for deletion were not deleted.
            PostgresError: the database refused or did not answer; whole batches may be gone.
        """
        with connect(self._conninfo(), application_name=APPLICATION_NAME) as connection:
            catalogue = require_agreement(self._policy, connection)
            with server_errors("The database server"):
                for rule in row_rules(self._policy, catalogue, self._clock.now()):
                    if rule.name == item.table and rule.waits_for is None:
                        return self._delete(connection, rule, item)
        return RowsGone(spared="no rule of the policy lets these rows go")

    def _delete(self, connection: Connection, rule: RowRule, item: Item) -> RowsGone:
        period = Period.of(item)
        if later(period.end, rule.retain.period) > self._clock.now():
            return RowsGone(spared="their time is not over")
        found = count_free(connection, rule, period)
        if found != item.counts["rows"]:
            return RowsGone(spared=f"it is {found:,} rows by now, and the plan saw {item.counts['rows']:,}")
        rows = others = 0
        while rows < found:
            self._alive()
            with connection.transaction():
                gone, went_along = self._batch(connection, rule, period, found - rows)
            if not gone:
                break
            rows, others = rows + gone, others + went_along
        return RowsGone(rows, others)

    def _batch(self, connection: Connection, rule: RowRule, period: Period, left: int) -> tuple[int, int]:
        locked = self._lock(connection, rule, period, min(self._batch_rows, left))
        for path in rule.emptied:
            connection.execute(_emptying(rule, path))
        others = sum(connection.execute(_deleting(rule, path)).rowcount for path in rule.paths)
        gone = connection.execute(
            sql.SQL("DELETE FROM {} AS t0 USING {} AS d WHERE {}").format(
                table_of(rule), _DOOMED, _doomed(rule)
            )
        ).rowcount
        if gone != locked:
            raise NotGoneError(
                f"Of {locked:,} rows of {rule.name} that were to be deleted, {gone:,} were; nothing of this batch was "
                "changed.",
                hint="A trigger or a rule of the table keeps rows: look at it, or take `retain` out of the policy.",
            )
        return gone, others

    def _lock(self, connection: Connection, rule: RowRule, period: Period, most: int) -> int:
        """Choose and lock rows that may go. Whoever refers to one of them anew waits for the end of the batch.

        Who did so while the lock was waited for was not seen when they were chosen, so that is looked at again.
        """
        keys = sql.SQL(", ").join(sql.Identifier("t0", name) for name in rule.key)
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(_DOOMED))
        connection.execute(
            sql.SQL(
                "CREATE TEMP TABLE strongroom_doomed ON COMMIT DROP AS SELECT {} FROM {} AS t0 LIMIT 0"
            ).format(keys, table_of(rule))
        )
        locked = connection.execute(
            sql.SQL(
                "INSERT INTO {} SELECT {} FROM {} AS t0 WHERE {} AND NOT {} LIMIT {} FOR UPDATE OF t0"
            ).format(
                _DOOMED,
                keys,
                table_of(rule),
                within(rule, period),
                kept(rule),
                sql.Literal(most),
            )
        ).rowcount
        stay = connection.execute(
            sql.SQL("DELETE FROM {} AS d USING {} AS t0 WHERE {} AND {}").format(
                _DOOMED, table_of(rule), _doomed(rule), kept(rule)
            )
        ).rowcount
        return locked - stay


def _doomed(rule: RowRule) -> sql.Composable:
    """Whether `t0` is one of the batch's rows, `d`."""
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier("t0", name), sql.Identifier("d", name)) for name in rule.key
    )


def _reaching(rule: RowRule, path: Path) -> sql.Composable:
    """Whether the row at the end of a path leads to one of the batch's rows."""
    tables = [sql.SQL("{} AS d").format(_DOOMED), sql.SQL("{} AS t0").format(table_of(rule))]
    tables += [
        sql.SQL("{} AS {}").format(
            sql.Identifier(edge.child.schema, edge.child.name), sql.Identifier(f"t{depth}")
        )
        for depth, edge in enumerate(path[:-1], 1)
    ]
    return sql.SQL("EXISTS (SELECT FROM {} WHERE {} AND {})").format(
        sql.SQL(", ").join(tables), matched(path), _doomed(rule)
    )


def _deleting(rule: RowRule, path: Path) -> sql.Composed:
    child = path[-1].child
    return sql.SQL("DELETE FROM {} AS {} WHERE {}").format(
        sql.Identifier(child.schema, child.name), sql.Identifier(f"t{len(path)}"), _reaching(rule, path)
    )


def _emptying(rule: RowRule, path: Path) -> sql.Composed:
    child = path[-1].child
    return sql.SQL("UPDATE {} AS {} SET {} WHERE {}").format(
        sql.Identifier(child.schema, child.name),
        sql.Identifier(f"t{len(path)}"),
        sql.SQL(", ").join(sql.SQL("{} = NULL").format(sql.Identifier(name)) for name in path[-1].columns),
        _reaching(rule, path),
    )

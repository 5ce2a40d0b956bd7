"""Rows of one table whose time is over: which may go, what goes with them, what keeps some of them.

    retain: {for: 6mo, from: occurred_at, then: delete}

A row may go when nothing that has to stay needs it. Rows that belong to it (links of kind `owns` with a foreign key)
go with it, children first; a reference that only mentions it is emptied, where the database allows NULL. It stays
while a row that refers to it is looked up by others, is kept by law, has a time of its own that is not over, or has to
be archived first. What cannot be told from the catalogue alone keeps all rows, for a reason in words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from psycopg import sql

from strongroom.durations import Duration
from strongroom.policy import Policy
from strongroom.policy.tables import Retain, Table
from strongroom.retention.rules import earlier
from strongroom.rules import LiveCatalogue, LiveColumn, LiveTable, TableId
from strongroom.rules.erasing import empties
from strongroom.rules.links import Edge, LinkGraph, link_graph

Path = tuple[Edge, ...]
"""References from the table of the rule outwards: the first one's parent is that table."""


@dataclass(frozen=True)
class Blocker:
    """Rows that keep the row that they lead to."""

    path: Path
    condition: sql.Composable | None
    """Which of them; None for all."""
    why: str


@dataclass(frozen=True)
class RowRule:
    """The rule of one table, with what the catalogue makes of it.

    Args:
        live: the table.
        retain: the policy's words.
        now: the clock by which ages count.
        policy: the whole policy.
        catalogue: the database as it is now.
    """

    live: LiveTable
    retain: Retain
    now: datetime
    policy: Policy
    catalogue: LiveCatalogue

    @property
    def name(self) -> str:
        """The table as the policy writes it."""
        return str(self.live.id)

    @property
    def moment(self) -> LiveColumn:
        """The column that the time counts from."""
        return self.live.column[self.retain.start]

    @cached_property
    def key(self) -> tuple[str, ...]:
        """Columns that tell the rows apart: the primary key, or a unique one without NULL."""
        plain = sorted((key for key in self.live.keys if key.plain), key=lambda key: not key.primary)
        return next(
            key.columns for key in plain if all(self.live.column[name].not_null for name in key.columns)
        )

    @cached_property
    def waits_for(self) -> str | None:
        """Why no row of the table can go by this rule, in words; None where rows can go."""
        if self.retain.then == "erase_subject":
            return "the person has to be erased with them, which an erasure request does"
        if self.retain.then == "archive" or self._table(self.live.id).archive is not None:
            return "the archive takes them: a sweep moves them"
        for edge in self._belonging():
            if not edge.enforced:
                return f"rows of {edge.child} belong to them by equal values, which only an erasure follows"
        if any(self._circles(path) for path in self.paths):
            return "rows belong to one another in a circle, which only an erasure takes apart"
        return None

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """The ways to rows that go with a row of the table, children before what they refer to."""
        found = list(self._walk((), self.live.id))
        order = {table: number for number, table in enumerate(self.graph.children_first())}
        return tuple(sorted(found, key=lambda path: (order[path[-1].child], -len(path))))

    @cached_property
    def emptied(self) -> tuple[Path, ...]:
        """The ways to references that are set to NULL, because they only mention what goes."""
        return tuple(path for path in self._others() if self._can_be_emptied(path[-1]))

    @cached_property
    def blockers(self) -> tuple[Blocker, ...]:
        """The ways to rows that keep the row that they lead to."""
        return tuple(self._blockers())

    @cached_property
    def graph(self) -> LinkGraph:
        """All references of the database."""
        return link_graph(self.policy, self.catalogue)

    def _walk(self, path: Path, table: TableId) -> Iterator[Path]:
        for edge in self.graph.children_of(table):
            if edge.meaning == "owns" and edge.enforced:
                longer = (*path, edge)
                yield longer
                if not self._circles(longer):
                    yield from self._walk(longer, edge.child)

    def _circles(self, path: Path) -> bool:
        return path[-1].child in {self.live.id, *(edge.child for edge in path[:-1])}

    def _reached(self) -> Iterator[tuple[Path, TableId]]:
        """The table itself, and each that goes with it."""
        yield (), self.live.id
        yield from ((path, path[-1].child) for path in self.paths if not self._circles(path))

    def _belonging(self) -> Iterator[Edge]:
        for _, table in self._reached():
            yield from (edge for edge in self.graph.children_of(table) if edge.meaning == "owns")

    def _others(self) -> Iterator[Path]:
        """The ways to enforced references that do not make a row go."""
        for path, table in self._reached():
            for edge in self.graph.children_of(table):
                if edge.enforced and edge.meaning != "owns":
                    yield (*path, edge)

    def _can_be_emptied(self, edge: Edge) -> bool:
        child = self.catalogue.table[edge.child]
        nullable = not any(child.column[column].not_null for column in edge.columns)
        return edge.link is not None and empties(edge.link) and nullable

    def _blockers(self) -> Iterator[Blocker]:
        for path in self._others():
            if not self._can_be_emptied(path[-1]):
                yield Blocker(path, None, f"rows of {path[-1].child} refer to them and stay")
        for path in self.paths:
            yield from self._kept_children(path)

    def _kept_children(self, path: Path) -> Iterator[Blocker]:
        child = path[-1].child
        table, live = self._table(child), self.catalogue.table[child]
        if table.archive is not None:
            yield Blocker(path, None, f"rows of {child} belong to them and have to be archived first")
        if table.on_erasure is not None and table.on_erasure.keep_until is not None:
            keep = table.on_erasure.keep_until
            recent = self._recent(live.column[keep.start], keep.period, len(path))
            yield Blocker(path, recent, f"rows of {child} belong to them and are kept by law ({keep.basis})")
        if table.retain is not None:
            recent = self._recent(live.column[table.retain.start], table.retain.period, len(path))
            yield Blocker(path, recent, f"rows of {child} belong to them, and their own time is not over")

    def _recent(self, column: LiveColumn, period: Duration, depth: int) -> sql.Composable:
        """Whether a row's time is not over; a row without a moment never ends."""
        return sql.SQL("({column} IS NULL OR {column} > {limit})").format(
            column=sql.Identifier(f"t{depth}", column.name),
            limit=as_moment(earlier(self.now, period), column),
        )

    def _table(self, table: TableId) -> Table:
        """The policy's words about a table; none about one that it does not know, whose rows only keep others."""
        return self._tables.get(table, Table())

    @cached_property
    def _tables(self) -> Mapping[TableId, Table]:
        return {TableId.of(name): table for name, table in self.policy.tables.items()}


def row_rules(policy: Policy, catalogue: LiveCatalogue, now: datetime) -> tuple[RowRule, ...]:
    """The rules of all tables that have one, in the order of the policy."""
    found = []
    for name, table in policy.tables.items():
        live = catalogue.find(name)
        if table.retain is not None and live is not None:
            found.append(RowRule(live, table.retain, now, policy, catalogue))
    return tuple(found)


def joined(path: Path) -> sql.Composable:
    """`child AS t2, middle AS t1 WHERE t2.x = t1.x AND t1.y = t0.y`: the rows at the end of a path from `t0`."""
    tables = sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(
            sql.Identifier(edge.child.schema, edge.child.name), sql.Identifier(f"t{depth}")
        )
        for depth, edge in reversed(list(enumerate(path, 1)))
    )
    return sql.SQL("{} WHERE {}").format(tables, matched(path))


def matched(path: Path) -> sql.Composable:
    """The conditions that tie each table of a path to the one before it."""
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier(f"t{depth}", own), sql.Identifier(f"t{depth - 1}", theirs))
        for depth, edge in enumerate(path, 1)
        for own, theirs in zip(edge.columns, edge.parent_columns, strict=True)
    )


def as_moment(moment: datetime, column: LiveColumn) -> sql.Composable:
    """A moment as the column's type has it; a column without a time zone is taken for UTC."""
    literal = sql.SQL("{}::timestamptz").format(sql.Literal(moment.isoformat()))
    if column.base_type == "timestamp with time zone":
        return literal
    return sql.SQL("CAST({} AT TIME ZONE 'UTC' AS {})").format(literal, sql.SQL(column.base_type))

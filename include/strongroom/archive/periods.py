"""What is due, month by month, and what holds rows back that are old enough."""

from __future__ import annotations

from dataclasses import dataclass, replace

from psycopg import sql

from strongroom.archive.family import Bounds, Family
from strongroom.archive.interface import Held
from strongroom.archive.references import Reference
from strongroom.postgres import Connection, server_errors

ANCIENT = "before-1900"
_EPOCH = "1900-01-01"


@dataclass(frozen=True)
class DuePeriod:
    """Rows of a month that are due."""

    name: str
    """`2018-03`, or `before-1900`."""
    bounds: Bounds
    rows: int


def due_periods(connection: Connection, family: Family, due: Bounds) -> list[DuePeriod]:
    """The months with rows that can leave, oldest first; of a table that refers to itself, newest first.

    Args:
        connection: of the source.
        family: whose root's rows.
        due: everything before the moment up to which rows are due.
    """
    column = family.root.rows.column(family.root.rule.by)
    query = sql.SQL(
        "SELECT to_char(month, 'YYYY-MM'), month::date::text, (month + interval '1 month')::date::text, count(*)"
        " FROM (SELECT CASE WHEN {by} >= {epoch} THEN date_trunc('month', {by}) END AS month FROM {table} WHERE {due})"
        " AS rows GROUP BY month ORDER BY month NULLS FIRST"
    ).format(
        by=column,
        epoch=due.literal(_EPOCH),
        table=family.root.rows.source,
        due=family.selected(family.root, due),
    )
    with server_errors("The source database"):
        found = connection.execute(query).fetchall()
    periods = [_period(due, *row) for row in found]
    return periods[::-1] if family.own_references else periods


def _period(due: Bounds, name: str | None, first: str | None, beyond: str | None, rows: int) -> DuePeriod:
    if name is None or first is None or beyond is None:
        return DuePeriod(ANCIENT, replace(due, lower=None, upper=_EPOCH), rows)
    return DuePeriod(name, replace(due, lower=first, upper=min(beyond, due.upper)), rows)


def split(connection: Connection, family: Family, period: DuePeriod, max_rows: int) -> Bounds:
    """The first piece of a period with about so many rows; rows of the same moment stay together."""
    if period.rows <= max_rows:
        return period.bounds
    bounds, rows = period.bounds, family.root.rows
    by, here = rows.column(family.root.rule.by), family.selected(family.root, period.bounds)
    ordered = sql.SQL("SELECT {by}::text FROM {table} WHERE {here} ORDER BY {by} OFFSET {at} LIMIT 1")
    first, at_limit = (
        _one(connection, ordered.format(by=by, table=rows.source, here=here, at=sql.Literal(at)))
        for at in (0, max_rows)
    )
    if first is None or at_limit is None:
        return bounds
    if first == at_limit:
        later = sql.SQL("SELECT min({by})::text FROM {table} WHERE {here} AND {by} > {first}")
        first_bound = bounds.literal(first)
        at_limit = _one(connection, later.format(by=by, table=rows.source, here=here, first=first_bound))
    return replace(bounds, upper=at_limit) if at_limit is not None else bounds


def held_rows(connection: Connection, family: Family, due: Bounds) -> tuple[Held, ...]:
    """The rows that are old enough and stay, by what refers to them. A row can count under several."""
    found = []
    for reference, conditions in _by_reference(family, due):
        query = sql.SQL("SELECT count(*) FROM {} WHERE {} AND ({})").format(
            family.root.rows.source, family.old(due), sql.SQL(" OR ").join(conditions)
        )
        with server_errors("The source database"):
            row = connection.execute(query).fetchone()
        if row is not None and row[0]:
            found.append(Held(".".join(reference.child), row[0], _reason(family, reference)))
    return tuple(found)


def _by_reference(family: Family, due: Bounds) -> list[tuple[Reference, list[sql.Composable]]]:
    grouped: dict[Reference, list[sql.Composable]] = {}
    for blocker in family.blocked(due):
        grouped.setdefault(blocker.reference, []).append(blocker.condition)
    return list(grouped.items())


def _reason(family: Family, reference: Reference) -> str:
    child, parent = ".".join(reference.child), ".".join(reference.parent)
    how = f"by the foreign key {reference.constraint}" if reference.constraint else "by a link of the policy"
    if reference in family.own_references:
        return f"rows of {child} that stay refer to them {how}"
    with_them = "" if reference.parent == family.root.name else f" (rows of {parent} that would go with them)"
    return f"rows of {child} refer to them{with_them} {how}, and have no archive rule like theirs"


def _one(connection: Connection, query: sql.Composed) -> str | None:
    with server_errors("The source database"):
        row = connection.execute(query).fetchone()
    return row[0] if row else None

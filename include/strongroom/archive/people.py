"""Whose rows leave: the identifiers of people that a family's tables hold, as the policy's links tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count

from psycopg import sql

from strongroom.archive.family import Bounds, Family, Member
from strongroom.archive.persons import PersonValue, normalised
from strongroom.policy import Policy
from strongroom.policy.people import Normalisation
from strongroom.postgres import Connection, server_errors

_FETCHED_ROWS = 5000
_numbers = count(1)


@dataclass(frozen=True)
class PersonColumn:
    """A column whose values name people."""

    member: Member
    column: str
    subject: str
    identifier: str
    normalise: Normalisation
    type_column: str | None = None
    type_value: str | None = None


def person_columns(
    policy: Policy, family: Family, primary_keys: Mapping[str, tuple[str, ...]]
) -> list[PersonColumn]:
    """The columns of the family's tables that are identifiers of people, or refer to one directly."""
    found: list[PersonColumn] = []
    for member in family.members:
        for subject, entry in policy.subjects.items():
            for name, identifier in entry.identifiers.items():
                if entry.table == member.policy_name:
                    found.append(PersonColumn(member, identifier.column, subject, name, identifier.normalise))
                    continue
                for link in policy.tables[member.policy_name].links:
                    targets = link.to_columns or primary_keys.get(link.to, ())
                    if link.to != entry.table or link.meaning == "lookup" or link.path:
                        continue
                    for column, target in zip(link.columns, targets, strict=False):
                        if target == identifier.column:
                            found.append(
                                PersonColumn(
                                    member,
                                    column,
                                    subject,
                                    name,
                                    identifier.normalise,
                                    link.type_column,
                                    link.type_value,
                                )
                            )
    return found


def people_in(
    connection: Connection, family: Family, bounds: Bounds, columns: list[PersonColumn]
) -> Iterator[PersonValue]:
    """The people whose rows leave together, read in the connection's transaction, a few at a time."""
    for column in columns:
        for value in _values(connection, family, bounds, column):
            yield column.subject, column.identifier, normalised(value, column.normalise)


def _values(connection: Connection, family: Family, bounds: Bounds, column: PersonColumn) -> Iterator[str]:
    rows = column.member.rows
    value = rows.column(column.column)
    conditions = [family.selected(column.member, bounds), sql.SQL("{} IS NOT NULL").format(value)]
    if column.type_column is not None:
        kind = sql.SQL("{}::text = {}").format(
            rows.column(column.type_column), sql.Literal(column.type_value)
        )
        conditions.append(kind)
    cursor = sql.Identifier(f"strongroom_people_{next(_numbers)}")
    query = sql.SQL("DECLARE {} NO SCROLL CURSOR FOR SELECT DISTINCT {}::text FROM {} WHERE {}").format(
        cursor, value, rows.source, sql.SQL(" AND ").join(conditions)
    )
    fetch = sql.SQL("FETCH {} FROM {}").format(sql.Literal(_FETCHED_ROWS), cursor)
    with server_errors("The source database"):
        connection.execute(query)
        while found := connection.execute(fetch).fetchall():
            yield from (str(row[0]) for row in found)
        connection.execute(sql.SQL("CLOSE {}").format(cursor))

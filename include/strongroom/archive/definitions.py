"""What a sweep found its tables to be, and that they still are that when rows leave.

A sweep may take hours, in many transactions. A column that somebody adds meanwhile would not be read, and its values
would go with the rows; a foreign key that is added meanwhile may let the database delete rows that nobody has archived.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import sql

from strongroom.archive.errors import SweepBlockedError
from strongroom.archive.family import Family
from strongroom.archive.references import ColumnFacts, Reference, TableName, columns_of, foreign_keys
from strongroom.postgres import Connection, server_errors


@dataclass(frozen=True)
class Definitions:
    """The columns of a family's members, and the foreign keys to them."""

    columns: Mapping[TableName, tuple[ColumnFacts, ...]]
    keys: tuple[Reference, ...]


def definitions_of(connection: Connection, family: Family) -> Definitions:
    """The definitions as the connection sees them now."""
    names = {member.name for member in family.members}
    return Definitions(
        {name: columns_of(connection, name) for name in names},
        tuple(key for key in foreign_keys(connection) if key.parent in names),
    )


def hold_definitions(connection: Connection, family: Family) -> None:
    """Let nobody change the tables' definitions until the transaction ends; reading and writing go on.

    Call before the snapshot.
    """
    names = sql.SQL(", ").join(sql.Identifier(*member.name) for member in family.members)
    with server_errors("The source database"):
        connection.execute(sql.SQL("LOCK TABLE {} IN ROW EXCLUSIVE MODE").format(names))


def check_definitions(connection: Connection, family: Family, before: Definitions) -> None:
    """Let tables pass that are what they were.

    Raises:
        SweepBlockedError: columns or foreign keys have changed.
    """
    now = definitions_of(connection, family)
    for member in family.members:
        if now.columns[member.name] != before.columns[member.name]:
            raise SweepBlockedError(
                f"The columns of {member.policy_name} have changed since the sweep began.",
                hint="What has moved has moved; the rest stays. Bring the policy up to date, and sweep again.",
            )
    if now.keys != before.keys:
        raise SweepBlockedError(
            f"The foreign keys to {family.root.policy_name} and what goes with it have changed since the sweep began.",
            hint="What has moved has moved; the rest stays. Sweep again.",
        )

"""Asking the server itself whether a CHECK, a domain or a type takes what an erasure would write.

Nothing is written: the expressions are evaluated by SELECT in a read-only transaction that is rolled back. A
constant is tried on its own; what depends on the row is tried on rows of the table, the server answers with a
number, and no value leaves it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import psycopg
from psycopg import errors as pg_errors
from psycopg import sql

from strongroom.policy import Policy
from strongroom.postgres import Connection, server_errors
from strongroom.rules.catalogue import Check, LiveCatalogue, LiveColumn, LiveKind, LiveTable
from strongroom.rules.erasing import empties, erase_methods
from strongroom.rules.findings import Finding
from strongroom.rules.replacements import changes_value, misfit, replacement

_TRIED_ROWS = 1000
_REFUSALS = (
    psycopg.DataError,  # the text is no value of the type, or too long for it
    pg_errors.CheckViolation,  # of a domain
    pg_errors.NotNullViolation,  # of a domain
)

Replacements = Mapping[str, sql.Composable]


def trial_findings(policy: Policy, connection: Connection, catalogue: LiveCatalogue) -> Iterator[Finding]:
    """Each replacement that its type, its domain or a CHECK refuses.

    Raises:
        PostgresError: the server refused to be asked, or did not answer.
    """
    with (
        server_errors("The database server"),
        connection.transaction(force_rollback=True),
    ):
        connection.execute("SET TRANSACTION READ ONLY")
        yield from [
            finding
            for name, table in policy.tables.items()
            if (live := catalogue.find(name)) is not None and _can_be_tried(live)
            for finding in [
                *_row_trial(connection, name, _replacements(erase_methods(table), live), live),
                *(
                    finding
                    for link in table.links
                    if empties(link)
                    for finding in _row_trial(connection, name, _emptied(link.columns, live), live)
                ),
            ]
        ]


def _can_be_tried(live: LiveTable) -> bool:
    return live.root is None and live.kind in (LiveKind.ORDINARY, LiveKind.PARTITIONED)


def _replacements(methods: Mapping[str, str], live: LiveTable) -> Replacements:
    """The new values of the columns that an erasure writes; what does not fit anyhow is left out."""
    return {
        name: replacement(method, live.column[name])
        for name, method in methods.items()
        if name in live.column and changes_value(method) and misfit(method, live.column[name]) is None
    }


def _emptied(columns: Sequence[str], live: LiveTable) -> Replacements:
    return {
        name: sql.SQL("NULL::{}").format(sql.SQL(live.column[name].type))
        for name in columns
        if name in live.column and not live.column[name].not_null
    }


def _row_trial(connection: Connection, name: str, values: Replacements, live: LiveTable) -> Iterator[Finding]:
    refused = set()
    for column, value in values.items():
        if not _takes(connection, value, live.column[column], live):
            refused.add(column)
            what = f"the type {live.column[column].type} refuses the value that the policy would write"
            yield Finding(name, "erase_misfit", what, column)
    usable = {column: value for column, value in values.items() if column not in refused}
    for check in live.checks:
        touched = [column for column in check.columns if column in usable]
        if touched and _breaks(connection, check, usable, live):
            what = (
                f"the value that the policy would write breaks the CHECK {check.name}; choose another erase, or relax "
                "the CHECK"
            )
            yield Finding(name, "erase_breaks_check", what, touched[0])


def _takes(connection: Connection, value: sql.Composable, column: LiveColumn, live: LiveTable) -> bool:
    """Whether the type makes a value of it: over a row of NULLs, and over rows of the table."""
    nothing = sql.SQL("(SELECT NULL::{} AS {}) AS row").format(
        sql.SQL(column.type if not column.domain else column.base_type),
        sql.Identifier(column.name),
    )
    rows = sql.SQL("(SELECT {} FROM {} LIMIT {}) AS row").format(
        sql.Identifier(column.name), _qualified(live), sql.Literal(_TRIED_ROWS)
    )
    return all(
        _answers(connection, sql.SQL("SELECT count({}) FROM {}").format(value, source))
        for source in (nothing, rows)
    )


def _answers(connection: Connection, query: sql.Composed) -> bool:
    try:
        with connection.transaction():
            connection.execute(query)
    except _REFUSALS:
        return False
    return True


def _breaks(connection: Connection, check: Check, values: Replacements, live: LiveTable) -> bool:
    """Whether the check is false of a row with the new values: of a lone constant, and of rows of the table."""
    expression = sql.SQL(check.expression)  # the server's own text
    needed = [live.column[column] for column in check.columns]
    sources = [_replaced_rows(values, needed, live)]
    if len(needed) == 1:
        sources.append(_replaced_nothing(values, needed[0]))
    for source in sources:
        query = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE NOT ({}))").format(source, expression)
        try:
            with connection.transaction():
                row = connection.execute(query).fetchone()
        except psycopg.DataError:
            return True
        if row is None or row[0]:
            return True
    return False


def _replaced_rows(values: Replacements, needed: Sequence[LiveColumn], live: LiveTable) -> sql.Composable:
    columns = sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(
            values.get(column.name, sql.Identifier(column.name)), sql.Identifier(column.name)
        )
        for column in needed
    )
    return sql.SQL("(SELECT {} FROM (SELECT * FROM {} LIMIT {}) AS old) AS {}").format(
        columns, _qualified(live), sql.Literal(_TRIED_ROWS), sql.Identifier(live.id.name)
    )


def _replaced_nothing(values: Replacements, column: LiveColumn) -> sql.Composable:
    return sql.SQL("(SELECT {value} AS {name} FROM (SELECT NULL::{type} AS {name}) AS old) AS new").format(
        value=values[column.name],
        name=sql.Identifier(column.name),
        type=sql.SQL(column.base_type if column.domain else column.type),
    )


def _qualified(live: LiveTable) -> sql.Identifier:
    return sql.Identifier(live.id.schema, live.id.name)

"""What the content of columns looks like, told by the server as counts; no value leaves it."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from psycopg import sql

from strongroom.postgres import Connection, server_errors
from strongroom.rules.catalogue import LiveCatalogue, LiveColumn, LiveKind, LiveTable, TableId

_SAMPLED_ROWS = 500
_MOST = 0.6
_READ = (LiveKind.ORDINARY, LiveKind.PARTITIONED)  # a view may be empty yet, a foreign table far away
_EMAIL = r"[^@[:space:]]+@[^@[:space:]]+\.[[:alpha:]]{2,}"


class Shape(enum.StrEnum):
    """What most values of a column look like, or, for `MENTIONS_EMAIL`, what stands inside some."""

    EMAIL = "email"
    PHONE = "phone"
    IP = "ip"
    IBAN = "iban"
    MENTIONS_EMAIL = "mentions_email"


_PATTERNS = {
    Shape.EMAIL: f"^{_EMAIL}$",
    Shape.PHONE: r"^(\+|00)[0-9][0-9 ()./-]{6,20}$",
    Shape.IP: r"^([0-9]{1,3}\.){3}[0-9]{1,3}$",
    Shape.IBAN: r"^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$",
    Shape.MENTIONS_EMAIL: rf"(^|[^[:alnum:]]){_EMAIL}",
}

Shapes = Mapping[TableId, Mapping[str, Shape]]
"""By table and column; columns of no recognised shape are left out."""


def sample_shapes(connection: Connection, catalogue: LiveCatalogue) -> Shapes:
    """Look at some rows of each table, in a read-only transaction.

    Raises:
        PostgresError: the server refused or did not answer.
    """
    with server_errors("The database server"), connection.transaction(force_rollback=True):
        connection.execute("SET TRANSACTION READ ONLY")
        return {live.id: _shapes(connection, live) for live in catalogue.roots() if live.kind in _READ}


def _shapes(connection: Connection, live: LiveTable) -> Mapping[str, Shape]:
    columns = [column for column in live.columns if _is_text(column)]
    if not columns:
        return {}
    counts = sql.SQL(", ").join(
        sql.SQL("count({column}), {matches}").format(
            column=sql.Identifier(column.name),
            matches=sql.SQL(", ").join(
                sql.SQL("count(*) FILTER (WHERE {}::text ~ {})").format(
                    sql.Identifier(column.name), sql.Literal(pattern)
                )
                for pattern in _PATTERNS.values()
            ),
        )
        for column in columns
    )
    query = sql.SQL("SELECT {} FROM (SELECT * FROM {} LIMIT {}) AS sample").format(
        counts, sql.Identifier(live.id.schema, live.id.name), sql.Literal(_SAMPLED_ROWS)
    )
    row = connection.execute(query).fetchone() or ()
    width = 1 + len(_PATTERNS)
    found = {}
    for number, column in enumerate(columns):
        shape = _shape(*row[number * width : (number + 1) * width])
        if shape is not None:
            found[column.name] = shape
    return found


def _shape(filled: int, *matching: int) -> Shape | None:
    for shape, count in zip(_PATTERNS, matching, strict=True):
        enough = count > 0 if shape is Shape.MENTIONS_EMAIL else count > _MOST * filled
        if filled and enough:
            return shape
    return None


def _is_text(column: LiveColumn) -> bool:
    return column.type_class == "S" or column.base_type in (
        "json",
        "jsonb",
        "text[]",
        "character varying[]",
        "xml",
    )

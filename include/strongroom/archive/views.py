"""A table of an archive as a view in DuckDB: all its files, and perhaps its live rows, with types to compute with.

Columns that have others beside them for what does not fit (see `columns`) appear once: infinite moments and those
before Christ are values of DuckDB's too. What is not a number has no decimal value: where there is such a one, its
column is null there, and the column beside it, `<name>::exact`, is shown as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from strongroom.archive.columns import ColumnCodec, Form, TableCodec
from strongroom.archive.errors import ArchiveQueryError
from strongroom.archive.manifest import PartTable

_DUCK_MOMENTS = {"date32[day]": "DATE", "timestamp[us]": "TIMESTAMP", "timestamp[us, tz=UTC]": "TIMESTAMPTZ"}
_DUCK_TYPES = {
    "boolean": "BOOLEAN",
    "smallint": "SMALLINT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "real": "FLOAT",
    "double precision": "DOUBLE",
    "date": "DATE",
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMPTZ",
    "bytea": "BLOB",
    "uuid": "UUID",
}


@dataclass(frozen=True)
class Source:
    """Something that a view reads from.

    Args:
        relation: what follows FROM.
        codec: of its rows.
        filled: the columns beside others in which there is a value.
    """

    relation: str
    codec: TableCodec
    filled: frozenset[str]


def quoted(*names: str) -> str:
    """A name in SQL."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def literal(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def view_statement(schema: str, name: str, selects: Sequence[str]) -> str:
    """The statement that makes the view of one table from `rows_of` or `nothing_of`."""
    return f"CREATE VIEW {quoted(schema, name)} AS " + " UNION ALL BY NAME ".join(selects)


def rows_of(source: Source) -> str:
    """The rows of a source, with types to compute with.

    Raises:
        ArchiveQueryError: two columns differ by case alone.
    """
    _refuse_equal_names(source.codec.table, (column.name for column in source.codec.columns))
    columns = ", ".join(part for column in source.codec.columns for part in _column(column, source.filled))
    return f"SELECT {columns} FROM {source.relation}"  # noqa: S608 - every name in it is quoted


def nothing_of(table: PartTable) -> str:
    """No rows, with the types that the declared ones have in DuckDB.

    Raises:
        ArchiveQueryError: two columns differ by case alone.
    """
    _refuse_equal_names(table.table, (column.name for column in table.columns))
    columns = (
        f"CAST(NULL AS {_duck_type(column.type)}) AS {quoted(column.name)}" for column in table.columns
    )
    return f"SELECT {', '.join(columns)} WHERE false"


def _column(column: ColumnCodec, filled: frozenset[str]) -> Iterator[str]:
    name = quoted(column.name)
    if column.exact_name is None or column.exact_name not in filled:
        yield name
    elif column.form is Form.MOMENT:
        moment, exact = _DUCK_MOMENTS[str(column.arrow_type)], quoted(column.exact_name)
        text = rf"regexp_replace({exact}, '^(\S+)(.*) BC$', '\1 (BC)\2')"
        yield f"CASE WHEN {exact} IS NULL THEN {name} ELSE CAST({text} AS {moment}) END AS {name}"
    else:
        yield name
        yield quoted(column.exact_name)


def _duck_type(declared: str) -> str:
    if declared.startswith("numeric(") and "-" not in declared:
        return declared.replace("numeric", "DECIMAL")
    return _DUCK_TYPES.get(declared, "VARCHAR")


def _refuse_equal_names(table: str, names: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(name.casefold(), name)) != name:
            raise ArchiveQueryError(
                f"{table} has the columns {other} and {name}, which SQL over archives does not tell apart.",
                hint="Restore the rows into a table with `strongroom archive restore`, and ask there.",
            )

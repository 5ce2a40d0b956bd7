"""What an erasure writes over a value: one SQL expression for each method and type of column.

The new value is random or constant, never computed from the old one, but for the dates that `year_only` and
`month_only` make coarser and the number of digits that `random_digits` keeps. Randomness is `gen_random_uuid()`,
which PostgreSQL takes from a strong source.
"""

from __future__ import annotations

from collections.abc import Callable

from psycopg import sql

from strongroom.policy.erasing import ERASE_METHODS
from strongroom.rules.catalogue import LiveColumn

_HEX = "replace(pg_catalog.gen_random_uuid()::text, '-', '')"
_LETTERS = f"translate({_HEX}, '0123456789abcdef', 'ghijkmnopqrstuvw')"
_DIGITS = f"translate({_HEX}, 'abcdef', '012345')"
_MAIL_HOST = "@erased.invalid"
_LONGEST = 32
_SHORTEST = {"random_email": len(_MAIL_HOST) + 8, "random_name": 4, "random_text": 4, "random_phone": 8}
_FIXED_LENGTH = {"random_uuid": 36, "random_ip": 39}
_DATES = ("date", "timestamp without time zone", "timestamp with time zone")
_JSON = ("json", "jsonb")
_KEEP = ("with_row", "generated")

CONSTANT_METHODS = frozenset({"set_empty", "set_zero"})
"""Methods that leave the same value in every row; a text of one's own does so too."""


def is_constant(method: str) -> bool:
    """Whether the method leaves the same value, not NULL, in every row."""
    return method in CONSTANT_METHODS or method not in ERASE_METHODS


def changes_value(method: str) -> bool:
    """Whether the method writes a value; `with_row` and `generated` leave that to the row and the database."""
    return method not in _KEEP


def misfit(method: str, column: LiveColumn) -> str | None:
    """Why the method cannot be used for the column, as a sentence, or None where it can.

    Judged by type, length, NOT NULL and whether the database lets anybody write the column; whether a CHECK takes
    the value only a trial tells.
    """
    if method == "with_row":
        return None
    if column.generated != (method == "generated"):
        return (
            "the database computes this column: erase it by `generated`"
            if column.generated
            else "`generated` is for columns that the database computes, and this is none"
        )
    if column.generated:
        return None
    if column.identity == "always":
        return "an identity column that is always generated cannot be changed: erase it by `with_row`"
    if method == "set_null":
        return "`set_null` on a column that is NOT NULL" if column.not_null else None
    return _wrong_type(method, column) or _too_long(method, column)


def _wrong_type(method: str, column: LiveColumn) -> str | None:
    text = column.type_class == "S"
    fits: dict[str, Callable[[], bool]] = {
        "set_empty": lambda: text or column.type_class == "A" or column.base_type in (*_JSON, "bytea"),
        "set_zero": lambda: column.type_class == "N",
        "random_email": lambda: text,
        "random_name": lambda: text,
        "random_phone": lambda: text,
        "random_text": lambda: text,
        "random_digits": lambda: text or column.type_class == "N",
        "random_uuid": lambda: text or column.base_type == "uuid",
        "random_bytes": lambda: column.base_type == "bytea",
        "random_ip": lambda: text or column.base_type in ("inet", "cidr"),
        "year_only": lambda: column.base_type in _DATES,
        "month_only": lambda: column.base_type in _DATES,
        "remove": lambda: False,
    }
    if method in fits and not fits[method]():
        return f"`{method}` does not fit the type {column.type}"
    return None


def _too_long(method: str, column: LiveColumn) -> str | None:
    if column.max_length is None:
        return None
    if method in ERASE_METHODS:
        length = _SHORTEST.get(method) or _FIXED_LENGTH.get(method) or 0
    else:
        length = len(method)
    if length <= column.max_length:
        return None
    return f"the replacement has {length} characters, and the column takes {column.max_length}"


def replacement(method: str, column: LiveColumn) -> sql.Composable:
    """The SQL expression of the new value, in a statement where the column can be named.

    Call it for methods that `misfit` has nothing against, and `changes_value` is true of.
    """
    old = sql.Identifier(column.name)
    length = min(column.max_length or _LONGEST, _LONGEST)
    if method not in ERASE_METHODS:
        return _as_type(sql.Literal(method), column)
    expressions: dict[str, Callable[[], sql.Composable]] = {
        "set_null": lambda: sql.SQL("NULL"),
        "set_empty": lambda: sql.Literal("{}" if _is_container(column) else ""),
        "set_zero": lambda: sql.SQL("0"),
        "random_email": lambda: _email(column.max_length),
        "random_name": lambda: _cut(_LETTERS, length),
        "random_text": lambda: _cut(_LETTERS, length),
        "random_phone": lambda: _cut(f"'+' || {_DIGITS}", min(length, 15)),
        "random_digits": lambda: _digits(old, column),
        "random_uuid": lambda: sql.SQL("pg_catalog.gen_random_uuid()"),
        "random_bytes": lambda: sql.SQL(f"decode({_HEX}, 'hex')"),
        "random_ip": lambda: sql.SQL(
            f"'2001:db8:' || regexp_replace(left({_HEX}, 24), '(....)(?=.)', '\\1:', 'g')"
        ),
        "year_only": lambda: sql.SQL("date_trunc('year', {})").format(old),
        "month_only": lambda: sql.SQL("date_trunc('month', {})").format(old),
    }
    return _as_type(expressions[method](), column)


def _as_type(expression: sql.Composable, column: LiveColumn) -> sql.Composable:
    # The type's text is the server's own (format_type), quoted where it has to be.
    return sql.SQL("CAST({} AS {})").format(expression, sql.SQL(column.type))


def _is_container(column: LiveColumn) -> bool:
    return column.type_class == "A" or column.base_type in _JSON


def _cut(expression: str, length: int) -> sql.Composable:
    return sql.SQL(f"left({expression}, {length})")


def _email(max_length: int | None) -> sql.Composable:
    local = min(_LONGEST, (max_length or _LONGEST + len(_MAIL_HOST)) - len(_MAIL_HOST))
    return sql.SQL(f"left({_HEX}, {local}) || '{_MAIL_HOST}'")


def _digits(old: sql.Identifier, column: LiveColumn) -> sql.Composable:
    count = sql.SQL("length(regexp_replace({}::text, '[^0-9]', '', 'g'))").format(old)
    if column.type_class == "S":
        return sql.SQL(f"left({_DIGITS} || {_DIGITS}, {{}})").format(count)
    # A leading 1 keeps as many digits as before within every integer type.
    return sql.SQL(f"left('1' || {_DIGITS}, greatest({{}}, 1))").format(count)

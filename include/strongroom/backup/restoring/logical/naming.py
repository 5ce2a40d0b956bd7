"""Names of tables and schemas as people write them: `public.film`, or quoted as in SQL: `"Odd ""x"".t"."a.b"`."""

from __future__ import annotations

import re

from strongroom.backup.logical.contents import Name
from strongroom.errors import InputError

_PART = r'"(?:[^"]|"")+"|[^".]+'
_TABLE = re.compile(rf"({_PART})\.({_PART})", re.DOTALL)
_SCHEMA = re.compile(_PART, re.DOTALL)
_LONGEST_BYTES = 63


def table_name(text: str) -> Name:
    """Schema and name of a table.

    Raises:
        InputError: it is not written so.
    """
    match = _TABLE.fullmatch(text)
    if match is None:
        raise InputError(
            f"{text!r} does not name a table.",
            hint='Write schema.table; a part with a dot or a quote in double quotes: public."odd.name".',
        )
    return _plain(match[1]), _plain(match[2])


def schema_name(text: str) -> str:
    """The name of a schema, of a database, or of a table without its schema.

    Raises:
        InputError: it is not written so, or too long for PostgreSQL.
    """
    if _SCHEMA.fullmatch(text) is None:
        raise InputError(
            f"{text!r} is not a name.", hint="Put a name with a dot or a quote in double quotes."
        )
    name = _plain(text)
    if len(name.encode()) > _LONGEST_BYTES:
        raise InputError(f"{name!r} is longer than the {_LONGEST_BYTES} bytes that PostgreSQL allows.")
    return name


def _plain(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part

"""The words of a policy file: names of databases, tables and columns, and other short texts, each checked."""

from __future__ import annotations

import re
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, WithJsonSchema

from strongroom.policy.categories import CATEGORIES
from strongroom.policy.cron import Cron
from strongroom.policy.suggestions import did_you_mean, shown

_DATABASE = r"^[a-z][a-z0-9_]{0,62}$"
_NAME = r"^[a-z][a-z0-9_]{0,62}$"
_PLAIN = r"[a-z_][a-z0-9_$]*"
_PART = rf'(?:{_PLAIN}|"(?:[^"\x00]|"")+")'
_TABLE = rf"^{_PART}\.{_PART}$"
_FILE = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\.ya?ml$"
_MOST_IDENTIFIER_BYTES = 63
_SIZE = r"^([1-9][0-9]{0,8})(MB|GB|TB)$"
_UNITS = {"MB": 1000**2, "GB": 1000**3, "TB": 1000**4}


class Part(BaseModel):
    """A part of a policy: strict, closed to unknown keys, and never changed after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


def _database(text: str) -> str:
    if not re.fullmatch(_DATABASE, text):
        raise ValueError(
            f"{shown(text)} cannot name a database here: a small letter, then at most 62 small letters, digits "
            "and underscores, because the name is part of DAG ids, object keys and the connection db_<name>"
        )
    return text


def _name(text: str) -> str:
    if not re.fullmatch(_NAME, text):
        raise ValueError(
            f"{shown(text)} is not a name: a small letter, then small letters, digits, underscores"
        )
    return text


def check_table(text: str) -> str:
    """The text, if it is a table with its schema.

    Raises:
        ValueError: it is not.
    """
    if not re.fullmatch(_TABLE, text):
        raise ValueError(
            f"{shown(text)} is not a table with its schema; write schema.table, and in double quotes what is not "
            'in small letters, as in public."Order Details"'
        )
    for identifier in split_table(text):
        _identifier(identifier)
    return text


def _identifier(text: str) -> str:
    if not text or "\x00" in text or len(text.encode()) > _MOST_IDENTIFIER_BYTES:
        raise ValueError(f"{shown(text)} cannot be a name in PostgreSQL: 1 to 63 bytes")
    return text


def _file(text: str) -> str:
    if not re.fullmatch(_FILE, text):
        raise ValueError(
            f"{shown(text)} is not a file in include/expectations; write its name, as in shop.yaml"
        )
    return text


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def _category(text: str) -> str:
    if text not in CATEGORIES:
        raise ValueError(
            f"{shown(text)} is not a category of the fideslang taxonomy{did_you_mean(text, CATEGORIES)}"
        )
    return text


def _schedule(text: str) -> str:
    Cron.parse(text)
    return text


def _size(text: str) -> str:
    size_bytes(text)
    return text


def size_bytes(text: str) -> int:
    """How many bytes a size such as `500MB` or `10GB` is; the units are powers of 1,000.

    Raises:
        ValueError: the text is no size.
    """
    match = re.fullmatch(_SIZE, text)
    if match is None:
        raise ValueError(f"{shown(text)} is not a size; write it like '500MB' or '10GB'")
    return int(match[1]) * _UNITS[match[2]]


def _time_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(
            f"{shown(text)} is not a time zone; write UTC or a name like Europe/Brussels"
        ) from error
    return text


def _mailbox(text: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", text):
        raise ValueError(f"{shown(text)} is not an e-mail address")
    return text


def split_table(table: str) -> tuple[str, str]:
    """Schema and table as PostgreSQL's catalogue has them: `public."Order Details"` without its quotes."""
    schema, name = re.findall(_PART, table)
    return _unquoted(schema), _unquoted(name)


def _unquoted(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part


def _schema(**facts: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **facts})


DatabaseName = Annotated[str, AfterValidator(_database), _schema(pattern=_DATABASE)]
"""The short name of a database."""

Name = Annotated[str, AfterValidator(_name), _schema(pattern=_NAME)]
"""The name of a purpose, a kind of person, an identifier, a store."""

TableName = Annotated[str, AfterValidator(check_table), _schema(pattern=_TABLE)]
"""A table as `schema.table`; `split_table` takes it apart."""

ColumnName = Annotated[str, AfterValidator(_identifier), _schema(minLength=1, maxLength=63)]
"""A column, as PostgreSQL's catalogue has it."""

FileName = Annotated[str, AfterValidator(_file), _schema(pattern=_FILE)]
"""A YAML file, without folders."""

Text = Annotated[str, AfterValidator(_text), _schema(minLength=1)]
"""Words for people."""

Category = Annotated[str, AfterValidator(_category), _schema(enum=list(CATEGORIES))]
"""A key of the fideslang taxonomy of data categories."""

Schedule = Annotated[str, AfterValidator(_schedule), _schema(examples=["0 2 * * *"])]
"""A cron schedule of five fields."""

Size = Annotated[str, AfterValidator(_size), _schema(pattern=_SIZE, examples=["10GB"])]
"""A number of bytes with a unit; `size_bytes` reads it."""

TimeZone = Annotated[str, AfterValidator(_time_zone), _schema(examples=["UTC", "Europe/Brussels"])]
"""A time zone of the IANA database."""

Mailbox = Annotated[str, AfterValidator(_mailbox), _schema(pattern=r"^[^@\s]+@[^@\s]+$")]
"""An e-mail address."""

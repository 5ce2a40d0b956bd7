"""Smoke SQL: one reading statement that is true when the restored data is alive."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from strongroom.policy.suggestions import shown

_QUOTED = re.compile(
    r"""
      [eE]'(?:[^'\\]|\\.|'')*'          # escape string
    | '(?:[^']|'')*'                    # string
    | "(?:[^"]|"")*"                    # quoted name
    | \$([A-Za-z_]\w*|)\$.*?\$\1\$      # dollar quoting
    | --[^\n]*                          # comment to the line's end
    | /\*.*?\*/                         # comment
    """,
    re.VERBOSE | re.DOTALL,
)
_READING = ("select", "with", "values", "table")
_WRITING = re.compile(
    r"\b(insert|update|delete|merge|truncate|drop|alter|create|grant|copy|into|call|do)\b", re.I
)


def _reading_statement(text: str) -> str:
    code = _QUOTED.sub(" '' ", text).strip()
    code = code.removesuffix(";").rstrip()
    if ";" in code:
        raise ValueError(f"{shown(text)} holds more than one statement; write each as an item of its own")
    first = re.match(r"[\s(]*([A-Za-z]*)", code)
    if first is None or first[1].lower() not in _READING:
        raise ValueError(f"{shown(text)} does not read: smoke SQL is one SELECT that gives true")
    writing = _WRITING.search(code)
    if writing:
        raise ValueError(
            f"{shown(text)} would write ({writing[1].lower()}); smoke SQL is one SELECT that gives true"
        )
    return text


SmokeSql = Annotated[
    str,
    AfterValidator(_reading_statement),
    WithJsonSchema({"type": "string", "examples": ["select count(*) > 0 from public.customer"]}),
]
"""One SELECT. The check is a cheap one against mistakes; it runs in a read-only transaction anyway."""

r"""Rows as PostgreSQL's COPY text: columns joined by tabs, rows ended by line feeds, `\N` for NULL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NULL = r"\N"

Columns = Sequence[Iterable[str]]
"""One iterable of texts per column, all of the same length, already in COPY's text format."""


def copy_text(columns: Columns) -> bytes:
    """The rows that the columns make up."""
    lines = "\n".join(map("\t".join, zip(*columns, strict=True)))
    return f"{lines}\n".encode() if lines else b""


def cents(amounts: Iterable[int]) -> list[str]:
    """Amounts of money in cents, as decimal texts."""
    return [f"{amount // 100}.{amount % 100:02}" for amount in amounts]

"""How commands answer: tables and sentences for people, one JSON document for programs (`--json`)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

_WIDTH_WITHOUT_A_TERMINAL = 160

out = Console(
    highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_A_TERMINAL
)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Row = Mapping[str, Any]


def print_json(document: Any) -> None:
    """Write one JSON document to standard output."""
    json.dump(document, sys.stdout, indent=2, default=_plain, ensure_ascii=False)
    sys.stdout.write("\n")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Write a table, or a sentence where there is nothing to show."""
    lines = [[cell(value) for value in row] for row in rows]
    if not lines:
        out.print(empty, markup=False)
        return
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in lines:
        table.add_row(*line)
    out.print(table)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Write names and values below one another."""
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        out.print(f"{name:<{width}}  {cell(value)}", markup=False)


def cell(value: Any) -> str:
    """A value as a person reads it."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S %Z")
    return str(value)


def human_bytes(count: int) -> str:
    """A number of bytes with a decimal unit: 1.6 GB."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        from strongroom.clock import timestamp

        return timestamp(value)
    return str(value)

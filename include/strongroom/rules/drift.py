"""What changed in a database since it was last seen, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Document = Mapping[str, Any]
"""A catalogue, or a part of one, as `LiveCatalogue.document` has it."""

_PARTS = {
    "columns": "column",
    "keys": "unique key",
    "checks": "CHECK",
    "foreign_keys": "foreign key",
}
_FACTS = {
    "type": "type",
    "not_null": "NOT NULL",
    "generated": "computed by the database",
    "identity": "identity",
    "has_default": "default",
    "expression": "expression",
    "columns": "columns",
    "target": "target",
    "on_delete": "ON DELETE",
    "on_update": "ON UPDATE",
    "deferrable": "deferrable",
    "primary": "primary",
}


def changes(before: Document, after: Document) -> tuple[str, ...]:
    """Each difference between two catalogues as a sentence, sorted by table; nothing where they are the same."""
    return (
        *_tables(before["tables"], after["tables"]),
        *(f"{view}: the view is gone" for view in sorted(set(before["views"]) - set(after["views"]))),
        *(f"{view}: a new view" for view in sorted(set(after["views"]) - set(before["views"]))),
    )


def _tables(before: Document, after: Document) -> Iterator[str]:
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is None:
            yield f"{name}: {_new_table(after[name])}"
        elif new is None:
            what = f"partition of {old['root']}" if "root" in old else old["kind"]
            yield f"{name}: the {what} is gone"
        elif old != new:
            yield from (f"{name}: {change}" for change in _table(old, new))


def _new_table(table: Document) -> str:
    if "root" in table:
        return f"a new partition of {table['root']}, {table['bounds']}"
    return f"a new {table['kind']} with {len(table['columns'])} column(s)"


def _table(old: Document, new: Document) -> Iterator[str]:
    if ("root" in old) != ("root" in new):
        yield f"was attached to {new['root']}" if "root" in new else f"was detached from {old['root']}"
        return
    for fact in ("kind", "root", "bounds"):
        if old.get(fact) != new.get(fact):
            yield f"{fact} was {old.get(fact)}, is {new.get(fact)}"
    for part, word in _PARTS.items():
        yield from _parts(word, old.get(part, {}), new.get(part, {}))


def _parts(word: str, before: Document, after: Document) -> Iterator[str]:
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is None:
            yield f"a new {word} {name}{_summary(after[name])}"
        elif new is None:
            yield f"the {word} {name} is gone"
        else:
            for fact in sorted(fact for fact in _FACTS if old.get(fact) != new.get(fact)):
                yield f"{word} {name}: {_FACTS[fact]} was {_shown(old[fact])}, is {_shown(new[fact])}"


def _summary(part: Document) -> str:
    if "target" in part:
        return f" ({', '.join(part['columns'])}) to {part['target']}"
    return f" ({part['type']})" if "type" in part else ""


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else (str(value) or "none")

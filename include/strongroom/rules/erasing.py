"""Whether what an erasure writes fits its column: type, length, NOT NULL, UNIQUE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from strongroom.policy import Policy
from strongroom.policy.tables import Link, Table
from strongroom.rules.catalogue import LiveCatalogue, LiveKind, LiveTable
from strongroom.rules.findings import Finding
from strongroom.rules.replacements import is_constant, misfit

_JSON = ("json", "jsonb")


def erase_findings(policy: Policy, catalogue: LiveCatalogue) -> Iterator[Finding]:
    """Each `erase`, and each reference that an erasure empties, that the database would refuse."""
    for name, table in policy.tables.items():
        live = catalogue.find(name)
        if live is None or live.root is not None:
            continue
        methods = erase_methods(table)
        yield from _columns(name, table, live)
        yield from _keys(name, methods, live)
        for link in table.links:
            yield from _emptied(name, link, live)
        if methods and live.kind in (LiveKind.VIEW, LiveKind.FOREIGN):
            what = f"a {live.kind} cannot be erased from here: erase where its rows come from, and say exempt here"
            yield Finding(name, "not_erasable", what)


def erase_methods(table: Table) -> Mapping[str, str]:
    """The table's columns with what replaces them."""
    return {name: column.erase for name, column in table.columns.items() if column.erase is not None}


def empties(link: Link) -> bool:
    """Whether an erasure sets the link's columns to NULL: because it says so, or as `mentions` implies."""
    return link.on_erase == "set_null" or (link.on_erase is None and link.meaning == "mentions")


def _columns(name: str, table: Table, live: LiveTable) -> Iterator[Finding]:
    for column, rule in table.columns.items():
        found = live.column.get(column)
        if found is None:
            continue
        if rule.erase is not None:
            why = misfit(rule.erase, found)
            if why:
                yield Finding(name, "erase_misfit", why, column)
        if rule.paths and found.base_type not in _JSON:
            what = f"paths lead into JSON, and the column is {found.type}"
            yield Finding(name, "erase_misfit", what, column)


def _keys(name: str, methods: Mapping[str, str], live: LiveTable) -> Iterator[Finding]:
    """The same constant in every column of a unique key collides when the second person is erased."""
    for key in live.keys:
        written = {column: methods[column] for column in key.columns if column in methods}
        if not written or set(written) != set(key.columns):
            continue
        emptied = not key.nulls_distinct
        if all(is_constant(method) or (method == "set_null" and emptied) for method in written.values()):
            columns = ", ".join(f"{column} by {method}" for column, method in written.items())
            what = (
                f"replacing {columns} gives every erased person the same value, and {key.name} is UNIQUE: use a "
                "random method, or set_null"
            )
            yield Finding(name, "erase_not_unique", what, next(iter(written)))


def _emptied(name: str, link: Link, live: LiveTable) -> Iterator[Finding]:
    if not empties(link):
        return
    fixed = [column for column in link.columns if column in live.column and live.column[column].not_null]
    if len(fixed) == len(link.columns):
        what = (
            f"when the person at {link.to} is erased, this reference is set to NULL, and the column is NOT NULL: "
            "say with on_erase what else happens (delete, redact or review)"
        )
        yield Finding(name, "erase_misfit", what, fixed[0])

"""Whether the rules about time can be followed: their columns hold a time, and no rule undoes another's."""

from __future__ import annotations

from collections.abc import Iterator

from strongroom.policy import Policy
from strongroom.policy.suggestions import did_you_mean
from strongroom.policy.tables import Table
from strongroom.rules.catalogue import LiveCatalogue, LiveKind, LiveTable
from strongroom.rules.findings import Finding

MOMENT_TYPES = ("date", "timestamp without time zone", "timestamp with time zone")
"""Types from which an age can be counted."""


def lifetime_findings(policy: Policy, catalogue: LiveCatalogue) -> Iterator[Finding]:
    """Rules about time that the database or another rule contradicts."""
    for name, table in policy.tables.items():
        live = catalogue.find(name)
        if live is not None and live.root is None:
            yield from _moments(name, table, live)
            yield from _rows(name, table, live)
            yield from _restriction(name, table, catalogue)
        yield from _children(name, table, policy)


def _moments(name: str, table: Table, live: LiveTable) -> Iterator[Finding]:
    rules = []
    if table.retain:
        rules.append(("retain.from", table.retain.start))
    if table.archive:
        rules.append(("archive.by", table.archive.by))
    if table.on_erasure and table.on_erasure.keep_until:
        rules.append(("on_erasure.keep_until.from", table.on_erasure.keep_until.start))
    for rule, column in rules:
        if column not in live.column:
            guess = did_you_mean(column, live.column)
            yield Finding(name, "missing_column", f"{rule} names a column that is not there{guess}", column)
        elif live.column[column].base_type not in MOMENT_TYPES:
            what = f"{rule} counts from a moment, and the column is {live.column[column].type}"
            yield Finding(name, "not_a_moment", what, column)


def _rows(name: str, table: Table, live: LiveTable) -> Iterator[Finding]:
    """Moving and deleting rows needs a table of this database whose rows can be told apart."""
    for rule in ("retain", "archive"):
        if getattr(table, rule) is None:
            continue
        if live.kind in (LiveKind.VIEW, LiveKind.FOREIGN):
            yield Finding(name, "not_erasable", f"{rule} cannot work on a {live.kind}")
        elif not any(_identifies(live, key.columns) for key in live.keys if key.plain):
            what = f"{rule} needs a primary key, or a unique key whose columns are NOT NULL, to name a row by"
            yield Finding(name, "no_key", what)


def _identifies(live: LiveTable, columns: tuple[str, ...]) -> bool:
    return all(live.column[column].not_null for column in columns)


def _restriction(name: str, table: Table, catalogue: LiveCatalogue) -> Iterator[Finding]:
    if table.restriction and table.restriction.view:
        wanted = table.restriction.view
        if wanted not in {str(view) for view in catalogue.views}:
            guess = did_you_mean(wanted, [str(view) for view in catalogue.views])
            what = f"restriction.view names {wanted}, and the database has no such view{guess}"
            yield Finding(name, "missing_view", what)


def _children(name: str, table: Table, policy: Policy) -> Iterator[Finding]:
    """What the law keeps cannot belong to a row that is deleted earlier."""
    keep = table.on_erasure.keep_until if table.on_erasure else None
    for link in table.links:
        parent = policy.tables.get(link.to)
        ends = parent.retain if parent is not None and link.meaning == "owns" else None
        if keep is None or ends is None or ends.then != "delete":
            continue
        if ends.period.approximate < keep.period.approximate:
            what = (
                f"rows stay for {keep.period} ({keep.basis}), and the row of {link.to} that they belong to is "
                f"deleted after {ends.period}"
            )
            yield Finding(name, "lifetimes_clash", what)

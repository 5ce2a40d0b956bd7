"""Whether the policy's links and the database's foreign keys say the same."""

from __future__ import annotations

from collections.abc import Iterator

from strongroom.policy import Policy
from strongroom.policy.suggestions import did_you_mean
from strongroom.policy.tables import Link, Table
from strongroom.rules.catalogue import Action, ForeignKey, LiveCatalogue, LiveColumn, LiveTable, TableId
from strongroom.rules.findings import Finding

_FAMILIES = (
    frozenset({"smallint", "integer", "bigint", "numeric"}),
    frozenset({"text", "character varying", "character", "citext", "name"}),
    frozenset({"timestamp with time zone", "timestamp without time zone", "date"}),
)
_WITHOUT_KEY = ("identity", "polymorphic")


def reference_findings(policy: Policy, catalogue: LiveCatalogue) -> Iterator[Finding]:
    """Links that the catalogue contradicts, and foreign keys that no link speaks of."""
    for name, table in policy.tables.items():
        live = catalogue.find(name)
        if live is None or live.root is not None:
            continue
        for link in table.links:
            yield from _link(name, table, link, live, catalogue)
        for key in live.foreign_keys:
            yield from _foreign_key(name, table, key, policy, catalogue)


def matching(link: Link, live: LiveTable, catalogue: LiveCatalogue) -> ForeignKey | None:
    """The foreign key that a link is about, or None."""
    for key in live.foreign_keys:
        if key.target == TableId.of(link.to) and _same_pairs(link, key, catalogue):
            return key
    return None


def target_columns(link: Link, catalogue: LiveCatalogue) -> tuple[str, ...]:
    """The columns that a link refers to: its own words, or else the target's primary key."""
    target = catalogue.find(link.to)
    return link.to_columns or (target.primary_key if target else ())


def _same_pairs(link: Link, key: ForeignKey, catalogue: LiveCatalogue) -> bool:
    columns = target_columns(link, catalogue)
    if len(columns) != len(link.columns):
        return False
    return set(zip(link.columns, columns, strict=True)) == set(
        zip(key.columns, key.target_columns, strict=True)
    )


def _link(
    name: str, table: Table, link: Link, live: LiveTable, catalogue: LiveCatalogue
) -> Iterator[Finding]:
    target = catalogue.find(link.to)
    if target is None:
        return  # the table is missing, which is a finding of its own
    columns = target_columns(link, catalogue)
    shown = f"the link {_named(link)}"
    missing = [column for column in link.to_columns if column not in target.column]
    for column in missing:
        guess = did_you_mean(column, target.column)
        yield Finding(
            name, "missing_link_target", f"{shown} names {link.to}.{column}, which is not there{guess}"
        )
    if not columns:
        what = f"{shown} needs to_columns: {link.to} has no primary key"
        yield Finding(name, "missing_link_target", what)
    elif len(columns) != len(link.columns):
        what = (
            f"{shown} has {len(link.columns)} column(s), and the primary key of {link.to} has {len(columns)}"
        )
        yield Finding(name, "clashing_link", what)
    if missing or len(columns) != len(link.columns):
        return
    yield from _types(name, link, live, target, columns)
    yield from _kind(name, link, live, catalogue)
    yield from _cascade(name, table, link, live, catalogue)


def _types(
    name: str, link: Link, live: LiveTable, target: LiveTable, columns: tuple[str, ...]
) -> Iterator[Finding]:
    for own, other in zip(link.columns, columns, strict=True):
        if own not in live.column:
            continue
        if link.path is not None:
            if live.column[own].base_type not in ("json", "jsonb"):
                what = f"the link {_named(link)} has a path into {own}, which is {live.column[own].type}, not JSON"
                yield Finding(name, "clashing_link", what, own)
        elif not _comparable(live.column[own], target.column[other]):
            types = f"{live.column[own].type} with {target.column[other].type}"
            yield Finding(name, "clashing_link", f"the link {_named(link)} compares {types}", own)


def _comparable(one: LiveColumn, other: LiveColumn) -> bool:
    kinds = {one.base_type, other.base_type}
    return len(kinds) == 1 or any(kinds <= family for family in _FAMILIES)


def _kind(name: str, link: Link, live: LiveTable, catalogue: LiveCatalogue) -> Iterator[Finding]:
    key = matching(link, live, catalogue)
    if link.kind in _WITHOUT_KEY and key is not None:
        what = (
            f"the link {_named(link)} says {link.kind}, and the foreign key {key.name} says the same for every row: "
            f"write kind: {link.role}"
        )
        yield Finding(name, "clashing_link", what)
    elif link.kind not in _WITHOUT_KEY and key is None:
        what = (
            f"the link {_named(link)} says {link.kind}, and no foreign key backs it: was one dropped? For equal values "
            f"without a foreign key write kind: identity, role: {link.kind}"
        )
        yield Finding(name, "link_without_foreign_key", what)


def _cascade(
    name: str, table: Table, link: Link, live: LiveTable, catalogue: LiveCatalogue
) -> Iterator[Finding]:
    key = matching(link, live, catalogue)
    if key is None or key.on_delete is not Action.CASCADE:
        return
    reason = None
    if link.kind in ("mentions", "lookup", "shares"):
        reason = f"the policy says {link.kind}: the row here stays"
    elif link.on_erase in ("redact", "set_null", "review"):
        reason = f"the policy says on_erase: {link.on_erase}"
    elif table.on_erasure is not None and table.on_erasure.keep_until is not None:
        reason = f"the policy keeps the row for {table.on_erasure.keep_until.period}"
    elif table.archive is not None:
        reason = "the policy moves the row into an archive first"
    if reason is not None:
        what = (
            f"deleting a row of {link.to} would delete this one too (foreign key {key.name}, ON DELETE CASCADE), "
            f"and {reason}"
        )
        yield Finding(name, "cascade_deletes_more", what)


def _foreign_key(
    name: str, table: Table, key: ForeignKey, policy: Policy, catalogue: LiveCatalogue
) -> Iterator[Finding]:
    target = next((other for other in policy.tables if TableId.of(other) == key.target), None)
    if target is None:
        return  # the target is not classified, which is a finding of its own
    shown = f"the foreign key {key.name} ({', '.join(key.columns)}) to {key.target}"
    if table.exempt:
        if not policy.tables[target].exempt:
            what = f"{shown} leads to rows about people, and the table is exempt: classify it, with a link"
            yield Finding(name, "foreign_key_without_link", what)
        return
    if any(TableId.of(link.to) == key.target and _same_pairs(link, key, catalogue) for link in table.links):
        return
    yield Finding(name, "foreign_key_without_link", f"{shown} has no link: say what it means under links")


def _named(link: Link) -> str:
    return f"({', '.join(link.columns)}) to {link.to}"

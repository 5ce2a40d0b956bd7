"""Whether the policy speaks of every table and column that there is, and of none that is not."""

from __future__ import annotations

from collections.abc import Iterator

from strongroom.policy import Policy
from strongroom.policy.suggestions import did_you_mean
from strongroom.policy.tables import Table
from strongroom.rules.catalogue import LiveCatalogue, LiveKind, LiveTable, TableId
from strongroom.rules.findings import ABOUT_THE_POLICY, Finding


def coverage_findings(policy: Policy, catalogue: LiveCatalogue) -> Iterator[Finding]:
    """Unclassified tables, columns and partitions, and names that the database does not know."""
    declared = {TableId.of(name): name for name in policy.tables}
    for live in catalogue.roots():
        if live.id not in declared:
            yield _unclassified(live, policy, catalogue)
    for identifier, name in declared.items():
        found = catalogue.table.get(identifier)
        if found is None:
            yield _missing(name, identifier, catalogue)
        elif found.root is not None:
            what = f"is a partition of {found.root}, whose rule covers it: remove it from the policy"
            yield Finding(name, "partition_declared", what)
        else:
            yield from _columns(name, policy.tables[name], found)
    yield from _identifiers(policy, catalogue)
    yield from _fingerprints(policy, catalogue)


def _unclassified(live: LiveTable, policy: Policy, catalogue: LiveCatalogue) -> Finding:
    name = str(live.id)
    former = _former_root(live, catalogue)
    if former is not None:
        what = (
            f"has the columns of {former} and is not one of its partitions: it holds rows that no rule of {former} "
            "reaches. Attach it, drop it, or classify it"
        )
        return Finding(name, "unclassified_partition", what)
    others = [declared for declared in policy.tables if catalogue.find(declared) is None]
    guess = did_you_mean(name, others)
    what = f"the {live.kind} is not in the policy: classify its columns, or say why it is exempt{guess}"
    return Finding(name, "unclassified_table", what)


def _former_root(live: LiveTable, catalogue: LiveCatalogue) -> TableId | None:
    """The partitioned table that this one was probably a part of."""
    columns = {(column.name, column.type) for column in live.columns}
    if live.kind is not LiveKind.ORDINARY:
        return None
    for other in catalogue.roots():
        alike = {(column.name, column.type) for column in other.columns} == columns
        if other.kind is LiveKind.PARTITIONED and alike and live.id.name.startswith(other.id.name):
            return other.id
    return None


def _missing(name: str, identifier: TableId, catalogue: LiveCatalogue) -> Finding:
    if identifier in catalogue.views:
        what = "is a view, which holds no rows: classify the tables that it reads"
        return Finding(name, "view_declared", what)
    guess = did_you_mean(name, [str(live.id) for live in catalogue.roots()])
    return Finding(name, "missing_table", f"the database has no such table{guess}")


def _columns(name: str, table: Table, live: LiveTable) -> Iterator[Finding]:
    if table.exempt:
        return
    known = table.classified()
    for column in live.columns:
        if column.name not in known:
            what = f"the column ({column.type}) is not classified: write it under columns or not_personal"
            yield Finding(name, "unclassified_column", what, column.name)
    for written in sorted(known - set(live.column)):
        guess = did_you_mean(written, live.column)
        yield Finding(name, "missing_column", f"the table has no such column{guess}", written)


def _identifiers(policy: Policy, catalogue: LiveCatalogue) -> Iterator[Finding]:
    for subject in policy.subjects.values():
        live = catalogue.find(subject.table)
        for key, identifier in subject.identifiers.items():
            if live is not None and identifier.column not in live.column:
                guess = did_you_mean(identifier.column, live.column)
                what = f"the identifier '{key}' names a column that the table does not have{guess}"
                yield Finding(subject.table, "missing_identifier", what, identifier.column)


def _fingerprints(policy: Policy, catalogue: LiveCatalogue) -> Iterator[Finding]:
    chosen = policy.verify.fingerprint
    if not isinstance(chosen, tuple):
        return
    for name in chosen:
        if catalogue.find(name) is None:
            guess = did_you_mean(name, [str(live.id) for live in catalogue.tables])
            what = f"verify.fingerprint names {name}, which the database does not have{guess}"
            yield Finding(ABOUT_THE_POLICY, "missing_fingerprint", what)

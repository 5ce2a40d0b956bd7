"""What must fit together in the rules of one table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from strongroom.policy.categories import is_personal
from strongroom.policy.errors import Problem
from strongroom.policy.suggestions import did_you_mean

if TYPE_CHECKING:
    from strongroom.policy.model import Policy
    from strongroom.policy.tables import Link, Table

_POLYMORPHIC_KEYS = ("type_column", "type_value")


def table_contradictions(policy: Policy, name: str) -> Iterator[Problem]:
    """Every way in which the rules of the table `name` contradict themselves or the rest of the policy."""
    table, path = policy.tables[name], ("tables", name)
    said = sorted(table.model_fields_set - {"exempt"})
    if table.exempt:
        for key in said:
            yield Problem(f"{key} contradicts exempt: an exempt table has no personal data", (*path, key))
        return
    if not said:
        yield Problem("nothing is said about the table: classify its columns, or say why it is exempt", path)
    yield from _purposes(policy, table, path)
    yield from _columns(table, path)
    for number, link in enumerate(table.links):
        yield from _link(policy, link, (*path, "links", str(number)))
    yield from _retention(policy, name, table, path)
    yield from _erasure(table, path)
    if table.restriction and (table.restriction.method == "view") != (table.restriction.view is not None):
        yield Problem("view belongs to method view, and to it alone", (*path, "restriction"))


def _purposes(policy: Policy, table: Table, path: tuple[str, ...]) -> Iterator[Problem]:
    named = [(purpose, (*path, "purpose", str(number))) for number, purpose in enumerate(table.purpose)]
    if table.archive:
        named.append((table.archive.purpose, (*path, "archive", "purpose")))
    for purpose, place in named:
        if purpose not in policy.purposes:
            guess = did_you_mean(purpose, policy.purposes)
            yield Problem(f"the purpose '{purpose}' is not declared under purposes{guess}", place)
    if table.personal_columns() and not table.purpose:
        yield Problem("holds personal data and names no purpose", path)


def _columns(table: Table, path: tuple[str, ...]) -> Iterator[Problem]:
    for number, column in enumerate(table.not_personal):
        place = (*path, "not_personal", str(number))
        if column in table.columns:
            yield Problem(f"the column '{column}' stands under columns as well", place)
        if column in table.not_personal[:number]:
            yield Problem(f"'{column}' stands in the list twice", place)
    for name, rule in table.columns.items():
        place = (*path, "columns", name)
        if is_personal(rule.category) and rule.erase is None and not rule.paths:
            yield Problem(f"{rule.category} is personal data: say how it is erased (erase)", place)
        if rule.erase == "remove":
            yield Problem("remove is for a value inside JSON (paths); a column is emptied by set_null", place)
        for json_path, value in rule.paths.items():
            if value.erase == "with_row":
                yield Problem("with_row is for whole columns", (*place, "paths", json_path, "erase"))


def _link(policy: Policy, link: Link, path: tuple[str, ...]) -> Iterator[Problem]:
    target = policy.tables.get(link.to)
    if target is None:
        guess = did_you_mean(link.to, policy.tables)
        yield Problem(f"the table '{link.to}' is not declared under tables{guess}", (*path, "to"))
    elif target.exempt and link.meaning != "lookup":
        yield Problem(f"'{link.to}' is exempt: only a lookup can lead to it", (*path, "to"))
    if link.to_columns and len(link.to_columns) != len(link.columns):
        counts = f"{len(link.columns)} columns cannot refer to {len(link.to_columns)}"
        yield Problem(counts, (*path, "to_columns"))
    if len(set(link.columns)) != len(link.columns):
        yield Problem("a column stands in the list twice", (*path, "columns"))
    yield from _kind(link, path)


def _kind(link: Link, path: tuple[str, ...]) -> Iterator[Problem]:
    said = link.model_fields_set
    if link.kind == "polymorphic":
        for key in _POLYMORPHIC_KEYS:
            if key not in said:
                yield Problem(f"a polymorphic link needs {key}: which rows mean this table", path)
    if link.kind == "identity":
        if not link.to_columns:
            yield Problem("an identity link needs to_columns: which column holds the same value", path)
        if link.path and len(link.columns) != 1:
            yield Problem("path leads into one JSON column", (*path, "path"))
    allowed = {
        "type_column": ("polymorphic",),
        "type_value": ("polymorphic",),
        "normalise": ("identity",),
        "path": ("identity",),
        "role": ("identity", "polymorphic"),
    }
    for key, kinds in allowed.items():
        if key in said and link.kind not in kinds:
            yield Problem(f"{key} belongs to kind {' or '.join(kinds)}, not to {link.kind}", (*path, key))


def _retention(policy: Policy, name: str, table: Table, path: tuple[str, ...]) -> Iterator[Problem]:
    retain, archive = table.retain, table.archive
    if retain and retain.then == "archive" and archive is None:
        yield Problem("then: archive needs an archive rule for this table", (*path, "retain", "then"))
    people = [subject.table for subject in policy.subjects.values()]
    if retain and retain.then == "erase_subject" and name not in people:
        yield Problem(
            "erase_subject is for tables of subjects: whose row would it be?", (*path, "retain", "then")
        )
    if archive and archive.keep.approximate <= archive.older_than.approximate:
        yield Problem(
            f"rows move to the archive at {archive.older_than}; keeping them for {archive.keep} would delete them "
            "before",
            (*path, "archive", "keep"),
        )
    if retain and archive and archive.older_than.approximate > retain.period.approximate:
        yield Problem(
            f"rows leave the table after {retain.period}, so none is ever {archive.older_than} old",
            (*path, "archive", "older_than"),
        )


def _erasure(table: Table, path: tuple[str, ...]) -> Iterator[Problem]:
    rule = table.on_erasure
    if rule is None:
        return
    place = (*path, "on_erasure")
    if rule.keep_until is None and not rule.redact:
        yield Problem("says nothing: name keep_until, redact, or both", place)
    for number, column in enumerate(rule.redact):
        known = table.columns.get(column)
        if known is None or (known.erase is None and not known.paths):
            guess = did_you_mean(column, table.columns)
            yield Problem(
                f"the column '{column}' has no erase under columns, so nothing could replace it{guess}",
                (*place, "redact", str(number)),
            )
    if rule.keep_until:
        yield from _kept_long_enough(table, path)


def _kept_long_enough(table: Table, path: tuple[str, ...]) -> Iterator[Problem]:
    """What the law keeps must not be deleted earlier by another rule that counts from the same moment."""
    keep = table.on_erasure.keep_until if table.on_erasure else None
    if keep is None:
        return
    ends = []
    if table.archive:
        ends.append((table.archive.by, table.archive.keep, ("archive", "keep")))
    if table.retain and table.retain.then == "delete":
        ends.append((table.retain.start, table.retain.period, ("retain", "for")))
    for start, period, place in ends:
        if start == keep.start and period.approximate < keep.period.approximate:
            yield Problem(
                f"rows would be deleted after {period}, and on_erasure says they must stay for {keep.period} "
                f"({keep.basis})",
                (*path, *place),
            )

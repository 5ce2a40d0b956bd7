"""Guessing who the people of a database are, and what each reference means for them.

A table with names, e-mail addresses or accounts is about a kind of people, unless its rows belong to another such
table's. A reference to a person owns the row, unless its column's name says that the person only did something
(`created_by`, `manager_id`), or the row belongs to somebody already.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from strongroom.rules.catalogue import Action, ForeignKey, LiveCatalogue, LiveTable, TableId
from strongroom.rules.guessing import Guess, snake

Guesses = Mapping[TableId, Mapping[str, Guess]]

_TELLING = ("user.contact.email", "user.name", "user.account.username")
_EMAIL = "user.contact.email"
_ACTING = re.compile(
    r".*(created|updated|modified|changed|approved|assigned|handled|processed|reviewed|referred|invited|deleted|closed)"
    r"(_?(by|to))?(_.*)?|.*(manager|supervisor|agent|reports_?to|reviewer|approver|assignee|operator).*"
)
_WORKING = re.compile(r".*(staff|employee|operator|agent|admin|clerk|worker|manager|technician)s?")


@dataclass(frozen=True)
class People:
    """The people of a database, as far as they can be guessed."""

    tables: frozenset[TableId]
    """One row for each person."""
    by_value: Mapping[TableId, tuple[str, TableId, str]]
    """Tables that name people by e-mail without a foreign key: their column, whose table, its column."""
    owned: frozenset[TableId]
    """Tables whose rows belong to a person, directly or by others."""
    kinds: Mapping[tuple[TableId, str], str]
    """What each foreign key means, by table and name."""

    def concerns(self, table: TableId) -> bool:
        """Whether the table's rows are people, or belong to some."""
        return table in self.tables or table in self.owned or table in self.by_value


def find_people(catalogue: LiveCatalogue, guesses: Guesses) -> People:
    """Who the people are, and what each foreign key means."""
    roots = {live.id: live for live in catalogue.roots()}
    telling = {
        table
        for table, live in roots.items()
        if live.keys and any(guess.category.startswith(_TELLING) for guess in guesses[table].values())
    }
    by_value = dict(_by_value(roots, telling, guesses))
    subjects = {
        table
        for table in telling - set(by_value)
        if not any(other != table for other in _belonging(table, roots) & telling)
    } or telling - set(by_value)
    kinds: dict[tuple[TableId, str], str] = {}
    owned: set[TableId] = set(by_value)
    for live in roots.values():
        kinds.update(_direct_kinds(live, subjects))
    owned |= {table for (table, _), kind in kinds.items() if kind == "owns"} - subjects
    while True:
        further = {
            (table, key.name)
            for table, live in roots.items()
            for key in live.foreign_keys
            if (table, key.name) not in kinds and table not in subjects and key.target in owned
            if _belongs(live, key, table in owned)
        }
        if not further:
            break
        kinds.update(dict.fromkeys(further, "owns"))
        owned |= {table for table, _ in further}
    for table, live in roots.items():
        for key in live.foreign_keys:
            shared = (
                guesses.get(key.target) and key.target not in owned and (table in subjects or table in owned)
            )
            kinds.setdefault((table, key.name), "shares" if shared else "lookup")
    return People(frozenset(subjects), by_value, frozenset(owned), kinds)


def email_column(table: TableId, guesses: Guesses) -> str | None:
    """The column with an e-mail address, if the table has one."""
    return next((name for name, guess in guesses[table].items() if guess.category == _EMAIL), None)


def _by_value(
    roots: Mapping[TableId, LiveTable], telling: set[TableId], guesses: Guesses
) -> Iterator[tuple[TableId, tuple[str, TableId, str]]]:
    """Tables that nothing refers to and that refer to nobody, with the e-mail address of somebody elsewhere."""
    referred = {key.target for live in roots.values() for key in live.foreign_keys}
    homes = sorted(
        (table for table in telling if table in referred and email_column(table, guesses)),
        key=lambda table: (bool(_WORKING.fullmatch(snake(table.name))), table),
    )
    for table in sorted(telling - referred):
        own = email_column(table, guesses)
        if own is not None and homes and not roots[table].foreign_keys:
            theirs = email_column(homes[0], guesses)
            if theirs is not None:
                yield table, (own, homes[0], theirs)


def _belonging(table: TableId, roots: Mapping[TableId, LiveTable]) -> set[TableId]:
    """The tables that rows of this one may belong to: by foreign keys whose names say nothing else."""
    seen: set[TableId] = set()
    pending = [table]
    while pending:
        for key in roots[pending.pop()].foreign_keys:
            if key.target not in seen and key.target in roots and not _is_acting(key):
                seen.add(key.target)
                pending.append(key.target)
    return seen


def _is_acting(key: ForeignKey) -> bool:
    return any(_ACTING.fullmatch(snake(column)) for column in key.columns)


def _direct_kinds(live: LiveTable, subjects: set[TableId]) -> Iterator[tuple[tuple[TableId, str], str]]:
    """What the references to people mean: the first that may own the row does."""
    to_people = [key for key in live.foreign_keys if key.target in subjects]
    customers_first = sorted(to_people, key=lambda key: bool(_WORKING.fullmatch(snake(key.target.name))))
    owner: ForeignKey | None = None
    for key in customers_first:
        acting = _is_acting(key) or key.target == live.id or live.id in subjects
        rival = owner is not None and (
            key.target == owner.target or bool(_WORKING.fullmatch(snake(key.target.name)))
        )
        cascades = key.on_delete is Action.CASCADE
        if cascades and live.id not in subjects:
            kind = "owns"
        else:
            kind = "mentions" if acting or rival else "owns"
        if kind == "owns" and owner is None:
            owner = key
        yield (live.id, key.name), kind


def _belongs(live: LiveTable, key: ForeignKey, already: bool) -> bool:
    """Whether a row belongs to the row it refers to: not if it only may, and somebody owns it already."""
    optional = any(not live.column[column].not_null for column in key.columns)
    return key.on_delete is Action.CASCADE or not (already and optional)

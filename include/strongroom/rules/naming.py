"""The kinds of people of a draft: which tables, under which names, by which columns a person can be named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from strongroom.policy import split_table
from strongroom.policy.checks import TELLING
from strongroom.rules.drafts import DraftIdentifier, DraftSubject, DraftTable
from strongroom.rules.guessing import snake


def draft_subjects(
    people: Iterable[str], keys: Mapping[str, tuple[str, ...]], tables: Sequence[DraftTable]
) -> tuple[DraftSubject, ...]:
    """The people, and as further kinds whatever holds personal data that no link ties to one of them.

    Args:
        people: tables with one row for each person.
        keys: primary keys, by table.
        tables: all tables of the draft.
    """
    subjects = sorted(people)
    while True:
        reached = _reached(set(subjects), tables)
        lost = [table for table in tables if table.columns and table.name not in reached]
        if not lost:
            break
        subjects.append(lost[0].name)
    by_name = {table.name: table for table in tables}
    taken: set[str] = set()
    made = []
    for subject in subjects:
        name = _free_name(split_table(subject)[1], taken)
        identifiers = tuple(_identifiers(keys.get(subject, ()), by_name[subject]))
        made.append(DraftSubject(name, subject, identifiers))
    return tuple(made)


def _reached(subjects: set[str], tables: Sequence[DraftTable]) -> set[str]:
    """Tables that a request finds: whose links lead to people, or that people share."""
    reached = set(subjects)
    while True:
        found = {
            table.name
            for table in tables
            for link in table.links
            if (link.role or link.kind) in ("owns", "mentions") and link.to in reached
        } | {
            link.to
            for table in tables
            for link in table.links
            if link.kind == "shares" and table.name in reached
        }
        if found <= reached:
            return reached
        reached |= found


def _identifiers(key: tuple[str, ...], table: DraftTable) -> Iterator[DraftIdentifier]:
    """The key, and every e-mail address; where there is neither, the first personal column."""
    categories = {column.name: column.category for column in table.columns}
    taken: set[str] = set()
    found = False
    if len(key) == 1 and not categories.get(key[0], "").startswith(TELLING):
        found = True
        yield DraftIdentifier(_free_name(key[0], taken), key[0], direct=False)
    for column, category in categories.items():
        if category == "user.contact.email":
            found = True
            yield DraftIdentifier(_free_name(column, taken), column, direct=True, normalise="email")
    if not found:
        column = next(iter([*categories, *table.not_personal]))
        yield DraftIdentifier(_free_name(column, taken), column, direct=True)


def _free_name(text: str, taken: set[str]) -> str:
    """The text as a name of a policy, different from those that are taken."""
    plain = re.sub(r"[^a-z0-9_]+", "_", snake(text)).strip("_")
    name = (plain if plain[:1].isalpha() and plain.isascii() else f"n_{plain}")[:50]
    number = 2
    free = name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    taken.add(free)
    return free

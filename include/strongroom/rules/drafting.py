"""A first policy from a live catalogue: what is probably personal, whose it is, and what references mean.

1. Columns are judged by name, type and the shape of their content (`guessing`).
2. Tables with names, e-mail addresses or accounts that belong to no other such table are the people (`kinship`).
3. Foreign keys get the kind that fits where they lead: to a person, to what belongs to one, to what people share.
4. What is neither personal nor refers to anything that is becomes exempt.
5. The draft is checked against the database; a replacement that it would refuse gives way to the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from strongroom.policy import Policy, load_policy
from strongroom.postgres import Connection
from strongroom.rules.catalogue import ForeignKey, LiveCatalogue, LiveColumn, LiveKind, LiveTable, TableId
from strongroom.rules.checking import examine
from strongroom.rules.drafts import Draft, DraftColumn, DraftLink, DraftTable
from strongroom.rules.guessing import Guess, erase_method, snake, strong_guess, weak_guess
from strongroom.rules.kinship import Guesses, People, find_people
from strongroom.rules.lifetimes import MOMENT_TYPES
from strongroom.rules.naming import draft_subjects
from strongroom.rules.reading import read_catalogue
from strongroom.rules.sampling import Shapes, sample_shapes

_ROUNDS = 8
_EXEMPT = "no personal data was recognised"
_ERASE_CODES = ("erase_misfit", "erase_not_unique", "erase_breaks_check")

Refused = Mapping[tuple[str, str], frozenset[str]]
"""The replacements that the database would refuse, by table and column."""


def draft_policy(database: str, connection: Connection) -> Draft:
    """A draft for a database: it loads, and can be checked against the database at once.

    Args:
        database: the name that it shall have here.
        connection: to the database; some rows of each table are looked at, on the server.

    Raises:
        PostgresError: the server refused or did not answer.
    """
    catalogue = read_catalogue(connection)
    shapes = sample_shapes(connection, catalogue)
    refused: Refused = {}
    for _ in range(_ROUNDS):
        draft = _draft(database, catalogue, shapes, refused)
        found = _refused(draft, connection, catalogue)
        further = {place: refused.get(place, frozenset()) | methods for place, methods in found.items()}
        if all(methods == refused.get(place) for place, methods in further.items()):
            break
        refused = {**refused, **further}
    return draft


def as_policy(draft: Draft) -> Policy:
    """The draft as the loader reads it.

    Raises:
        PolicyError: it cannot be read, which is a mistake in the drafting.
    """
    with TemporaryDirectory(prefix="strongroom-draft-") as folder:
        file = Path(folder) / f"{draft.database}.yaml"
        file.write_text(draft.text(), encoding="utf-8")
        return load_policy(file)


def _refused(draft: Draft, connection: Connection, catalogue: LiveCatalogue) -> Refused:
    """What the database says no to: for each column the replacement that the draft has for it."""
    policy = as_policy(draft)
    found: dict[tuple[str, str], frozenset[str]] = {}
    for finding in examine(policy, connection, catalogue):
        if finding.code in _ERASE_CODES and finding.column is not None:
            rule = policy.tables[finding.table].columns.get(finding.column)
            method = rule.erase if rule is not None and rule.erase is not None else "set_null"
            found[finding.table, finding.column] = frozenset({method})
    return found


def _draft(database: str, catalogue: LiveCatalogue, shapes: Shapes, refused: Refused) -> Draft:
    guesses = {live.id: _strong(live, shapes) for live in catalogue.roots()}
    people = find_people(catalogue, guesses)
    for live in catalogue.roots():
        if guesses[live.id] or people.concerns(live.id):
            guesses[live.id] = {**_weak(live), **guesses[live.id]}
    exempt = _exempt(catalogue, guesses, people)
    tables = tuple(
        DraftTable(str(live.id), exempt=_EXEMPT)
        if live.id in exempt
        else _table(live, guesses[live.id], people, exempt, refused)
        for live in catalogue.roots()
    )
    keys = {str(live.id): live.primary_key for live in catalogue.roots()}
    subjects = draft_subjects(map(str, people.tables), keys, tables)
    return Draft(database, subjects, tables, "the catalogue of the database")


def _strong(live: LiveTable, shapes: Shapes) -> Mapping[str, Guess]:
    seen = shapes.get(live.id, {})
    found = {column.name: strong_guess(column, seen.get(column.name)) for column in _own_columns(live)}
    return {name: guess for name, guess in found.items() if guess is not None}


def _weak(live: LiveTable) -> Mapping[str, Guess]:
    found = {column.name: weak_guess(column) for column in _own_columns(live)}
    return {name: guess for name, guess in found.items() if guess is not None}


def _own_columns(live: LiveTable) -> Iterator[LiveColumn]:
    """The columns that say something themselves, instead of referring to a row that does."""
    referring = {column for key in live.foreign_keys for column in key.columns}
    return (column for column in live.columns if column.name not in referring)


def _exempt(catalogue: LiveCatalogue, guesses: Guesses, people: People) -> frozenset[TableId]:
    """The tables without personal data that refer to none with any, directly or by others."""
    exempt = {live.id for live in catalogue.roots() if not guesses[live.id] and not people.concerns(live.id)}
    while True:
        leading = {
            live.id
            for live in catalogue.roots()
            if live.id in exempt and any(key.target not in exempt for key in live.foreign_keys)
        }
        if not leading:
            return frozenset(exempt)
        exempt -= leading


def _table(
    live: LiveTable,
    guesses: Mapping[str, Guess],
    people: People,
    exempt: frozenset[TableId],
    refused: Refused,
) -> DraftTable:
    name = str(live.id)
    columns = tuple(
        DraftColumn(
            column,
            guess.category,
            erase_method(live.column[column], guess.category, live, refused.get((name, column), frozenset())),
            guess.why,
        )
        for column in live.column
        if (guess := guesses.get(column)) is not None
    )
    if live.id in people.tables:
        columns = (*_key_of_person(live, guesses), *columns)
    links = tuple(_links(live, people, exempt, refused))
    said = {column.name for column in columns} | {column for link in links for column in link.columns}
    return DraftTable(
        name=name,
        columns=columns,
        not_personal=tuple(column.name for column in live.columns if column.name not in said),
        links=links,
        moments=_moments(live),
        notes=tuple(_notes(live)),
    )


def _key_of_person(live: LiveTable, guesses: Mapping[str, Guess]) -> Iterator[DraftColumn]:
    for column in live.primary_key:
        if column not in guesses and not any(column in key.columns for key in live.foreign_keys):
            yield DraftColumn(column, "user.unique_id", "with_row", "the key of a person's row")


def _links(
    live: LiveTable, people: People, exempt: frozenset[TableId], refused: Refused
) -> Iterator[DraftLink]:
    for key in live.foreign_keys:
        kind = "lookup" if key.target in exempt else people.kinds[live.id, key.name]
        yield DraftLink(
            columns=key.columns,
            to=str(key.target),
            to_columns=key.target_columns,
            kind=kind,
            on_erase=_on_erase(live, key, refused) if kind == "mentions" else None,
            why=f"by the foreign key {key.name}"
            + ("" if key.everywhere else ", which not all partitions have"),
        )
    if live.id in people.by_value:
        own, home, theirs = people.by_value[live.id]
        yield DraftLink(
            columns=(own,),
            to=str(home),
            to_columns=(theirs,),
            kind="identity",
            role="owns",
            normalise="email",
            why="the same e-mail address, without a foreign key",
        )


def _on_erase(live: LiveTable, key: ForeignKey, refused: Refused) -> str:
    """The reference is emptied where the database lets it be; otherwise a person has to look."""
    fixed = any(live.column[column].not_null for column in key.columns)
    taken = any("set_null" in refused.get((str(live.id), column), ()) for column in key.columns)
    return "review" if fixed or taken else "set_null"


def _moments(live: LiveTable) -> tuple[str, ...]:
    """Columns that a time can count from: what happened to the row first, when it was changed last."""
    found = [column.name for column in live.columns if column.base_type in MOMENT_TYPES]
    late = ("update", "modif", "change")
    kept = (name for name in found if "birth" not in snake(name) and snake(name) != "dob")
    return tuple(sorted(kept, key=lambda name: any(word in snake(name) for word in late)))


def _notes(live: LiveTable) -> Iterator[str]:
    for column in live.column:
        if column.endswith("_type") and f"{column.removesuffix('_type')}_id" in live.column:
            other = f"{column.removesuffix('_type')}_id"
            yield f"{other} looks polymorphic: {column} says which table it is a key of (kind: polymorphic)"
    if live.kind is not LiveKind.ORDINARY:
        yield f"a {live.kind}"
    if not live.keys:
        yield "no key names a row: neither retention nor archiving can work on it"

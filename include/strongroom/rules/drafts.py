"""A policy that nobody has confirmed yet, as values, and as the file that a person goes through."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

PURPOSE = "to_be_named"
"""The purpose of every table in a draft, for a person to replace."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_WORDS_OF_YAML = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


@dataclass(frozen=True)
class DraftColumn:
    """A column that probably holds personal data."""

    name: str
    category: str
    erase: str
    why: str
    """What the guess rests on, in words; never a value."""


@dataclass(frozen=True)
class DraftLink:
    """A reference, with what it probably means."""

    columns: tuple[str, ...]
    to: str
    kind: str
    why: str
    to_columns: tuple[str, ...] = ()
    role: str | None = None
    normalise: str | None = None
    on_erase: str | None = None


@dataclass(frozen=True)
class DraftTable:
    """A table. An exempt one says nothing but its reason."""

    name: str
    exempt: str | None = None
    columns: tuple[DraftColumn, ...] = ()
    not_personal: tuple[str, ...] = ()
    links: tuple[DraftLink, ...] = ()
    moments: tuple[str, ...] = ()
    """Columns that a time could count from."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class DraftIdentifier:
    """A column by which a person can be named."""

    name: str
    column: str
    direct: bool
    normalise: str | None = None


@dataclass(frozen=True)
class DraftSubject:
    """A kind of person."""

    name: str
    table: str
    identifiers: tuple[DraftIdentifier, ...]


@dataclass(frozen=True)
class Draft:
    """A first policy for a database."""

    database: str
    subjects: tuple[DraftSubject, ...]
    tables: tuple[DraftTable, ...]
    origin: str
    """Where it comes from, for the head of the file: `the catalogue of the database`."""

    def text(self) -> str:
        """The draft as a policy file, which loads as it is."""
        return "\n".join(_lines(self)) + "\n"


def _lines(draft: Draft) -> Iterator[str]:
    yield "# yaml-language-server: $schema=policy.schema.json"
    yield "#"
    yield f"# A first draft, made from {draft.origin}: guesses, until a person has confirmed them."
    yield "# Go through every line marked `# confirm`. Nothing is deleted or moved by this draft: it sets no time."
    yield ""
    yield f"database: {draft.database}"
    yield ""
    yield 'controller: {name: "[the company]"}  # confirm: who is responsible for the data'
    yield ""
    yield 'backup: {schedule: "0 2 * * *"}  # confirm: when; see docs/policy.md for the rest'
    personal = any(table.columns for table in draft.tables)
    if personal:
        yield ""
        yield "purposes:"
        yield f"  {PURPOSE}: {{lawful_basis: contract}}  # confirm: why the data is used, and what makes it lawful"
    if draft.subjects:
        yield ""
        yield "subjects:"
        for subject in draft.subjects:
            yield from _subject(subject)
    if draft.tables:
        yield ""
        yield "tables:"
        for table in draft.tables:
            yield from _table(table)


def _subject(subject: DraftSubject) -> Iterator[str]:
    yield f"  {word(subject.name)}:  # confirm: a kind of person, and all the ways to name one"
    yield f"    table: {word(subject.table)}"
    yield "    identifiers:"
    for identifier in subject.identifiers:
        direct = "true" if identifier.direct else "false"
        normalise = f", normalise: {identifier.normalise}" if identifier.normalise else ""
        yield f"      {word(identifier.name)}: {{column: {word(identifier.column)}, direct: {direct}{normalise}}}"


def _table(table: DraftTable) -> Iterator[str]:
    if table.exempt is not None:
        yield f"  {word(table.name)}: {{exempt: {word(table.exempt)}}}  # confirm"
        return
    yield f"  {word(table.name)}:"
    for note in table.notes:
        yield f"    # confirm: {note}"
    if table.columns:
        yield f"    purpose: [{PURPOSE}]  # confirm"
        yield "    columns:"
        for column in table.columns:
            rule = f"{{category: {column.category}, erase: {word(column.erase)}}}"
            yield f"      {word(column.name)}: {rule}  # confirm: {column.why}"
    if table.not_personal:
        yield "    not_personal:  # confirm"
        yield from (f"      - {word(name)}" for name in table.not_personal)
    if table.links:
        yield "    links:"
        yield from (f"      - {{{_link(link)}}}  # confirm: {link.why}" for link in table.links)
    if table.moments:
        first, rest = table.moments[0], table.moments[1:]
        other = f" (or from {', '.join(word(name) for name in rest)})" if rest else ""
        yield f"    # retain: {{for: 7y, from: {word(first)}, then: delete}}  # confirm: how long{other}"


def _link(link: DraftLink) -> str:
    parts = [f"columns: {_list(link.columns)}", f"to: {word(link.to)}"]
    if link.to_columns:
        parts.append(f"to_columns: {_list(link.to_columns)}")
    parts.append(f"kind: {link.kind}")
    for key in ("role", "normalise", "on_erase"):
        value = getattr(link, key)
        if value:
            parts.append(f"{key}: {value}")
    return ", ".join(parts)


def _list(names: Sequence[str]) -> str:
    return f"[{', '.join(word(name) for name in names)}]"


def word(text: str) -> str:
    """A text as YAML takes it for itself: plain where that is safe, quoted where it is not."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS_OF_YAML:
        return text
    return json.dumps(text, ensure_ascii=False)

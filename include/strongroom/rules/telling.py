"""What a policy says about one table, in plain words, for whoever does not read YAML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from strongroom.errors import NotFoundError
from strongroom.policy import Policy
from strongroom.policy.erasing import ERASE_METHODS
from strongroom.policy.suggestions import did_you_mean
from strongroom.policy.tables import Column, Link, Table

_UNITS = {"y": "year", "mo": "month", "w": "week", "d": "day", "h": "hour", "m": "minute", "s": "second"}
_MEANINGS = {
    "owns": "each row belongs to the {to} row that {columns} names, and is part of what that person is given",
    "shares": "the {to} row that {columns} names is shared by all who refer to it, and goes with the last of them",
    "mentions": "{columns} names somebody of {to}; the row itself is not theirs",
    "lookup": "{columns} refers to {to}, which says nothing about people",
}
_ON_ERASE = {
    "delete": "the row is deleted",
    "redact": "its personal columns are replaced",
    "set_null": "the reference is emptied",
    "review": "a person decides",
}
_THEN = {
    "delete": "it is deleted",
    "erase_subject": "the person is erased, with everything that belongs to them",
    "archive": "it moves into the archive",
}


class UnknownTableError(NotFoundError):
    """The policy says nothing about a table of that name."""


def explain_table(policy: Policy, name: str) -> tuple[str, ...]:
    """The table's rules as sentences, one to a line.

    Raises:
        UnknownTableError: the policy does not name the table.
    """
    table = policy.tables.get(name)
    if table is None:
        guess = did_you_mean(name, policy.tables)
        raise UnknownTableError(
            f"The policy of {policy.database} says nothing about {name}{guess}",
            hint="Write it with its schema, as in public.orders; a partition is covered by its root.",
        )
    return tuple(_sentences(policy, name, table))


def _sentences(policy: Policy, name: str, table: Table) -> Iterator[str]:
    if table.exempt:
        yield f"{name} is exempt: {table.exempt}."
        yield "No request about a person looks into it, and no rule deletes its rows."
        return
    for kind, subject in policy.subjects.items():
        if subject.table == name:
            ways = _and(list(subject.identifiers))
            yield f"Each row of {name} is a {kind}, who can be named by {ways}."
    yield from _purposes(policy, table)
    yield from (_link(link) for link in table.links)
    yield from (_column(column, rule) for column, rule in table.columns.items())
    if table.not_personal:
        yield f"Not personal: {', '.join(table.not_personal)}."
    yield from _lifetimes(table)
    yield from _erasure(table)
    if table.restriction:
        how = (
            "a row-security policy"
            if table.restriction.method == "row_security"
            else f"the view {table.restriction.view}"
        )
        yield f"While processing is restricted, {how} hides the person's rows from applications."


def _purposes(policy: Policy, table: Table) -> Iterator[str]:
    for name in table.purpose:
        purpose = policy.purposes[name]
        words = f" ({purpose.description.rstrip('.')})" if purpose.description else ""
        given = f"; it is given to {_and(purpose.recipients)}" if purpose.recipients else ""
        yield f"Used for {name}{words}, lawful by {_words(purpose.lawful_basis)}{given}."


def _link(link: Link) -> str:
    columns = _and(link.columns)
    text = _MEANINGS[link.meaning].format(to=link.to, columns=columns)
    if link.kind == "identity":
        text = f"where {columns} has the same value as {link.to}.{', '.join(link.to_columns)}: {text}"
    if link.kind == "polymorphic":
        text = f"where {link.type_column} is {link.type_value}: {text}"
    if link.meaning != "lookup" and link.on_erase:
        text += f"; when that person is erased, {_ON_ERASE[link.on_erase]}"
    return text[0].upper() + text[1:] + "."


def _column(name: str, rule: Column) -> str:
    about = ", about somebody else than the row's owner" if rule.third_party else ""
    text = f"{name} holds {rule.category} ({rule.origin}{about})"
    if rule.erase is not None:
        text += f"; erasing leaves {_left(rule.erase)}"
    for path, value in rule.paths.items():
        text += f"; inside it, {path} holds {value.category}, and erasing leaves {_left(value.erase)}"
    return f"{text}."


def _left(method: str) -> str:
    if method == "with_row":
        return "the value until the row itself is deleted"
    return ERASE_METHODS.get(method, f'the text "{method}"')


def _lifetimes(table: Table) -> Iterator[str]:
    if table.archive:
        rule = table.archive
        yield (
            f"A row moves into the encrypted archive {duration_words(str(rule.older_than))} after {rule.by}, for "
            f"{rule.purpose}, and is deleted there {duration_words(str(rule.keep))} after {rule.by}."
        )
    if table.retain:
        retain = table.retain
        yield f"A row stays for {duration_words(str(retain.period))} after {retain.start}; then {_THEN[retain.then]}."
    if not table.archive and not table.retain:
        yield "No rule ends the time of its rows: they stay until somebody deletes them or a person is erased."


def _erasure(table: Table) -> Iterator[str]:
    rule = table.on_erasure
    if rule is None:
        return
    if rule.redact:
        yield f"When the person is erased, {_and(rule.redact)} are replaced at once."
    if rule.keep_until:
        keep = rule.keep_until
        law = f" ({keep.reference})" if keep.reference else ""
        yield (
            f"When the person is erased, the row stays until {duration_words(str(keep.period))} after {keep.start}: "
            f"{_words(keep.basis)}{law}."
        )


def duration_words(text: str) -> str:
    """A duration as people say it: `1y6mo` is "1 year and 6 months"."""
    parts, number = [], ""
    units = iter(text)
    unit = ""
    for character in units:
        if character.isdigit():
            if unit:
                parts.append(_counted(number, unit))
                number, unit = "", ""
            number += character
        else:
            unit += character
    parts.append(_counted(number, unit))
    return _and(parts)


def _counted(number: str, unit: str) -> str:
    return f"{number} {_UNITS[unit]}{'' if number == '1' else 's'}"


def _and(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def _words(name: str) -> str:
    return name.replace("_", " ")

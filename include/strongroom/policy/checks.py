"""What must fit together in a policy although each part is right: pure rules, each with its sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from strongroom.durations import Duration
from strongroom.policy.cron import Cron
from strongroom.policy.errors import Problem
from strongroom.policy.suggestions import did_you_mean
from strongroom.policy.table_checks import table_contradictions

if TYPE_CHECKING:
    from strongroom.policy.model import Policy
    from strongroom.policy.people import Identifier

TELLING = ("user.contact", "user.name", "user.government_id", "user.account.username", "user.financial")
"""Categories, with those below them, that tell who a person is."""


def contradictions(policy: Policy) -> Iterator[Problem]:
    """Every way in which the policy's parts do not fit together."""
    yield from _backup(policy)
    yield from _verify(policy)
    yield from _objectives(policy)
    yield from _purposes(policy)
    yield from _subjects(policy)
    for name in policy.tables:
        yield from table_contradictions(policy, name)
    yield from _unreachable(policy)


def repeated(items: Sequence[str], path: tuple[str, ...]) -> Iterator[Problem]:
    """A problem for each item that stands in the list a second time."""
    for number, item in enumerate(items):
        if item in items[:number]:
            yield Problem(f"'{item}' stands in the list twice", (*path, str(number)))


def _backup(policy: Policy) -> Iterator[Problem]:
    backup = policy.backup
    if backup.method == "logical":
        for key, value in (("wal", backup.wal), ("full_every", backup.full_every)):
            if value is not None:
                yield Problem(f"{key} needs method physical: a logical backup has no WAL", ("backup", key))
    if "epoch" not in backup.recipients:
        yield Problem(
            "must name epoch: without the epoch's key no backup could be restored and proven",
            ("backup", "recipients"),
        )
    yield from repeated(backup.recipients, ("backup", "recipients"))
    yield from repeated(backup.copies, ("backup", "copies"))
    if backup.wal and backup.wal.keep.approximate <= backup.wal.ship_every.approximate:
        yield Problem(
            f"WAL that is shipped every {backup.wal.ship_every} must be kept longer than {backup.wal.keep}",
            ("backup", "wal", "keep"),
        )


def _verify(policy: Policy) -> Iterator[Problem]:
    if policy.verify.random_point and policy.backup.wal is None:
        yield Problem(
            "random_point needs backup.wal: without shipped WAL there is only the backup's restore point",
            ("verify", "random_point"),
        )
    if isinstance(policy.verify.fingerprint, tuple):
        path = ("verify", "fingerprint")
        yield from repeated(policy.verify.fingerprint, path)
        for number, table in enumerate(policy.verify.fingerprint):
            if policy.tables and table not in policy.tables:
                guess = did_you_mean(table, policy.tables)
                yield Problem(
                    f"the table '{table}' is not declared under tables{guess}", (*path, str(number))
                )


def _objectives(policy: Policy) -> Iterator[Problem]:
    rpo = policy.objectives.rpo
    if rpo is None:
        return
    if policy.backup.wal:
        gap, reason = policy.backup.wal.ship_every.approximate, "WAL is shipped only"
        often = f"every {policy.backup.wal.ship_every}"
    else:
        gap, reason = Cron.parse(policy.backup.schedule).longest_gap(), "without backup.wal, backups run"
        often = f"up to {Duration(days=gap.days, seconds=gap.seconds)} apart"
    if gap > rpo.approximate:
        yield Problem(f"an RPO of {rpo} cannot be met: {reason} {often}", ("objectives", "rpo"))


def _purposes(policy: Policy) -> Iterator[Problem]:
    for name, purpose in policy.purposes.items():
        if purpose.lawful_basis == "consent":
            continue
        for key in ("renew_after", "on_withdrawal"):
            if getattr(purpose, key) is not None:
                yield Problem(
                    f"{key} is about consent, and the lawful basis of '{name}' is {purpose.lawful_basis}",
                    ("purposes", name, key),
                )


def _subjects(policy: Policy) -> Iterator[Problem]:
    for name, subject in policy.subjects.items():
        path = ("subjects", name)
        table = policy.tables.get(subject.table)
        if table is None:
            guess = did_you_mean(subject.table, policy.tables)
            yield Problem(
                f"the table '{subject.table}' is not declared under tables{guess}", (*path, "table")
            )
        elif table.exempt:
            yield Problem(
                f"'{subject.table}' holds a row for each {name} and cannot be exempt", (*path, "table")
            )
        if not subject.identifiers:
            yield Problem(f"a {name} needs an identifier, or nobody can be found", (*path, "identifiers"))
        for key, identifier in subject.identifiers.items():
            yield from _identifier(policy, subject.table, identifier, (*path, "identifiers", key))


def _identifier(
    policy: Policy, table: str, identifier: Identifier, path: tuple[str, ...]
) -> Iterator[Problem]:
    columns = policy.tables[table].columns if table in policy.tables else {}
    column = columns.get(identifier.column)
    if column and not identifier.direct and column.category.startswith(TELLING):
        yield Problem(
            f"the column '{identifier.column}' is {column.category}, which tells who the person is; write true",
            (*path, "direct"),
        )


def _unreachable(policy: Policy) -> Iterator[Problem]:
    """Tables with personal columns from which no link leads to a person: no request would find them."""
    reached = {subject.table for subject in policy.subjects.values()}
    if not reached:
        return
    growing = True
    while growing:
        found = _one_step_from(policy, reached)
        growing = not found <= reached
        reached |= found
    for name, table in policy.tables.items():
        if name not in reached and table.personal_columns():
            columns = ", ".join(table.personal_columns())
            yield Problem(
                f"holds personal data ({columns}), and no link leads from it to a person: no request would find it",
                ("tables", name),
            )


def _one_step_from(policy: Policy, reached: set[str]) -> set[str]:
    """Tables whose rows belong to those of a reached table, or are shared by them."""
    found = set()
    for name, table in policy.tables.items():
        for link in table.links:
            if link.meaning in ("owns", "mentions") and link.to in reached:
                found.add(name)
            if link.meaning == "shares" and name in reached:
                found.add(link.to)
    return found

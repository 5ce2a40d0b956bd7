"""The rows that leave together: a table's due rows, and those of other tables that belong to them.

A table belongs to another one here when its policy links to it with `owns` and has the same archive rule. Its rows go
when the row they refer to goes, in the same transaction, and do not go before. Rows that nothing of that kind holds
any more (their owner is gone) go by their own age.

What else refers to a row holds it back: a foreign key from a table that does not go with it, whatever the database
would do on deletion, or an `owns` link from a table with another rule or none. A row is also held back when a row
that would have to go with it is. The foreign keys are read from the live catalogue, so one that was added after the
policy was written counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from psycopg import sql

from strongroom.archive.errors import NoArchiveRuleError, SweepBlockedError
from strongroom.archive.references import Pair, Reference, Rows, TableName
from strongroom.policy import Policy, split_table
from strongroom.policy.tables import Archive, Link

_MOMENT_TYPES = ("date", "timestamp without time zone", "timestamp with time zone")


@dataclass(frozen=True)
class Member:
    """A table of the family."""

    policy_name: str
    name: TableName
    rule: Archive
    partitioned: bool = False

    @property
    def rows(self) -> Rows:
        """Its rows, under its own name."""
        return Rows(self.name, only=not self.partitioned)


@dataclass(frozen=True)
class Bounds:
    """A range of the column that the rule goes by, as PostgreSQL writes its values."""

    lower: str | None
    """The least value that is in it; None without a limit."""
    upper: str
    """The least value that is beyond it."""
    type: str
    """The column's type."""

    def covers(self, column: sql.Composable) -> sql.Composable:
        """The condition that a column's value is in the range."""
        below = sql.SQL("{} < {}").format(column, self.literal(self.upper))
        if self.lower is None:
            return below
        return sql.SQL("{} >= {} AND {}").format(column, self.literal(self.lower), below)

    def literal(self, value: str) -> sql.Composable:
        """A value as a literal of the column's type."""
        return sql.SQL("CAST({} AS {})").format(sql.Literal(value), sql.SQL(self.type))


@dataclass(frozen=True)
class Blocker:
    """Something that holds rows back, and the condition of the rows that it holds."""

    reference: Reference
    condition: sql.Composable


@dataclass(frozen=True)
class Family:
    """A table with an archive rule and what goes with its rows."""

    members: tuple[Member, ...]
    """The rule's table first."""
    edges: tuple[Reference, ...] = ()
    """From a member to one before it."""
    blockers: tuple[Reference, ...] = ()
    owners: tuple[Reference, ...] = ()
    """From the rule's table to tables whose rows its own rows go with."""
    own_references: tuple[Reference, ...] = ()
    """From the rule's table to itself."""
    _numbers: Iterator[int] = field(default_factory=count, compare=False, repr=False)

    @property
    def root(self) -> Member:
        """The table that the rule is about."""
        return self.members[0]

    def selected(self, member: Member, bounds: Bounds, rows: Rows | None = None) -> sql.Composable:
        """The condition of the rows of a member that leave together.

        Args:
            member: whose rows.
            bounds: the range of the root's column.
            rows: how the table stands in the query; without it, under its own name.
        """
        here = rows or member.rows
        if member == self.root:
            return self._due(bounds, here)
        ways = []
        for edge in self.edges:
            if edge.child == member.name:
                owner = self._member(edge.parent)
                above = self._alias(owner.name)
                ways.append(
                    _exists(above, edge.join(here, above), self.selected(owner, bounds, above)),
                )
        return sql.SQL("({})").format(sql.SQL(" OR ").join(ways))

    def blocked(
        self, bounds: Bounds, rows: Rows | None = None, member: Member | None = None
    ) -> list[Blocker]:
        """What can hold back a row of the root (or of another member), each with its condition."""
        member = member or self.root
        here = rows or member.rows
        found = []
        for reference in self.blockers:
            if reference.parent == member.name:
                other = self._alias(reference.child)
                found.append(Blocker(reference, _exists(other, reference.join(other, here))))
        for reference in self.own_references if member == self.root else ():
            other = self._alias(reference.child)
            stays = sql.SQL("({}) IS NOT TRUE").format(bounds.covers(other.column(member.rule.by)))
            found.append(Blocker(reference, _exists(other, reference.join(other, here), stays)))
        for edge in self.edges:
            if edge.parent == member.name:
                below = self._alias(edge.child)
                found += [
                    Blocker(item.reference, _exists(below, edge.join(below, here), item.condition))
                    for item in self.blocked(bounds, below, self._member(edge.child))
                ]
        return found

    def old(self, bounds: Bounds, rows: Rows | None = None) -> sql.Composable:
        """The condition of the root's rows that are due by age and go with nothing else."""
        here = rows or self.root.rows
        conditions = [bounds.covers(here.column(self.root.rule.by))]
        for reference in self.owners:
            owner = self._alias(reference.parent)
            conditions.append(sql.SQL("NOT {}").format(_exists(owner, reference.join(here, owner))))
        return sql.SQL(" AND ").join(conditions)

    def _due(self, bounds: Bounds, rows: Rows) -> sql.Composable:
        held = [sql.SQL("NOT {}").format(item.condition) for item in self.blocked(bounds, rows)]
        return sql.SQL(" AND ").join([self.old(bounds, rows), *held])

    def _member(self, name: TableName) -> Member:
        return next(member for member in self.members if member.name == name)

    def _alias(self, table: TableName) -> Rows:
        return Rows(table, f"r{next(self._numbers)}")


def _exists(rows: Rows, *conditions: sql.Composable) -> sql.Composable:
    return sql.SQL("EXISTS (SELECT FROM {} WHERE {})").format(rows.source, sql.SQL(" AND ").join(conditions))


def family_of(
    policy: Policy,
    table: str,
    keys: Sequence[Reference],
    primary_keys: Mapping[str, tuple[str, ...]],
    partitioned: Collection[TableName] = (),
) -> Family:
    """The family of a table with an archive rule.

    Args:
        policy: of the database.
        table: the table, as the policy names it.
        keys: the foreign keys of the live database.
        primary_keys: of the tables that links refer to, by their names in the policy.
        partitioned: the tables whose rows lie in partitions.

    Raises:
        NoArchiveRuleError: the policy has no archive rule for it.
        SweepBlockedError: the database would delete or change rows by itself that are not known to go.
    """
    rule = policy.tables[table].archive if table in policy.tables else None
    if rule is None:
        ruled = ", ".join(name for name, entry in policy.tables.items() if entry.archive) or "none"
        raise NoArchiveRuleError(
            f"The policy of {policy.database} has no archive rule for {table}.",
            hint=f"Tables with one: {ruled}. A rule is written as `archive: {{older_than: 2y, by: …}}`.",
        )
    links = _Links(policy, keys, primary_keys)
    members, edges = _with_its_own(policy, table, rule, links)
    names = {member.name for member in members}
    known = {(edge.child, edge.columns) for edge in edges}
    inner = [key for key in keys if key.parent in names and key.child in names]
    inner = [key for key in inner if (key.child, key.columns) not in known]
    for key in inner:
        if key.acts:
            raise SweepBlockedError(
                f"{_shown(key.child)} refers to {_shown(key.parent)} by {key.constraint}, which deletes or changes"
                " rows by itself when others go: rows could vanish without being archived.",
                hint="Make that foreign key ON DELETE NO ACTION.",
            )
    root = members[0].name
    return Family(
        members=tuple(replace(member, partitioned=member.name in partitioned) for member in members),
        edges=tuple(edges),
        blockers=(*_blockers(policy, keys, names, links),),
        owners=tuple(links.owners(table, rule)),
        own_references=tuple(key for key in inner if key.child == key.parent == root),
    )


def check_moment_type(member: Member, base_type: str | None) -> str:
    """The type of the column that a rule goes by.

    Raises:
        NoArchiveRuleError: there is no such column, or it holds no moment.
    """
    if base_type not in _MOMENT_TYPES:
        what = f"is of the type {base_type}" if base_type else "does not exist"
        raise NoArchiveRuleError(
            f"The archive rule of {member.policy_name} goes by the column {member.rule.by}, which {what}.",
            hint="Name a column of the type date or timestamp.",
        )
    return base_type


def same_rule(one: Archive | None, other: Archive | None) -> bool:
    """Whether rows by the one rule go and stay as long as those by the other."""
    if one is None or other is None:
        return False
    return (one.older_than, one.keep, one.purpose) == (other.older_than, other.keep, other.purpose)


class _Links:
    """The policy's `owns` links as references, with the operators of the foreign keys behind them."""

    def __init__(
        self, policy: Policy, keys: Sequence[Reference], primary_keys: Mapping[str, tuple[str, ...]]
    ) -> None:
        self._policy = policy
        self._keys = keys
        self._primary_keys = primary_keys

    def all(self) -> Iterator[tuple[str, str, Reference]]:
        """Referring table and table referred to, as the policy names them, and the reference."""
        for name, entry in self._policy.tables.items():
            for link in entry.links:
                if link.meaning == "owns" and link.kind != "identity" and link.to != name:
                    yield name, link.to, self._reference(name, link)

    def owners(self, table: str, rule: Archive) -> Iterator[Reference]:
        """From the table to those whose rows its own rows go with."""
        for name, to, reference in self.all():
            if name == table and same_rule(rule, self._policy.tables[to].archive):
                yield reference

    def _reference(self, name: str, link: Link) -> Reference:
        child, parent = split_table(name), split_table(link.to)
        for key in self._keys:
            if (key.child, key.parent, key.columns) == (child, parent, frozenset(link.columns)):
                return key
        targets = link.to_columns or self._primary_keys.get(link.to, ())
        if len(targets) != len(link.columns):
            raise NoArchiveRuleError(
                f"The link of {name} to {link.to} does not say which columns it refers to.",
                hint="Add `to_columns`, as many as `columns`.",
            )
        pairs = tuple(Pair(column, target) for column, target in zip(link.columns, targets, strict=True))
        return Reference(child, parent, pairs, type_column=link.type_column, type_value=link.type_value)


def _with_its_own(
    policy: Policy, table: str, rule: Archive, links: _Links
) -> tuple[list[Member], list[Reference]]:
    """The members, each after the one it was found through, and the references between them."""
    members = [Member(table, split_table(table), rule)]
    every = list(links.all())
    for member in members:  # grows while it is read: nearest first
        for name, to, _ in every:
            known = any(name == item.policy_name for item in members)
            child_rule = policy.tables[name].archive
            if to == member.policy_name and not known and child_rule and same_rule(rule, child_rule):
                members.append(Member(name, split_table(name), child_rule))
    place = {member.policy_name: number for number, member in enumerate(members)}
    edges = [
        reference
        for name, to, reference in every
        if name in place and to in place and place[to] < place[name]
    ]
    return members, edges


def _blockers(
    policy: Policy, keys: Sequence[Reference], names: set[TableName], links: _Links
) -> Iterator[Reference]:
    outer = [key for key in keys if key.parent in names and key.child not in names]
    yield from outer
    behind = {(key.child, key.parent, key.columns) for key in outer}
    for _, _, reference in links.all():
        known = (reference.child, reference.parent, reference.columns) in behind
        if reference.parent in names and reference.child not in names and not known:
            yield reference


def _shown(table: TableName) -> str:
    return ".".join(table)

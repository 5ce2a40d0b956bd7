"""The graph of a database: which table's rows belong to which, by the policy's links and the foreign keys.

Rows that refer to others go before them. Tables that refer to each other in a circle form one component, which no
order of deletes can take apart: their rows go in one statement, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from strongroom.policy import Policy
from strongroom.policy.tables import Link, LinkRole
from strongroom.rules.catalogue import ForeignKey, LiveCatalogue, TableId
from strongroom.rules.references import matching, target_columns


@dataclass(frozen=True)
class Edge:
    """A reference from the rows of one table, the child, to those of another."""

    child: TableId
    parent: TableId
    columns: tuple[str, ...]
    parent_columns: tuple[str, ...]
    meaning: LinkRole
    """What the policy says it means; `lookup` where it says nothing."""
    link: Link | None
    """The policy's words; None for a foreign key that it does not speak of."""
    key: ForeignKey | None
    """The foreign key; None for a link by equal values."""

    @property
    def enforced(self) -> bool:
        """Whether the database itself refuses to delete a row that is referred to."""
        return self.key is not None


@dataclass(frozen=True)
class LinkGraph:
    """All references of a database."""

    tables: tuple[TableId, ...]
    edges: tuple[Edge, ...]

    def children_of(self, table: TableId) -> tuple[Edge, ...]:
        """The references to a table's rows."""
        return self._children.get(table, ())

    def parents_of(self, table: TableId) -> tuple[Edge, ...]:
        """The references from a table's rows."""
        return tuple(edge for edge in self.edges if edge.child == table)

    def components(self) -> tuple[tuple[TableId, ...], ...]:
        """The tables, children before those that they refer to; tables in a circle of foreign keys together.

        Links by equal values do not bind the order: nothing refuses to delete their target.
        """
        targets = {
            table: sorted({edge.parent for edge in self.parents_of(table) if edge.enforced})
            for table in self.tables
        }
        return tuple(reversed(list(_strongly_connected(self.tables, targets))))

    def children_first(self) -> tuple[TableId, ...]:
        """The tables in an order in which rows can be deleted; within a circle, by name."""
        return tuple(table for component in self.components() for table in component)

    def in_circle(self, table: TableId) -> bool:
        """Whether a table's rows refer, directly or by others, to rows of the table itself."""
        own = next((component for component in self.components() if table in component), ())
        return len(own) > 1 or any(edge.parent == table for edge in self.parents_of(table) if edge.enforced)

    @cached_property
    def _children(self) -> Mapping[TableId, tuple[Edge, ...]]:
        grouped: dict[TableId, list[Edge]] = {}
        for edge in self.edges:
            grouped.setdefault(edge.parent, []).append(edge)
        return {table: tuple(edges) for table, edges in grouped.items()}


def link_graph(policy: Policy, catalogue: LiveCatalogue) -> LinkGraph:
    """The references that the policy declares and those that the database enforces, each once."""
    roots = tuple(table.id for table in catalogue.roots())
    edges: list[Edge] = []
    for name, table in policy.tables.items():
        live = catalogue.find(name)
        if live is None or live.root is not None:
            continue
        backed = set()
        for link in table.links:
            key = matching(link, live, catalogue) if catalogue.find(link.to) else None
            backed.add(key)
            columns = target_columns(link, catalogue)
            edges.append(Edge(live.id, TableId.of(link.to), link.columns, columns, link.meaning, link, key))
        edges += [_bare(live.id, key) for key in live.foreign_keys if key not in backed]
    declared = {TableId.of(name) for name in policy.tables}
    for live in catalogue.roots():
        if live.id not in declared:
            edges += [_bare(live.id, key) for key in live.foreign_keys]
    return LinkGraph(roots, tuple(edge for edge in edges if edge.parent in set(roots)))


def _bare(child: TableId, key: ForeignKey) -> Edge:
    return Edge(child, key.target, key.columns, key.target_columns, "lookup", None, key)


def _strongly_connected(
    tables: Sequence[TableId], targets: Mapping[TableId, Sequence[TableId]]
) -> Iterator[tuple[TableId, ...]]:
    """Tarjan's algorithm, without recursion: components, each after those that it refers to."""
    index: dict[TableId, int] = {}
    lowest: dict[TableId, int] = {}
    path: list[TableId] = []
    on_path: set[TableId] = set()
    for start in tables:
        if start in index:
            continue
        work: list[tuple[TableId, Iterator[TableId]]] = []
        _enter(start, index, lowest, path, on_path)
        work.append((start, iter(targets[start])))
        while work:
            table, remaining = work[-1]
            target = next(remaining, None)
            if target is None:
                work.pop()
                if work:
                    lowest[work[-1][0]] = min(lowest[work[-1][0]], lowest[table])
                if lowest[table] == index[table]:
                    yield _component(table, path, on_path)
            elif target not in index:
                _enter(target, index, lowest, path, on_path)
                work.append((target, iter(targets[target])))
            elif target in on_path:
                lowest[table] = min(lowest[table], index[target])


def _enter(
    table: TableId,
    index: dict[TableId, int],
    lowest: dict[TableId, int],
    path: list[TableId],
    on_path: set[TableId],
) -> None:
    index[table] = lowest[table] = len(index)
    path.append(table)
    on_path.add(table)


def _component(table: TableId, path: list[TableId], on_path: set[TableId]) -> tuple[TableId, ...]:
    members = []
    while True:
        member = path.pop()
        on_path.discard(member)
        members.append(member)
        if member == table:
            return tuple(sorted(members))

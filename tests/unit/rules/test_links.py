"""The order in which rows can go: children first, circles together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from strongroom.rules.catalogue import Action, ForeignKey, TableId
from strongroom.rules.links import Edge, LinkGraph

NAMES = "abcdefg"


def table(name: str) -> TableId:
    return TableId("public", name)


def graph(*references: str) -> LinkGraph:
    """A graph of references such as `a>b`: a row of a refers to one of b."""
    edges = []
    for reference in references:
        child, parent = (table(name) for name in reference.split(">"))
        key = ForeignKey(reference, ("x",), parent, ("x",), Action.NOTHING, Action.NOTHING, False, True)
        edges.append(Edge(child, parent, ("x",), ("x",), "owns", None, key))
    return LinkGraph(tuple(table(name) for name in NAMES), tuple(edges))


def order(made: LinkGraph) -> str:
    return "".join(one.name for one in made.children_first())


def test_children_go_before_what_they_refer_to() -> None:
    found = order(graph("c>b", "b>a"))

    assert found.index("c") < found.index("b") < found.index("a")


def test_tables_in_a_circle_stay_together() -> None:
    made = graph("a>b", "b>c", "c>a", "d>a")

    assert (table("a"), table("b"), table("c")) in made.components()
    assert order(made).index("d") < order(made).index("a")
    assert made.in_circle(table("b"))
    assert not made.in_circle(table("d"))


def test_a_table_that_refers_to_itself_is_a_circle_of_one() -> None:
    assert graph("a>a").in_circle(table("a"))


def test_the_references_to_a_table_are_found() -> None:
    made = graph("c>b", "b>a", "d>b")

    assert [edge.child.name for edge in made.children_of(table("b"))] == ["c", "d"]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=20))
def test_whatever_the_references_every_table_comes_once_and_children_come_first(
    pairs: list[tuple[str, str]],
) -> None:
    made = graph(*(f"{child}>{parent}" for child, parent in pairs))
    components = made.components()
    place = {member: number for number, component in enumerate(components) for member in component}

    assert sorted(one.name for component in components for one in component) == sorted(NAMES)
    assert all(place[edge.child] <= place[edge.parent] for edge in made.edges)
    for edge in made.edges:
        if place[edge.child] == place[edge.parent] and edge.child != edge.parent:
            assert reaches(made, edge.parent, edge.child)


def reaches(made: LinkGraph, start: TableId, goal: TableId) -> bool:
    seen, pending = {start}, [start]
    while pending:
        for edge in made.parents_of(pending.pop()):
            if edge.parent not in seen:
                seen.add(edge.parent)
                pending.append(edge.parent)
    return goal in seen

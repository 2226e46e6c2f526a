"""Parents before children, where circles are cut."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TypeVar

from transforms.vocabulary import Notice, TableName, TableShape

Node = TypeVar("Node")


def linked(graph: dict[Node, set[Node]], child: Node, parent: Node) -> bool:
    """Let `parent` come before `child`; False, and nothing is changed, where that would close a circle."""
    if parent in graph[child]:
        return True
    graph[child].add(parent)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError:
        graph[child].discard(parent)
        return False
    return True


def referred(names: Mapping[TableName, str], shapes: Mapping[str, TableShape | None]) -> frozenset[str]:
    """The tables of a spec that foreign keys lead to, their own too: their deletes come last.

    In: what the spec calls each table, and their shapes by that name.
    """
    found = (names.get(key.refers) for shape in shapes.values() if shape for key in shape.foreign_keys)
    return frozenset(name for name in found if name)


def circle_warning(first: str, then: str, *, loads_circles: bool) -> Notice:
    """What becomes of rows that need each other, in two tables that are there. A window is a transaction of its own
    everywhere; `loads_circles`: a first load waits with the keys."""
    met = f"Foreign keys between {first} and {then} go in a circle: {first} is loaded first."
    rest = (
        "Rows that need each other load only into empty tables."
        if loads_circles
        else "Rows that need each other do not load, deferrable keys or not: each window is a transaction of its own."
    )
    return Notice("key_circle", f"{met} {rest}", first, {"with": then})

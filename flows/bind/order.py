"""Parents before children, where circles are cut."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TypeVar

from transforms.vocabulary import ForeignKey, Notice, TableName, TableShape

Node = TypeVar("Node", bound=Hashable)


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


def circles(pairs: Iterable[tuple[Node, Node]]) -> list[frozenset[Node]]:
    """The largest sets of two or more that lead to each other by pairs, in the order in which the pairs name them."""
    following: dict[Node, set[Node]] = {}
    for one, other in pairs:
        following.setdefault(one, set()).add(other)
        following.setdefault(other, set())
    reached = {node: _reached(following, node) for node in following}
    found = {node: frozenset(other for other in reached[node] if node in reached[other]) | {node} for node in following}
    return list(dict.fromkeys(each for each in found.values() if len(each) > 1))


def _reached(following: Mapping[Node, set[Node]], start: Node) -> set[Node]:
    found: set[Node] = set()
    waiting = [*following[start]]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += following[node]
    return found


def circle_warnings(
    names: Mapping[TableName, str], shapes: Mapping[str, TableShape | None], *, defers: bool
) -> Iterator[Notice]:
    """What becomes of rows that need each other, for each circle of foreign keys between tables that are there.

    In: what the spec calls each table, and their shapes by that name; whether the engine has keys that can wait.
    """
    keys = [
        (name, there, key)
        for name, shape in shapes.items()
        for key in (shape.foreign_keys if shape else ())
        if (there := names.get(key.refers)) is not None and there != name
    ]
    for circle in circles((there, name) for name, there, _ in keys):
        inner = [each for each in keys if each[0] in circle and each[1] in circle]
        some = sorted({name for name, _, _ in inner})
        hard = [(name, there, key) for name, there, key in inner if not key.deferrable]
        bound = [each for each in hard if not _may_be_null(shapes[each[0]], each[2])]
        listed = " or ".join(f"{name} ({', '.join(key.columns)})" for name, _, key in bound)
        if not circles((there, name) for name, there, _ in hard):
            then = "are written in one transaction, in whose end the keys are looked at"
        elif not circles((there, name) for name, there, _ in bound):
            then = "are written in two steps, with a reference that is null in between"
        else:
            late = f"make one of the keys {listed} DEFERRABLE, or " if defers else ""
            null = f"let a column of {'one of them' if late else listed} be null"
            then = f"cannot be written, and a plan that has such rows is refused. Fix: in the target, {late}{null}"
        text = (
            f"Foreign keys of {', '.join(some[:-1])} and {some[-1]} go in a circle: rows that need each other {then}."
        )
        yield Notice("key_circle", text, some[0], {"with": ", ".join(some[1:])})


def _may_be_null(shape: TableShape | None, key: ForeignKey) -> bool:
    columns = [shape.column(name) for name in key.columns] if shape else []
    return any(column is not None and column.nullable for column in columns)

"""Parents before children, where circles are cut."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple, TypeVar

from transforms.vocabulary import Phase, TableName, TableShape

Node = TypeVar("Node")


class Step(NamedTuple):
    """A part of writing: all windows of a table, or their inserts and updates, or their deletes."""

    table: TableName
    phase: Phase


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


def referred(
    names: Mapping[TableName, str], shapes: Mapping[str, TableShape | None], apart: Collection[str]
) -> frozenset[str]:
    """The tables of a spec that others refer to, and of those in `apart`, whose deletes are windows of their own, also those that
    refer to themselves: their deletes come last. In: what the spec calls each table, and their shapes by that name."""
    found = [(name, names.get(key.refers)) for name, shape in shapes.items() if shape for key in shape.foreign_keys]
    return frozenset(there for name, there in found if there and (there != name or name in apart))


def in_steps(tables: Sequence[TableName], referred: Collection[TableName]) -> list[Step]:
    """Upserts parents first, then deletes children first. In: parents before children, and those that are referred to.

    Tables that no other one refers to have all their changes in one step.
    """
    upserts = [Step(table, "upsert" if table in referred else "all") for table in tables]
    return upserts + [Step(table, "delete") for table in reversed(tables) if table in referred]


def reordered(steps: Sequence[Step], needs: Iterable[tuple[Step, Step]]) -> list[Step]:
    """The steps in an order in which, of each pair, the first one comes before the second; else as they come.

    A need of a table that is written in one step is a need of that step. Errors: CycleError, whose second argument lists the
    steps of the circle, where there is no such order.
    """
    graph: dict[Step, set[Step]] = {step: set() for step in steps}
    for pair in needs:
        first, second = (step if step in graph else Step(step.table, "all") for step in pair)
        if first in graph and second in graph:
            graph[second].add(first)  # a step that has to come before itself is a circle, too
    TopologicalSorter(graph).prepare()
    ordered: list[Step] = []
    waiting = list(steps)
    while waiting:
        following = next(step for step in waiting if graph[step] <= set(ordered))
        waiting.remove(following)
        ordered.append(following)
    return ordered


def circle_warning(first: str, then: str, *, loads_circles: bool) -> str:
    """What becomes of rows that need each other, in two tables that are there. A window is a transaction of its own
    everywhere; `loads_circles`: a first load waits with the keys."""
    met = f"Foreign keys between {first} and {then} go in a circle: {first} is loaded first."
    if loads_circles:
        return f"{met} Rows that need each other load only into empty tables."
    return (
        f"{met} Rows that need each other do not load, deferrable keys or not: each window is a transaction of its own."
    )

"""Parents before children, where circles are cut."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TypeVar

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

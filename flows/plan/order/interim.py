"""Rows that are written in several steps, because no single one keeps every constraint.

A step on the way is an ordinary change in a window that `PlannedTable.interim` names: it comes `first`, and frees what others
need before the row's real change, or it is `completing`, and fills what could not be filled yet. Each step expects what the
one before it left. A row counts once, as its real change, which is in another window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from adapters.store.manifest import PlannedTable
from adapters.store.plan_files import FileEntry
from adapters.store.plans import Plan
from transforms.net_changes import net, together
from transforms.vocabulary import OPS, ChangeSet, Op, TableName


def in_turn(planned: PlannedTable | None, windows: Sequence[FileEntry]) -> list[list[FileEntry]]:
    """The windows of a table in parts that rows pass through one after the other: in each part a row is at most once.

    What frees a value and what frees a reference may both come `first`, for one row: each such window is a part, and deletes come
    behind both.
    """
    if planned is None or not planned.interim:
        return [list(windows)]
    ordered = sorted(windows, key=lambda each: (each.window not in planned.interim, each.window))
    first = [[each] for each in ordered if each.window in planned.first]
    turns: list[list[FileEntry]] = [[], []]
    for entry in windows:
        if entry.window not in planned.first:
            turns[entry.window in planned.completing].append(entry)
    return [*first, *(each for each in turns if each)]


def whole_changes(
    plan: Plan, table: TableName, read: Callable[[FileEntry], ChangeSet], ops: Sequence[Op] = OPS
) -> Iterator[ChangeSet]:
    """The changes of a table, each row at most once, whatever steps it takes. `read` gives what counts of a window.

    Windows that have none of `ops` may be left out. Memory: a window; of a table with interim steps all its changes.
    """
    turns = in_turn(plan.manifest.of(table), plan.windows(table))
    if len(turns) == 1:
        yield from (read(entry) for entry in turns[0] if entry.has(*ops))
        return
    parts = [part for entries in turns for part in together([read(entry) for entry in entries])]
    yield from net(parts) if parts else ()

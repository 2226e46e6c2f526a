"""Windows of an undo that its tables' own constraints ask for: rows in another order, and steps on the way."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import pyarrow as pa

from adapters.protocol import Snapshot, Target
from adapters.store.manifest import PlannedTable
from flows.history.undo_order import listed
from flows.plan.consequences.children import key_of
from flows.plan.order.moving_values import Table, window_of
from flows.plan.order.own_order import NoOwnOrder, moved, own_keys, own_order
from flows.plan.order.passed_on import Passing, letting_go
from transforms.vocabulary import ChangeSet, PlanError, TableShape


def in_own_order(
    numbers: Sequence[int], target: Target, shape: TableShape, windows: list[ChangeSet], first: Collection[int]
) -> tuple[int, ...]:
    """Take rows out of windows that have to come behind others of their table, into new ones; the table's `late` windows."""
    mine = {number: changes for number, changes in enumerate(windows) if len(changes) and number not in first}
    if not own_keys(shape) or not mine:
        return ()

    def compared(rows: pa.Table) -> pa.Table:
        return pa.table(target.alike(shape.name, rows), names=rows.column_names)

    try:
        most = max(map(len, windows))
        order = own_order(shape, target.capabilities, mine, windows[0].key, compared, most)
    except NoOwnOrder as error:
        raise PlanError(
            f"Undoing version {listed(numbers)} cannot be done in any order: rows need each other by foreign keys that go in a "
            f"circle ({error.circle}). Nothing was written.",
            fix="drop one of these foreign keys for as long as it takes.",
        ) from error
    start = len(windows)
    windows[:] = moved(windows, order)
    return order.late(start)


def let_go_first(
    target: Target, snapshot: Snapshot, planned: PlannedTable, passing: Sequence[Passing], windows: list[ChangeSet]
) -> PlannedTable:
    """What the plan holds for a table whose rows let go of values that pass from row to row, and come back to them."""
    mine = [each for each in passing if each.child.name == planned.table]
    key = windows[0].key if windows else key_of(mine[0].child) if mine else None
    if not mine or key is None:
        return planned
    before = {*planned.interim, *(number for number in planned.first if windows[number].after.num_rows)}
    real = {number: changes for number, changes in enumerate(windows) if number not in before}
    found = letting_go(target, snapshot, key, mine, real)
    for number, changes in found.changed.items():
        windows[number] = changes
    first = range(len(windows), len(windows) + len(found.first))
    completing = range(first.stop, first.stop + len(found.completing))
    late = range(completing.stop, completing.stop + len(found.late))
    windows += [*found.first, *found.completing, *found.late]
    return replace(
        planned,
        first=(*planned.first, *first),
        completing=(*planned.completing, *completing, *late),
        interim=(*planned.interim, *first, *completing),
    )


def freed(
    table: Table, windows: list[ChangeSet], first: Sequence[int], interim: Sequence[int] = ()
) -> tuple[list[int], list[int]]:
    """Put what frees unique values into windows behind the others: the numbers of those, which come first, and of those among
    them that hold steps on the way. In: which windows come first already, and which hold such steps."""
    some = [
        window_of(number, changes, first=number in first)
        for number, changes in enumerate(windows)
        if number not in interim
    ]
    freed = table.freed(some)
    for number, changes in freed.changed.items():
        windows[number] = changes
    known = len(windows)
    windows += [*freed.early, *freed.interim]
    return list(range(known, len(windows))), list(range(known + len(freed.early), len(windows)))

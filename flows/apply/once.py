"""What became of rows that were written in several steps: each of them once, as its real change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from adapters.sql.staging import unwritten
from adapters.store.manifest import PlannedTable
from adapters.store.plans import Plan
from flows.apply.windows import Done
from transforms import keys
from transforms.vocabulary import OPS
from transforms.vocabulary.arrow import Mask


def each_once(done: Sequence[Done], plan: Plan) -> tuple[Done, ...]:
    """What windows came to, with each row that they did not write at most once, and of the operation that was planned for it.

    A step on the way that is refused is the row's own refusal: its real change then met a row that was not prepared for it. A
    conflict of a step that comes `first` is one of the real change, which finds the same row. Who completed a row does not count.
    """
    stepping = {each.name: each for each in plan.manifest.tables if each.interim}
    if not stepping:
        return tuple(done)
    plain = [each for each in done if each.table not in stepping]
    return (*plain, *(one for name, planned in stepping.items() for one in _of_table(done, plan, name, planned)))


def _of_table(done: Sequence[Done], plan: Plan, name: str, planned: PlannedTable) -> Iterator[Done]:
    real = [each for each in done if each.table == name and each.window not in planned.interim]
    steps = [each for each in done if each.table == name and each.window in planned.interim]
    refused = _keys(each.refused for each in steps)
    real = [replace(each, conflicts=_without(each.conflicts, refused)) for each in real]
    settled = _keys(rows for each in real for rows in (each.conflicts, each.by_others, each.refused))
    yield from real
    named = {column.column for each in real for column in each.unstable}
    for each in steps:
        bare = replace(each, conflicts=None, by_others=None, refused=None, unstable=())
        last = each.unstable if each.window in planned.completing else ()
        yield replace(bare, unstable=tuple(column for column in last if column.column not in named))
        conflicts = each.conflicts if each.window in planned.completing else None
        for rows in _as_planned(_without(conflicts, settled), plan, planned):
            yield replace(bare, conflicts=rows)
        for rows in _as_planned(_without(each.refused, settled), plan, planned):
            yield replace(bare, refused=rows)


def _keys(some: Iterator[pa.Table | None]) -> pa.Table | None:
    """The keys of all these rows, None where there are none."""
    parts = [_key(rows) for rows in some if rows is not None and rows.num_rows]
    return pa.concat_tables(parts) if parts else None


def _key(rows: pa.Table) -> pa.Table:
    return pa.Table.from_struct_array(rows["key"])


def _inside(rows: pa.Table, others: pa.Table | None) -> Mask:
    if others is None:
        return np.zeros(rows.num_rows, dtype=bool)
    mine = _key(rows)
    return keys.contained(mine, others, tuple(mine.column_names))


def _without(rows: pa.Table | None, others: pa.Table | None) -> pa.Table | None:
    """Rows but for those of some keys; None where none is left."""
    if rows is None:
        return None
    left = rows.filter(pa.array(~_inside(rows, others)))
    return left if left.num_rows else None


def _as_planned(rows: pa.Table | None, plan: Plan, planned: PlannedTable) -> Iterator[pa.Table]:
    """Rows of steps as rows of their real changes, apart by window, with what else is known of them."""
    if rows is None:
        return
    mine = _key(rows)
    for entry in plan.windows(planned.table):
        if entry.window in planned.interim:
            continue
        changes = plan.changes(entry)
        for op, image in zip(OPS, (changes.inserts, changes.after, changes.deletes), strict=True):
            place = keys.match(mine, image, changes.key)
            if (place >= 0).any():
                real = unwritten(changes, op, place[place >= 0].tolist())
                known = rows.filter(pa.array(place >= 0)).drop_columns(real.column_names)
                for name in known.column_names:
                    real = real.append_column(known.schema.field(name), known.column(name))
                yield real

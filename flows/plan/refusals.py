"""Rows that the target's engine would refuse, found while they are planned, and set aside before anything is written."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from flows.bind.tables import BoundTable
from flows.session.route import Route
from flows.session.watch import Watch
from transforms import keys
from transforms.mapping.aside import set_refused_aside
from transforms.mapping.mapping import Mapped
from transforms.vocabulary import ChangeSet


def without_refused(route: Route, watch: Watch, number: int, mapped: Mapped, changes: ChangeSet) -> Mapped | None:
    """The mapped rows without those that the target would not take of what is about to be written; None where it takes all.

    In: `changes` as they follow from `mapped`. Columns that the target computes itself are not written, and not asked for.
    """
    bound = route.table
    if bound.unwritable or not (changes.inserts.num_rows or changes.after.num_rows):
        return None
    shape = replace(bound.shape, design=bound.design)
    refusals = route.writes.adapter.refused(shape, _written(bound, changes), new=bool(bound.ddl))
    if not refusals:
        return None
    places = sorted(refusals)
    rows = pa.concat_tables([changes.inserts, changes.after]).take(pa.array(places))
    why = [refusals[place] for place in places]
    watch.refused(bound.name, number, rows, why)
    at = keys.match(rows, mapped.rows, bound.key)
    return set_refused_aside(mapped, dict(zip(at.tolist(), why, strict=True)), bound.mapping)


def _written(bound: BoundTable, changes: ChangeSet) -> ChangeSet:
    computed = {column.name for column in bound.shape.columns if column.generated}
    names = [name for name in changes.schema.names if name not in computed]
    if len(names) == len(changes.schema.names):
        return changes
    tables = (changes.inserts, changes.before, changes.after, changes.deletes)
    inserts, before, after, deletes = (each.select(names) for each in tables)
    compared = tuple(name for name in changes.compared if name in names)
    return replace(changes, compared=compared, inserts=inserts, before=before, after=after, deletes=deletes)

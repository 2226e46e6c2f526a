"""The rows of a table that looks into itself, read on both sides as far as such lookups need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from adapters.store import spill
from flows.bind.tables import BoundTable
from flows.plan.reading.chosen_keys import among, held_by_target, of_target
from flows.plan.reading.window_reader import (
    PlanWork,
    lookup_file,
    lookup_rows,
    map_noting,
    of_keys,
    scan_source,
    target_ranges,
    within_ranges,
)
from flows.plan.trees.chosen_tree import asked_of_lookup
from flows.session.route import Route
from flows.session.scan import readable, scan_planned
from flows.session.session import Job
from transforms import keys
from transforms.mapping.column_mapping import LookupRows, TableMapping
from transforms.mapping.mapping import Mapped
from transforms.mapping.own_lookups import of_columns
from transforms.mapping.rejections import REJECTED
from transforms.mapping.sources import read_by
from transforms.range_filter import all_inside
from transforms.vocabulary import KeyRange
from transforms.vocabulary.arrow import Mask, contiguous
from transforms.vocabulary.values import unequal


def own_names(bound: BoundTable) -> list[str]:
    """The lookups of a table that read the table as the plan will leave it, by name."""
    return [name for name, looked in bound.lookups.items() if looked.planned == bound.name]


def back_file(job: Job, bound: BoundTable, name: str, kind: str) -> Path:
    """What such a lookup finds on the way back to the source."""
    return lookup_file(job, bound.name, name, f"back.{kind}")


def back_rows(bound: BoundTable, job: Job) -> dict[str, LookupRows]:
    """What lookups of a table into itself find on the way back, as it was written down."""
    return {
        name: LookupRows(*(spill.read_rows(back_file(job, bound, name, kind)) for kind in ("rows", "quarantined")))
        for name in own_names(bound)
    }


def renamed_rows(bound: BoundTable, job: Job) -> dict[str, pa.Table]:
    """Rows that lookups of a table find which are called otherwise on the source from now on, as it was written down."""
    paths = {name: back_file(job, bound, name, "renamed") for name in bound.lookups}
    return {name: spill.read_rows(path) for name, path in paths.items() if path.exists()}


def source_names(bound: BoundTable, mapping: TableMapping, names: Sequence[str]) -> dict[str, str]:
    """The source's columns that a mapping reads, and what they are called beside the mapped ones."""
    read = {source for column in mapping.columns for source in read_by(column, bound.reads)}
    prefix = "source "
    while any(name.startswith(prefix) for name in names):
        prefix += "_"
    # an expression may need no column, but some one to have rows at all
    return {name: prefix + name for name in [each for each in bound.reads if each in read] or bound.reads[:1]}


def lookups_into_others(bound: BoundTable, job: Job) -> dict[str, LookupRows]:
    """What lookups into other tables may find."""
    apart = {name: looked for name, looked in bound.lookups.items() if looked.planned != bound.name}
    return lookup_rows(replace(bound, lookups=apart), job)


def first_pass(route: Route, work: PlanWork, *, names: list[str], sources: dict[str, str]) -> Mapped:
    """The source's rows mapped without lookups into the table, beside them the source's own columns."""
    bound = route.table
    every = [column.shape.name for column in bound.mapping.columns]
    mapping, lookups = of_columns(bound.mapping, every, 0), lookups_into_others(bound, work.job)
    shape = bound.source_shape.schema(tuple(sources))
    held = pa.schema([pa.field(sources[name], shape.field(name).type) for name in sources])
    empty = pa.Table.from_arrays(
        [*mapping.schema.empty_table().select(names).columns, *held.empty_table().columns],
        names=[*names, *held.names],
    )
    parts = [Mapped(empty, REJECTED.empty_table(), empty)]
    for batch in scan_source(route, work, KeyRange(), ()):
        rows = pa.Table.from_batches([batch])
        mapped, bad = map_noting(rows, mapping, lookups)
        beside = rows.select(list(sources)).rename_columns(held.names).cast(held)

        def joined(some: pa.Table, mask: Mask, beside: pa.Table = beside) -> pa.Table:
            chosen = beside.filter(pa.array(mask))
            return pa.Table.from_arrays([*some.select(names).columns, *chosen.columns], names=[*names, *held.names])

        few = Mapped(joined(mapped.rows, ~bad), mapped.rejected, joined(mapped.rejected_rows, bad))
        parts.append(within_ranges(of_keys(few, bound, work.keys, rows, bad), bound, work.ranges))
    return Mapped(
        pa.concat_tables([each.rows for each in parts]),
        pa.concat_tables([each.rejected for each in parts]),
        pa.concat_tables([each.rejected_rows for each in parts]),
    )


def rows_there(route: Route, work: PlanWork, columns: list[str]) -> pa.Table:
    """Some columns of the rows of the target that have a key: of all that can be looked up."""
    bound = route.table
    rows = bound.shape.schema(tuple(columns)).empty_table()
    for asked in () if work.target_empty else _asked(route, work):
        more = rows_with(route, columns, asked)
        new = more.filter(pa.array(~keys.contained(more, rows, bound.key))) if rows.num_rows else more
        rows = pa.concat_tables([rows, new])
    return rows


def rows_with(route: Route, columns: list[str], asked: pa.Table | None) -> pa.Table:
    """Some columns of the rows of the target that have a key; of those with some values in some columns, where these are given."""
    bound = route.table
    there = scan_planned(route.writes.snapshot, bound, columns, keys=asked)
    batches = list(readable(there, bound.shape.name, route.writes.name, bound.key))
    rows = pa.Table.from_batches(batches, schema=bound.shape.schema(tuple(columns)))
    return keys.without_null_keys(rows, bound.key)


def _asked(route: Route, work: PlanWork) -> list[pa.Table | None]:
    """What the target is asked for: of trees their rows, and those that they look up; else all there is."""
    bound = route.table
    looked_up = asked_of_lookup(work.job, bound.name, bound.name)
    own = of_target(route, work.keys).keys if looked_up is not None and work.keys is not None else None
    if looked_up is None or own is None:
        return [None]
    return [own, *(held_by_target(route, values) for values in looked_up)]


def looked_at(bound: BoundTable, work: PlanWork, found: pa.Table) -> pa.Table:
    """The rows of the target that the plan looks at."""
    if work.keys is not None:
        return found.filter(among(found, bound.key, work.keys))
    return found.filter(pa.array(all_inside(found, tuple(target_ranges(bound, work)))))


def same_names(rows: pa.Table, found: pa.Table, key: tuple[str, ...], names: Sequence[str]) -> Mask:
    """Which rows are found by their keys with the same values in some columns."""
    if not rows.num_rows or not found.num_rows:
        return np.zeros(rows.num_rows, dtype=bool)
    place = keys.match(rows, found, key)
    there = found.take(pa.array(place, mask=place < 0))
    same: Mask = place >= 0
    for name in names:
        if (differs := unequal(contiguous(rows.column(name)), contiguous(there.column(name)))) is not None:
            same &= ~differs
    return same

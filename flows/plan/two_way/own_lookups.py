"""Lookups of two-way tables into themselves: what rows of either side find there, before and after both sides are brought together.

Rows of the source ask by what their parents are called there, and get what those have on the target in the end; rows of the target
that go back say which row is meant, and get what that is called on the source in the end. What that is, windows say only once they are
planned: they are planned anew where it is not as it was taken to be, and where rows are left open that exist on one side alone, to
which nothing on the other side may refer. Memory: the columns of the key and of such lookups, of both sides and what they agreed on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.store.agreed import Parts, read_part
from adapters.store.plan_files import read_narrow
from flows.bind.tables import BoundTable
from flows.plan.lookups.numbers import first_number, must_hold, numbered_column, numbers_file
from flows.plan.lookups.own_lookups import write
from flows.plan.lookups.own_rows import back_file, first_pass, own_names, rows_there, source_names
from flows.plan.reading.window_reader import PlanWork, lookup_file, padded
from flows.plan.two_way.bringing import End
from flows.plan.two_way.constraints import forget_all
from flows.plan.two_way.table import TableOfBoth
from flows.session.route import Route
from flows.session.session import Job
from transforms import keys
from transforms.mapping.mapping import Mapped
from transforms.mapping.own_lookups import of_columns, own_lookups
from transforms.vocabulary import SIDES, All, Key, SideName, other_side
from transforms.vocabulary.arrow import Indices, Mask, as_mask, contiguous
from transforms.vocabulary.values import unequal


def through_own_lookups(
    ends: Mapping[SideName, End], route: Route, work: PlanWork, known: Parts | None, plan: Callable[[], TableOfBoth]
) -> TableOfBoth:
    """Plan a table that looks up its own rows by values, by `plan`: again, as long as rows are not found as they will be."""
    own = _read(route, replace(work, selection=All()), known)
    job = ends["target"].job
    while True:
        _write_down(job, route.table, own)
        made = plan()
        learned = _learned(route.table, own, Path(job.folder), made)
        if learned is None:
            return made
        own = learned
        forget_all(ends, made)


class _Place(NamedTuple):
    """Where the rows of all keys are among those of a side, or of what both agreed on; -1 where they are not."""

    rows: pa.Table
    at: Indices

    @property
    def held(self) -> Mask:
        return self.at >= 0

    def column(self, name: str) -> pa.Array:
        return contiguous(self.rows.column(name)).take(pa.array(self.at, mask=self.at < 0))


@dataclass(frozen=True, slots=True)
class _OwnRows:
    """All rows of both sides, by key: as the `sides` have them now, and as they are taken to be in the end (`then`).

    `born`: which rows a side alone has, and nobody agreed on; those of them that `wait` do not come to the other side. Of `seen` rows
    it was seen what becomes of them. `away`: rows of the source that were set aside, in the columns that can be made of them.
    """

    keyed: pa.Table
    sides: Mapping[SideName, _Place]
    then: Mapping[SideName, pa.Table]
    born: Mapping[SideName, Mask]
    wait: Mapping[SideName, Mask]
    seen: Mask
    away: pa.Table

    @property
    def names(self) -> list[str]:
        return list(self.then["target"].column_names)


def _read(route: Route, work: PlanWork, agreed: Parts | None) -> _OwnRows:
    """Read both sides, and take the rows to be in the end what merging makes of them."""
    bound = route.table
    looked = {column for name in own_names(bound) for column in bound.lookups[name].columns}
    names = [name for name in bound.shape.names if name in {*looked, *bound.key, bound.identity}]
    schema = bound.shape.schema(tuple(names))
    mapped = _mapped(route, work, [name for name in names if name != bound.identity])
    ours = keys.without_null_keys(mapped.rows, bound.key)
    ours = ours.filter(pa.array(~keys.duplicates(ours, bound.key)))
    if bound.identity is not None:
        ours = ours.append_column(bound.identity, pa.nulls(ours.num_rows, schema.field(bound.identity).type))
    old = [schema.empty_table()]
    if agreed is not None and set(names) <= set(agreed.agreement.schema.names):
        old += [read_part(agreed, number, names).cast(schema) for number in range(len(agreed.parts))]
    both = ours.select(names).cast(schema), rows_there(route, work, names)
    keyed = keys.distinct(pa.concat_tables([each.select(list(bound.key)) for each in both]))
    source, target, base = (_Place(rows, _places(keyed, rows, bound.key)) for rows in (*both, pa.concat_tables(old)))
    then = pa.table({name: _merged(name, source, target, base) for name in names}, schema=schema)
    if bound.identity is not None:
        known = pc.coalesce(*(each.column(bound.identity) for each in (target, base)))
        then = _numbered(route, _with(then, {bound.identity: known}), source.held)
    none = np.zeros(keyed.num_rows, dtype=bool)
    return _OwnRows(
        keyed,
        {"source": source, "target": target},
        dict.fromkeys(SIDES, then),
        {"source": ~target.held & ~base.held, "target": ~source.held & ~base.held},
        dict.fromkeys(SIDES, none),
        none,
        mapped.rejected_rows.select([name for name in names if name != bound.identity]),
    )


def _mapped(route: Route, work: PlanWork, names: list[str]) -> Mapped:
    """The source's rows in some columns, whatever is wrong with others."""
    mapping = replace(of_columns(route.table.patient_mapping, names, 0), checks=())
    sources = source_names(route.table, mapping, names)
    return first_pass(replace(route, table=replace(route.table, mapping=mapping)), work, names=names, sources=sources)


def _places(keyed: pa.Table, rows: pa.Table, key: Key) -> Indices:
    if not keyed.num_rows or not rows.num_rows:
        return np.full(keyed.num_rows, -1, dtype=np.int64)
    return keys.match(keyed, rows, key)


def _merged(name: str, source: _Place, target: _Place, base: _Place) -> pa.Array:
    """The source's values where the source changed them or has them alone, else the target's."""
    mine, theirs, old = (each.column(name) for each in (source, target, base))
    edited = unequal(mine, old)
    ours = source.held & (~target.held | (np.zeros(len(mine), dtype=bool) if edited is None else edited))
    return pc.if_else(pa.array(ours), mine, theirs)


def _numbered(route: Route, then: pa.Table, source: Mask) -> pa.Table:
    """The rows with the next numbers for those that have none yet."""
    bound = route.table
    column = numbered_column(bound)
    values = contiguous(then.column(column.name))
    new = np.flatnonzero(source & as_mask(pc.is_null(values)))
    if not len(new):
        return then
    first = first_number(bound, route.writes.snapshot)
    must_hold(bound.shape.name, column, first + len(new) - 1)
    given = np.zeros(len(values), dtype=np.int64)
    given[new] = first + np.arange(len(new))
    return _with(then, {column.name: pc.coalesce(values, pa.array(given).cast(column.type))})


def _write_down(job: Job, bound: BoundTable, own: _OwnRows) -> None:
    """Write down what lookups find on the way to the target, and on the way back."""
    source, target = own.then["source"], own.then["target"]
    here = own.sides["source"]
    lookups = [tuple(name for name, _ in each.match) for each in own_lookups(bound.mapping).values()]
    asked = {name for match in lookups for name in match}
    now = {name: pc.if_else(pa.array(here.held), here.column(name), target.column(name)) for name in asked}
    there, back = _with(target, now), _with(target, {name: source.column(name) for name in asked})
    found = ~_hidden(there, here.held, lookups)
    known = ~_hidden(back, here.held, lookups)
    for match in lookups:  # what several rows would be called says of none that it is meant
        known &= ~_twice(back, known, match)
    found, known = found & ~own.wait["source"], known & ~own.wait["target"]
    renamed = known & here.held & _unlike(back, there, asked)
    for name in own_names(bound):
        columns = list(bound.lookups[name].columns)
        away = padded(own.away, columns, target.schema).cast(bound.shape.schema(tuple(columns)))
        lost = pa.concat_tables([away, there.select(columns).filter(pa.array(own.wait["source"]))])
        write(lookup_file(job, bound.name, name, "rows"), there.select(columns).filter(pa.array(found)))
        write(lookup_file(job, bound.name, name, "quarantined"), lost)
        write(back_file(job, bound, name, "rows"), back.select(columns).filter(pa.array(known)))
        write(back_file(job, bound, name, "quarantined"), back.select(columns).filter(pa.array(~known)))
        write(back_file(job, bound, name, "renamed"), back.select(columns).filter(pa.array(renamed)))
    if bound.identity is not None:
        write(numbers_file(job, bound.name), target.select([*bound.key, bound.identity]).filter(pa.array(here.held)))


def _with(rows: pa.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
    for name, values in columns.items():
        at = rows.schema.get_field_index(name)
        rows = rows.set_column(at, rows.schema.field(at), values)
    return rows


def _unlike(rows: pa.Table, others: pa.Table, names: Collection[str]) -> Mask:
    unlike = np.zeros(rows.num_rows, dtype=bool)
    for name in names:
        mask = unequal(contiguous(rows.column(name)), contiguous(others.column(name)))
        if mask is not None:
            unlike |= mask
    return unlike


def _hidden(rows: pa.Table, first: Mask, lookups: Sequence[Key]) -> Mask:
    """Which rows are called as one of the first ones is, which is meant then."""
    hidden = np.zeros(rows.num_rows, dtype=bool)
    for match in lookups:
        others = keys.without_null_keys(rows.filter(pa.array(first)), match)
        asked = np.flatnonzero(~first & ~keys.null_keys(rows, match))
        if len(asked) and others.num_rows:
            hidden[asked] |= keys.contained(rows.take(pa.array(asked)), others, match)
    return hidden


def _twice(rows: pa.Table, some: Mask, names: Key) -> Mask:
    """Which of some rows have values that another one of them has."""
    twice = np.zeros(rows.num_rows, dtype=bool)
    places = np.flatnonzero(some & ~keys.null_keys(rows, names))
    twice[places] = keys.duplicates(rows.take(pa.array(places)), names)
    return twice


def _learned(bound: BoundTable, own: _OwnRows, folder: Path, made: TableOfBoth) -> _OwnRows | None:
    """The rows as they are once windows are planned; None where they are as they were taken to be."""
    if any(each.meeting for each in made.windows):
        return None
    written = {side: _written(bound, own, folder, made, side) for side in SIDES}
    then, seen = dict(own.then), own.seen.copy()
    for side, new in written.items():
        there = (own.sides[side].held | new.held) & ~own.seen
        for name in own.names if side == "target" else [name for name in own.names if name != bound.identity]:
            actual = pc.if_else(pa.array(new.held), new.column(name), own.sides[side].column(name))
            taken = contiguous(then[side].column(name))
            unlike = unequal(actual, taken)
            if unlike is not None and (unlike & there).any():
                seen |= unlike & there
                then[side] = _with(then[side], {name: pc.if_else(pa.array(unlike & there), actual, taken)})
    wait = {side: own.wait[side] | (own.born[side] & ~written[other_side(side)].held) for side in SIDES}
    if (seen == own.seen).all() and all((wait[side] == own.wait[side]).all() for side in SIDES):
        return None
    return replace(own, then=then, seen=seen, wait=wait)


def _written(bound: BoundTable, own: _OwnRows, folder: Path, made: TableOfBoth, side: SideName) -> _Place:
    """The rows that a side gets."""
    schema = own.then[side].schema
    rows = [schema.empty_table()]
    for window in made.windows:
        for entry in window.beside:
            if entry.kind == "wanted" and entry.window % 2 == SIDES.index(side):
                changes = read_narrow(folder, entry, own.names)
                rows += [part.select(own.names).cast(schema) for part in (changes.after, changes.inserts)]
    whole = pa.concat_tables(rows)
    return _Place(whole, _places(own.keyed, whole, bound.key))

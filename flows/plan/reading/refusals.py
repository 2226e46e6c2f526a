"""Rows that the target would refuse, found while they are planned, and set aside before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.protocol import Target
from adapters.store import spill
from flows.bind.identity import TARGET
from flows.bind.tables import BoundTable
from flows.plan.reading.window_reader import doubles_file, orphans_file, parents_file
from flows.plan.references.references import having
from flows.plan.references.referrers import compared
from flows.session.route import Route
from flows.session.session import Job, Session
from transforms import keys
from transforms.mapping.aside import set_refused_aside
from transforms.mapping.column_mapping import LookUp
from transforms.mapping.mapping import Mapped
from transforms.vocabulary import ChangeSet, ForeignKey, Key, Reason
from transforms.vocabulary.arrow import as_mask
from transforms.vocabulary.values import same_rows


def without_refused(
    session: Session, job: Job, route: Route, number: int, mapped: Mapped, changes: ChangeSet
) -> Mapped | None:
    """The mapped rows without those that the target would not take of what is about to be written; None where it takes all.

    In: `changes` as they follow from `mapped`. Columns that the target computes itself are not written, and not asked for.
    """
    bound = route.table
    refusals = refused_rows(session, job, route, changes)
    if not refusals:
        return None
    whole = pa.concat_tables([changes.inserts, changes.after])
    places = sorted(refusals)
    rows = whole.take(pa.array(places))
    why = [refusals[place] for place in places]
    session.watch.refused(bound.name, number, rows, why)
    at = keys.match(rows, mapped.rows, bound.key)
    return set_refused_aside(mapped, dict(zip(at.tolist(), why, strict=True)), bound.mapping)


def refused_rows(session: Session, job: Job, route: Route, changes: ChangeSet) -> dict[int, Reason]:
    """The rows that the side would not take, each by itself: by their place in the inserts, and behind those in the after images."""
    bound = route.table
    if bound.unwritable or not (changes.inserts.num_rows or changes.after.num_rows):
        return {}
    shape = replace(bound.shape, design=bound.design)
    whole = pa.concat_tables([changes.inserts, changes.after])
    refusals = dict(_without_parent(session, job, route, whole))
    refusals |= dict(_referring_wrongly(session, job, bound, changes, whole))
    refusals |= dict(_with_value_of_others(job, bound, changes, whole))
    return refusals | dict(route.writes.adapter.refused(shape, _written(bound, changes), new=bool(bound.ddl)))


def _written(bound: BoundTable, changes: ChangeSet) -> ChangeSet:
    computed = {column.name for column in bound.shape.columns if column.generated}
    names = [name for name in changes.schema.names if name not in computed]
    if len(names) == len(changes.schema.names):
        return changes
    tables = (changes.inserts, changes.before, changes.after, changes.deletes)
    inserts, before, after, deletes = (each.select(names) for each in tables)
    compared = tuple(name for name in changes.compared if name in names)
    return replace(changes, compared=compared, inserts=inserts, before=before, after=after, deletes=deletes)


def plain_keys(bound: BoundTable) -> Iterator[tuple[int, ForeignKey]]:
    """The foreign keys of a table, with their numbers, whose columns are mapped, but for those that lookups fill with what they have
    found in the very row that is referred to."""
    mapped = {each.shape.name for part in bound.sources for each in part.mapping.columns}
    for number, foreign in enumerate(bound.shape.foreign_keys):
        if set(foreign.columns) <= mapped and not all(_found_there(part, foreign) for part in bound.sources):
            yield number, foreign


def _found_there(part: BoundTable, foreign: ForeignKey) -> bool:
    """Whether a lookup of a source takes what a foreign key refers to out of the row that has it."""
    if len(foreign.columns) > 1:
        return False
    column = next((each for each in part.mapping.columns if each.shape.name == foreign.columns[0]), None)
    if column is None or not isinstance(column.origin, LookUp) or column.values is not None:
        return False
    looked = part.lookups[column.origin.name]
    there = (foreign.refers, foreign.refers_columns[0])
    return looked.side == "target" and (looked.table, column.origin.take.removeprefix(TARGET)) == there


def as_compared(target: Target, bound: BoundTable, rows: pa.Table, names: Key) -> pa.Table:
    """Columns as the engine compares them, called by their place; as they are in a table that is yet to be made."""
    if not bound.ddl:
        return compared(target, bound.shape, rows, names)
    return rows.select(list(names)).rename_columns([str(place) for place in range(len(names))])


def _referring_wrongly(
    session: Session, job: Job, bound: BoundTable, changes: ChangeSet, rows: pa.Table
) -> Iterator[tuple[int, Reason]]:
    """Which rows newly refer to what no row has (`flows.plan.references.orphans`), or in part to nothing where that is refused."""
    inserts = changes.inserts.num_rows
    for number, foreign in enumerate(bound.shape.foreign_keys):
        path, names = orphans_file(job, bound.name, number), foreign.columns
        if not (path.exists() or foreign.full) or not set(names) <= set(rows.column_names):
            continue
        new = ~same_rows(changes.before, changes.after, names, {})
        newly = np.concatenate([np.ones(inserts, dtype=bool), new])
        named = {"constraint": foreign.name} if foreign.name else {}
        if path.exists():
            lacking = having(rows, names, spill.read_rows(path), names)
            parent = next(
                (each.name for each in session.bound.tables if each.shape.name == foreign.refers), foreign.refers
            )
            facts = {"table": str(parent), "refers": list(foreign.refers_columns), **named}
            why = Reason("no_parent", None, facts).of(names)
            yield from ((place, why) for place in np.flatnonzero(lacking & newly).tolist())
        if foreign.full:
            null = np.array([as_mask(pc.is_null(rows.column(name))) for name in names])
            why = Reason("partly_null", None, named).of(names)
            yield from ((place, why) for place in np.flatnonzero(null.any(0) & ~null.all(0) & newly).tolist())


def own_uniques(bound: BoundTable) -> Iterator[tuple[int, Key]]:
    """The columns that are unique beside the key, and all written, with their numbers."""
    found = [each for each in bound.shape.uniques if each and not set(bound.key) <= each and each <= set(bound.images)]
    order = {name: place for place, name in enumerate(bound.shape.names)}
    yield from enumerate(sorted(tuple(sorted(each, key=order.__getitem__)) for each in found))


def _with_value_of_others(
    job: Job, bound: BoundTable, changes: ChangeSet, rows: pa.Table
) -> Iterator[tuple[int, Reason]]:
    """Which rows would get a unique value that another row has (`flows.plan.two_way.double_values`)."""
    for number, unique in own_uniques(bound):
        path = doubles_file(job, bound.name, number)
        if path.exists():
            newly = np.ones(rows.num_rows, dtype=bool)
            newly[changes.inserts.num_rows :] = ~same_rows(changes.before, changes.after, unique, {})
            double = keys.contained(rows, spill.read_rows(path), bound.key)
            why = Reason("refused", None, {"message": "another row has its value", "kind": "double"}).of(unique)
            yield from ((place, why) for place in np.flatnonzero(double & newly).tolist())


def _without_parent(session: Session, job: Job, route: Route, rows: pa.Table) -> Iterator[tuple[int, Reason]]:
    """Which rows refer by a foreign key to one that is in quarantine, with the reason (`flows.plan.references.parents`)."""
    bound = route.table
    for number, foreign in plain_keys(bound):
        path = parents_file(job, bound.name, number)
        if path.exists():
            lacking, mine = spill.read_rows(path), as_compared(route.writes.adapter, bound, rows, foreign.columns)
            names = tuple(lacking.column_names)
            parent = next(each.name for each in session.bound.tables if each.shape.name == foreign.refers)
            why = Reason("parent_quarantined", None, {"table": parent}).of(foreign.columns)
            yield from ((place, why) for place in np.flatnonzero(having(mine, names, lacking, names)).tolist())

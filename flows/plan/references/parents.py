"""Rows that refer, by a foreign key of the target, to one that is in quarantine and not in the target: they are set aside, too.

The target would refuse them one by one. Which values nothing will hold is written down before a table is planned that refers to
them; of a table that refers to itself once all its windows are, which are then planned again where rows fall with others.
Nothing is read where no row is in quarantine that others may refer to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from adapters.protocol import Snapshot
from adapters.store import spill
from adapters.store.plan_files import read_written
from flows.bind.tables import BoundTable
from flows.plan.decide import Planned
from flows.plan.lookups.own_lookups import forget
from flows.plan.reading.refusals import as_compared, plain_keys
from flows.plan.reading.window_reader import PlanWork, parents_file, rejected_file
from flows.plan.references.referrers import inside
from flows.session.memory import Samples
from flows.session.route import Route
from flows.session.scan import readable
from flows.session.session import Job, Session
from flows.session.watch import UNWATCHED
from transforms import keys
from transforms.vocabulary import Key, Relation
from transforms.vocabulary.arrow import Indices, Mask


def gather_parents(session: Session, route: Route, work: PlanWork, planned: Iterable[Planned]) -> None:
    """Write down what no row of the tables that a table refers to will hold, since those that would are in quarantine.

    In: the windows of those tables. Reads of them the rows that have such values. Memory: those values.
    """
    bound, outcomes = route.table, list(planned)
    parents = {each.shape.name: each for each in session.bound.tables if each.name != bound.name}
    for number, foreign in plain_keys(bound):
        parent = parents.get(foreign.refers)
        if parent is None:
            continue
        mine, names = [each for each in outcomes if each.table == parent.name], foreign.refers_columns
        away = _rejected(work.job, parent, mine, names)
        if away is None:
            continue
        folder = Path(work.job.folder)
        come = [
            rows.select(list(names))
            for each in mine
            if each.changes is not None and (rows := read_written(folder, each.changes, names)) is not None
        ]
        target, snapshot = route.writes.adapter, route.writes.snapshot
        values = as_compared(target, parent, away, names)
        there = [_there(snapshot, parent, names, away), *come]
        held = [as_compared(target, parent, each, names).cast(values.schema) for each in there if each is not None]
        lacking = values.filter(pa.array(~inside(values, pa.concat_tables([values.slice(0, 0), *held]))))
        if lacking.num_rows:
            _write(work.job, bound, number, lacking)


def plan_with_own_parents(
    session: Session, route: Route, work: PlanWork, plan: Callable[[Session], list[Planned]]
) -> list[Planned]:
    """Plan the windows of a table that refers to itself, by `plan`; twice, where rows fall with others of them.

    Memory: of rows that come or change, where some are in quarantine, what refers and is referred to.
    """
    quiet = replace(session, watch=UNWATCHED) if session.watch.counts else session
    planned = plan(replace(quiet, samples=Samples()))
    fallen = dict(_fallen(route, work.job, planned))
    for number, values in fallen.items():
        _write(work.job, route.table, number, values)
    if not fallen and not session.watch.counts:
        return planned
    forget(work.job, route.table, planned)
    return plan(replace(session, samples=Samples()))


def refers_to_itself(bound: BoundTable) -> bool:
    return any(foreign.refers == bound.shape.name for _, foreign in plain_keys(bound))


def _fallen(route: Route, job: Job, planned: Sequence[Planned]) -> Iterator[tuple[int, pa.Table]]:
    """For each key of a table to itself what its rows refer to and none will hold; none where no row falls."""
    bound, target = route.table, route.writes.adapter
    own = [(number, foreign) for number, foreign in plain_keys(bound) if foreign.refers == bound.shape.name]
    away = {number: _rejected(job, bound, planned, foreign.refers_columns) for number, foreign in own}
    if all(each is None for each in away.values()):
        return
    names = list(dict.fromkeys(name for _, each in own for name in (*each.columns, *each.refers_columns)))
    folder = Path(job.folder)
    parts = [
        rows.select(names)
        for each in planned
        if each.changes is not None and (rows := read_written(folder, each.changes, names)) is not None
    ]
    if not parts:
        return
    come = pa.concat_tables(parts)
    links = []
    for number, foreign in own:
        there = foreign.refers_columns
        lost = away[number]
        lost = come.select(list(there)).slice(0, 0) if lost is None else lost
        asked = pa.concat_tables(
            [keys.without_null_keys(come.select(list(there)), there), lost.cast(_types(come, there))]
        )
        held = _there(route.writes.snapshot, bound, there, keys.distinct(asked))
        tables = [(come, foreign.columns), (come, there), (lost, there), *([(held, there)] if held is not None else [])]
        links.append(_Link.of([as_compared(target, bound, rows, columns) for rows, columns in tables], number))
    fallen = np.zeros(come.num_rows, dtype=bool)
    known = -1
    while known != (known := int(fallen.sum())):
        for link in links:
            fallen |= link.lacking(fallen)[link.refers] & (link.refers > 0)
    if known:
        yield from ((link.number, link.values(fallen)) for link in links)


class _Link:
    """A key of a table to itself: each row that comes has a number for what it refers to, and for what it is referred to by, 0
    for null. `lost` are the numbers of rows in quarantine, `held` those of rows that are there."""

    def __init__(self, number: int, rows: pa.Table, numbers: Sequence[Indices]) -> None:
        self.number, self.rows = number, rows
        self.every = np.concatenate(numbers)
        self.size = int(self.every.max(initial=0)) + 1
        self.refers, self.own, self.lost = numbers[:3]
        self.held = np.concatenate(numbers[3:]) if numbers[3:] else self.lost[:0]

    @classmethod
    def of(cls, tables: Sequence[pa.Table], number: int) -> _Link:
        rows = pa.concat_tables(tables, promote_options="permissive")
        names: Key = tuple(rows.column_names)
        whole = ~keys.null_keys(rows, names)
        numbers = np.zeros(rows.num_rows, dtype=np.int64)
        numbers[whole] = 1 + keys.codes([rows.filter(pa.array(whole))], names)[0]
        ends = np.cumsum([each.num_rows for each in tables])
        return cls(number, rows, np.split(numbers, ends[:-1]))

    def lacking(self, fallen: Mask) -> Mask:
        """Which numbers no row will have any more, once some rows do not come."""
        found = np.zeros(self.size, dtype=bool)
        found[self.lost] = True
        found[self.own[fallen]] = True
        found[self.own[~fallen]] = False
        found[self.held] = False
        return found

    def values(self, fallen: Mask) -> pa.Table:
        """What no row will hold."""
        chosen = self.lacking(fallen)[self.every] & (self.every > 0)
        return keys.distinct(self.rows.filter(pa.array(chosen)))


def _rejected(job: Job, bound: BoundTable, planned: Sequence[Planned], names: Key) -> pa.Table | None:
    """What rows of a table that are in quarantine would hold in some columns, each once; None where there are none."""
    files = [rejected_file(job, bound.name, each.window) for each in planned]
    parts = [
        rows for path in files if path.exists() and set(names) <= set((rows := spill.read_rows(path)).column_names)
    ]
    if not parts:
        return None
    found = keys.without_null_keys(pa.concat_tables([each.select(list(names)) for each in parts]), names)
    return keys.distinct(found) if found.num_rows else None


def _there(snapshot: Snapshot, bound: BoundTable, names: Key, asked: pa.Table) -> pa.Table | None:
    """Some columns of the rows that the target has with some values in them; None where the table is yet to be made."""
    if bound.ddl or any(added.column.name in names for added in bound.adds):
        return None
    schema = bound.shape.schema(names)
    found = snapshot.scan(Relation(bound.shape.name), names, keys=asked.cast(schema))
    return pa.Table.from_batches(readable(found, bound.shape.name, "target", names), schema=schema)


def _types(rows: pa.Table, names: Key) -> pa.Schema:
    return pa.schema([rows.schema.field(name) for name in names])


def _write(job: Job, bound: BoundTable, number: int, values: pa.Table) -> None:
    spill.write_rows(parents_file(job, bound.name, number), [values], values.schema)

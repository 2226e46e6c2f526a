"""Rows that are to be deleted while rows that stay refer to them: they stay too, and so does what they refer to themselves.

A row stays in the target where its source row is in quarantine, where it is not the table's own (`owns`, other tables), and
where its table never deletes. What it refers to cannot go, then: the engine would refuse that or, by ON DELETE CASCADE and its
like, change rows that no plan names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from adapters.store.plans import PlanWriter, read_written
from flows.bind.tables import BoundTable
from flows.plan.decide import Planned, read_changes, samples
from flows.plan.references import related
from flows.plan.referrers import compared, inside, looked_through, values_of
from flows.plan.totals import with_kept
from flows.session.scan import readable
from flows.session.session import Job, Session
from flows.session.side import WrittenSide
from transforms import expressions, keys
from transforms.vocabulary import (
    ChangeSet,
    ForeignKey,
    Key,
    Notice,
    Relation,
    TableName,
    TableShape,
)
from transforms.vocabulary.arrow import Indices, Mask

NAMED: Final = 3  # keys that a line names


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left of plans: the windows of each table, and a line for each foreign key that keeps rows."""

    planned: dict[str, list[Planned]]
    warnings: tuple[Notice, ...] = ()


@dataclass(slots=True)
class _Going:
    """The deletes of a table by window, and which of them all, in that order, are not to go."""

    bound: BoundTable
    windows: dict[int, ChangeSet]
    stays: Mask

    def columns(self, names: Sequence[str]) -> pa.Table | None:
        """Some columns of the rows; None where the plan does not have them all."""
        if any(not set(names) <= set(changes.schema.names) for changes in self.windows.values()):
            return None
        return pa.concat_tables([changes.deletes.select(list(names)) for changes in self.windows.values()])


@dataclass(frozen=True, slots=True)
class _Referring:
    """Rows of a table that refer to others: their keys, and the values that they refer to as the engine compares them."""

    keys: pa.Table
    values: pa.Table

    def filter(self, mask: Mask) -> _Referring:
        chosen = pa.array(mask)
        return _Referring(self.keys.filter(chosen), self.values.filter(chosen))


@dataclass(frozen=True, slots=True)
class _Link:
    """A foreign key to rows that are to go: their `values`, and who refers to them once the plans are in. `place` says which
    of its own table's deletes such a row is, -1 for none."""

    child: TableName
    foreign: ForeignKey
    values: pa.Table
    referring: _Referring
    place: Indices

    def staying(self, going: Mapping[TableName, _Going]) -> _Referring:
        """The rows that refer and stay, as far as that is known now."""
        stays = self.place < 0
        if self.child in going:
            stays |= going[self.child].stays[np.maximum(self.place, 0)]
        return self.referring.filter(stays)


def without_referred(
    session: Session, job: Job, tables: Sequence[BoundTable], planned: Mapping[str, list[Planned]]
) -> Kept:
    """Take the deletes out of plans whose rows others refer to once the plans are in.

    Of tables that refer to one that loses rows, the keys are read once. Memory: the deletes, and the keys of rows that refer
    to them.
    """
    going = {bound.shape.name: found for bound in tables if (found := _going(job, bound, planned[bound.name]))}
    if not going:
        return Kept(dict(planned))
    bound_of = {bound.shape.name: bound for bound in tables}
    links: list[_Link] = []
    side = session.sides.written(job.side)
    for shape in related(side.adapter, list(going)).values():
        own = bound_of.get(shape.name)
        windows = planned[own.name] if own is not None else []
        for foreign in shape.foreign_keys:
            if foreign.refers in going:
                links += _linked(side, job, shape, foreign, going, own, windows)
    known = -1
    while known != (known := sum(int(each.stays.sum()) for each in going.values())):
        for link in links:
            going[link.foreign.refers].stays |= inside(link.values, link.staying(going).values)
    left = {each.bound.name: _left(session, job, each, planned[each.bound.name]) for each in going.values()}
    return Kept({**planned, **left}, tuple(_lines(links, going)))


def _going(job: Job, bound: BoundTable, planned: Sequence[Planned]) -> _Going | None:
    windows = {
        each.window: read_changes(job, each.changes) for each in planned if each.changes and each.changes.has("delete")
    }
    rows = sum(changes.deletes.num_rows for changes in windows.values())
    return _Going(bound, windows, np.zeros(rows, dtype=bool)) if rows else None


def _linked(
    side: WrittenSide,
    job: Job,
    child: TableShape,
    foreign: ForeignKey,
    going: Mapping[TableName, _Going],
    own: BoundTable | None,
    windows: Sequence[Planned],
) -> Iterator[_Link]:
    """The link of a foreign key; none where nobody refers to what is to go. `own`: the table's plan, where it has one.

    All of it is taken for referred to where only the engine may look, and would carry the delete further.
    """
    parent, reading = going[foreign.refers], side.snapshot
    values = values_of(
        side.adapter,
        reading,
        parent.bound.shape,
        parent.bound.key,
        parent.columns,
        foreign.refers_columns,
    )
    key: Key = own.key if own is not None else foreign.columns
    names = list(dict.fromkeys([*key, *foreign.columns]))

    def referring(rows: pa.Table) -> _Referring:
        whole = keys.without_null_keys(rows, foreign.columns)
        named = compared(side.adapter, child, whole, foreign.columns, values.schema)
        return _Referring(whole.select(list(key)), named).filter(inside(named, values))

    if own is not None:
        batches = readable(reading.scan(Relation(child.name), names), child.name, side.name, key)
        found = [referring(pa.Table.from_batches([batch])) for batch in batches]
        found = list(_as_planned(job, windows, found, names, key, referring))
    elif (seen := looked_through(side.adapter, child, names, referring)) is not None:
        found = seen
    else:
        found = [_Referring(values, values)] if foreign.on_delete else []
    if not any(each.values.num_rows for each in found):
        return
    whole = _Referring(pa.concat_tables([each.keys for each in found]), pa.concat_tables([e.values for e in found]))
    place = np.full(whole.values.num_rows, -1, dtype=np.int64)
    if own is not None and (gone := going.get(child.name)) is not None:
        deleted = gone.columns(key)
        known = ~keys.null_keys(whole.keys, key)
        if deleted is not None and known.any():
            place[known] = keys.match(whole.keys.filter(pa.array(known)).cast(deleted.schema), deleted, key)
    yield _Link(child.name, foreign, values, whole, place)


def _as_planned(
    job: Job,
    windows: Sequence[Planned],
    found: Sequence[_Referring],
    names: Sequence[str],
    key: Key,
    referring: Callable[[pa.Table], _Referring],
) -> Iterator[_Referring]:
    """Rows that refer, as the plan's inserts and updates will leave them."""
    left = list(found)
    for each in windows:
        if each.changes is None or not each.changes.has("insert", "update"):
            continue
        written = read_written(Path(job.folder), each.changes, names)
        if written is None:  # they keep the references that they have
            continue
        left = [old.filter(~inside(old.keys, written.select(list(key)))) for old in left]
        yield referring(written)
    yield from left


def _left(session: Session, job: Job, going: _Going, planned: Sequence[Planned]) -> list[Planned]:
    """The windows of a table without the deletes of rows that stay."""
    starts = np.cumsum([0, *(changes.deletes.num_rows for changes in going.windows.values())])
    masks = {number: going.stays[starts[i] : starts[i + 1]] for i, number in enumerate(going.windows)}
    return [
        _without(session, job, going.bound, each, going.windows[each.window], masks[each.window])
        if each.window in masks and masks[each.window].any()
        else each
        for each in planned
    ]


def _without(
    session: Session, job: Job, bound: BoundTable, planned: Planned, changes: ChangeSet, stays: Mask
) -> Planned:
    kept = changes.deletes.filter(pa.array(stays))
    left = replace(changes, deletes=changes.deletes.filter(pa.array(~stays)))
    rows = kept.num_rows
    session.changes.keep(bound.name, planned.window, left)
    return replace(
        planned,
        counts=replace(planned.counts, delete=planned.counts.delete - rows, unproved=planned.counts.unproved + rows),
        changes=PlanWriter(Path(job.folder), begun=True).add(planned.window, left) if len(left) else None,
        samples=samples(left) if planned.samples else (),
        tally=with_kept(bound, planned.tally, kept),
        unproved={**planned.unproved, "referred": rows},
    )


def _lines(links: Sequence[_Link], going: Mapping[TableName, _Going]) -> Iterator[Notice]:
    """What a person should know: which rows stay, and because of what."""
    for link in links:
        parent = going[link.foreign.refers]
        held = inside(link.values, link.staying(going).values)
        deleted = parent.columns(parent.bound.key)
        if not held.any() or deleted is None:
            continue
        rows = deleted.filter(pa.array(held))
        some = ", ".join(expressions.as_json_keys(rows.slice(0, NAMED), parent.bound.key).to_pylist())
        what = "1 row stays" if rows.num_rows == 1 else f"{rows.num_rows:,} rows stay"
        action = link.foreign.on_delete
        further = f" (ON DELETE {action} would change those)" if action else ""
        text = (
            f"{parent.bound.name}: {what} that the source does not have, such as {some}: rows of {link.child} that stay, too, refer "
            f"there by ({', '.join(link.foreign.columns)}){further}. Fix: mend what keeps those rows, or in the target delete them or "
            f"let them refer to others; the next run does the rest."
        )
        by = {"rows": rows.num_rows, "refers": str(link.child), "by": list(link.foreign.columns), "on_delete": action}
        yield Notice("rows_stay", text, parent.bound.name, by)

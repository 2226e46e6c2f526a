"""Unique values that pass from a row that is deleted to one that comes: such a row goes first, where nothing refers to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from adapters.protocol import Snapshot, Target
from adapters.store.plans import PlanWriter, read_written
from flows.plan.collisions import alike
from flows.plan.decide import Planned, read_changes
from flows.plan.references import referring, related
from flows.session.route import Route
from flows.session.session import Job, Session
from transforms import expressions, keys
from transforms.vocabulary import ChangeSet, Counts, Key, PlanError, TableShape


def settled(session: Session, job: Job, route: Route, planned: Sequence[Planned]) -> list[Planned]:
    """The windows of a table, with deletes that have to come before its inserts and updates in a window of their own, `first`.

    Of a table that others refer to, deletes come last, so that a unique value would still be taken. Memory: the unique
    columns of what the plan writes, where it deletes rows, too. Errors: PlanError where rows still refer to such a row.
    """
    bound = route.table
    losing = {each.window: each.changes for each in planned if each.changes and each.changes.has("delete")}
    if bound.name not in session.bound.referred or not losing:
        return list(planned)

    def compared(rows: pa.Table) -> pa.Table:
        return alike(route, rows, tuple(rows.column_names))

    def written(unique: Key) -> Iterator[pa.Table]:
        for each in planned:
            if each.changes and each.changes.has("insert", "update"):
                rows = read_written(Path(job.folder), each.changes, unique)
                if rows is not None:
                    yield rows

    going = {number: read_changes(job, entry) for number, entry in losing.items()}
    rest, early = freed(route.writes.adapter, route.writes.snapshot, bound.shape, going, written, compared)
    if early is None:
        return list(planned)
    writer = PlanWriter(Path(job.folder), begun=True)
    last = max(each.window for each in planned) + 1
    left = {number: writer.add(number, changes) if len(changes) else None for number, changes in rest.items()}
    found = [replace(each, changes=left.get(each.window, each.changes)) for each in planned]
    return [*found, Planned(bound.name, last, Counts(), writer.add(last, early), None, None, clear=False, first=True)]


def freed(
    target: Target,
    snapshot: Snapshot,
    shape: TableShape,
    going: Mapping[int, ChangeSet],
    written: Callable[[Key], Iterable[pa.Table]],
    compared: Callable[[pa.Table], pa.Table],
) -> tuple[dict[int, ChangeSet], ChangeSet | None]:
    """Take out of windows that delete rows the deletes that have to come first; None where there are none.

    In: `written` gives the values of some columns that the plan inserts and updates, `compared` columns as their unique index
    compares them. Out: the windows that are others now, and what was taken out. Errors: as `settled`.
    """
    if not going:
        return {}, None
    some = next(iter(going.values()))
    early = {number: np.zeros(changes.deletes.num_rows, dtype=bool) for number, changes in going.items()}
    for unique in _uniques(shape, some):
        parts = [keys.without_null_keys(rows, unique) for rows in written(unique)]
        if not parts:
            continue
        new = compared(pa.concat_tables(parts))
        for number, changes in going.items():
            whole = ~keys.null_keys(changes.deletes, unique)
            if whole.any() and new.num_rows:
                held = compared(changes.deletes.select(list(unique)).filter(pa.array(whole)))
                early[number][whole] |= keys.contained(held, new.cast(held.schema), unique)
    chosen = [number for number, mask in early.items() if mask.any()]
    if not chosen:
        return {}, None
    rows = pa.concat_tables([going[number].deletes.filter(pa.array(early[number])) for number in chosen])
    _must_be_free(target, snapshot, some, rows)
    rest = {n: replace(going[n], deletes=going[n].deletes.filter(pa.array(~early[n]))) for n in chosen}
    none = some.inserts.slice(0, 0)
    return rest, replace(some, inserts=none, before=none, after=none, deletes=rows)


def _uniques(shape: TableShape, changes: ChangeSet) -> list[Key]:
    """What must be unique besides the key, as far as it is written."""
    names = set(changes.schema.names)
    found = [each for each in shape.uniques if each <= names and not set(changes.key) <= each]
    return sorted(tuple(name for name in shape.names if name in each) for each in found)


def _must_be_free(target: Target, snapshot: Snapshot, changes: ChangeSet, rows: pa.Table) -> None:
    table = changes.table
    for child, held in referring(snapshot, related(target, [table]), table, rows):
        if held.any():
            key = expressions.as_json_keys(rows.filter(pa.array(held)).slice(0, 1), changes.key)[0].as_py()
            raise PlanError(
                f"{table}: row {key} is to be deleted, a row that comes takes a unique value of it, and rows of {child} still refer "
                f"to it: neither can go first. Nothing was written.",
                fix=(
                    f"in the target, let those rows refer to another row, or give "
                    f"row {key} another value; then do it again."
                ),
            )

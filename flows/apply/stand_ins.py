"""Stand-in values: what rows hold between a step on the way and their real change never stays in the target.

A row whose step was left out keeps its values. Rows that were to take those wait, and so do those that were to take theirs
(`kept_back`). And where the real change of a row did not go in, for whatever reason, its step is taken back (`take_back`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters import interrupts
from adapters.protocol import Target
from adapters.sql.staging import unwritten
from adapters.store import archive
from adapters.store.manifest import PlannedTable
from adapters.store.plan_files import FileEntry
from adapters.store.plans import Plan
from flows.apply.trials import refusal_of, sift, trial_of
from flows.plan.references.referrers import compared, inside
from flows.session.retry import retried
from flows.session.session import Session
from transforms import expressions, keys
from transforms.net_changes import as_found, as_made, filtered, without
from transforms.vocabulary import ChangeSet, Notice, Phase, Stage, TableShape
from transforms.vocabulary.arrow import Mask
from transforms.vocabulary.values import same_rows

LEFT: Final[tuple[archive.NotWritten, ...]] = ("applied", "refused")
Windows = Collection[tuple[str, int, Phase]]


def first_steps(plan: Plan, planned: PlannedTable) -> list[FileEntry]:
    """The windows in which rows of a table get values that stand in for others, in the order in which they are written."""
    chosen = {*planned.first} & {*planned.interim}
    return sorted((each for each in plan.windows(planned.table) if each.window in chosen), key=lambda each: each.window)


def kept_back(plan: Plan, planned: PlannedTable, target: Target, shape: TableShape) -> pa.Table | None:
    """The keys of rows that cannot get their values, because who has those was left as found; None for none.

    In: the first windows of the table are in. Memory: where a row was left as found, all changes of the table.
    """
    steps = first_steps(plan, planned)
    held = [rows for entry in steps for rows in _left_as_found(plan, entry)]
    entries = [entry for entry in plan.windows(planned.table) if entry.window not in planned.interim]
    if not held or not entries:
        return None
    real = [plan.changes(entry) for entry in entries]
    for rows in (plan.changes(entry).before for entry in steps):
        real = [as_found(each, rows) if set(each.schema.names) <= set(rows.column_names) else each for each in real]
    masks = [np.zeros(each.after.num_rows + each.inserts.num_rows, dtype=bool) for each in real]
    key = real[0].key
    own = [rows.select(list(key)) for rows in held]
    others = [each for each in shape.uniques if not set(key) <= each]
    uniques = [tuple(name for name in shape.names if name in each) for each in others]
    while held:
        following: list[pa.Table] = []
        for changes, mask in zip(real, masks, strict=True):
            more = _taking(target, shape, changes, uniques, held) & ~mask
            mask |= more
            if (chosen := more[: changes.before.num_rows]).any():
                following.append(changes.before.filter(pa.array(chosen)))
        held = following
    parts = [
        pa.concat_tables([changes.after, changes.inserts]).select(list(key)).filter(pa.array(mask))
        for changes, mask in zip(real, masks, strict=True)
    ]
    found = pa.concat_tables(parts)
    found = found.filter(pa.array(~keys.contained(found, pa.concat_tables(own), key))) if found.num_rows else found
    return found if found.num_rows else None


def _left_as_found(plan: Plan, entry: FileEntry) -> Iterator[pa.Table]:
    """The rows, as they are, whose step was not written."""
    for kind, image in zip(LEFT, ("found", "before"), strict=True):
        for rows in archive.all_noted(plan.folder, kind, entry.table, entry.window):
            if (there := rows.filter(pc.is_valid(rows[image]))).num_rows:
                yield pa.Table.from_struct_array(there[image])


def _taking(
    target: Target, shape: TableShape, changes: ChangeSet, uniques: Sequence[tuple[str, ...]], held: Sequence[pa.Table]
) -> Mask:
    """Which rows that are updated and inserted, in that order, are to get values that others hold."""
    written = pa.concat_tables([changes.after, changes.inserts])
    found = np.zeros(written.num_rows, dtype=bool)
    for unique in uniques:
        if not written.num_rows or not unique or not set(unique) <= set(written.column_names):
            continue
        wanted = compared(target, shape, written, unique)
        for rows in held:
            if set(unique) <= set(rows.column_names):
                found |= inside(wanted, compared(target, shape, rows, unique, wanted.schema))
    return found


@dataclass(frozen=True, slots=True)
class _Back:
    """Updates that take steps back: `columns` are those that they change. `step` is the window's own changes of these rows."""

    columns: tuple[str, ...]
    step: ChangeSet

    @property
    def changes(self) -> ChangeSet:
        return replace(self.step.inverse(), compared=self.columns)


def take_back(
    plan: Plan, session: Session, stages: Sequence[Stage], marked: Windows | None = None
) -> tuple[Notice, ...]:
    """Give the rows of a plan whose real change is not in the values again that they had before their steps on the way, and
    let the plan's notes say that those were not written; a line for each table of which rows have to stay as they are.

    `marked` are the windows that are in; None: all of them. Safe to repeat. Nothing is asked of tables without such steps.
    """
    found: list[Notice] = []
    target = session.sides.written(plan.manifest.side).adapter
    phases = {(each.table, window): each.phase for each in stages for window in each.windows if each.do == "write"}
    for planned in plan.manifest.tables:
        steps = first_steps(plan, planned)
        lost = _lost(plan, planned, steps, marked) if steps else None
        shape = target.describe(planned.table) if lost is not None else None
        if lost is None or shape is None:
            continue
        guard = partial(session.guard, plan.manifest.side)
        stuck: list[tuple[_Back, pa.Table]] = []
        for entry in reversed(steps):
            for back in _backwards(plan, entry, lost):
                write = partial(_write, guard, target, shape, back.changes)
                restored, refused = retried(write)
                if restored.num_rows:
                    _noted(plan, planned, entry, phases.get((planned.table, entry.window), "all"), back, restored)
                if refused is not None:
                    stuck.append((back, refused))
        if stuck:
            found.append(_notice(planned.name, stuck))
    return tuple(found)


def _lost(plan: Plan, planned: PlannedTable, steps: Sequence[FileEntry], marked: Windows | None) -> pa.Table | None:
    """The keys of rows whose later changes did not go in, None for none."""
    numbers, parts = {each.window for each in steps}, []
    for entry in plan.windows(planned.table):
        if entry.window in numbers:
            continue
        left = archive.keys_not_written(plan.folder, planned.table, entry.window, LEFT)
        parts += [left] if left is not None else []
        if marked is not None:
            changes = plan.changes(entry)
            named = {phase for table, window, phase in marked if (table, window) == (str(planned.table), entry.window)}
            if "all" not in named and "upsert" not in named:
                parts += [changes.before.select(list(changes.key))]
            if "all" not in named and "delete" not in named:
                parts += [changes.deletes.select(list(changes.key))]
    parts = [each for each in parts if each.num_rows]
    return keys.distinct(pa.concat_tables(parts)) if parts else None


def _backwards(plan: Plan, entry: FileEntry, lost: pa.Table) -> Iterator[_Back]:
    """The steps of a window that have to be taken back, apart by the columns that they changed."""
    step, left = plan.changes(entry), archive.keys_not_written(plan.folder, entry.table, entry.window)
    step = step if left is None else without(step, left)
    step = filtered(step, lambda rows: keys.contained(rows, lost, step.key))
    if not len(step):
        return
    if (made := archive.made_of(plan.folder, entry.table, entry.window)) is not None:
        step = as_made(step, made)
    names = [name for name in step.schema.names if name not in step.key]
    moved = np.stack([~same_rows(step.before, step.after, (name,), {}) for name in names])
    for way in np.unique(moved, axis=1).T:
        rows = pa.array((moved == way[:, None]).all(axis=0))
        columns = tuple(name for name, own in zip(names, way, strict=True) if own)
        if columns:
            yield _Back(columns, replace(step, before=step.before.filter(rows), after=step.after.filter(rows)))


def _write(
    guard: Callable[[], None], target: Target, shape: TableShape, changes: ChangeSet
) -> tuple[pa.Table, pa.Table | None]:
    """Which rows have their values again, as they were before, and those that the target refused, None for none."""
    out: list[pa.Table] = []

    def write(some: ChangeSet) -> None:
        with interrupts.window():
            done = target.apply(some, shape, None, before_commit=lambda _: guard())
        left = done.conflicts
        good = some if left is None else without(some, pa.Table.from_struct_array(left["key"]))
        out.append(good.after)

    refused = None
    if (why := refusal_of(write, changes)) is not None:
        sifted = sift(changes, shape, trial_of(target, shape), why, len(changes))
        refused = sifted.refused
        if len(sifted.good):
            write(sifted.good)
    return (out[-1] if out else changes.after.slice(0, 0)), refused


def _noted(plan: Plan, planned: PlannedTable, entry: FileEntry, phase: Phase, back: _Back, restored: pa.Table) -> None:
    """Let the notes say that the steps of some rows were not written, and of those that are in conflict what they have now."""
    key = list(back.step.key)
    for other in plan.windows(planned.table):
        for each in get_args(Phase) if other.window != entry.window else ():
            rows = archive.noted(plan.folder, "applied", planned.table, other.window, each)
            if rows is not None and rows.num_rows:
                now = _with_found(rows, back.columns, restored)
                archive.note(plan.folder, planned.table, other.window, each, {"applied": now})
    place = keys.match(restored.select(key), back.step.before, back.step.key)
    mine = unwritten(back.step, "update", place.tolist())
    mine = mine.append_column("found", mine["before"])
    known = archive.noted(plan.folder, "applied", planned.table, entry.window, phase)
    both = mine if known is None else pa.concat_tables([known, mine.select(known.column_names).cast(known.schema)])
    archive.note(plan.folder, planned.table, entry.window, phase, {"applied": both})


def _with_found(rows: pa.Table, columns: Sequence[str], restored: pa.Table) -> pa.Table:
    """Conflicts whose rows, as they were found, have some columns of what is there again."""
    named = pa.Table.from_struct_array(rows["key"])
    place = keys.match(named, restored, tuple(named.column_names))
    there = pc.is_valid(rows["found"]).to_numpy(zero_copy_only=False)
    if not ((place >= 0) & there).any():
        return rows
    images = pa.Table.from_struct_array(rows["found"])
    chosen = np.where(place >= 0, rows.num_rows + place, np.arange(rows.num_rows))
    for name in columns:
        if name in images.column_names:
            at, field = images.column_names.index(name), images.schema.field(name)
            values = pa.chunked_array([*images[name].chunks, *restored[name].cast(field.type).chunks], field.type)
            images = images.set_column(at, field, values.take(pa.array(chosen)))
    arrays = [images[name].combine_chunks() for name in images.column_names]
    found = pa.StructArray.from_arrays(arrays, fields=list(images.schema), mask=pa.array(~there))
    return rows.set_column(rows.column_names.index("found"), rows.schema.field("found"), found)


def _notice(name: str, stuck: Sequence[tuple[_Back, pa.Table]]) -> Notice:
    named = [pa.Table.from_struct_array(refused["key"]) for _, refused in stuck]
    shown = [expressions.json_key(each) for each in named]
    rows = sum(each.num_rows for each in named)
    columns = sorted({column for back, _ in stuck for column in back.columns})
    text = (
        f"{name}: {rows:,} {'row keeps a stand-in value' if rows == 1 else 'rows keep stand-in values'} in {', '.join(columns)}, such "
        f"as row {shown[0]}: the change that was planned did not go in, and the target does not take the former value back, as where "
        f"another row has it now. Fix: give {'it' if rows == 1 else 'them'} other values in the target, or run again."
    )
    return Notice("stand_in_stays", text, name, {"rows": rows, "columns": columns, "keys": shown})

"""Columns that do not stay as the latest plan wrote them: they are named, so that nobody fights them forever."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np
import pyarrow as pa

from adapters.store import archive
from adapters.store.layout import Store
from adapters.store.plans import Plan
from flows.bind.tables import BoundTable
from flows.plan.decide import Planned, read_changes
from flows.plan.order.interim import in_turn
from flows.session.route import Route
from flows.session.session import Job
from flows.session.side import Side
from flows.spec.model import Spec
from transforms import expressions, keys
from transforms.vocabulary import Notice, PlanError
from transforms.vocabulary.arrow import Mask, contiguous
from transforms.vocabulary.texts import as_text
from transforms.vocabulary.values import unequal

LOOKED_AT = 10_000  # updated rows of a table: enough to tell, and few enough to hold


def rewritten(
    latest_plan: Callable[[], Plan | None], job: Job, route: Route, planned: Sequence[Planned]
) -> Iterator[Notice]:
    """A line for each column that is to be updated to what the latest plan wrote already, which is asked for only then.

    The source says the same as it did then, so it is the target that has changed: by a trigger, a default, by
    rounding, or because somebody edited it.
    """
    bound = route.table
    names = [name for name in bound.comparison.compared if any(name in outcome.differing for outcome in planned)]
    changed = [outcome for outcome in planned if outcome.changes is not None and outcome.changes.has("update")]
    latest = latest_plan() if names and changed else None
    if latest is None:
        return
    columns = [*bound.key, *names]
    before, after = _updates(job, changed, columns)
    written = _written(latest, bound, after, columns)
    if written is None:
        return
    place = keys.match(after, written, bound.key)
    known = pa.array(np.flatnonzero(place >= 0))
    before, after, written = before.take(known), after.take(known), written.take(pa.array(place[place >= 0]))
    again = {name: ~_differs(bound, name, after, written) & _differs(bound, name, before, written) for name in names}
    again = {name: mask for name, mask in again.items() if mask.any()}
    if again:  # one statement for all columns: a table that a trigger rewrites may have hundreds
        first = before.take(pa.array([int(mask.argmax()) for mask in again.values()]))
        for (name, mask), key in zip(
            again.items(), expressions.as_json_keys(first, bound.key).to_pylist(), strict=True
        ):
            yield _told(bound, name, key, before.filter(pa.array(mask)), written.filter(pa.array(mask)))


def latest_of(spec: Spec, side: Side) -> Plan | None:
    """The plan that wrote a side last, where it was for this database and can still be read."""
    folder = Store(spec.state.store).latest(spec.name, side.name)
    try:
        plan = Plan.open(folder) if folder else None
    except PlanError:
        return None
    return plan if plan and plan.manifest.target.url == side.url else None


def _updates(job: Job, planned: Sequence[Planned], columns: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    """The images of the first updated rows."""
    before, after, rows = [], [], 0
    for outcome in planned:
        if outcome.changes is not None and rows < LOOKED_AT:
            changes = read_changes(job, outcome.changes)
            before.append(changes.before.select(columns))
            after.append(changes.after.select(columns))
            rows += changes.after.num_rows
    return pa.concat_tables(before).slice(0, LOOKED_AT), pa.concat_tables(after).slice(0, LOOKED_AT)


def _written(latest: Plan, bound: BoundTable, wanted: pa.Table, columns: Sequence[str]) -> pa.Table | None:
    """What the plan wrote to the rows that are wanted, last; None where it wrote other columns, or none of them."""
    found: list[pa.Table] = []
    turns = in_turn(latest.manifest.of(bound.shape.name), latest.windows(bound.shape.name))
    for entry in chain.from_iterable(reversed(turns)):
        try:
            rows = latest.written(entry, columns)
        except PlanError:
            return None
        if rows is None or not rows.schema.equals(wanted.schema):
            return None
        left = archive.keys_not_written(latest.folder, bound.shape.name, entry.window)
        for others in ([left] if left is not None else []) + (found if len(turns) > 1 else []):
            rows = rows.filter(pa.array(~keys.contained(rows, others, bound.key)))
        if rows.num_rows:
            found.append(rows.filter(pa.array(keys.contained(rows, wanted, bound.key))))
    return pa.concat_tables(found) if found else None


def _differs(bound: BoundTable, name: str, left: pa.Table, right: pa.Table) -> Mask:
    one, other = contiguous(left.column(name)), contiguous(right.column(name))
    mask = unequal(one, other, bound.comparison.tolerance.get(name), bound.comparison.meanings.get(name, "plain"))
    return np.zeros(len(one), dtype=bool) if mask is None else mask


def _told(bound: BoundTable, name: str, key: str, before: pa.Table, written: pa.Table) -> Notice:
    was, now = (as_text(contiguous(table.column(name).slice(0, 1)))[0].as_py() for table in (written, before))
    text = (
        f"{bound.name}.{name}: {before.num_rows:,} rows do not stay as the latest run wrote them, such as {key}: {was!r} was "
        f"written, and {now!r} is there. A trigger, a default or rounding in the target may change the column, or somebody "
        f"edits it. Fix: map it to what the target makes of it, or list it under `ignore`."
    )
    return Notice("unstable_column", text, bound.name, {"column": name, "rows": before.num_rows})

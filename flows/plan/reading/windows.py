"""Which windows a table is planned in, and what its lookups may find."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np
import pyarrow as pa

from adapters.store import spill
from flows.bind.identity import ends_of, way_name
from flows.bind.lookup_source import LookupSource
from flows.bind.tables import BoundTable
from flows.plan.decide import Planned, read_changes
from flows.plan.lookups.identity import pairs_known
from flows.plan.lookups.own_rows import rows_with
from flows.plan.lookups.pairs import asked_pairs
from flows.plan.reading.chosen_keys import held, held_by_target
from flows.plan.reading.window_reader import (
    PlanWork,
    Window,
    lookup_file,
    order_schemas,
    padded,
    rejected_file,
    source_ranges,
    target_ranges,
)
from flows.plan.spilled import spill_table
from flows.plan.trees.chosen_tree import asked_of_lookup
from flows.session.route import Route
from flows.session.scan import readable
from flows.session.session import Session
from transforms import keys
from transforms.diff import patched
from transforms.mapping import casts
from transforms.vocabulary import ChangeSet, Key, KeyRange, KeyValue, PlanError, Relation, Since
from transforms.vocabulary.arrow import Mask, contiguous

Some = TypeVar("Some")

GROUPS = 64  # tasks of one table and phase at most: a run of many tables stays within some hundreds of tasks
MOST_PARTS = 512  # open files of a spill; parts grow beyond the window's rows only above fifty million rows


def windows_of(session: Session, route: Route, work: PlanWork) -> tuple[tuple[Window, ...], tuple[Planned, ...]]:
    """The windows of a table, ascending, and what spilling rejected on the way.

    The ordered path cuts the larger side at its keys and asks both sides for the same ranges; a plan that is restricted
    to ranges cuts only what is inside them. The spill path reads both sides once and cuts them by the key's hash; so does a plan
    of some keys, or of what is new, of which nothing but those rows is read.
    """
    some = work.selection if isinstance(work.selection, Since) else work.keys
    if some is not None:
        rows = some.rows
        session.meter.expect(route.table.name, "read", rows)
        return _spilled(session, route, work, rows)
    bound, source, target = route.table, route.reads.snapshot, route.writes.snapshot
    there = bound.there
    # inside ranges the cuts tell, and rows outside of them are not counted
    ranged = bool(bound.order and source_ranges(bound, work))
    source_rows = 0 if ranged else sum(source.estimate(each.source) for each in bound.sources)
    target_rows = 0 if work.target_empty else target.estimate(there)
    if not bound.order:
        session.meter.expect(bound.name, "read", source_rows)
        return _spilled(session, route, work, max(source_rows, target_rows))

    source_key = tuple(bound.renamed[name] for name in bound.order)
    cuts, of_target = _cuts(route, work, source_key, source_rows, target_rows)
    inside = (len(cuts) + 1) * bound.window_rows
    session.meter.expect(bound.name, "plan", inside if ranged else min(inside, max(source_rows, target_rows)))
    return between([(None, None), *on_both_sides(bound, cuts, of_target=of_target)]), ()


def on_both_sides(bound: BoundTable, cuts: Sequence[KeyValue], *, of_target: bool) -> list[tuple[KeyValue, KeyValue]]:
    """Keys of one side in the types of the source and of the target. One that is no value of the other side's type is left out: two
    windows become one by it, and nothing is lost."""
    source_types, target_types = (list(schema.types) for schema in order_schemas(bound))
    pairs: list[tuple[KeyValue | None, KeyValue | None]]
    if of_target:
        pairs = [(_converted(cut, target_types, source_types), cut) for cut in cuts]
    else:
        pairs = [(cut, _converted(cut, source_types, target_types)) for cut in cuts]
    return [(wanted, found) for wanted, found in pairs if wanted is not None and found is not None]


def between(starts: Sequence[tuple[KeyValue | None, KeyValue | None]]) -> tuple[Window, ...]:
    """The windows that start at some keys of both sides, ascending, the first one at none."""
    return tuple(
        Window(number, KeyRange(wanted, wanted_stop, nulls=number == 0), KeyRange(found, found_stop, nulls=False))
        for number, ((wanted, found), (wanted_stop, found_stop)) in enumerate(pairwise([*starts, (None, None)]))
    )


def _spilled(
    session: Session, route: Route, work: PlanWork, rows: int
) -> tuple[tuple[Window, ...], tuple[Planned, ...]]:
    """About `rows` rows, read once and cut by the key's hash."""
    session.meter.expect(route.table.name, "plan", rows)
    parts = min(max(1, -(-rows // route.table.window_rows)), MOST_PARTS)
    aside = spill_table(session, route, work, parts)
    return tuple(Window(part, part=part) for part in range(parts)), aside


def _cuts(
    route: Route, work: PlanWork, source_key: Key, source_rows: int, target_rows: int
) -> tuple[list[KeyValue], bool]:
    """The keys between windows, ascending, and whether they are the target's. What is outside the work's ranges is not looked at."""
    bound, source, target = route.table, route.reads.snapshot, route.writes.snapshot
    ranges = target_ranges(bound, work)
    cuts: list[KeyValue] = []
    if target_rows > source_rows or (ranges and target_rows):
        cuts = target.split(bound.there, bound.order, bound.window_rows, ranges=ranges)
        if cuts and not ranges:
            return cuts, True
    # an estimate can be far off, since PostgreSQL takes a table that it never looked at for one of two thousand rows, and says
    # nothing of ranges: the side with more cuts has more rows there
    others = source.split(bound.source, source_key, bound.window_rows, ranges=source_ranges(bound, work))
    return (cuts, True) if len(cuts) > len(others) else (others, False)


def grouped(windows: Sequence[Some], workers: int) -> list[tuple[Some, ...]]:
    """Share windows out to tasks, each of consecutive ones; none for no windows."""
    count = len(windows)
    groups = min(count, GROUPS if count > 4 * workers else max(workers, 1))
    cuts = [number * count // groups for number in range(groups + 1)] if groups else [0]
    return [tuple(windows[start:stop]) for start, stop in pairwise(cuts)]


def gather_lookups(session: Session, route: Route, work: PlanWork, planned: Iterable[Planned]) -> None:
    """Write down the rows that the table's lookups into others may find: as they are, or as the plan will leave them."""
    bound, outcomes = route.table, list(planned)
    for name, looked in bound.lookups.items():
        if bound.name in (looked.planned, looked.through):
            continue
        mine = [outcome for outcome in outcomes if outcome.table == looked.planned]
        if looked.planned is not None and looked.through is not None:
            rows, away = _through_map(session, route, looked.planned, work, mine)
        else:
            # what rows of the target refer to, which go back, is not among what those of the source ask for
            asked = asked_of_lookup(work.job, bound.name, name) if bound.two_way is None else None
            rows, away = _looked_rows(session, route, looked, work, mine, asked)
        spill.write_rows(lookup_file(work.job, bound.name, name, "rows"), [rows], rows.schema)
        if away is not None:
            spill.write_rows(lookup_file(work.job, bound.name, name, "quarantined"), [away], away.schema)


def _looked_rows(
    session: Session,
    route: Route,
    looked: LookupSource,
    work: PlanWork,
    planned: list[Planned],
    asked: list[pa.Table] | None,
) -> tuple[pa.Table, pa.Table | None]:
    """What a lookup may find, and what of it is in quarantine. `asked`: the values that are looked for, where they are known."""
    columns = list(looked.columns)
    if looked.planned is None:
        side = session.sides[looked.side]
        shape = side.adapter.describe(looked.table)
        if shape is None:
            raise PlanError(
                f"{looked.table} has vanished from the {looked.side} while the plan was made.", fix="plan again."
            )
        schema = shape.schema(looked.columns)
        # rows that are asked for in several ways would come twice
        keys_of = [None] if asked is None or len(asked) > 1 else [held(shape, values) for values in asked]
        scanned = (side.scan(Relation(looked.table), columns, keys=some) for some in keys_of)
        batches = [batch for scan in scanned for batch in readable(scan, looked.table, looked.side, ())]
        return (pa.Table.from_batches(batches) if batches else schema.empty_table()), None

    bound = session.bound.table(looked.planned)
    needed = list(dict.fromkeys([*bound.key, *columns]))
    schema = bound.shape.schema(tuple(needed))
    found = schema.empty_table()
    if not bound.ddl:
        way = session.route(work.job, bound.name)
        for some in [None] if asked is None else [held_by_target(way, values) for values in asked]:
            rows = rows_with(way, needed, some)
            new = rows.filter(pa.array(~keys.contained(rows, found, bound.key))) if found.num_rows else rows
            found = pa.concat_tables([found, new])
    parts = [read_changes(work.job, outcome.changes) for outcome in planned if outcome.changes is not None]
    rows = patched(found, _narrowed(parts, bound, needed, schema)).select(columns)
    files = [rejected_file(work.job, bound.name, outcome.window) for outcome in planned]
    away = [padded(spill.read_rows(file), columns, schema) for file in files if file.exists()]
    return rows.combine_chunks(), (pa.concat_tables(away) if away else None)


def _through_map(
    session: Session, route: Route, parent: str, work: PlanWork, planned: list[Planned]
) -> tuple[pa.Table, pa.Table]:
    """The pairs of the identity map of another table whose rows will be in the target, and those whose rows are set aside."""
    bound = session.bound.table(parent)
    known = bound.identity_map
    assert known is not None, "binding has found the map"
    there = LookupSource("target", bound.shape.name, parent, known.key)
    pairs, doubtful = pairs_known(session, work.job, bound)
    asked = asked_of_lookup(work.job, route.table.name, way_name(parent)) if route.table.two_way is None else None
    if asked is not None:
        pairs = pairs.filter(pa.array(asked_pairs(pairs, asked)))
        asked = [ends_of(pairs, known.key)]
    rows, away = _looked_rows(session, route, there, work, planned, asked)
    left = pairs.filter(pa.array(_of_rows(pairs, rows, known.key)))
    lost = _of_rows(pairs, away, known.key) if away is not None else np.zeros(pairs.num_rows, dtype=bool)
    lost &= ~_of_rows(pairs, rows, known.key)
    return left, pa.concat_tables([pairs.filter(pa.array(lost)), doubtful])


def _of_rows(pairs: pa.Table, rows: pa.Table, key: Key) -> Mask:
    """Which pairs have the keys of some rows."""
    ends = ends_of(pairs, key)
    whole = keys.without_null_keys(rows, key)
    if not whole.num_rows or not ends.num_rows:
        return np.zeros(pairs.num_rows, dtype=bool)
    return keys.contained(ends, whole.cast(ends.schema), key)


def _narrowed(parts: list[ChangeSet], bound: BoundTable, columns: list[str], schema: pa.Schema) -> ChangeSet:
    """All change sets of a table as one, of only some columns."""
    empty = schema.empty_table()

    def joined(name: str) -> pa.Table:
        return pa.concat_tables([empty, *(getattr(part, name).select(columns) for part in parts)])

    return ChangeSet(
        bound.shape.name, bound.key, bound.key, joined("inserts"), joined("before"), joined("after"), joined("deletes")
    )


def _converted(cut: KeyValue, types: list[pa.DataType], others: list[pa.DataType]) -> KeyValue | None:
    """A key in the other side's types, None where it is no value of theirs."""
    values = []
    for value, kind, other in zip(cut, types, others, strict=True):
        result = casts.cast(contiguous(pa.array([value], kind)), casts.Cast(other))
        if result.bad.any():
            return None
        values.append(result.values[0].as_py())
    return tuple(values)

"""What a side would hold against rows of a table once all its windows are planned: a reference to no row, or a unique value that another
row has. Their windows are planned again, and leave those rows open.

So does a row that refers to one which both sides created, each in its own way: nobody knows yet which of them it means.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from adapters.store import spill
from flows.bind.tables import BoundTable
from flows.plan.decide import Planned
from flows.plan.lookups.own_lookups import forget as forget_windows
from flows.plan.reading.refusals import as_compared
from flows.plan.reading.window_reader import created_file, doubles_file, orphans_file
from flows.plan.references.orphans import as_parent, links_of, referred_values, referring_rows, without_row
from flows.plan.references.references import having
from flows.plan.references.referrers import inside
from flows.plan.two_way.bringing import End
from flows.plan.two_way.double_values import with_value_of_others
from flows.plan.two_way.origins import Origin
from flows.plan.two_way.table import Before, TableOfBoth, windows_by_side
from flows.plan.two_way.window import BothPlanned
from flows.session.route import Route
from transforms import keys
from transforms.vocabulary import SIDES, AccountingError, Key, SideName
from transforms.vocabulary.arrow import Mask


def held_to_constraints(
    ends: Mapping[SideName, End],
    table: str,
    before: Before,
    later: Collection[str],
    windows: Sequence[BothPlanned],
    plan: Callable[[int], BothPlanned],
) -> list[BothPlanned]:
    """The windows of a table, of which those in which a side would refuse rows are planned again, by `plan`, until there are none.

    In: the windows of other tables, and the names of tables that are planned `later`. Memory: what rows refer to that come or change,
    and their unique values with their keys.
    """
    planned = {each.target.window: each for each in windows}
    numbers = {
        "target": {each.target.window: each.target.window for each in windows},
        "source": {each.source.window: each.target.window for each in windows},
    }
    while wrong := {
        numbers[side][number]
        for side in SIDES
        for number in _wrong(ends[side], side, table, before[side], later, planned.values())
    }:
        for number in wrong:
            forget(ends, planned[number])
            planned[number] = plan(number)
    return list(planned.values())


def hold_circles(ends: Mapping[SideName, End], made: Sequence[TableOfBoth]) -> None:
    """Where foreign keys go in a circle, so that rows refer to tables that were planned after theirs, hold all tables to those, too."""
    both = [each for each in made if each.plan is not None and each.bound.identity_map is None]
    again = _refer_to_later(ends, [each.bound.name for each in both])
    while again:
        again = False
        for table in both:
            assert table.plan is not None, "it goes both ways"
            before = windows_by_side([each for each in made if each is not table])
            held = held_to_constraints(ends, table.bound.name, before, (), table.windows, table.plan)
            again |= any(new is not old for new, old in zip(held, table.windows, strict=True))
            table.windows = held


def bring_in_step(
    ends: Mapping[SideName, End], made: Sequence[TableOfBoth], origin: Origin, later: Collection[str]
) -> None:  # fmt: skip
    """Plan the projections of an origin again, all of which are planned, until each has what the others make of its rows.

    In: the tables that are planned, and the names of those that are planned `later`. What is refused in one of them stays refused, so
    that this ends. Errors: AccountingError where it does not.
    """
    tables = {each.bound.name: each for each in made}
    for _ in range(4 * len(origin.shows)):
        name = next(origin.outdated(), None)
        if name is None:
            return
        table = tables[name]
        assert table.plan is not None, "it goes both ways"
        origin.begin(name, len(table.windows))
        for each in table.windows:
            forget(ends, each)
        windows = [table.plan(each.target.window) for each in table.windows]
        before = windows_by_side([each for each in made if each is not table])
        table.windows = held_to_constraints(ends, name, before, later, windows, table.plan)
    raise AccountingError(
        f"{', '.join(tables)} are made of the source's {origin.like.table}, and do not come to rest. Nothing was written. This is a "
        f"defect: please report it."
    )


def _refer_to_later(ends: Mapping[SideName, End], tables: Sequence[str]) -> bool:
    for end in ends.values():
        entries = dict.fromkeys(end.entry(name) for name in tables)
        shapes = [end.session.bound.table(entry).shape for entry in entries]
        for at, shape in enumerate(shapes):
            if {foreign.refers for foreign in shape.foreign_keys} & {each.name for each in shapes[at + 1 :]}:
                return True
    return False


def _wrong(
    end: End,
    side: SideName,
    table: str,
    before: Sequence[Planned],
    later: Collection[str],
    both: Collection[BothPlanned],
) -> set[int]:
    """The windows in which a side would refuse rows, once what they are refused for is written down for their next planning."""
    planned = [each.target if side == "target" else each.source for each in both]
    if not any(each.changes is not None and each.changes.has("insert", "update") for each in planned):
        return set()
    route = end.route(table)
    entry, own = end.entry(table), {each.window for each in planned}
    others = [each for each in before if each.table == entry]  # of other projections of the same origin
    double = {number for number in with_value_of_others(end, route, [*planned, *others]) if number in own}
    behind = {end.entry(name) for name in later} - {each.table for each in before}
    return {*_referring_wrongly(end, route, before, planned, behind), *double}


def _referring_wrongly(
    end: End, route: Route, before: Sequence[Planned], planned: Sequence[Planned], later: Collection[str]
) -> Iterator[int]:
    bound, job, folder = route.table, end.job, Path(end.job.folder)
    for number, foreign, shape, parent in links_of(end.session, bound, route.writes.adapter, later):
        values = referred_values(folder, planned, foreign.columns)
        if values is None:
            continue
        lost = [without_row(route, job, [*before, *planned], foreign, shape, parent, values)]
        if parent is not None:
            twofold = _of_rows_created_twice(
                end, route, parent, foreign.refers_columns, as_parent(values, foreign, shape)
            )
            lost.append(values.filter(pa.array(twofold)))
        found = [each for each in lost if each is not None and each.num_rows]
        if not found:
            continue
        bad = keys.distinct(pa.concat_tables(found))
        spill.add_rows(orphans_file(job, bound.name, number), bad)
        for each in planned:
            rows = referring_rows(folder, each, foreign.columns)
            if rows is not None and having(rows, foreign.columns, bad, foreign.columns).any():
                yield each.window


def _of_rows_created_twice(end: End, route: Route, parent: BoundTable, names: Key, values: pa.Table) -> Mask:
    """Which values are those of rows that both sides created, each in its own way."""
    folder = created_file(end.job, parent.name, 0).parent
    files = sorted(folder.glob("*.arrow")) if folder.exists() else []
    rows = [
        each.select(list(names)) for path in files if set(names) <= set((each := spill.read_rows(path)).column_names)
    ]
    if not rows:
        return np.zeros(values.num_rows, dtype=bool)
    mine, theirs = (as_compared(route.writes.adapter, parent, each, names) for each in (values, pa.concat_tables(rows)))
    return inside(mine, theirs.cast(mine.schema))


def forget(ends: Mapping[SideName, End], planned: BothPlanned) -> None:
    """Take away what planning a window has left behind, as far as the next planning may not write it anew."""
    for side, each in (("target", planned.target), ("source", planned.source)):
        end = ends["target" if side == "target" else "source"]
        end.session.changes.take(each.table, each.window)
        for entry in (each.changes, each.quarantine):
            if entry is not None:
                (Path(end.job.folder) / entry.path).unlink(missing_ok=True)
    for entry in planned.beside:
        (Path(ends["target"].job.folder) / entry.path).unlink(missing_ok=True)


def forget_all(ends: Mapping[SideName, End], made: TableOfBoth) -> None:
    """Take away all that planning a table has left behind, with what was held against its rows."""
    for each in made.windows:
        forget(ends, each)
    job, bound = ends["target"].job, made.bound
    forget_windows(job, bound, made.aside)
    for end in ends.values():
        for path in (orphans_file(end.job, bound.name, 0), doubles_file(end.job, bound.name, 0)):
            shutil.rmtree(path.parent, ignore_errors=True)

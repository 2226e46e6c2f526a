"""Unique values that rows would get on a side while another row has them there: found before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from adapters.store import spill
from adapters.store.plan_files import read_expected, read_written
from flows.plan.decide import Planned
from flows.plan.reading.chosen_keys import as_held
from flows.plan.reading.refusals import as_compared, own_uniques
from flows.plan.reading.window_reader import doubles_file
from flows.plan.two_way.bringing import End
from flows.session.route import Route
from flows.session.scan import readable
from transforms import keys
from transforms.vocabulary import Key, Relation
from transforms.vocabulary.arrow import Indices, Mask
from transforms.vocabulary.values import same_rows


def with_value_of_others(end: End, route: Route, planned: Sequence[Planned]) -> Iterator[int]:
    """The windows with rows that would get a unique value which another row keeps, or gets, too; their keys are written down.

    A row that gives its value up makes room, unless it is refused itself. Values that the engine alone takes for equal may be found
    only when they are written. Memory: unique values that come, go, or are held by others.
    """
    bound, job = route.table, end.job
    if bound.ddl or not any(each.counts.target_rows for each in planned):
        return
    for number, unique in own_uniques(bound):
        moved = _moved(Path(job.folder), planned, bound.key, unique)
        if moved is None:
            continue
        held = _holders(route, unique, moved.come)
        mine, theirs = (as_compared(route.writes.adapter, bound, rows, unique) for rows in (moved.come, held))
        refused = _refused(moved, mine, held, theirs.cast(mine.schema), bound.key)
        if not refused.any():
            continue
        rows = moved.come.filter(pa.array(refused)).select(list(bound.key))
        spill.add_rows(doubles_file(job, bound.name, number), rows)
        yield from np.unique(moved.windows[refused]).tolist()


@dataclass(frozen=True, slots=True)
class _Moved:
    """Rows that get other unique values, with their keys and windows, and the keys of those that give theirs up."""

    come: pa.Table
    windows: Indices
    go: pa.Table


def _moved(folder: Path, planned: Sequence[Planned], key: Key, unique: Key) -> _Moved | None:
    """None where no row gets any."""
    names = list(dict.fromkeys([*key, *unique]))
    come, windows, go = list[pa.Table](), list[Indices](), list[pa.Table]()
    for each in planned:
        entry = each.changes
        if entry is None:
            continue
        written, expected = read_written(folder, entry, names), read_expected(folder, entry, names)
        if written is None or expected is None:
            return None
        deletes, updates = entry.counts.get("delete", 0), entry.counts.get("update", 0)
        before, after = expected.slice(deletes), written.slice(0, updates)
        new = np.ones(written.num_rows, dtype=bool)
        new[:updates] = ~same_rows(before, after, unique, {})
        away = np.ones(expected.num_rows, dtype=bool)
        away[deletes:] = new[:updates]
        new &= ~keys.null_keys(written, unique)
        come.append(written.filter(pa.array(new)))
        windows.append(np.full(int(new.sum()), each.window, dtype=np.int64))
        go.append(expected.filter(pa.array(away)).select(list(key)))
    if not sum(each.num_rows for each in come):
        return None
    return _Moved(pa.concat_tables(come), np.concatenate(windows), pa.concat_tables(go))


def _holders(route: Route, unique: Key, come: pa.Table) -> pa.Table:
    """The rows that have some unique values now: their keys, and those."""
    bound = route.table
    names = list(dict.fromkeys([*bound.key, *unique]))
    asked = as_held(bound.shape, route.writes.adapter, keys.distinct(come.select(list(unique))))
    schema = bound.shape.schema(tuple(names))
    if not asked.num_rows:
        return schema.empty_table()
    found = route.writes.snapshot.scan(Relation(bound.shape.name), names, keys=asked)
    rows = pa.Table.from_batches(readable(found, bound.shape.name, route.writes.name, bound.key), schema=schema)
    return keys.without_null_keys(rows, bound.key)


def _refused(moved: _Moved, mine: pa.Table, held: pa.Table, theirs: pa.Table, key: Key) -> Mask:
    """Which of the rows that come cannot: those whose value stays with another row, or that come to it with others."""
    whole = np.concatenate(
        [~keys.null_keys(mine, tuple(mine.column_names)), ~keys.null_keys(theirs, tuple(theirs.column_names))]
    )
    values = pa.concat_tables([mine, theirs])
    codes = np.full(values.num_rows, -1, dtype=np.int64)
    codes[whole] = keys.codes([values.filter(pa.array(whole))], tuple(values.column_names))[0]
    come, there = codes[: mine.num_rows], codes[mine.num_rows :]
    at = _places(held, moved.go, key)
    own = _places(held, moved.come, key)  # a row that comes is no other one to itself
    refused = np.zeros(mine.num_rows, dtype=bool)
    while True:
        stays = (at < 0) | ((own >= 0) & refused[own])
        others = np.bincount(there[stays & (there >= 0)], minlength=int(codes.max(initial=0)) + 1)
        coming = np.bincount(come[~refused & (come >= 0)], minlength=len(others))
        bad = (come >= 0) & ~refused & ((others[come] > 0) | (coming[come] > 1))
        if not bad.any():
            return refused
        refused |= bad


def _places(rows: pa.Table, others: pa.Table, key: Key) -> Indices:
    """Where rows are among others, by key; -1 where they are not."""
    if not rows.num_rows or not others.num_rows:
        return np.full(rows.num_rows, -1, dtype=np.int64)
    asked = rows.select(list(key)).cast(pa.schema([others.schema.field(name) for name in key]))
    return keys.match(asked, others, key)

"""The rows that a plan would change, one by one and in any number: as text, JSON, JSON lines or CSV."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from typing import IO, Any, Final

from adapters.store.plans import Plan
from flows.cli.row_formats import Format, write_csv, write_json, write_json_lines
from flows.history.log import TOGETHER, Change, change_object, changes_of, in_words_too
from flows.plan.lookups.stands_for import parents_of
from flows.plan.order.interim import whole_changes
from flows.results.stands import in_words
from transforms.vocabulary import ChangeSet, SideName

_COLUMNS: Final = ("table", "op", "key", "column", "before", "after")


Sided = tuple[SideName | None, Change]
"""A change with the side that it is to be made on, where a plan has some for both."""


def rows_of_both(plan: Plan, back: Plan | None, limit: int | None = None) -> Iterator[Sided]:
    """The changes of a plan, as of `rows_of`; where it has one of the source beside it, those of the target and then the source's."""
    if back is None:
        return ((None, change) for change in rows_of(plan, limit))
    sides: tuple[tuple[SideName, Plan], ...] = (("target", plan), ("source", back))
    return islice(((side, change) for side, each in sides for change in rows_of(each)), limit)


def rows_of(plan: Plan, limit: int | None = None) -> Iterator[Change]:
    """The changes of a plan, the first `limit` of them or all: by table, window, and deletes, updates, inserts.

    Memory: a window's change set, and TOGETHER rows as texts.
    """
    every = (
        change
        for planned in plan.manifest.tables
        for changes in whole_changes(plan, planned.table, plan.changes)
        for part in _parts(changes)
        for change in changes_of(planned.name, part)
    )
    parents = parents_of(plan)
    if parents is None:
        yield from islice(every, limit)
        return
    with parents:
        yield from in_words_too(islice(every, limit), parents)


def words_of_samples(plan: Plan) -> dict[tuple[str, str], str]:
    """What the keys of a plan's samples stand for, by table and key as samples have it; nothing where that is not known."""
    parents = parents_of(plan)
    found: dict[tuple[str, str], str] = {}
    if parents is None:
        return found
    with parents:
        for planned in plan.manifest.tables:
            many = len((parents.spec.tables[planned.name].key if planned.name in parents.spec.tables else None) or ())
            split = {
                each.key: each.key.split(", ") for each in planned.samples
            }  # one with a comma in it has more parts
            told = {key: json.dumps(parts) for key, parts in split.items() if len(parts) == many}
            for key, stands in zip(told, parents.stand_for(planned.name, list(told.values())), strict=True):
                if stands:
                    found[planned.name, key] = in_words(stands)
    return found


def _parts(changes: ChangeSet) -> Iterator[ChangeSet]:
    none = changes.empty
    for start in range(0, changes.deletes.num_rows, TOGETHER):
        yield replace(none, deletes=changes.deletes.slice(start, TOGETHER))
    for start in range(0, changes.after.num_rows, TOGETHER):
        before, after = changes.before.slice(start, TOGETHER), changes.after.slice(start, TOGETHER)
        yield replace(none, before=before, after=after)
    for start in range(0, changes.inserts.num_rows, TOGETHER):
        yield replace(none, inserts=changes.inserts.slice(start, TOGETHER))


def write_rows(rows: Iterable[Sided], form: Format, out: IO[str]) -> int:
    """Write the rows down as they come; how many there were.

    JSON is one array with an object a line, JSON lines the objects alone; the key in them is an array. CSV has a line for each column: of
    an update those that differ. Where rows of both sides change, `side` says of which each is.
    """
    if form == "text":
        return _as_text(rows, out)
    if form == "csv":
        return _as_csv(rows, out)
    return (write_json if form == "json" else write_json_lines)(map(_object, rows), out)


def _as_text(rows: Iterable[Sided], out: IO[str]) -> int:
    from flows.cli.terminal.history import change_lines

    count, before = 0, None
    for side, change in rows:
        count += 1
        if side != before:
            out.write(f"in the {side}:\n")
        before = side
        out.writelines(f"{line}\n" for line in change_lines(change))
    return count


def _object(row: Sided) -> dict[str, Any]:
    side, change = row
    of = {} if side is None else {"side": side}
    return {**of, **change_object(change), "key": json.loads(change.key)}


def _as_csv(rows: Iterable[Sided], out: IO[str]) -> int:
    first, rows = _looked_at(rows)
    sided = first is not None and first[0] is not None
    return write_csv(("side", *_COLUMNS) if sided else _COLUMNS, map(_lines, rows), out)


def _looked_at(rows: Iterable[Sided]) -> tuple[Sided | None, Iterable[Sided]]:
    """The first row, None where there is none, and all of them."""
    every = iter(rows)
    first = next(every, None)
    return first, every if first is None else chain([first], every)


def _lines(row: Sided) -> Iterator[tuple[str | None, ...]]:
    side, change = row
    of = () if side is None else (side,)
    before, after = change.before or {}, change.after or {}
    for column in dict.fromkeys([*before, *after]):
        yield (*of, change.table, change.op, change.key, column, before.get(column), after.get(column))

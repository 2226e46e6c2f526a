"""What leaves quarantine after a run, and which conflicts are settled: those of every key that it looked at and did not meet again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import pyarrow as pa

from adapters.ledger.ledger import Choice, Ledger
from adapters.store.plans import Plan
from flows.bind.ranges import parse_range, typed
from flows.bind.tables import BoundTable
from flows.session.session import Session
from transforms.mapping import casts
from transforms.range_filter import all_inside
from transforms.vocabulary import ColumnRange, SideName
from transforms.vocabulary.arrow import contiguous

MANY = 10_000  # keys of the ledger that are looked at together


def sweep(plan: Plan, table: str, session: Session, ledger: Ledger) -> None:
    """Forget of a table what the plan's run looked at and did not set aside. Memory: a window's keys."""
    name, side, run_id = session.spec.name, plan.manifest.side, plan.manifest.run_id
    listed = (key for _, key in ledger.chosen_keys(name, Choice((table,), side=side)))
    for keys in looked_at(plan, table, session, listed):
        ledger.sweep_quarantine(name, side, table, run_id, keys)


def settle(plan: Plan, table: str, session: Session, ledger: Ledger, side: SideName) -> None:
    """Close the conflicts of a side's table that the plan's run looked at and did not meet again. Memory: the keys of open ones."""
    name, run_id = session.spec.name, plan.manifest.run_id
    listed = ledger.conflict_keys(name, table) if plan.manifest.ranges else ()
    for keys in looked_at(plan, table, session, listed):
        ledger.settle_conflicts(name, side, table, run_id, keys)


def looked_at(plan: Plan, table: str, session: Session, listed: Iterable[str]) -> Iterator[Sequence[str] | None]:
    """The keys of a table that a plan's run looked at, of which the ledger has listed some; None stands for all.

    That is everything, or the keys that the plan was restricted to, which of trees and of what was new its files have, or with
    ranges the rows that it maps, and those of the listed ones that lie in ranges over the key: their rows may be gone from the source.
    """
    spec, manifest = session.spec, plan.manifest
    if manifest.keys is not None:
        yield manifest.keys.get(table, ())
        return
    cursor = manifest.named(table).cursor
    if manifest.tree or (cursor is not None and cursor.since is not None):
        yield from (keys.to_pylist() for keys in plan.mapped_keys(spec.target_table(table)))
        return
    texts = [parse_range(text, spec) for text in manifest.ranges]
    mine = [text for text in texts if text.table == table]
    if not mine:
        yield None
        return
    yield from (keys.to_pylist() for keys in plan.mapped_keys(spec.target_table(table)))
    bound = session.bound.table(table)
    ranges = tuple(typed(text, bound, spec.source.time_zone) for text in mine)
    if all(each.column in bound.key for each in ranges):
        yield [key for some in _chunks(listed) for key in _inside(bound, ranges, some)]


def _inside(bound: BoundTable, ranges: Sequence[ColumnRange], keys: Sequence[str]) -> Iterator[str]:
    """The keys that lie in every range; one that is no value of the column's type lies in none."""
    values = [json.loads(key) for key in keys]
    fits = np.ones(len(keys), dtype=bool)
    columns = {}
    for wanted in ranges:
        shape = bound.shape.column(wanted.column)
        assert shape is not None, "a range is over a column of the key"
        at = bound.key.index(wanted.column)
        texts = [None if value[at] is None else str(value[at]) for value in values]
        made = casts.cast(pa.array(texts, pa.string()), casts.Cast(shape.type))
        fits &= ~made.bad
        columns[wanted.column] = contiguous(made.values)
    chosen = fits & all_inside(pa.table(columns), tuple(ranges))
    return (key for key, hit in zip(keys, chosen, strict=True) if hit)


def _chunks(keys: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(keys)
    while some := list(islice(rest, MANY)):
        yield some

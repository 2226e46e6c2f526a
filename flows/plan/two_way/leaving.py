"""Rows that have left a projection: one side still shows them, and on the other its condition (`where`, `owns`) holds no more.

Such a row is no deletion. It is asked for outside the condition and reconciled as it is there, so that the other side's row follows
it. A row that no side shows any more stays what both agreed on when it left, as long as some side has it: so it can come back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from flows.bind.tables import BoundTable
from flows.plan.reading.chosen_keys import held_by_source
from flows.plan.reading.window_reader import PlanWork, lookup_rows, map_noting
from flows.plan.two_way.reading import Others, Read
from flows.session.route import Route
from flows.session.scan import readable
from transforms import keys
from transforms.mapping.mapping import Mapped
from transforms.vocabulary import Relation


class Left(NamedTuple):
    """Rows of the source that are outside its condition: mapped, and as they are. `aside` are keys of those that cannot be mapped."""

    rows: pa.Table
    raw: pa.Table
    aside: pa.Table


def with_left_in_target(route: Route, read: Read) -> Read:
    """The window with the target's rows that left: found like others, and not taken by somebody else."""
    bound = route.table
    if bound.owns is None:
        return read
    gone = _missing(bound, read, read.found, read.mapped.rows)
    if not gone.num_rows:
        return read
    rows = _outside_target(route, bound.owns, gone)
    if not rows.num_rows:
        return read
    ours = keys.contained(read.outside, rows.select(list(bound.key)), bound.key)
    return replace(read, found=pa.concat_tables([read.found, rows]), outside=read.outside.filter(pa.array(~ours)))


def left_in_source(route: Route, work: PlanWork, read: Read) -> Left | None:
    """The source's rows that left; None for none."""
    bound = route.table
    if bound.source.where is None:
        return None
    gone = _missing(bound, read, _on_source(bound, read), read.found)
    if not gone.num_rows:
        return None
    return _outside_source(route, work, bound.source.where, gone, read.others)


def left_on_both(route: Route, work: PlanWork, read: Read) -> pa.Table:
    """The keys that both sides agreed on, that no side shows any more and that some side has outside its condition."""
    bound = route.table
    none = bound.key_schema.empty_table()
    if read.base is None or (bound.owns is None and bound.source.where is None):
        return none
    agreed = read.base.select(list(bound.key)).cast(bound.key_schema)
    shown = pa.concat_tables([_on_source(bound, read), read.found.select(list(bound.key))])
    gone = agreed.filter(pa.array(~keys.contained(agreed, shown, bound.key))).combine_chunks()
    if not gone.num_rows:
        return none
    found = [] if bound.owns is None else [_outside_target(route, bound.owns, gone).select(list(bound.key))]
    if (
        bound.source.where is not None
        and (left := _outside_source(route, work, bound.source.where, gone, read.others)) is not None
    ):
        found += [left.rows.select(list(bound.key)), left.aside]
    there = pa.concat_tables([none, *(each.cast(bound.key_schema) for each in found)])
    return gone.filter(pa.array(keys.contained(gone, there, bound.key)))


def _outside_target(route: Route, owns: str, gone: pa.Table) -> pa.Table:
    """The target's rows of some keys that are outside its condition."""
    bound = route.table
    others = Relation(bound.shape.name, where=_outside(owns))
    exact = not any(column.collation for column in bound.shape.columns if column.name in bound.key)
    scan = route.writes.snapshot.scan(others, list(bound.schema.names), keys=gone if exact else None)
    batches = list(readable(scan, bound.shape.name, route.writes.name, bound.key))
    rows = pa.Table.from_batches(batches, schema=bound.schema) if batches else bound.schema.empty_table()
    return rows.filter(pa.array(keys.contained(rows, gone, bound.key)))


def _outside_source(route: Route, work: PlanWork, where: str, gone: pa.Table, seen: Others | None) -> Left | None:
    """The source's rows of some keys that are outside its condition; None for none. In: what others made of some rows."""
    bound = route.table
    others = replace(bound.source, where=_outside(where))
    asked, lookups = held_by_source(bound, gone).keys, lookup_rows(bound, work.job)
    found: list[Left] = []
    if seen is not None and (rows := seen.outside.mapped.rows).num_rows:
        mine = pa.array(keys.contained(rows, gone, bound.key))
        found.append(Left(rows.filter(mine), seen.outside.raw.filter(mine), bound.key_schema.empty_table()))
    for batch in route.reads.scan(others, list(bound.reads), keys=asked):
        rows = pa.Table.from_batches([batch])
        if seen is not None and seen.touched.num_rows:
            key = tuple(seen.touched.column_names)
            rows = rows.filter(pa.array(~keys.contained(rows, seen.touched, key)))
        mapped, bad = map_noting(rows, bound.patient_mapping, lookups)
        wanted = keys.contained(mapped.rows, gone, bound.key)
        raw = rows.filter(pa.array(~bad)).filter(pa.array(wanted)).select(list(bound.reads))
        away = keys.without_null_keys(mapped.rejected_rows.select(list(bound.key)), bound.key).cast(bound.key_schema)
        found.append(Left(mapped.rows.filter(pa.array(wanted)), raw, away))
    if not found:
        return None
    return Left(*(pa.concat_tables(parts) for parts in zip(*found, strict=True)))


def joined(mapped: Mapped, raw: pa.Table, left: Left | None) -> tuple[Mapped, pa.Table]:
    """The rows of a window with those that left, each beside what it is mapped from."""
    if left is None:
        return mapped, raw
    return replace(mapped, rows=pa.concat_tables([mapped.rows, left.rows])), pa.concat_tables([raw, left.raw])


def _missing(bound: BoundTable, read: Read, here: pa.Table, there: pa.Table) -> pa.Table:
    """The keys that both sides agreed on which one side does not show, and the other one does."""
    if read.base is None or not read.base.num_rows:
        return bound.key_schema.empty_table()
    agreed = read.base.select(list(bound.key)).cast(bound.key_schema)
    gone = np.asarray(~keys.contained(agreed, here, bound.key) & keys.contained(agreed, there, bound.key))
    return agreed.filter(pa.array(gone)).combine_chunks()


def _on_source(bound: BoundTable, read: Read) -> pa.Table:
    """The keys of the rows that the source shows, mapped or set aside."""
    aside = [read.mapped.rejected_rows, *([read.kept] if read.kept is not None else [])]
    away = [keys.without_null_keys(part.select(list(bound.key)), bound.key).cast(bound.key_schema) for part in aside]
    return pa.concat_tables([read.mapped.rows.select(list(bound.key)), *away])


def _outside(condition: str) -> str:
    """Where a condition does not hold; null does not either."""
    return f"CASE WHEN ({condition}\n) THEN 0 ELSE 1 END = 1"

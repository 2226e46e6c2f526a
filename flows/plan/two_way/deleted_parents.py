"""What lookups of two-way tables may find of rows that the target has deleted since both sides agreed.

The source has them still, with what refers to them there: a row below one is what both agreed on, as long as it says the same, so that
the target's deletion of it is a deletion, and no conflict with a row that lost its parent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from adapters.store import spill
from adapters.store.agreed import Parts, read_part
from flows.bind.identity import ends_of
from flows.bind.lookup_source import LookupSource
from flows.bind.tables import BoundTable
from flows.plan.lookups.identity import pairs_known
from flows.plan.lookups.own_rows import rows_with
from flows.plan.reading.chosen_keys import held_by_target
from flows.plan.reading.window_reader import lookup_file
from flows.session.route import Route
from flows.session.session import Job, Session
from transforms import keys
from transforms.mapping.column_mapping import LookUp
from transforms.vocabulary import Key
from transforms.vocabulary.arrow import Mask


def add_deleted_parents(session: Session, job: Job, bound: BoundTable, bases: Mapping[str, Parts]) -> None:
    """Add such rows to what the lookups of a table may find. In: what both sides agreed on, by table.

    Memory: of each part of a base the columns of its key and of the lookup.
    """
    for name, looked in bound.lookups.items():
        if looked.planned is None or looked.planned == bound.name or looked.planned not in bases:
            continue
        way, base = session.route(job, looked.planned), bases[looked.planned]
        path = lookup_file(job, bound.name, name, "rows")
        rows = spill.read_rows(path)
        gone = _pairs(session, job, way, base, rows) if looked.through else _rows(way, base, rows, bound, name, looked)
        if gone is not None and gone.num_rows:
            spill.write_rows(
                path, [pa.concat_tables([rows, gone.select(rows.column_names).cast(rows.schema)])], rows.schema
            )


def _pairs(session: Session, job: Job, way: Route, base: Parts, rows: pa.Table) -> pa.Table:
    """Pairs of an identity map."""
    known = way.table.identity_map
    assert known is not None, "binding has found the map"
    pairs, _ = pairs_known(session, job, way.table)
    pairs = pairs.filter(pa.array(_without(pairs, rows, known.by)))
    agreed = np.zeros(pairs.num_rows, dtype=bool)
    ends = ends_of(pairs, known.key)
    for number in range(len(base.parts) if pairs.num_rows else 0):
        part = read_part(base, number, known.key).cast(ends.schema)
        agreed |= ~_without(ends, part, known.key)
    pairs = pairs.filter(pa.array(agreed))
    return pairs.filter(pa.array(_deleted(way, ends_of(pairs, known.key))))


def _rows(
    way: Route, base: Parts, rows: pa.Table, bound: BoundTable, name: str, looked: LookupSource
) -> pa.Table | None:  # fmt: skip
    """Rows of a table, in the columns that the lookup reads; none where what both agreed on has not all of these."""
    parent = way.table
    names = list(dict.fromkeys([*parent.key, *looked.columns]))
    if not set(names) <= set(base.agreement.schema.names):
        return None
    apart = [*_apart(bound, name)]
    found = [rows.schema.empty_table()]
    for number in range(len(base.parts)):
        part = read_part(base, number, names)
        for by in apart:  # what it says now goes before what it said
            part = keys.without_null_keys(part, by)
            part = part.filter(pa.array(_without(part.select(list(by)).cast(_kinds(rows, by)), rows, by)))
        part = part.filter(pa.array(_deleted(way, part.select(list(parent.key)))))
        found.append(part.select(rows.column_names).cast(rows.schema))
    return pa.concat_tables(found)


def _apart(bound: BoundTable, name: str) -> Iterator[Key]:
    """By what columns a lookup finds rows, and which it takes."""
    seen = set[Key]()
    for column in (*bound.mapping.columns, *bound.computed):
        if isinstance(column.origin, LookUp) and column.origin.name == name:
            for by in (tuple(looked for looked, _ in column.origin.match), (column.origin.take,)):
                if by not in seen:
                    seen.add(by)
                    yield by


def _kinds(rows: pa.Table, names: Key) -> pa.Schema:
    return pa.schema([rows.schema.field(name) for name in names])


def _without(rows: pa.Table, others: pa.Table, names: Key) -> Mask:
    """Which rows have values that no other one has."""
    others = keys.without_null_keys(others, names)
    if not rows.num_rows or not others.num_rows:
        return np.ones(rows.num_rows, dtype=bool)
    return ~keys.contained(rows, others, names)


def _deleted(way: Route, keyed: pa.Table) -> Mask:
    """Which keys the target has no row of."""
    if not keyed.num_rows:
        return np.zeros(0, dtype=bool)
    key = list(way.table.key)
    there = rows_with(way, key, held_by_target(way, keyed)).cast(keyed.schema)
    return _without(keyed, there, way.table.key)

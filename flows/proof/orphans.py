"""Orphans: rows of the target that refer to what is not there, by foreign keys and by what lookups take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from adapters.protocol import Inspection
from flows.bind.ranges import RangeText, parse_range, typed
from flows.bind.tables import Binding, BoundTable
from flows.results.orphans import By, Orphans
from flows.session.session import Session
from transforms import expressions, keys
from transforms.mapping.column_mapping import LookUp
from transforms.vocabulary import ForeignKey, Key

SAMPLES = 3  # keys of orphans that are told


@dataclass(frozen=True, slots=True)
class Reference:
    """Columns of a table of the spec refer to rows of a table of the target."""

    table: str
    key: ForeignKey
    by: By


def orphans(session: Session, tables: Sequence[str], ranges: Sequence[str] = ()) -> tuple[Orphans, ...]:
    """Look for orphans of some tables, but for those that do without reconciliation.

    With ranges, rows outside those of their table are not looked at; else tables that refer to one of `tables` are
    looked at too, since a row that went may have left some behind.
    """
    binding, spec = session.bound, session.spec
    texts = [parse_range(text, spec) for text in ranges]
    there = {bound.shape.name: bound for bound in binding.tables}
    wanted = []
    for reference in references(binding):
        child, parent = binding.table(reference.table), there.get(reference.key.refers)
        near = not texts and parent is not None and parent.name in tables
        yet_to_come = bool(child.ddl) or (parent is not None and bool(parent.ddl))
        if (child.name in tables or near) and not yet_to_come and spec.checkpoint(child.name).reconcile:
            wanted.append(reference)
    if not wanted:
        return ()
    with session.sides.target.adapter.snapshot() as snapshot:
        return tuple(_looked_for(session, snapshot, binding.table(each.table), each, texts) for each in wanted)


def references(binding: Binding) -> Iterator[Reference]:
    """The foreign keys of the target's tables, and the columns that lookups take from tables of the spec as they are."""
    for bound in binding.tables:
        yield from (Reference(bound.name, key, "foreign key") for key in bound.shape.foreign_keys)
        known = {(key.columns, key.refers, key.refers_columns) for key in bound.shape.foreign_keys}
        for column in (each for part in bound.sources for each in (*part.mapping.columns, *part.computed)):
            if not isinstance(column.origin, LookUp) or column.values is not None:
                continue
            looked, take = bound.lookups[column.origin.name], column.origin.take
            own = bound.shape.column(column.shape.name)
            taken = binding.table(looked.planned).shape.column(take) if looked.planned else None
            key = ForeignKey((column.shape.name,), looked.table, (take,))
            # a cast may have made something else of what was taken
            alike = own is not None and taken is not None and own.travels_like(taken)
            if alike and (key.columns, key.refers, key.refers_columns) not in known:
                known.add((key.columns, key.refers, key.refers_columns))
                yield Reference(bound.name, key, "lookup")


def together(found: Sequence[Orphans]) -> tuple[Orphans, ...]:
    """Those of several ranges as those of one; each reference stays where it came first."""
    first: dict[Orphans, Orphans] = {}
    for each in found:
        bare = replace(each, rows=0, keys=())
        known = first.get(bare, bare)
        first[bare] = replace(known, rows=known.rows + each.rows, keys=(*known.keys, *each.keys)[:SAMPLES])
    return tuple(first.values())


def _looked_for(
    session: Session, snapshot: Inspection, bound: BoundTable, reference: Reference, ranges: Sequence[RangeText]
) -> Orphans:
    key = reference.key
    refers = next((each.name for each in session.bound.tables if each.shape.name == key.refers), str(key.refers))
    found = Orphans(bound.name, key.columns, refers, key.refers_columns, reference.by)
    relation = snapshot.orphans(bound.shape.name, key)
    if relation is None:
        return replace(found, held=True)
    cut = tuple(typed(text, bound, session.spec.source.time_zone) for text in ranges if text.table == bound.name)
    rows = snapshot.count(relation, cut)
    batch = next(iter(snapshot.scan(relation, bound.key, ranges=cut)), None) if rows else None
    return replace(found, rows=rows, keys=_first(batch, bound.key) if batch is not None else ())


def _first(batch: pa.RecordBatch, key: Key) -> tuple[str, ...]:
    rows = keys.ascending(pa.Table.from_batches([batch]).select(list(key)), key)
    return tuple(expressions.as_json_keys(rows.slice(0, SAMPLES), key).to_pylist())

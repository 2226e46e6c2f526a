"""Rows of the target that are not this table's (`owns`): they are left alone, and their keys are theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from flows.binding import BoundTable
from flows.collisions import alike
from flows.reading import readable
from flows.session import Session
from flows.sides import PlanWork, target_ranges
from transforms import keys
from transforms.mapping import Mapped, set_aside
from transforms.vocabulary import KeyRange, Relation

TAKEN: Final = "a row of the target that is not among those that this table owns has this key"


def keys_outside(
    session: Session, bound: BoundTable, work: PlanWork, within: KeyRange, order: tuple[str, ...]
) -> pa.Table:
    """The keys of the rows that are not this table's, in a key range."""
    batches = list(scan_outside(session, bound, work, within, order))
    return pa.concat_tables([bound.schema.empty_table().select(list(bound.key)), *batches])


def scan_outside(
    session: Session, bound: BoundTable, work: PlanWork, within: KeyRange = KeyRange(), order: tuple[str, ...] = ()
) -> Iterator[pa.Table]:
    """The same, batch by batch. No rows where the table owns all of them."""
    if bound.owns is None or work.target_empty:
        return
    others = Relation(bound.shape.name, where=f"CASE WHEN ({bound.owns}\n) THEN 0 ELSE 1 END = 1")  # null: not owned
    found = session.reading[1].scan(
        others, list(bound.key), key=order, within=within, ranges=target_ranges(bound, work)
    )
    for batch in readable(found, bound.shape.name, "target", bound.key):
        yield keys.without_null_keys(pa.Table.from_batches([batch]), bound.key)


def without_taken(session: Session, bound: BoundTable, mapped: Mapped, outside: pa.Table) -> Mapped:
    """Set aside every row whose key a row outside has, as the target's unique indexes compare them."""
    if not outside.num_rows or not mapped.rows.num_rows:
        return mapped
    wanted = alike(session, bound, mapped.rows, bound.key)
    others = alike(session, bound, outside, bound.key).cast(wanted.schema)
    return set_aside(mapped, keys.contained(wanted, others, bound.key), TAKEN, bound.mapping)

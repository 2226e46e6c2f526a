"""Rows of the target that are not this table's (`owns`): they are left alone, and their keys are theirs."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pyarrow as pa

from flows.bind.tables import BoundTable
from flows.plan.reading.chosen_keys import of_target
from flows.plan.reading.collisions import alike
from flows.plan.reading.window_reader import PlanWork, target_ranges
from flows.session.route import Route
from flows.session.scan import readable
from transforms import expressions, keys
from transforms.mapping.aside import set_aside
from transforms.mapping.mapping import Mapped
from transforms.vocabulary import KeyRange, Reason, Relation
from transforms.vocabulary.arrow import as_mask


def without_foreign(bound: BoundTable, mapped: Mapped) -> Mapped:
    """Set aside every row that would not be this table's once it is written: the next run would not see it.

    Only what every engine reads alike is asked here. Of other conditions the next run finds the key taken.
    """
    rows = mapped.rows
    if bound.owns is None or not rows.num_rows or not expressions.means_the_same(bound.owns):
        return mapped
    named = {name.lower() for name in expressions.columns(bound.owns)}
    used = [column for column in bound.shape.columns if column.name.lower() in named]
    if len(used) < len(named) or any(column.collation or column.name not in rows.column_names for column in used):
        return mapped
    few = rows.select([column.name for column in used])
    try:
        ours = expressions.select(few, {"ours": f"coalesce(({bound.owns}\n), false)"}).column(0)
    except duckdb.Error:  # the target's engine reads it, and another one need not
        return mapped
    return set_aside(mapped, ~as_mask(ours), Reason("not_owned"), bound.mapping)


def keys_outside(route: Route, work: PlanWork, within: KeyRange, order: tuple[str, ...]) -> pa.Table:
    """The keys of the rows that are not this table's, in a key range."""
    bound = route.table
    batches = list(scan_outside(route, work, within, order))
    return pa.concat_tables([bound.schema.empty_table().select(list(bound.key)), *batches])


def scan_outside(
    route: Route, work: PlanWork, within: KeyRange = KeyRange(), order: tuple[str, ...] = ()
) -> Iterator[pa.Table]:
    """The same, batch by batch. No rows where the table owns all of them.

    Of a plan of some keys those of other rows, unless the unique index takes different ones for one.
    """
    bound = route.table
    if bound.owns is None or work.target_empty:
        return
    others = Relation(bound.shape.name, where=f"CASE WHEN ({bound.owns}\n) THEN 0 ELSE 1 END = 1")  # null: not owned
    exact = not any(column.collation for column in bound.shape.columns if column.name in bound.key)
    asked = of_target(route, work.keys).keys if work.keys is not None and exact else None
    found = route.writes.snapshot.scan(
        others, list(bound.key), key=order, within=within, ranges=target_ranges(bound, work), keys=asked
    )
    for batch in readable(found, bound.shape.name, route.writes.name, bound.key):
        yield keys.without_null_keys(pa.Table.from_batches([batch]), bound.key)


def without_taken(route: Route, mapped: Mapped, outside: pa.Table) -> Mapped:
    """Set aside every row whose key a row outside has, as the target's unique indexes compare them."""
    bound = route.table
    if not outside.num_rows or not mapped.rows.num_rows:
        return mapped
    wanted = alike(route, mapped.rows, bound.key)
    others = alike(route, outside, bound.key).cast(wanted.schema)
    return set_aside(mapped, keys.contained(wanted, others, bound.key), Reason("taken_key"), bound.mapping)

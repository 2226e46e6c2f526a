"""Keys that the target's collation takes for one, found before anything is loaded."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.protocol import Target
from flows.bind.tables import BoundTable
from flows.session.route import Route
from flows.session.session import Session
from transforms import expressions, keys
from transforms.mapping.aside import set_aside
from transforms.mapping.mapping import Mapped
from transforms.vocabulary import Reason, TableShape
from transforms.vocabulary.arrow import Indices


def collation_of(bound: BoundTable, columns: tuple[str, ...]) -> str | None:
    """What makes the target take different values of these columns for one, None where nothing does."""
    chosen = [column for column in bound.shape.columns if column.name in columns]
    if bound.ddl:  # what is made here compares exactly, but for blanks behind a CHAR
        names = [column.collation or column.native for column in chosen if column.padded]
    else:
        names = [column.collation for column in chosen if column.collation]
    return ", ".join(dict.fromkeys(names)) or None


def alike(route: Route, rows: pa.Table, columns: tuple[str, ...]) -> pa.Table:
    """The columns as the unique indexes of the side that is written compare them."""
    bound = route.table
    chosen = rows.select(list(columns))
    if not chosen.num_rows or collation_of(bound, columns) is None:
        return chosen
    return pa.table(as_indexed(route.writes.adapter, bound.shape, chosen, new=bool(bound.ddl)), names=list(columns))


def as_indexed(target: Target, shape: TableShape, rows: pa.Table, *, new: bool) -> list[pa.Array]:
    """Some columns of a target table as its unique indexes compare them; `new` where it is yet to be made."""
    if not new:
        return target.alike(shape.name, rows)
    padded = {column.name for column in shape.columns if column.padded}
    columns = (rows.column(name).combine_chunks() for name in rows.column_names)
    return [
        pc.utf8_rtrim(each, " ") if name in padded else each
        for name, each in zip(rows.column_names, columns, strict=True)
    ]


def parts_of(route: Route, rows: pa.Table, parts: int) -> Indices:
    """A part for each row: keys that could collide share one."""
    return keys.partition(alike(route, rows, route.table.key), route.table.key, parts)


def without_collisions(
    session: Session, route: Route, mapped: Mapped, found: pa.Table, also: pa.Table | None = None
) -> Mapped:
    """Reject every row whose key is another row's under the collation: another wanted row, one that was rejected
    (`also` holds earlier ones), or one in the target that is not wanted and still there when this one comes. In: no
    duplicates."""
    bound = route.table
    collation = collation_of(bound, bound.key)
    if collation is None or not mapped.rows.num_rows:
        return mapped
    key = list(bound.key)
    others = [table.select(key) for table in (mapped.rejected_rows, also) if table is not None]
    deleted_last = bound.name in session.bound.referred  # or not at all
    if (bound.delete != "hard" or deleted_last) and found.num_rows:
        others.append(found.select(key).filter(pa.array(~keys.contained(found, mapped.rows, bound.key))))
    other = keys.without_null_keys(pa.concat_tables(others), bound.key)
    wanted = alike(route, mapped.rows, bound.key)
    left, right = keys.codes([wanted, alike(route, other, bound.key).cast(wanted.schema)], bound.key)
    both = np.concatenate([left, right])
    bad = np.bincount(both)[left] > 1
    if not bad.any():
        return mapped
    every = pa.concat_tables([mapped.rows.select(key), other])
    met = expressions.as_json_keys(every.take(pa.array(_partners(both)[: len(left)][bad])), bound.key)
    return set_aside(mapped, bad, Reason("colliding_key", None, {"collation": collation}), bound.mapping, met)


def _partners(numbers: Indices) -> Indices:
    """For each position another one with the same number; itself where there is none."""
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    sizes = np.diff(np.append(starts, len(order)))
    within = np.arange(len(order)) - np.repeat(starts, sizes)
    after = np.repeat(starts, sizes) + (within + 1) % np.repeat(sizes, sizes)
    partners = np.empty_like(order)
    partners[order] = order[after]
    return partners

"""What people did to the rows of either side since both agreed, kept so that a side can be asked for as it stood."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from adapters.store.both_ways import add_edits
from adapters.store.plan_files import FileEntry
from adapters.store.plans import PlanWriter
from transforms import keys
from transforms.both_ways import BothSides, BothWays
from transforms.diff import diff
from transforms.mapping.put import put_new
from transforms.reconcile import Reconciled
from transforms.vocabulary import SIDES, Key, SideName, SynclineError

Agreed = tuple[pa.Table | None, pa.Table]
"""Rows that both sides agreed on before, and rows that they agree on now."""


def write_edits(
    writer: PlanWriter,
    window: int,
    rows: BothSides,
    outcome: Reconciled,
    agreed: Agreed | None,
    ways: BothWays,
    begins: frozenset[SideName],
) -> list[FileEntry]:
    """Write down the rows of a window that a side holds otherwise than both had agreed, and those that it has no more.

    In: `agreed` has all rows of which both agree on something else now, or which change. `begins`: of which sides all that is read is
        kept as the beginning of their history. Memory: the edits of the window; where the sides had not met, the window.
    """
    entries: list[FileEntry] = []
    whole = rows.base is None
    touched = None if whole else _touched(outcome, agreed, ways.comparison.key)
    for side in SIDES:
        if whole and side in begins:
            continue
        if whole:
            there, gone = _known(rows.raw if side == "source" else rows.target, side, ways), None
        elif touched is None or not touched.num_rows:
            continue
        else:
            there, gone = _edited(rows, touched, side, ways)
        if whole or there.num_rows or (gone is not None and gone.num_rows):
            key = ways.there.key if side == "source" else ways.comparison.key
            entries.append(add_edits(writer, ways.table, window, side, there, gone, key, whole=whole))
    return entries


def _edited(rows: BothSides, touched: pa.Table, side: SideName, ways: BothWays) -> tuple[pa.Table, pa.Table | None]:
    """The rows of a side that are not as both had agreed, and the keys of those that are gone, both as the side has them."""
    assert rows.base is not None
    key = ways.comparison.key
    now = rows.source if side == "source" else rows.target
    names = [name for name in rows.base.column_names if name in now.column_names]
    ours, base = (
        each.select(names).filter(pa.array(keys.contained(each, touched, key))) if each.num_rows else each.select(names)
        for each in (now, rows.base)
    )
    changes = diff(ways.table, ours, base, ways.comparison).changes
    keyed = pa.concat_tables([changes.inserts.select(list(key)), changes.after.select(list(key))])
    images = rows.raw if side == "source" else rows.target
    there = _known(images.take(pa.array(keys.match(keyed, now, key))), side, ways)
    gone = changes.deletes
    if side == "target" or not gone.num_rows:
        return there, gone.select(list(key)) if side == "target" else None
    return there, _key_there(gone, ways)


def _known(images: pa.Table, side: SideName, ways: BothWays) -> pa.Table:
    """Rows of a side in the columns that plans write there."""
    if side == "source":
        return images.select(ways.there.columns.names).cast(ways.there.columns)
    return images


def _key_there(gone: pa.Table, ways: BothWays) -> pa.Table | None:
    """The keys that rows had on the source which are there no more; None where nobody can say that."""
    try:
        made = put_new(gone, ways.there.given(gone), ways.back).rows
    except SynclineError:
        return None
    return keys.without_null_keys(made.select(list(ways.there.key)), ways.there.key)


def _touched(outcome: Reconciled, agreed: Agreed | None, key: Key) -> pa.Table:
    """The keys of rows that may be otherwise than both had agreed."""
    parts = [each.select(list(key)) for each in agreed or () if each is not None]
    for name in ("base", "source", "target") if outcome.conflicts.num_rows else ():
        images = outcome.conflicts[name].combine_chunks()
        some = pa.Table.from_struct_array(images.filter(pc.is_valid(images)))
        parts.append(some.select(list(key)))
    none = outcome.target.schema.empty_table().select(list(key))
    return keys.distinct(pa.concat_tables([none, *(each.cast(none.schema) for each in parts)]))

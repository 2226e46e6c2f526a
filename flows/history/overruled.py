"""Which edits versions have overruled: those that were on the side that a version wrote, as far as it wrote their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from adapters.store.both_ways import rows_of, target_folder
from adapters.store.plans import Plan
from flows.history.versions import AppliedVersion
from flows.results.overruled import Overruled, records, without_clocks
from transforms.net_changes import changed_keys
from transforms.reconcile.records import keys_of
from transforms.vocabulary import TableName


def overruled_edits(
    applied: AppliedVersion, own: TableName, table: TableName, name: str, keys: Sequence[str] = ()
) -> list[Overruled]:
    """The edits of a table that lost when a version overwrote them, of some keys in every spelling or of all.

    In: the table's name on the target, on the side that the version wrote, and in the spec. Memory: the edits that lost.
    """
    folder = target_folder(applied.plan.folder)
    if not folder.exists() or str(table) in (applied.version.kept or {}):
        return []
    plan = Plan.open(folder, only="overruled")
    rows = rows_of(plan, "overruled", own)
    if rows is None:
        return []
    rows = without_clocks(rows)
    if keys:
        rows = rows.filter(pc.is_in(rows["key"], value_set=pa.array(keys, pa.string())))
    if not rows.num_rows:
        return []
    rows = rows.filter(pc.is_in(rows["key"], value_set=_written(applied, own, table)))
    side = applied.version.side
    return [replace(each, lost=(side,)) for each in records(name, rows) if side in each.lost]


def keys_there(applied: AppliedVersion, own: TableName, keys: Sequence[str]) -> list[str]:
    """The keys of the source's rows that rows of the target with some keys went to, as a version of the source wrote them."""
    if applied.version.side == "target" or "pruned" in (applied.version.kept or {}).values():
        return []
    pairs = _pairs(applied, own)
    if pairs is None:
        return []
    ours, theirs = pairs
    some = pc.is_in(ours, value_set=pa.array(keys, pa.string()))
    return [str(each) for each in theirs.filter(some).to_pylist()]


def _written(applied: AppliedVersion, own: TableName, table: TableName) -> pa.Array:
    """The keys in the target's shape of all rows that a version wrote."""
    found = [keys_of(changed_keys(changes)) for changes in applied.changes(table)]
    keys = pa.concat_arrays([pa.array([], pa.string()), *found])
    pairs = _pairs(applied, own) if applied.version.side == "source" else None
    if pairs is None:
        return keys
    ours, theirs = pairs
    return ours.filter(pc.is_in(theirs, value_set=keys))


def _pairs(applied: AppliedVersion, own: TableName) -> tuple[pa.Array, pa.Array] | None:
    folder = target_folder(applied.plan.folder)
    if not folder.exists():
        return None
    pairs = rows_of(Plan.open(folder, only="pairs"), "pairs", own)
    if pairs is None:
        return None
    ours, theirs = (pa.Table.from_struct_array(pairs[name]) for name in ("target", "source"))
    return keys_of(ours), keys_of(theirs)

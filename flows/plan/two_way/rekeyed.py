"""What both sides agreed on, by another key than the one by which it lies in the store: for a plan, which then writes all of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.store import spill
from adapters.store.agreed import Agreement, Cut, Parts, places, read_part
from adapters.store.agreed_writing import Window, replace_parts
from adapters.store.layout import Store
from flows.bind.tables import BoundTable
from flows.plan.reading.windows import MOST_PARTS
from flows.session.agreed import Known, by_other_key
from transforms import keys
from transforms.vocabulary import Key, KeyValue, Notice
from transforms.vocabulary.unmet import UNMET, with_marks

_SAMPLE: Final = 1_000  # keys of each part, which say where the new parts begin


def rekeyed(known: Known, bound: BoundTable, agreement: Agreement, folder: Path) -> Known:
    """A base by the key that the table has now, written into a folder.

    Out: the same without one where that does not tell its rows apart, or where they have it not: then both sides meet anew, and the
        notice says so. Memory: a part, and a sample of the keys. Errors: Damaged.
    """
    assert known.other_key is not None, "there is a base by another key"
    old, key = known.other_key.agreement, agreement.key
    if lacking := [name for name in key if name not in old.schema.names]:
        return Known(None, by_other_key(bound, old.key, f"it says nothing of {', '.join(lacking)}"))
    base = replace(known.other_key, agreement=agreement)
    sample = _sampled(base, key)
    if sample is None:
        return Known(None, by_other_key(bound, old.key, f"not all of its rows have {', '.join(key)}"))
    parts = min(max(1, -(-base.rows // bound.window_rows)), MOST_PARTS)
    schema = pa.schema([*(each.with_nullable(True) for each in agreement.schema), pa.field(UNMET, pa.string())])
    starts = _starts(sample.select(list(bound.order)), parts) if bound.order else sample.slice(0, 0)
    with spill.Spill(folder / "spilled", schema, parts) as made:
        for rows in _parts(base):
            where = (
                places(rows.select(starts.column_names), starts) if bound.order else keys.partition(rows, key, parts)
            )
            made.add(with_marks(rows).cast(schema), where)
    spilled = [spill.read_part(folder / "spilled", number, schema) for number in range(parts)]  # mapped, not loaded
    if any(keys.duplicates(rows.select(list(key)), key).any() for rows in spilled):
        return Known(None, by_other_key(bound, old.key, f"{', '.join(key)} is not unique in it"))
    if bound.order:
        begins = [None, *_values(starts)]
        windows = (Window(begin, rows) for begin, rows in zip(begins, spilled[: len(begins)], strict=True))
        cut = Cut(bound.order, bound.window_rows)
    else:
        windows, cut = (Window(None, rows) for rows in spilled), Cut(hashed=keys.named_partition(parts))
    there = replace_parts(Store(folder), "rekeyed", bound.shape.name, agreement, cut, windows)
    now, before = ", ".join(key), ", ".join(old.key)
    text = f"{bound.name}: what both sides agreed on last is known by {now} from now on, and no more by {before}."
    told = Notice("new_key", text, bound.name, {"from": list(old.key), "to": list(key)})
    return Known(replace(there, elsewhere=True), told=(told, *known.told))


def _parts(base: Parts) -> Iterator[pa.Table]:
    return (read_part(base, number) for number in range(len(base.parts)))


def _sampled(base: Parts, key: Key) -> pa.Table | None:
    """Keys of some rows, evenly from each part; None where some row has a null in its key."""
    found = [base.agreement.keyed.empty_table()]
    for rows in _parts(base):
        keyed = rows.select(list(key))
        if any(column.null_count for column in keyed.columns):
            return None
        at = np.unique(np.linspace(0, max(keyed.num_rows - 1, 0), min(keyed.num_rows, _SAMPLE), dtype=np.int64))
        found.append(keyed.take(pa.array(at)).cast(base.agreement.keyed))
    return pa.concat_tables(found)


def _starts(sample: pa.Table, parts: int) -> pa.Table:
    """Where parts begin that are about equal, but for the first one: ascending, each once."""
    order = pc.sort_indices(sample, sort_keys=[(name, "ascending") for name in sample.column_names])
    at = np.arange(1, parts) * sample.num_rows // parts
    starts = keys.distinct(sample.take(order).take(pa.array(at[at < sample.num_rows], pa.int64())))
    order = pc.sort_indices(starts, sort_keys=[(name, "ascending") for name in starts.column_names])
    return starts.take(order).combine_chunks()


def _values(starts: pa.Table) -> list[KeyValue]:
    return list(zip(*(starts.column(name).to_pylist() for name in starts.column_names), strict=True))

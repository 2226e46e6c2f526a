"""Law of changes on top of others: what both come to does what one after the other does, and says so from the first rows on."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from transforms.changes_in_turn import both, rows_after, with_effect
from transforms.vocabulary import ChangeSet, TableName

SCHEMA = pa.schema([("k", pa.int64()), ("v", pa.string()), ("w", pa.int64())])
tables = st.dictionaries(st.integers(0, 5), st.tuples(st.sampled_from("ab"), st.none() | st.integers(0, 1)))
Rows = dict[int, tuple[str, int | None]]


def rows_of(rows: Rows) -> pa.Table:
    return pa.Table.from_pylist([{"k": k, "v": v, "w": w} for k, (v, w) in rows.items()], schema=SCHEMA)


def to(before: Rows, after: Rows) -> ChangeSet:
    """What makes rows of others."""
    shared = {key for key in before if key in after and before[key] != after[key]}
    return ChangeSet(
        TableName("t"),
        ("k",),
        ("v", "w"),
        rows_of({key: row for key, row in after.items() if key not in before}),
        rows_of({key: before[key] for key in sorted(shared)}),
        rows_of({key: after[key] for key in sorted(shared)}),
        rows_of({key: row for key, row in before.items() if key not in after}),
    )


def plain(rows: pa.Table) -> Rows:
    return {row["k"]: (row["v"], row["w"]) for row in rows.to_pylist()}


@given(tables, tables, tables)
def test_changes_on_top_of_others_do_what_both_do_in_turn(first: Rows, second: Rows, third: Rows) -> None:
    earlier, later = to(first, second), to(second, third)
    whole = both(earlier, later)
    assert plain(rows_after(rows_of(first), whole)) == third
    known, wanted = with_effect(whole), to(first, third)
    for name in ("inserts", "before", "after", "deletes"):
        assert plain(getattr(known, name)) == plain(getattr(wanted, name)), name

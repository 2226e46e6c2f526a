"""A law of comparing on every engine: however both sides are read, by ranges of an index or by hash, in however many windows, what is found
is what comparing the rows in memory finds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pytest
from databases import Database
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.compare import reading
from flows.compare.compare import Apart, Asked, compare_tables
from flows.compare.endpoint import endpoint
from flows.compare.matching import Wanted
from transforms.comparing.columns import Column, Columns, Common
from transforms.comparing.rows import compare

Rows = list[tuple[Any, ...]]
keys = st.tuples(st.sampled_from(["a", "A", "ä", "b", "b ", "", "🚗", None]), st.sampled_from([-1, 0, 1, 2**40, None]))
values = st.sampled_from(["x", "y", None])
some_rows = st.lists(st.tuples(keys, values).map(lambda row: (*row[0], row[1])), max_size=25)
COLUMNS = Columns(
    (Column("k", "k", Common(pa.string())), Column("j", "j", Common(pa.int64()))),
    (Column("v", "v", Common(pa.string())),),
)


def distinct(rows: Rows) -> Rows:
    """One row a key, and none without a whole key: what a primary key takes, whatever the collation."""
    whole = {(row[0].strip().casefold(), row[1]): row for row in rows if None not in row[:2]}
    return list(whole.values())


def fill(database: Database, name: str, rows: Rows, index: str) -> None:
    text = "VARCHAR(10)" if database.engine != "mysql" else "VARCHAR(10) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    primary = ', PRIMARY KEY ("k", "j")' if index == "primary" else ""
    database.execute(
        f'DROP TABLE IF EXISTS "{name}"',
        f'CREATE TABLE "{name}" ("k" {text}, "j" BIGINT, "v" VARCHAR(10){primary})',
        *([f'CREATE INDEX "{name}_kj" ON "{name}" ("k", "j")'] if index == "plain" else []),
        *([f'INSERT INTO "{name}" VALUES {", ".join(literal(row) for row in rows)}'] if rows else []),
    )


def literal(row: Iterable[Any]) -> str:
    return "(" + ", ".join("NULL" if v is None else f"'{v}'" if isinstance(v, str) else str(v) for v in row) + ")"


def table(rows: Rows) -> pa.Table:
    schema = pa.schema([("k", pa.string()), ("j", pa.int64()), ("v", pa.string())])
    return pa.table([pa.array([row[i] for row in rows], field.type) for i, field in enumerate(schema)], schema=schema)


@pytest.mark.parametrize("index", ["none", "plain", "primary"])
@settings(max_examples=6)
@given(left=some_rows, right=some_rows, rows=st.sampled_from([1, 3, 1000]), size=st.sampled_from([50, 2**20]))
def test_however_sides_are_read_the_same_is_found(
    database: Database, index: str, left: Rows, right: Rows, rows: int, size: int
) -> None:
    if index == "primary":
        left, right = distinct(left), distinct(right)
    fill(database, "left_rows", left, index)
    fill(database, "right_rows", right, index)
    expected = compare(table(left), table(right), COLUMNS, {"left": {}, "right": {}})
    named: list[Apart] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reading, "WINDOW_ROWS", rows)
        patched.setattr(reading, "BYTES", size)
        sides = (endpoint(f"{database.url}#{side}_rows") for side in ("left", "right"))
        found = compare_tables(Asked(*sides, Wanted(("k", "j")), rows=None), seen=named.extend).found
    assert (found.left, found.right) == (expected.left, expected.right)
    assert (found.same, found.different, found.differing) == (expected.same, expected.different, expected.differing)
    keys_apart = [] if expected.rows is None else expected.rows["key"].to_pylist()
    assert sorted(row.key for row in named) == sorted(keys_apart)

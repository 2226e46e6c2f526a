"""Keys turned back: where a column says which source value it was made of, all rows of a key are found by that value."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from itertools import product
from typing import Any

import pyarrow as pa

from transforms.mapping.casts import Cast
from transforms.mapping.column_mapping import ColumnMapping, Constant, Expression, Rename, TableMapping, Values
from transforms.mapping.inverse import turned_back, unlike
from transforms.mapping.mapping import map_rows
from transforms.vocabulary import ColumnShape

KINDS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "bigint": (pa.int64(), [0, 7, -1, 2**53 + 1, 2**63 - 1]),
    "smallint": (pa.int16(), [0, 7, -1, 32767]),
    "text": (pa.string(), ["7", "007", "a", "a ", "A", "", "2020-01-01", "2020-01-01 00:00:00"]),
    "decimal": (pa.decimal128(9, 2), [Decimal("7"), Decimal("1.10"), Decimal("-1.10")]),
    "double": (pa.float64(), [7.0, -0.0, 0.0, 1.5]),
    "date": (pa.date32(), [date(2020, 1, 1), date(1, 1, 1)]),
    "timestamp": (pa.timestamp("us"), [datetime(2020, 1, 1), datetime(2020, 1, 1, 0, 0, 0, 5)]),
    "boolean": (pa.bool_(), [True, False]),
}
CASTS = {"none": None, "text": Cast(pa.string()), "bigint": Cast(pa.int64()), "date": Cast(pa.date32())}


def found_again(source: ColumnShape, column: ColumnMapping, values: list[Any]) -> None:
    """Each key of mapped rows leads back to all source values that have it."""
    mapping = TableMapping("t", ("k",), (column,))
    made: dict[Any, set[Any]] = {}
    for value in values:
        rows = map_rows(pa.table({"c": pa.array([value], source.type)}), mapping, {}).rows
        for key in rows["k"].to_pylist():
            made.setdefault(key, set()).add(value)
    for key, values_of in made.items():
        back = turned_back(pa.table({"k": pa.array([key], column.shape.type)}), {"k": source})
        assert values_of <= set(back["c"].to_pylist()), (key, values_of)


def test_a_value_that_is_turned_back_is_that_of_every_row_of_its_key() -> None:
    turned: set[tuple[str, str, str]] = set()
    for (own, (kind, values)), (into, (there, _)), (how, cast) in product(KINDS.items(), KINDS.items(), CASTS.items()):
        source = ColumnShape("c", kind, own)
        column = ColumnMapping(ColumnShape("k", there, into), Rename("c"), cast)
        if not unlike(column, source):
            turned.add((own, into, how))
            found_again(source, column, values)
    assert {("bigint", "smallint", "none"), ("date", "date", "none"), ("double", "double", "none")} <= turned
    assert {("bigint", "text", "text"), ("text", "text", "none"), ("date", "text", "text")} <= turned


def test_what_may_come_of_several_values_is_not_turned_back() -> None:
    text, number = ColumnShape("c", pa.string(), "text"), ColumnShape("c", pa.int64(), "bigint")
    k = ColumnShape("k", pa.string(), "text")
    for column, why in (
        (ColumnMapping(k, Rename("c"), values=Values((("a", "b"),), "keep")), "goes through a value map"),
        (ColumnMapping(k, Rename("c"), strip_nul=True), "may be made of several values of its source column"),
        (ColumnMapping(k, Expression("lower(c)")), "is made by an expression"),
        (ColumnMapping(k, Constant("a")), "is a constant"),
    ):
        assert unlike(column, text) == why
    assert unlike(ColumnMapping(ColumnShape("k", pa.int64(), "bigint"), Rename("c"), Cast(pa.int64())), text)
    assert not unlike(ColumnMapping(k, Rename("c"), Cast(pa.string())), number)
    padded = ColumnShape("k", pa.string(), "char(9)", padded=True)
    assert unlike(ColumnMapping(padded, Rename("c")), text)  # "a" and "a " are one there
    keys = pa.table({"k": ["7", "x", None, "7"]})
    assert turned_back(keys, {"k": number}).to_pylist() == [{"c": 7}]

"""Laws of mappings that run backwards: what is written back is mapped to what was wanted, and what was mapped is written back as it was."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.diff import Comparison
from transforms.mapping.casts import Cast
from transforms.mapping.column_mapping import (
    ColumnMapping,
    Expression,
    LookUp,
    LookupRows,
    Rename,
    TableMapping,
    Values,
)
from transforms.mapping.mapping import map_rows
from transforms.mapping.put import Backward, put, round_trips
from transforms.mapping.ways_back import ways_back
from transforms.vocabulary import ColumnShape, Meaning

moments = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23)) | st.sampled_from(
    [datetime(2024, 10, 27, 2, 30), datetime(2024, 3, 31, 2, 30), datetime(2020, 1, 1)]
)
texts = st.text("aA é0.", max_size=3) | st.sampled_from(["7", "007", "true", "1", "2020-01-01", "1.50", " 7", "-0"])
KINDS: dict[str, tuple[ColumnShape, st.SearchStrategy[Any]]] = {
    "bigint": (ColumnShape("c", pa.int64(), "bigint"), st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 9)),
    "smallint": (ColumnShape("c", pa.int16(), "smallint"), st.integers(-3, 32767)),
    "flag": (ColumnShape("c", pa.int8(), "tinyint(1)"), st.integers(0, 2)),
    "boolean": (ColumnShape("c", pa.bool_(), "boolean"), st.booleans()),
    "numeric": (ColumnShape("c", pa.decimal128(9, 2), "numeric(9,2)"), st.decimals(-100, 100, places=2) | st.integers(0, 3).map(Decimal)),
    "number": (ColumnShape("c", pa.string(), "numeric", meaning="decimal"), st.sampled_from(["0", "1.5", "7", "12.34", "NaN"])),
    "double": (ColumnShape("c", pa.float64(), "double"), st.floats() | st.sampled_from([7.0, -0.0, 1.5])),
    "real": (ColumnShape("c", pa.float32(), "real"), st.floats(width=32)),
    "text": (ColumnShape("c", pa.string(), "text"), texts),
    "short": (ColumnShape("c", pa.string(), "varchar(2)", length=2), texts.filter(lambda text: len(text) <= 2)),
    "char": (ColumnShape("c", pa.string(), "char(4)", length=4, padded=True), st.sampled_from(["", "a", "ab", " a", "7"])),
    "uuid": (ColumnShape("c", pa.string(), "uuid", meaning="uuid"), st.uuids().map(str)),
    "json": (ColumnShape("c", pa.string(), "json", meaning="json"), st.sampled_from(["{}", "[1]", '{"a": 1.0}', "null"])),
    "date": (ColumnShape("c", pa.date32(), "date"), st.dates()),
    "timestamp": (ColumnShape("c", pa.timestamp("us"), "timestamp"), moments),
    "timestamptz": (ColumnShape("c", pa.timestamp("us", "UTC"), "timestamptz"), moments),
    "time": (ColumnShape("c", pa.time64("us"), "time"), st.times()),
    "interval": (ColumnShape("c", pa.duration("us"), "interval"), st.timedeltas(timedelta(-2), timedelta(2))),
    "bytes": (ColumnShape("c", pa.binary(), "bytea"), st.binary(max_size=2)),
}  # fmt: skip
CASTS: dict[str, Cast | None] = {
    "none": None,
    "text": Cast(pa.string()),
    "bigint": Cast(pa.int64()),
    "boolean": Cast(pa.bool_()),
    "numeric": Cast(pa.decimal128(12, 3)),
    "date": Cast(pa.date32()),
    "timestamp": Cast(pa.timestamp("us")),
    "vienna": Cast(pa.timestamp("us", "UTC"), time_zone="Europe/Vienna"),
    "earliest": Cast(
        pa.timestamp("us", "UTC"), time_zone="Europe/Vienna", ambiguous="earliest", nonexistent="earliest"
    ),
}
PLAIN: dict[str, Meaning] = {}


def backward(
    source: ColumnShape,
    column: ColumnMapping,
    lookups: dict[str, LookupRows] | None = None,
    inverse: dict[str, str] | None = None,
) -> Backward:
    """A table of an id and one column, `x`."""
    number = ColumnShape("id", pa.int64(), "bigint")
    mapping = TableMapping("t", ("id",), (ColumnMapping(number, Rename("id")), column))
    meaning = {"x": column.shape.meaning} if column.shape.meaning in ("json", "decimal") else {}
    inverses = {} if inverse is None else {"x": inverse}
    sources = {"id": number, "c": source}
    compared = Comparison(("id",), ("id", "x"), meanings=meaning)
    return Backward(mapping, sources, compared, inverses, lookups or {}, ways_back(mapping, sources, inverses))


def laws(back: Backward, given: list[Any], wanted: list[Any]) -> Counter[str]:
    """Both laws for values of the source and of the target; how often each had something to say."""
    number, said = back.sources["id"].type, Counter[str]()
    rows = pa.table({"id": pa.array(range(len(given)), number), "c": pa.array(given, back.sources["c"].type)})
    mapped = map_rows(rows, back.mapping, back.lookups).rows
    there = rows.take(mapped.column("id"))
    trips = round_trips(there, mapped, back)
    assert not trips.refused.any(), (trips.faults.reasons, there.to_pylist(), mapped.to_pylist())
    said["get"] += mapped.num_rows
    if not mapped.num_rows:
        return said
    kind = back.mapping.columns[1].shape.type
    ids = pa.array([mapped.column("id")[0].as_py()] * len(wanted), number)
    asked = pa.table({"id": ids, "x": pa.array(wanted, kind)})
    first = pa.array([0] * len(wanted))
    result = put(asked, mapped.take(first), there.take(first), back)
    fine = pa.array(~result.refused)
    again = map_rows(result.rows.filter(fine), back.mapping, back.lookups)
    assert not again.rejected.num_rows
    want, got = (pa.table({"c": table.column("x")}) for table in (asked.filter(fine), again.rows))
    assert repr(want.to_pylist()) == repr(got.to_pylist()) or not _differ(back, want, got)
    said["put"] += again.rows.num_rows
    return said


def _differ(back: Backward, want: pa.Table, got: pa.Table) -> bool:
    from transforms.vocabulary.values import unequal

    one, other = (table.column("c").combine_chunks() for table in (want, got))
    return unequal(one, other, meaning=back.comparison.meanings.get("x", "plain")) is not None


def columns() -> list[tuple[str, ColumnShape, ColumnMapping, st.SearchStrategy[Any], st.SearchStrategy[Any]]]:
    """Every cast between kinds that the binding might allow, and that is said to have a way back."""
    known = []
    for (own, (source, values)), (into, (there, wanted)), (how, cast) in product(
        KINDS.items(), KINDS.items(), CASTS.items()
    ):
        column = ColumnMapping(replace(there, name="x"), Rename("c"), cast)
        if not ways_back(TableMapping("t", ("x",), (column,)), {"c": source})["x"].why_not:
            known.append((f"{own} {how} {into}", source, column, values, wanted))
    return known


INVERTIBLE = columns()


@settings(max_examples=50)
@given(st.data())
def test_both_laws_hold_for_every_cast_that_is_said_to_have_a_way_back(data: st.DataObject) -> None:
    _, source, column, given_, wanted = data.draw(st.sampled_from(INVERTIBLE))
    values = data.draw(st.lists(st.none() | given_, min_size=1, max_size=6))
    laws(backward(source, column), values, data.draw(st.lists(st.none() | wanted, min_size=1, max_size=6)))


few = st.sampled_from(["a", "b", "c", "d", "1", None])


@settings(max_examples=40)
@given(
    st.lists(st.tuples(few, few), min_size=1, max_size=4),
    st.sampled_from(["error", "keep"]),
    st.lists(few, max_size=6),
    st.lists(few, min_size=1),
)
def test_both_laws_hold_for_value_maps_that_are_one_to_one(
    pairs: list[tuple[Any, Any]], otherwise: Any, given_: list[Any], wanted: list[Any]
) -> None:
    text = ColumnShape("c", pa.string(), "text")
    column = ColumnMapping(
        ColumnShape("x", pa.string(), "text"), Rename("c"), values=Values(tuple(dict(pairs).items()), otherwise)
    )
    back = backward(text, column)
    images = {None: None, **dict(pairs)}
    kept = {each: each for each in "abcd1" if each not in images} if otherwise == "keep" else {}
    one_to_one = len({**images, **kept}) == len({*images.values(), *kept.values()})
    assert (back.ways["x"].why_not is None) == one_to_one
    if one_to_one:
        laws(back, given_, wanted)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abcd")), unique_by=lambda row: row[0]),
    st.sampled_from(["null", "quarantine"]),
    st.lists(st.none() | st.integers(0, 5)),
    st.lists(st.none() | st.sampled_from("abcde"), min_size=1),
)
def test_both_laws_hold_for_lookups_where_a_value_is_found_once(
    rows: list[tuple[int, str]], missing: Any, given_: list[Any], wanted: list[Any]
) -> None:
    table = pa.table(
        {"no": pa.array([no for no, _ in rows], pa.int32()), "name": pa.array([name for _, name in rows], pa.string())}
    )
    times = Counter(name for _, name in rows)
    once = {no for no, name in rows if times[name] == 1}
    column = ColumnMapping(ColumnShape("x", pa.string(), "text"), LookUp("p", (("no", "c"),), "name", missing))
    back = backward(ColumnShape("c", pa.int64(), "bigint"), column, {"p": LookupRows(table)})
    assert not back.ways["x"].why_not
    laws(back, [each for each in given_ if each is None or each in once], wanted)


@settings(max_examples=30)
@given(
    st.lists(st.none() | st.integers(-(2**20), 2**20), min_size=1),
    st.lists(st.none() | st.decimals(-9, 9, places=3), min_size=1),
)
def test_both_laws_hold_for_expressions_with_an_inverse(given_: list[Any], wanted: list[Any]) -> None:
    column = ColumnMapping(ColumnShape("x", pa.decimal128(12, 3), "numeric(12,3)"), Expression("c * 0.5"))
    said = laws(backward(ColumnShape("c", pa.int64(), "bigint"), column, inverse={"c": "x * 2"}), given_, wanted)
    assert said["get"] == len(given_)

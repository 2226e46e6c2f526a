"""Rows written back: which columns go back and why others do not, what each kind makes of a change, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from transforms.diff import Comparison
from transforms.mapping.casts import Cast
from transforms.mapping.column_mapping import (
    ColumnMapping,
    Constant,
    Expression,
    Function,
    KeyUuid,
    LookUp,
    LookupRows,
    Rename,
    TableMapping,
    Values,
)
from transforms.mapping.mapping import map_rows
from transforms.mapping.put import Backward, Put, put, put_new, round_trips
from transforms.mapping.ways_back import Inverse, ways_back
from transforms.vocabulary import ColumnShape, SpecError
from transforms.vocabulary.values import Tolerance

TEXT, NUMBER = ColumnShape("c", pa.string(), "text"), ColumnShape("c", pa.int64(), "bigint")


def shape(name: str, like: ColumnShape = TEXT, **more: Any) -> ColumnShape:
    return ColumnShape(name, like.type, like.native, **more)


def why_not(column: ColumnMapping, source: ColumnShape = TEXT, inverse: dict[str, str] | None = None) -> str | None:
    mapping = TableMapping("t", ("x",), (column,))
    way = ways_back(mapping, {source.name: source}, {} if inverse is None else {"x": inverse})["x"]
    assert bool(way.text) == (way.why_not is not None)
    return way.why_not


X = shape("x")


def backward(
    mapping: TableMapping,
    sources: Mapping[str, ColumnShape],
    comparison: Comparison,
    inverses: Mapping[str, Inverse],
    lookups: Mapping[str, LookupRows],
) -> Backward:
    return Backward(mapping, sources, comparison, inverses, lookups, ways_back(mapping, sources, inverses))


@pytest.mark.parametrize(
    ("column", "source", "why"),
    [
        (ColumnMapping(X, Rename("c")), TEXT, None),
        (ColumnMapping(X, Rename("c"), Cast(pa.string())), NUMBER, None),
        (ColumnMapping(shape("x", NUMBER), Rename("c"), Cast(pa.int64())), TEXT, "several_values"),
        (ColumnMapping(shape("x", padded=True), Rename("c")), TEXT, "several_values"),
        (ColumnMapping(X, Rename("c"), strip_nul=True), TEXT, "several_values"),
        (ColumnMapping(X, Rename("c"), strip_nul=True), shape("c", nul=False), None),
        (ColumnMapping(shape("x", meaning="uuid"), Rename("c"), Cast(pa.string(), "uuid")), TEXT, "several_values"),
        (
            ColumnMapping(ColumnShape("x", pa.date32(), "date"), Rename("c"), Cast(pa.date32(), format="%d.%m.%Y")),
            TEXT,
            "several_values",
        ),
        (ColumnMapping(X, Rename("c")), shape("c", generated=True), "computed"),
        (ColumnMapping(X, Rename("other")), TEXT, "no_column"),
        (ColumnMapping(X, Rename("c"), values=Values((("a", "b"), ("c", "b")))), TEXT, "merging_map"),
        (ColumnMapping(X, Rename("c"), values=Values((("a", "b"),), "keep")), TEXT, "merging_map"),
        (ColumnMapping(X, Rename("c"), values=Values((("a", "b"), ("b", "a")), "keep")), TEXT, None),
        (ColumnMapping(X, Rename("c"), values=Values((("a", "b"),), "literal", "z")), TEXT, "unlisted_values"),
        (ColumnMapping(X, Rename("c"), values=Values((("a", None), ("b", "b")))), TEXT, "merging_map"),
        (ColumnMapping(X, Rename("c"), values=Values((("a", None), (None, "none")))), TEXT, None),
        (ColumnMapping(X, Rename("c"), values=Values(((1, "one"), (2, "two")))), NUMBER, None),
        (ColumnMapping(X, Constant("a")), TEXT, "constant"),
        (ColumnMapping(X, KeyUuid()), TEXT, "generated"),
        (ColumnMapping(X, Expression("lower(c)")), TEXT, "expression"),
        (ColumnMapping(X, Function(lambda frame: frame["c"], ("c",))), TEXT, "function"),
        (ColumnMapping(X, LookUp("p", (("no", "c"),), "name")), TEXT, None),
        (ColumnMapping(X, LookUp("p", (("no", "c"),), "name", chained=frozenset({"c"}))), TEXT, "own_lookup"),
    ],
)
def test_a_column_goes_back_where_its_values_say_what_they_were_made_of(
    column: ColumnMapping, source: ColumnShape, why: str
) -> None:
    assert why_not(column, source) == why


def test_an_inverse_gives_a_way_back_to_columns_that_can_be_written() -> None:
    column = ColumnMapping(X, Expression("upper(c)"))
    assert why_not(column, inverse={"c": "lower(x)"}) is None
    assert why_not(column, inverse={"d": "lower(x)"}) == "no_column"
    assert why_not(column, shape("c", generated=True), {"c": "lower(x)"}) == "computed"


SOURCES = {
    "id": ColumnShape("id", pa.int64(), "bigint"),
    "label": ColumnShape("label", pa.string(), "varchar(6)", nullable=False, length=6),
    "state": ColumnShape("state", pa.int8(), "smallint"),
    "owner": ColumnShape("owner", pa.int32(), "integer"),
    "alt": ColumnShape("alt", pa.float64(), "double"),
    "at": ColumnShape("at", pa.timestamp("us"), "datetime"),
    "secret": ColumnShape("secret", pa.string(), "text"),
}
MAPPING = TableMapping(
    "t",
    ("no",),
    (
        ColumnMapping(ColumnShape("no", pa.int64(), "bigint"), Rename("id")),
        ColumnMapping(shape("name"), Rename("label")),
        ColumnMapping(shape("status"), Rename("state"), values=Values(((0, "new"), (1, "paid"), (2, "sent")))),
        ColumnMapping(shape("owner"), LookUp("people", (("no", "owner"),), "mail", "null")),
        ColumnMapping(ColumnShape("metres", pa.float64(), "double"), Expression("alt * 0.3048")),
        ColumnMapping(
            ColumnShape("at", pa.timestamp("us", "UTC"), "timestamptz"),
            Rename("at"),
            Cast(pa.timestamp("us", "UTC"), time_zone="Europe/Vienna"),
        ),
        ColumnMapping(shape("shout"), Expression("upper(label)")),
        ColumnMapping(shape("system"), Constant("crm")),
    ),
)
PEOPLE = pa.table({"no": pa.array([1, 2, 3, 4], pa.int32()), "mail": ["ada@x", "eva@x", "two@x", "two@x"]})
BACK = backward(
    MAPPING,
    SOURCES,
    Comparison(("no",), tuple(MAPPING.schema.names), tolerance={"metres": Tolerance(relative=1e-12)}),
    {"metres": {"alt": "metres / 0.3048"}},
    {"people": LookupRows(PEOPLE)},
)
CURRENT = pa.table(
    [
        pa.array(values, SOURCES[name].type)
        for name, values in {
            "id": [1, 2],
            "label": ["cup", "jug"],
            "state": [0, 1],
            "owner": [1, None],
            "alt": [1000.0, None],
            "at": [datetime(2024, 7, 1, 12), None],
            "secret": ["s", "t"],
        }.items()
    ],
    names=list(SOURCES),
)
BEFORE = map_rows(CURRENT, MAPPING, BACK.lookups).rows


def wanted(*edits: dict[str, Any]) -> pa.Table:
    rows = [{**row, **edit} for row, edit in zip(BEFORE.to_pylist(), edits, strict=True)]
    return pa.Table.from_pylist(rows, schema=MAPPING.schema)


def written(*edits: dict[str, Any]) -> Put:
    return put(wanted(*edits), BEFORE, CURRENT, BACK)


def changed(result: Put) -> list[dict[str, Any]]:
    """What differs from the rows as they were."""
    pairs = zip(CURRENT.to_pylist(), result.rows.to_pylist(), strict=True)
    return [{name: value for name, value in new.items() if old[name] != value} for old, new in pairs]


def codes(result: Put) -> list[tuple[str, str | None] | None]:
    reasons = [None if number < 0 else result.faults.reasons[number][0] for number in result.faults.which]
    return [reason and (reason.code, reason.column) for reason in reasons]


@pytest.mark.parametrize(
    ("edit", "back"),
    [
        ({"status": "sent"}, {"state": 2}),
        ({"owner": "eva@x"}, {"owner": 2}),
        ({"owner": None}, {"owner": None}),
        ({"metres": 609.6}, {"alt": 2000.0}),
        ({"at": datetime.fromisoformat("2024-01-01T11:00:00+00:00")}, {"at": datetime(2024, 1, 1, 12)}),
        ({"name": "mug", "shout": "MUG"}, {"label": "mug"}),
        ({}, {}),
    ],
)
def test_a_changed_column_goes_back_and_nothing_else_is_written(edit: dict[str, Any], back: dict[str, Any]) -> None:
    result = written(edit, {})
    assert codes(result) == [None, None]
    assert changed(result) == [back, {}]
    assert set(result.written) == set(back)


def test_columns_that_are_made_of_a_changed_one_follow_it() -> None:
    result = written({"name": "mug"}, {})
    assert codes(result) == [None, None]
    assert result.mapped.column("shout").to_pylist() == ["MUG", "JUG"]


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        ({"shout": "HEY"}, ("no_inverse", "shout")),
        ({"system": "erp"}, ("no_inverse", "system")),
        ({"name": "mug", "shout": "CUP!"}, ("no_inverse", "shout")),
        ({"status": "lost"}, ("unlisted_value", "status")),
        ({"owner": "nobody@x"}, ("no_match", "owner")),
        ({"owner": "two@x"}, ("no_match", "owner")),
        ({"name": "far too long"}, ("too_long", "name")),
        ({"name": None}, ("null", "name")),
        ({"at": datetime.fromisoformat("2024-10-27T00:30:00+00:00")}, ("repeated_time", "at")),
    ],
)
def test_a_change_that_cannot_go_back_is_a_fault_of_its_row_alone(edit: dict[str, Any], code: tuple[str, str]) -> None:
    result = written(edit, {"name": "jar"})
    assert codes(result) == [code, None]
    assert changed(result)[1] == {"label": "jar"}


def test_a_row_born_on_the_target_gets_what_goes_back_and_what_is_given() -> None:
    new = pa.Table.from_pylist(
        [
            {
                "no": 8,
                "name": "pot",
                "status": "paid",
                "owner": "ada@x",
                "metres": 3.048,
                "at": None,
                "shout": "POT",
                "system": "crm",
            },
            {
                "no": 9,
                "name": "pan",
                "status": None,
                "owner": None,
                "metres": None,
                "at": None,
                "shout": "pan",
                "system": "crm",
            },
            {
                "no": 10,
                "name": "pit",
                "status": None,
                "owner": None,
                "metres": None,
                "at": None,
                "shout": "PIT",
                "system": None,
            },
        ],
        schema=MAPPING.schema,
    )
    result = put_new(new, pa.table({"secret": ["-"] * 3}), BACK)
    assert codes(result) == [None, ("no_inverse", "shout"), ("no_inverse", "system")]
    row = result.rows.to_pylist()[0]
    assert row.pop("alt") == pytest.approx(10)
    assert row == {"id": 8, "label": "pot", "state": 1, "owner": 1, "at": None, "secret": "-"}


def test_an_inverse_that_is_none_is_found_by_its_rows_both_ways() -> None:
    mapping = TableMapping(
        "t", ("id",), (ColumnMapping(SOURCES["id"], Rename("id")), ColumnMapping(X, Expression("lower(c)")))
    )
    back = backward(
        mapping, {"id": SOURCES["id"], "c": TEXT}, Comparison(("id",), ("id", "x")), {"x": {"c": "trim(x)"}}, {}
    )
    rows = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "c": ["a", "B", " c"]})
    mapped = map_rows(rows, mapping, {}).rows
    trips = round_trips(rows, mapped, back)
    assert trips.refused.tolist() == [False, True, True]
    assert codes(trips)[1] == ("inverse_differs", "x")
    asked = mapped.set_column(1, "x", pa.array(["z", " z", "Z"]))
    result = put(asked, mapped, rows, back)
    assert codes(result) == [None, ("inverse_differs", "x"), ("inverse_differs", "x")]


def test_an_inverse_that_is_wrong_for_every_row_stops_and_one_that_fails_for_a_row_sets_it_aside() -> None:
    mapping = TableMapping(
        "t", ("id",), (ColumnMapping(SOURCES["id"], Rename("id")), ColumnMapping(X, Expression("c::VARCHAR")))
    )
    rows = pa.table({"id": pa.array([1, 2], pa.int64()), "c": pa.array([1, 2], pa.int64())})
    mapped = map_rows(rows, mapping, {}).rows
    asked = mapped.set_column(1, "x", pa.array(["7", "seven"]))
    for sql in ("x::BIGINT", "missing + 1"):
        back = backward(
            mapping, {"id": SOURCES["id"], "c": NUMBER}, Comparison(("id",), ("id", "x")), {"x": {"c": sql}}, {}
        )
        if "missing" in sql:
            with pytest.raises(SpecError):
                put(asked, mapped, rows, back)
        else:
            result = put(asked, mapped, rows, back)
            assert codes(result) == [None, ("expression_failed", "x")]
            assert result.rows.column("c").to_pylist()[0] == 7


def test_two_columns_of_one_source_column_have_to_agree() -> None:
    columns = (
        ColumnMapping(SOURCES["id"], Rename("id")),
        ColumnMapping(X, Rename("c")),
        ColumnMapping(shape("y"), Rename("c")),
    )
    mapping = TableMapping("t", ("id",), columns)
    back = backward(mapping, {"id": SOURCES["id"], "c": TEXT}, Comparison(("id",), ("id", "x", "y")), {}, {})
    rows = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "c": ["a", "a", "a"]})
    mapped = map_rows(rows, mapping, {}).rows
    asked = pa.table({"id": mapped["id"], "x": ["b", "b", "b"], "y": ["b", "a", "c"]})
    result = put(asked, mapped, rows, back)
    assert codes(result) == [None, None, ("inverse_differs", "x")]
    assert result.mapped.column("y").to_pylist()[:2] == ["b", "b"]


def test_functions_are_read_and_never_written() -> None:
    def double(frame: pd.DataFrame) -> pd.Series[Any]:
        return frame["c"] * 2

    columns = (ColumnMapping(SOURCES["id"], Rename("id")), ColumnMapping(shape("x", NUMBER), Function(double, ("c",))))
    back = backward(
        TableMapping("t", ("id",), columns),
        {"id": SOURCES["id"], "c": NUMBER},
        Comparison(("id",), ("id", "x")),
        {},
        {},
    )
    rows = pa.table({"id": pa.array([1], pa.int64()), "c": pa.array([3], pa.int64())})
    mapped = map_rows(rows, back.mapping, {}).rows
    assert codes(put(mapped, mapped, rows, back)) == [None]
    assert codes(put(mapped.set_column(1, "x", pa.array([8])), mapped, rows, back)) == [("no_inverse", "x")]

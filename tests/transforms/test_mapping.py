"""Mapping of rows: each kind of origin, what is set aside and why, and what stops everything."""

from __future__ import annotations

import json
import math
import uuid
from decimal import Decimal
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pytest
from whys import why_texts

from transforms.mapping.aside import without_duplicates
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
from transforms.mapping.mapping import REJECTED, Mapped, map_rows
from transforms.vocabulary import INVALID, ColumnShape, DataError, SpecError, reason_of, text_of, unread

ROWS = pa.table({"id": pa.array([1, 2, 3, 4]), "s": ["a", "b", None, "d"], "n": pa.array([10, None, 30, 40])})
ID = ColumnMapping(ColumnShape("id", pa.int64(), "bigint"), Rename("id"))


def column(
    origin: Any, kind: pa.DataType = pa.string(), cast: Cast | None = None, values: Values | None = None, **shape: Any
) -> ColumnMapping:
    return ColumnMapping(ColumnShape("x", kind, str(kind), **shape), origin, cast, values)


def mapped(
    wanted: ColumnMapping,
    rows: pa.Table = ROWS,
    lookups: dict[str, LookupRows] | None = None,
    on_invalid: Literal["quarantine", "fail"] = "quarantine",
) -> Mapped:
    """Columns `id` and `x`, mapped; whatever happens, every row is in exactly one of both."""
    found = map_rows(rows, TableMapping("t", ("id",), (ID, wanted), on_invalid), lookups or {})
    assert found.rows.num_rows + found.rejected.num_rows == rows.num_rows
    assert found.rejected.num_rows == found.rejected_rows.num_rows
    assert found.rejected.schema == REJECTED
    assert found.rows.schema.names == ["id", "x"]
    return found


def xs(found: Mapped) -> dict[int, Any]:
    return dict(zip(*(found.rows.column(name).to_pylist() for name in ("id", "x")), strict=True))


def aside(found: Mapped) -> dict[int, tuple[str, str | None]]:
    """The reason and the value of each rejected row, by id."""
    listed = found.rejected.to_pylist()
    return {json.loads(row["key"])[0]: (text_of(reason_of(row["why"])), row["value"]) for row in listed}


def test_a_rename_copies_values_and_nulls() -> None:
    assert xs(mapped(column(Rename("s")))) == {1: "a", 2: "b", 3: None, 4: "d"}


def test_an_expression_is_evaluated_for_each_row() -> None:
    assert xs(mapped(column(Expression("coalesce(s, '?') || n"), pa.string()))) == {
        1: "a10",
        2: None,
        3: "?30",
        4: "d40",
    }


@pytest.mark.parametrize(
    ("value", "kind", "wanted"),
    [("UTC", pa.string(), "UTC"), (1, pa.int16(), 1), (True, pa.bool_(), True), (None, pa.date32(), None),
     (1, pa.decimal128(9, 2), Decimal("1.00")), (0.5, pa.float64(), 0.5)],
)  # fmt: skip
def test_a_constant_is_in_every_row(value: Any, kind: pa.DataType, wanted: Any) -> None:
    assert set(xs(mapped(column(Constant(value), kind))).values()) == {wanted}


def test_an_empty_batch_maps_to_an_empty_one() -> None:
    for origin, kind in (
        (Rename("s"), pa.string()), (Expression("n + 1"), pa.int64()), (Constant("x"), pa.string()),
        (Function(lambda frame: frame["n"], ("n",)), pa.int64()), (KeyUuid(), pa.string()),
    ):  # fmt: skip
        assert mapped(column(origin, kind), ROWS.slice(0, 0)).rows.num_rows == 0


# --- casts


def test_a_cast_sets_aside_the_rows_that_it_cannot_keep() -> None:
    rows = pa.table({"id": pa.array([1, 2, 3, 4]), "s": ["7", "7.5", "seven", None]})
    found = mapped(column(Rename("s"), pa.int64(), Cast(pa.int64())), rows)
    assert xs(found) == {1: 7, 4: None}
    assert {key: value for key, (_, value) in aside(found).items()} == {2: "7.5", 3: "seven"}


def test_a_value_that_does_not_fit_the_column_is_never_rounded_or_wrapped() -> None:
    rows = pa.table(
        {"id": pa.array([1, 2, 3]), "n": pa.array([Decimal("1.23"), Decimal("1.239"), Decimal("99999.00")])}
    )
    found = mapped(column(Rename("n"), pa.decimal128(5, 2)), rows)
    assert xs(found) == {1: Decimal("1.23")}
    rows = pa.table({"id": pa.array([1, 2]), "n": pa.array([32767, 32768])})
    assert xs(mapped(column(Rename("n"), pa.int16()), rows)) == {1: 32767}


def test_what_a_column_cannot_hold_is_set_aside_with_its_reason() -> None:
    rows = pa.table({"id": pa.array([1, 2, 3, 4]), "s": ["abc", "äbcd", "a\0", None]})
    found = mapped(column(Rename("s"), nullable=False, length=3, nul=False), rows)
    assert xs(found) == {1: "abc"}
    reasons = {key: reason for key, (reason, _) in aside(found).items()}
    assert "longer than the 3 characters" in reasons[2]
    assert "NUL" in reasons[3]
    assert "takes no nulls" in reasons[4]
    floats = pa.table({"id": pa.array([1, 2]), "f": [math.nan, 1.0]})
    assert xs(mapped(column(Rename("f"), pa.float64(), nan=False), floats)) == {2: 1.0}
    assert xs(mapped(column(Rename("s"), labels=("a", "b"), nullable=True))) == {1: "a", 2: "b", 3: None}


# --- value maps


def test_a_value_map_replaces_and_its_default_decides_over_the_rest() -> None:
    pairs = (("a", "A"), ("b", None))
    assert xs(mapped(column(Rename("s"), values=Values(pairs, "keep")))) == {1: "A", 2: None, 3: None, 4: "d"}
    assert xs(mapped(column(Rename("s"), values=Values(pairs, "literal", "?")))) == {1: "A", 2: None, 3: None, 4: "?"}
    assert xs(mapped(column(Rename("s"), values=Values(pairs, "literal")))) == {1: "A", 2: None, 3: None, 4: None}
    found = mapped(column(Rename("s"), values=Values(pairs)))
    assert xs(found) == {1: "A", 2: None, 3: None}
    assert aside(found) == {4: ("is not listed in the value map, which has no default", "d")}


def test_null_in_a_value_map_is_a_value_like_another() -> None:
    values = Values(((None, "none"), ("a", "A")), "keep")
    assert xs(mapped(column(Rename("s"), values=values))) == {1: "A", 2: "b", 3: "none", 4: "d"}
    values = Values(((None, 0),), "keep")
    assert xs(mapped(column(Rename("n"), pa.int64(), values=values))) == {1: 10, 2: 0, 3: 30, 4: 40}


def test_a_value_map_may_only_blank_values() -> None:
    """`map: {a: null}, default: keep`: how 'NA' becomes null."""
    assert xs(mapped(column(Rename("s"), values=Values((("a", None),), "keep")))) == {1: None, 2: "b", 3: None, 4: "d"}
    found = mapped(column(Rename("n"), pa.int64(), values=Values(((10, None),), "keep")))
    assert xs(found) == {1: None, 2: None, 3: 30, 4: 40}
    found = mapped(column(Rename("s"), values=Values((("a", None),), "literal", "rest")))
    assert xs(found) == {1: None, 2: "rest", 3: None, 4: "rest"}


def test_a_value_map_changes_the_type_of_numbers_and_texts() -> None:
    assert xs(mapped(column(Rename("n"), values=Values(((10, "ten"),), "literal", "many")))) == {
        1: "ten", 2: None, 3: "many", 4: "many"
    }  # fmt: skip
    assert xs(mapped(column(Rename("s"), pa.int32(), values=Values((("a", 1),), "literal", 0)))) == {
        1: 1,
        2: 0,
        3: None,
        4: 0,
    }
    assert xs(mapped(column(Rename("n"), values=Values((("10", "ten"),), "literal", "many")))) == {
        1: "ten", 2: None, 3: "many", 4: "many"
    }  # fmt: skip


def test_whole_numbers_in_a_value_map_are_found_in_a_text_column() -> None:
    """YAML reads `1: large` as a number; in a column of texts it can only mean the text."""
    rows = pa.table({"id": pa.array([1, 2]), "s": ["1", "2"]})
    found = mapped(column(Rename("s"), values=Values(((1, "one"), (2, "two")))), rows)
    assert xs(found) == {1: "one", 2: "two"}


def test_keys_of_a_value_map_that_the_column_cannot_hold_match_nothing() -> None:
    rows = pa.table({"id": pa.array([1, 2]), "n": pa.array([1, 2], pa.int16())})
    found = mapped(column(Rename("n"), values=Values(((70000, "big"), (1, "one")), "literal", "?")), rows)
    assert xs(found) == {1: "one", 2: "?"}


def test_a_value_map_over_truth_values() -> None:
    rows = pa.table({"id": pa.array([1, 2, 3]), "b": [True, False, None]})
    values = Values(((True, "yes"), (False, "no")))
    assert xs(mapped(column(Rename("b"), values=values), rows)) == {1: "yes", 2: "no", 3: None}


# --- lookups

LOOK = LookUp("p", (("code", "s"),), "pid")
PARENTS = pa.table({"code": ["a", "b", "z"], "pid": pa.array([100, 200, 300])})


def test_a_lookup_takes_the_value_of_the_row_that_matches_and_null_for_null() -> None:
    found = mapped(column(LOOK, pa.int64()), lookups={"p": LookupRows(PARENTS)})
    assert xs(found) == {1: 100, 2: 200, 3: None}
    assert aside(found) == {4: ("no p has this code", "d")}


@pytest.mark.parametrize("missing", ["null", "quarantine", "fail"])
def test_what_a_lookup_finds_nothing_for(missing: Any) -> None:
    wanted = column(LookUp("p", (("code", "s"),), "pid", missing), pa.int64())
    if missing == "fail":
        with pytest.raises(DataError, match=r"t\.x: no p has this code: 'd'"):
            mapped(wanted, lookups={"p": LookupRows(PARENTS)})
        return
    found = mapped(wanted, lookups={"p": LookupRows(PARENTS)})
    assert xs(found).get(4, "aside") == (None if missing == "null" else "aside")


def test_a_lookup_that_matches_twice_stops_everything_if_it_is_asked() -> None:
    twice = pa.concat_tables([PARENTS, PARENTS.slice(1, 1)])
    with pytest.raises(SpecError, match=r"t\.x: the lookup into p matches more than one row for \(code\) = \('b'\)"):
        mapped(column(LOOK, pa.int64()), lookups={"p": LookupRows(twice)})
    unasked = pa.concat_tables([PARENTS, PARENTS.slice(2, 1)])
    assert xs(mapped(column(LOOK, pa.int64()), lookups={"p": LookupRows(unasked)}))[1] == 100


@pytest.mark.parametrize("missing", ["null", "quarantine"])
def test_a_parent_in_quarantine_takes_its_children_along(missing: Any) -> None:
    away = pa.table({"code": ["d", None], "pid": pa.array([None, None], pa.int64())})
    wanted = column(LookUp("p", (("code", "s"),), "pid", missing), pa.int64())
    found = mapped(wanted, lookups={"p": LookupRows(PARENTS, away)})
    assert aside(found) == {4: ("its p is in quarantine", "d")}


def test_a_lookup_by_several_columns_compares_tuples() -> None:
    rows = pa.table({"id": pa.array([1, 2, 3]), "s": ["a|b", "a", "a"], "u": ["c", "b|c", None]})
    looked = pa.table({"k": ["a|b", "a"], "l": ["c", "b|c"], "pid": pa.array([1, 2])})
    lookup = LookUp("p", (("k", "s"), ("l", "u")), "pid")
    assert xs(mapped(column(lookup, pa.int64()), rows, {"p": LookupRows(looked)})) == {1: 1, 2: 2, 3: None}


def test_a_lookup_matches_numbers_of_other_widths() -> None:
    looked = pa.table({"k": pa.array([10, 30], pa.int16()), "pid": ["ten", "thirty"]})
    lookup = LookUp("p", (("k", "n"),), "pid", "null")
    assert xs(mapped(column(lookup), lookups={"p": LookupRows(looked)})) == {1: "ten", 2: None, 3: "thirty", 4: None}
    rows = pa.table({"id": pa.array([1]), "n": pa.array([2**40])})
    assert xs(mapped(column(lookup), rows, {"p": LookupRows(looked)})) == {1: None}


def test_a_lookup_into_an_empty_table_misses() -> None:
    found = mapped(column(LOOK, pa.int64()), lookups={"p": LookupRows(PARENTS.slice(0, 0))})
    assert (xs(found), sorted(aside(found))) == ({3: None}, [1, 2, 4])


# --- Python functions


def test_a_python_function_gets_the_columns_and_gives_a_value_a_row() -> None:
    def score(frame: pd.DataFrame) -> pd.Series[Any]:
        assert list(frame.columns) == ["n", "s"]
        return frame["n"] * 2

    found = mapped(column(Function(score, ("n", "s"), "rules.score"), pa.int64()))
    assert xs(found) == {1: 20, 2: None, 3: 60, 4: 80}


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda frame: frame["n"].iloc[:2], "gave a Series of 2 for 4 rows"),
        (lambda frame: 5, "gave a int for 4 rows"),
        (lambda frame: frame["nothing"], "rules.score failed: KeyError"),
        (lambda frame: pd.Series([1, "a", None, object()]), "rules.score"),
    ],
)
def test_a_python_function_that_misbehaves_is_named(function: Any, match: str) -> None:
    with pytest.raises(DataError, match=match) as caught:
        mapped(column(Function(function, ("n",), "rules.score"), pa.int64()))
    assert len(str(caught.value).splitlines()) <= 2


def test_a_python_function_does_not_need_to_keep_the_index() -> None:
    found = mapped(column(Function(lambda frame: frame["n"].sort_index(ascending=False), ("n",)), pa.int64()))
    assert xs(found) == {1: 40, 2: 30, 3: None, 4: 10}


def test_what_a_python_function_gives_is_checked_like_all_values() -> None:
    found = mapped(
        column(Function(lambda frame: pd.Series(["1", "x", "3", None]), ("n",)), pa.int64(), Cast(pa.int64()))
    )
    assert xs(found) == {1: 1, 3: 3, 4: None}


# --- faults


def test_expressions_fault_row_by_row_and_each_row_keeps_its_first_fault() -> None:
    rows = pa.table({"id": pa.array([1, 2, 3, 4]), "s": ["1", "x", "2147483648", None]})
    found = mapped(column(Expression("s::integer"), pa.int32()), rows)
    assert xs(found) == {1: 1, 4: None}
    faults = aside(found)
    assert sorted(faults) == [2, 3]
    assert all("\n" not in reason for reason, _ in faults.values())


def test_rows_that_could_not_travel_are_set_aside_with_the_engines_reason() -> None:
    rows = ROWS.append_column(INVALID, pa.array([None, unread("wrong_type", "n", "x", type="an integer"), None, None]))
    found = mapped(column(Rename("s")), rows)
    assert sorted(xs(found)) == [1, 3, 4]
    assert aside(found) == {2: ("column n: x is not an integer", None)}
    assert json.loads(found.rejected.column("source")[0].as_py()) == {"id": 2, "s": "b", "n": None}


def test_on_invalid_fail_names_table_column_key_and_value() -> None:
    rows = pa.table({"id": pa.array([1, 2, 3]), "s": ["7", "seven", "eight"]})
    with pytest.raises(DataError, match=r"t\.x key \[2\]: value 'seven' .*; 2 such rows here\. Fix:"):
        mapped(column(Rename("s"), pa.int64(), Cast(pa.int64())), rows, on_invalid="fail")


def test_a_null_in_the_key_is_set_aside() -> None:
    rows = pa.table({"id": pa.array([1, None], pa.int64()), "s": ["a", "b"]})
    found = mapped(column(Rename("s")), rows)
    assert aside(found) == {None: ("null in the key", None)}


def test_the_source_row_is_kept_for_people_whatever_its_types() -> None:
    rows = pa.table({
        "id": pa.array([None], pa.int64()), "b": pa.array([b"\x00\xff"]), "d": pa.array([Decimal("1.10")]),
        "f": [math.nan], "t": pa.array([2**63 - 1], pa.timestamp("us")), 'odd "name"': ["x"], "s": ["ü"],
    })  # fmt: skip
    (kept,) = mapped(column(Rename("s")), rows).rejected.column("source").to_pylist()
    assert json.loads(kept)["d"] == "1.10"
    assert json.loads(kept)['odd "name"'] == "x"


# --- duplicates and UUIDs


def test_every_row_of_a_repeated_key_is_set_aside() -> None:
    rows = pa.table({"id": pa.array([1, 2, 2, 3]), "s": ["a", "b", "b", "c"]})
    mapping = TableMapping("t", ("id",), (ID, column(Rename("s"))))
    found = without_duplicates(map_rows(rows, mapping, {}), mapping)
    assert xs(found) == {1: "a", 3: "c"}
    assert why_texts(found.rejected.column("why")) == ["duplicate key: several source rows map to one t"] * 2
    again = without_duplicates(found, mapping, also=pa.table({"id": pa.array([3, None], pa.int64())}))
    assert xs(again) == {1: "a"}
    strict = TableMapping("t", ("id",), (ID, column(Rename("s"))), "fail")
    with pytest.raises(DataError, match=r"t key \[2\]: duplicate key"):
        without_duplicates(map_rows(rows, strict, {}), strict)


def test_a_uuid_comes_from_the_key_alone_and_is_always_the_same() -> None:
    first, second = (xs(mapped(column(KeyUuid(), meaning="uuid"), rows)) for rows in (ROWS, ROWS.slice(1)))
    assert first[2] == second[2]
    assert len(set(first.values())) == 4
    assert all(uuid.UUID(text).version == 8 and uuid.UUID(text).variant == uuid.RFC_4122 for text in first.values())


def test_uuids_of_keys_that_look_alike_differ() -> None:
    rows = pa.table({"a": ["a|b", "a", "12", "1"], "b": ["c", "b|c", "3", "23"]})
    columns = tuple(ColumnMapping(ColumnShape(name, pa.string(), "text"), Rename(name)) for name in ("a", "b"))
    found = map_rows(rows, TableMapping("t", ("a", "b"), (*columns, column(KeyUuid()))), {})
    assert len(set(found.rows.column("x").to_pylist())) == 4


def test_a_uuid_does_not_change_with_the_width_of_the_key() -> None:
    texts = {
        xs(mapped(column(KeyUuid()), pa.table({"id": pa.array([7], kind)})))[7]
        for kind in (pa.int16(), pa.int32(), pa.int64())
    }
    assert len(texts) == 1

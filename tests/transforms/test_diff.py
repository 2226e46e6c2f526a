"""The laws of the diff, over random tables."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms import keys
from transforms.diff import Comparison, diff, patched, windows
from transforms.vocabulary import Meaning, TableName
from transforms.vocabulary.values import Tolerance, unequal

T = TableName("t")
VALUES: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "whole": (pa.int64(), st.integers(-3, 3)),
    "text": (pa.string(), st.sampled_from(["", "a", "a|b", "NULL", "\u00e9", "e\u0301", "😀"])),
    "real": (pa.float64(), st.sampled_from([0.0, -0.0, 1.5, math.nan, math.inf, -math.inf])),
    "flag": (pa.bool_(), st.booleans()),
    "money": (pa.decimal128(9, 2), st.decimals("-1.20", "1.20", places=2)),
}
KEYS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "whole": (pa.int32(), st.integers(-20, 20)),
    "text": (pa.string(), st.text("aB|é", max_size=3)),
    "day": (pa.date32(), st.dates()),
    "money": (pa.decimal128(9, 2), st.decimals("-1", "1", places=2)),
    "real": (pa.float64(), st.sampled_from([-0.0, 1.0, math.inf, -2.5])),
}


@st.composite
def two_tables(draw: st.DrawFn) -> tuple[pa.Table, pa.Table, tuple[str, ...]]:
    parts = draw(st.lists(st.sampled_from(sorted(KEYS)), min_size=1, max_size=3))
    names = tuple(f"k{i}" for i in range(len(parts)))
    fields = [(name, KEYS[part][0]) for name, part in zip(names, parts, strict=True)]
    fields += [(name, kind) for name, (kind, _) in VALUES.items()]
    key_of = st.tuples(*(KEYS[part][1] for part in parts))
    row_of = st.tuples(*(st.none() | strategy for _, strategy in VALUES.values()))

    def table() -> pa.Table:
        rows = draw(st.dictionaries(key_of, row_of, max_size=12))
        listed = [(*key, *values) for key, values in rows.items()]
        return pa.table(
            [pa.array([row[i] for row in listed], kind) for i, (_, kind) in enumerate(fields)], schema=pa.schema(fields)
        )

    return table(), table(), names


def as_rows(table: pa.Table) -> list[str]:
    def plain(value: Any) -> Any:
        return 0.0 if isinstance(value, float) and value == 0 else value

    return sorted(repr({name: plain(value) for name, value in row.items()}) for row in table.to_pylist())


def compare(key: tuple[str, ...]) -> Comparison:
    return Comparison(key, (*key, *VALUES))


@given(two_tables())
def test_applying_the_diff_turns_one_table_into_the_other(tables: tuple[pa.Table, pa.Table, tuple[str, ...]]) -> None:
    wanted, found, key = tables
    changes = diff(T, wanted, found, compare(key)).changes
    assert as_rows(patched(found, changes)) == as_rows(wanted)


@given(two_tables())
def test_a_second_diff_is_empty(tables: tuple[pa.Table, pa.Table, tuple[str, ...]]) -> None:
    wanted, found, key = tables
    changes = diff(T, wanted, found, compare(key)).changes
    again = diff(T, wanted, patched(found, changes), compare(key))
    assert len(again.changes) == 0
    assert again.unchanged == wanted.num_rows


@given(two_tables())
def test_every_row_of_both_sides_is_accounted_for(tables: tuple[pa.Table, pa.Table, tuple[str, ...]]) -> None:
    wanted, found, key = tables
    result = diff(T, wanted, found, compare(key))
    counts = result.changes.counts
    assert wanted.num_rows == counts["insert"] + counts["update"] + result.unchanged
    assert found.num_rows == counts["delete"] + counts["update"] + result.unchanged


@given(two_tables(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(tables: tuple[pa.Table, pa.Table, tuple[str, ...]], random: Any) -> None:
    wanted, found, key = tables
    shuffled = [
        table.take(pa.array(random.sample(range(table.num_rows), table.num_rows), pa.int64()))
        for table in (wanted, found)
    ]
    one, other = diff(T, wanted, found, compare(key)), diff(T, shuffled[0], shuffled[1], compare(key))
    for part in ("inserts", "before", "after", "deletes"):
        assert as_rows(getattr(one.changes, part)) == as_rows(getattr(other.changes, part))


@given(two_tables(), st.integers(1, 5))
def test_the_size_of_the_windows_does_not_matter(tables: tuple[pa.Table, pa.Table, tuple[str, ...]], rows: int) -> None:
    wanted, found, key = (keys.ascending(tables[0], tables[2]), keys.ascending(tables[1], tables[2]), tables[2])
    whole = diff(T, wanted, found, compare(key)).changes
    parts = [diff(T, w, f, compare(key)).changes for w, f in windows(wanted, found, key, rows)]
    for part in ("inserts", "before", "after", "deletes"):
        pieces = [getattr(changes, part) for changes in parts]
        assert as_rows(pa.concat_tables(pieces)) == as_rows(getattr(whole, part))


@given(two_tables())
def test_the_inverse_takes_the_changes_back(tables: tuple[pa.Table, pa.Table, tuple[str, ...]]) -> None:
    wanted, found, key = tables
    changes = diff(T, wanted, found, compare(key)).changes
    assert as_rows(patched(patched(found, changes), changes.inverse())) == as_rows(found)


@given(two_tables(), st.integers(2, 9))
@settings(max_examples=50)
def test_equal_keys_land_in_one_part(tables: tuple[pa.Table, pa.Table, tuple[str, ...]], parts: int) -> None:
    wanted, found, key = tables
    place = keys.match(wanted, found, key)
    left, right = keys.partition(wanted, key, parts), keys.partition(found, key, parts)
    hit = place >= 0
    assert (left[hit] == right[place[hit]]).all()
    assert ((left >= 0) & (left < parts)).all()


def test_joined_keys_that_look_alike_stay_different() -> None:
    pairs = [("a|b", "c"), ("a", "b|c"), ("12", "3"), ("1", "23")]
    table = pa.table({"a": [p[0] for p in pairs], "b": [p[1] for p in pairs]})
    assert not keys.duplicates(table, ("a", "b")).any()
    numbers = pa.table({"a": [1, 11], "b": [11, 1]})
    assert not keys.duplicates(numbers, ("a", "b")).any()


def test_all_rows_of_a_duplicate_key_are_named() -> None:
    table = pa.table({"a": [1, 1, 2], "b": ["x", "x", "x"]})
    assert keys.duplicates(table, ("a", "b")).tolist() == [True, True, False]


def test_many_wide_key_columns_do_not_overflow_their_numbers() -> None:
    size = 70_000
    columns = {f"k{i}": np.random.default_rng(i).permutation(size) for i in range(5)}
    table = pa.table(columns)
    (numbers,) = keys.codes([table], tuple(columns))
    assert len(set(numbers.tolist())) == size


@pytest.mark.parametrize(
    ("left", "right", "kind", "same"),
    [
        (None, "", pa.string(), False),
        ("NULL", None, pa.string(), False),
        ("a", "a ", pa.string(), False),
        (math.nan, math.nan, pa.float64(), True),
        (-0.0, 0.0, pa.float64(), True),
        (math.nan, None, pa.float64(), False),
        (None, None, pa.int64(), True),
        (1, None, pa.int64(), False),
        ("\u00e9", "e\u0301", pa.string(), False),
    ],
)
def test_values_compare_as_they_are(left: Any, right: Any, kind: pa.DataType, same: bool) -> None:
    assert (unequal(pa.array([left], kind), pa.array([right], kind)) is None) == same


def test_json_and_numbers_in_text_compare_by_value() -> None:
    left, right = pa.array(['{"a": 1, "b": [true]}', "[1]"]), pa.array(['{"b":[true],"a":1.0}', "[true]"])
    mask = unequal(left, right, meaning="json")
    assert mask is not None
    assert mask.tolist() == [False, True]
    assert unequal(pa.array(["1.10", "NaN"]), pa.array(["1.1", "NaN"]), meaning="decimal") is None


FORMS: dict[str, tuple[pa.DataType, Meaning]] = {
    "double": (pa.float64(), "plain"),
    "numeric(38,4)": (pa.decimal128(38, 4), "plain"),
    "numeric": (pa.string(), "decimal"),
    "bigint": (pa.int64(), "plain"),
}
LIMITS = st.sampled_from([0, 1e-4, 0.01, 0.25, 1, 3])


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data(), absolute=LIMITS, relative=st.sampled_from([0, 1e-6, 0.01, 0.1]))
def test_numbers_within_a_tolerance_are_equal_and_no_others(
    form: str, data: st.DataObject, absolute: float, relative: float
) -> None:
    kind, meaning = FORMS[form]
    places = 0 if form == "bigint" else 4
    number = st.integers(-(10**10), 10**10).map(lambda n: Decimal(n).scaleb(-places))
    left = data.draw(number)
    near = st.sampled_from([absolute, -absolute, relative * float(left)]).map(
        lambda gap: left + round(Decimal(gap), places)
    )
    right = data.draw(st.one_of(number, near, near.map(lambda n: n + Decimal(1).scaleb(-places))))
    limits = Decimal(repr(absolute)), Decimal(repr(relative)) * max(abs(left), abs(right))

    def held(value: Decimal) -> pa.Array:
        plain = {"double": float, "numeric": str, "bigint": int}.get(form, Decimal)(value)
        return pa.array([plain, plain, None], kind)

    mask = unequal(held(left), pa.concat_arrays([held(right).slice(0, 1), pa.nulls(1, kind), pa.nulls(1, kind)]),
                   Tolerance(absolute, relative), meaning)  # fmt: skip
    assert mask is not None
    assert mask.tolist() == [abs(left - right) > max(limits), True, False]


def test_infinity_is_close_to_nothing_but_itself_and_nan_is_nan() -> None:
    left, right = pa.array([math.inf, math.inf, math.nan, 1.0]), pa.array([math.inf, 1e308, math.nan, math.nan])
    mask = unequal(left, right, Tolerance(1e300, 0.9))
    assert mask is not None
    assert mask.tolist() == [False, True, False, True]


def test_surrogate_numbers_are_kept_and_new_rows_get_the_next() -> None:
    found = pa.table({"id": [7, 9], "code": ["a", "c"], "name": ["A", "C"]})
    wanted = pa.table({"code": ["a", "b", "c", "d"], "name": ["A", "B", "Z", "D"]})
    asked: list[dict[str, list[str]]] = []

    def number(new: pa.Table) -> Any:
        asked.append(new.to_pydict())
        return np.array([10, 11])

    result = diff(T, wanted, found, Comparison(("code",), ("code", "name")), numbered={"id": number})
    assert asked == [{"code": ["b", "d"]}]
    assert result.changes.inserts.to_pydict() == {"id": [10, 11], "code": ["b", "d"], "name": ["B", "D"]}
    assert result.changes.after.to_pydict() == {"id": [9], "code": ["c"], "name": ["Z"]}


def test_a_row_whose_source_is_in_quarantine_is_not_deleted() -> None:
    found = pa.table({"id": [1, 2, 3]})
    result = diff(T, pa.table({"id": [1]}), found, Comparison(("id",), ("id",)), keep=pa.table({"id": [2]}))
    assert result.changes.deletes.to_pydict() == {"id": [3]}


def test_a_few_keys_are_matched_among_many_as_many_among_a_few() -> None:
    many = pa.table(
        {
            "text": [f"{row % 11}" for row in range(77)],
            "money": pa.array([Decimal(row % 7) for row in range(77)], pa.decimal128(9, 2)),
            "real": [0.0] * 77,
        }
    )
    few = many.take(pa.array([5, 3])).set_column(2, "real", pa.array([-0.0, 0.0]))  # which are one key
    strange = pa.table(
        {"text": ["5", "none"], "money": few["money"], "real": [1.0, 0.0]}
    )  # of parts that are known, and not
    few = pa.concat_tables([few, strange.cast(few.schema)])
    key = ("text", "money", "real")
    assert keys.match(few, many, key).tolist() == [5, 3, -1, -1]
    back = keys.match(many, few, key)
    assert {int(row): int(back[row]) for row in np.flatnonzero(back >= 0)} == {5: 0, 3: 1}
    assert keys.match(few.slice(3), many, key).tolist() == [-1]
    assert not (keys.match(many, few.slice(3), key) >= 0).any()

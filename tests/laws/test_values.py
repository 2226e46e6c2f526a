"""Law of values: what the diff calls equal is as planned to the precondition, and nothing else is, on every engine."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from contract import ID, a_shape, change, col, make, read, rows_of
from hypothesis import example, given
from hypothesis import strategies as st
from law_examples import examples

from adapters.protocol import Target
from transforms.vocabulary import TableShape
from transforms.vocabulary.values import same_json, unequal

NUMBERS = ["1", "1.0", "1e0", "10e-1", "0", "-0", "0.0", "100", "1e2", "9007199254740993", "9007199254740992", "0.1",
           "0.10", "0.1000000000000000055511151231257827", "12345678901234567890123", "12345678901234567890124"]  # fmt: skip
SCALARS = [
    *NUMBERS,
    "true",
    "false",
    "null",
    '"1"',
    '"true"',
    '""',
    '"é"',
    '"\\u00e9"',
    '"e\\u0301"',
    '"A"',
    '"a"',
    '"a "',
]
documents = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2).map(lambda items: f"[{','.join(items)}]"),
        st.lists(st.tuples(st.sampled_from(["a", "b", "B"]), inner), max_size=3).map(
            lambda pairs: "{" + ", ".join(f'"{name}": {value}' for name, value in pairs) + "}"
        ),
    ),
    max_leaves=4,
)
close = st.sampled_from(SCALARS).flatmap(lambda one: st.tuples(st.just(one), st.sampled_from(SCALARS)))
pairs = st.one_of(st.tuples(documents, documents), close.map(lambda two: (f'{{"a": {two[0]}}}', f'{{"a":{two[1]}}}')))


@given(pairs)
@example(('{"a": 1, "a": 2}', '{"a":2}'))
@example(("[1e999999999999999999]", "[1]"))
@example(("NaN", "NaN"))
@example(("NaN", " NaN"))
def test_json_texts_are_one_where_an_exact_reader_says_so(two: tuple[str, str]) -> None:
    def exact(text: str) -> Any:
        from fractions import Fraction

        def number(digits: str) -> Any:
            return (
                ("number", Fraction(digits))
                if len(digits) < 50 and abs(int(digits.lower().partition("e")[2] or 0)) < 99
                else digits
            )

        return json.loads(text, parse_int=number, parse_float=number, parse_constant=lambda word: ("word", text))

    left, right = two
    assert same_json(left, right) == same_json(right, left)
    assert same_json(left, right) == (left == right or exact(left) == exact(right))


@pytest.fixture
def documents_there(adapter: Target) -> TableShape:
    return make(adapter, a_shape("doc", [ID, col("j", pa.string(), meaning="json"), col("n", pa.int64())]))


@examples(4)
@given(cases=st.lists(pairs, min_size=40, max_size=60))
def test_json_is_as_planned_exactly_where_the_diff_says_equal(
    adapter: Target, documents_there: TableShape, cases: list[tuple[str, str]]
) -> None:
    """Every row is planned as one text, and is another one by the time it is written: once for updates, once for deletes."""
    shape, cases = documents_there, [("1", "2"), *cases]
    there = read(adapter, shape, ("id",))
    if there.num_rows:
        adapter.apply(change(shape, deletes=there), shape, None)
    rows = [{"id": number, "j": planned, "n": 0} for number, (planned, _) in enumerate(cases)]
    adapter.apply(change(shape, inserts=rows_of(shape, *rows)), shape, None)
    seen = read(adapter, shape, ("id",))
    edited = rows_of(shape, *({"id": number, "j": now, "n": 0} for number, (_, now) in enumerate(cases)))
    adapter.apply(change(shape, before=seen, after=edited, compared=("id", "n")), shape, None)
    now = read(adapter, shape, ("id",))

    mask = unequal(seen["j"].combine_chunks(), now["j"].combine_chunks(), meaning="json")
    differing = set() if mask is None else {row for row, apart in enumerate(mask) if apart}
    after = seen.set_column(2, "n", pa.array([1] * len(cases), pa.int64()))
    for changes in (
        change(shape, before=seen, after=after),
        change(shape, deletes=seen.set_column(2, "n", after["n"])),
    ):
        applied = adapter.apply(changes, shape, None)
        left = set() if applied.conflicts is None else {key["id"] for key in applied.conflicts["key"].to_pylist()}
        assert left == differing, [(cases[row], seen["j"][row], now["j"][row]) for row in sorted(left ^ differing)]
        assert applied.by_others is None
        assert applied.updated + applied.deleted == len(cases) - len(differing)

"""Random tables for row rules, the rows that Great Expectations names in them, and ours."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from adapters.expectations.frames import frame as shown
from transforms.rules.rules import Rule, compiled

ROW = "__row__"
VALUES = "expect_column_values_to_"
PAIR = "expect_column_pair_values_"

few = settings(
    max_examples=2,  # a single row of nulls and one table of many rows: Great Expectations takes 30 ms a rule, whatever the rows
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # to shrink takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@cache
def batches() -> Any:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    for name in ("great_expectations", "great_expectations.data_context.types.base"):
        logging.getLogger(name).setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    source = context.data_sources.add_pandas("rows")
    return source.add_dataframe_asset("rows").add_batch_definition_whole_dataframe("rows")


@contextmanager
def remembered_configurations() -> Iterator[None]:
    """An expectation makes the same configuration of itself some sixty times a validation: here each makes it once."""
    from great_expectations.expectations.expectation import Expectation

    of = Expectation.configuration.fget
    made: dict[int, tuple[Any, Any]] = {}  # with the expectation itself, so that no other one gets its number

    def once(expectation: Any) -> Any:
        if id(expectation) not in made:
            made[id(expectation)] = expectation, of(expectation)
        return made[id(expectation)][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Expectation, "configuration", property(once))
        yield


def frame(rows: pa.Table) -> pd.DataFrame:
    """The rows as the planned checkpoint shows them, with their numbers."""
    made: pd.DataFrame = shown(rows, rows.column_names)
    return made.assign(**{ROW: np.arange(rows.num_rows)})


def named(rows: pa.Table, asked: Sequence[Rule]) -> list[set[int] | str]:
    """For each rule the rows that Great Expectations names, or why it cannot tell."""
    from great_expectations.core.expectation_suite import ExpectationSuite

    suite = ExpectationSuite(
        name="rules",
        expectations=[{"type": r.type, "kwargs": dict(r.arguments), "meta": {"place": i}} for i, r in enumerate(asked)],
    )
    wanted = {"result_format": "COMPLETE", "unexpected_index_column_names": [ROW], "exclude_unexpected_values": True}
    batch = batches().get_batch(batch_parameters={"dataframe": frame(rows)})
    said: list[set[int] | str] = [""] * len(asked)
    with remembered_configurations():
        results = batch.validate(suite, result_format=wanted).results
    for result in results:
        place = result.expectation_config.meta["place"]
        broken = str(result.exception_info) if "'raised_exception': True" in str(result.exception_info) else ""
        found = result.result.get("unexpected_index_list") or ()
        said[place] = broken or {int(row) for each in found for row in each[ROW]}
    return said


def rule(type_: str, /, **arguments: Any) -> Rule:
    return Rule(0, type_, arguments)


def failing(rows: pa.Table, asked: Rule) -> set[int]:
    check = compiled(asked, rows.schema, ("key",))
    assert check is not None, f"not compiled: {asked} on {rows.schema}"
    return set(np.flatnonzero(check.failing(rows)).tolist())


def of_each_kind(asked: Sequence[Rule]) -> list[int]:
    """The places of one rule of each type for each column, and of all rules over several columns: those look at nulls, too.

    A single row of nulls has nothing that the other arguments of a column's rules could be held to.
    """
    first: dict[tuple[object, ...], int] = {}
    for place, each in enumerate(asked):
        first.setdefault((each.type, each.arguments["column"]) if "column" in each.arguments else (place,), place)
    return list(first.values())


def agree(rows: pa.Table, *asked: Rule, given: Mapping[int, Rule] | None = None, seen: pa.Table | None = None) -> None:
    """Our rows are Great Expectations' rows. `given` and `seen`: what it is shown instead."""
    places = of_each_kind(asked) if rows.num_rows == 1 else range(len(asked))
    shown = [(given or {}).get(place, asked[place]) for place in places]
    for place, theirs in zip(places, named(seen or rows, shown), strict=True):
        each = asked[place]
        ours = failing(rows, each)
        assert ours == theirs, (
            f"{each}\n{[rows.slice(i, 1).to_pylist() for i in sorted(ours)[:5]]}\nours {ours}\ntheirs {theirs}"
        )


LETTERS = 'aAbB19 _-é Éıİſ\u212a٣\u00a0\x0b\n😀ß{}[]"'
TEXTS = st.one_of(
    st.text(LETTERS, max_size=6),
    st.sampled_from(["", "a", "A\n", "b\n\n", "2013-01-31", "31.12.2013", "é", "😀😀", "1", "12", '{"a": 1}', "null"]),
)
BIG = 2**53
KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "int8": (pa.int8(), st.integers(-3, 3) | st.sampled_from([-128, 127])),
    "int32": (pa.int32(), st.integers(-3, 3) | st.sampled_from([-(2**31), 2**31 - 1])),
    "int64": (pa.int64(), st.integers(-3, 3) | st.sampled_from([BIG, BIG + 1, -BIG - 1, 2**63 - 1, -(2**63)])),
    "uint8": (pa.uint8(), st.integers(0, 4) | st.just(255)),
    "uint64": (pa.uint64(), st.integers(0, 4) | st.sampled_from([BIG, BIG + 1, 2**64 - 1])),
    "float": (
        pa.float64(),
        st.sampled_from([0.0, -0.0, 0.1, 0.2, 0.3, 1.0, 2.0, float("nan"), float("inf"), -float("inf"), 1e300]),
    ),
    "float32": (pa.float32(), st.sampled_from([0.0, -0.0, 0.1, 0.5, 1.0, 2.0, float("nan"), float("inf")])),
    "decimal": (
        pa.decimal128(12, 2),
        st.sampled_from([Decimal(each) for each in ("0.10", "0.20", "0.30", "1.00", "2.00", "-3.50", "9999999999.99")]),
    ),
    "text": (pa.string(), TEXTS),
    "bool": (pa.bool_(), st.booleans()),
    "date": (pa.date32(), st.dates(date(2012, 12, 30), date(2013, 1, 2)) | st.sampled_from([date.min, date.max])),
    "stamp": (
        pa.timestamp("us"),
        st.datetimes(datetime(2012, 12, 31), datetime(2013, 1, 2))
        | st.sampled_from(
            [datetime(2013, 1, 1), datetime(2013, 1, 1, 0, 0, 0, 1), datetime(1, 1, 1), datetime(9999, 1, 1)]
        ),
    ),
    "zoned": (
        pa.timestamp("us", "UTC"),
        st.sampled_from(
            [datetime(2013, 1, 1), datetime(2013, 1, 1, 0, 0, 0, 1), datetime(2012, 12, 31, 22), datetime(9999, 1, 1)]
        ),
    ),
}
ORDERED = ("int32", "int64", "float", "float32", "decimal", "date", "stamp", "zoned")
ALL = tuple(KINDS)


def column(kind: str, size: int) -> st.SearchStrategy[pa.Array]:
    """Values with nulls in most columns and none in some."""
    type_, plain = KINDS[kind]
    filled = st.lists(plain, min_size=size, max_size=size)
    holed = st.lists(st.none() | plain, min_size=size, max_size=size)
    return (holed | filled).map(lambda values: pa.array(values, type_))


@st.composite
def tables(draw: st.DrawFn, kinds: Sequence[str] = ALL, doubled: bool = False) -> pa.Table:
    """A column of each kind, named by it; `doubled`: a second one with a 2 behind its name."""
    size = draw(st.sampled_from([1] + [54] * 19))  # the simplest comes first
    made = {kind: draw(column(kind, size)) for kind in kinds}
    if doubled:
        made |= {f"{kind}2": draw(column(kind, size)) for kind in kinds}
    return pa.table(made)


def without_holes(rows: pa.Table, *names: str) -> pa.Table:
    """Rows where Great Expectations can compare nullable columns: it breaks on a null against a value."""
    holes = np.logical_xor(*(np.asarray(pc.is_null(rows[name], nan_is_null=True)) for name in names))
    return rows.filter(pa.array(~holes))

"""JSON that one engine's parser reads and another one's does not: each engine is asked about what others took for JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from contract import ID, a_shape, change, col, make, read
from hypothesis import given, settings
from hypothesis import strategies as st
from scenario import Engine, Scenario, quarantine

from adapters.protocol import Target
from transforms.vocabulary import DataError
from transforms.vocabulary.deep_json import one_text
from transforms.vocabulary.values import same_json


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


LENIENT = [  # what a parser of at least one engine takes
    "NaN", "nan", "[Infinity]", "-Infinity", '{"a":-inf}', "[1,]", '{"a":1 , }', "1.", "[1.]", "1.e5", '"\\x41"', '"\\q"', '"\\\'"',
    '"\\ud800"', '"\\udc00\\ud800"', '{"\\uD83Dx": 1}', '"\\u0000"', '{"\\u0000": 1}', "9e999", "[1e-400]", "9e99999999", "1e131072",
    nested(30), nested(31), nested(32), nested(33), nested(999), nested(1001), nested(2000), "9" * 400, "\ufeff1", "", " ", "1e", "-", "[-]",
]  # fmt: skip
NEVER = [
    "'a'", "{a:1}", "01", ".5", "+1", "0x10", '"a\tb"', '"a\x01"', "[1,\x0c2]", "[1,\xa02]", "/* c */ 1", "[1 2]", '{"a":1} x', "True", "nul", "[", "]", '"', '{"a"}', '"\\u12"',
]  # fmt: skip
ALIKE = [  # what all of them take
    '{"a": 1, "a": 2}', "12345678901234567890123", "1.000000000000000000001", "-0.0", "1E5", "1e+5", " [1]\n", '"\\/"', '"\\\\u0000"',
    '"\\ud83d\\ude00"', '"\\u00e9"', '"\x7f\u2028"', '{"": null}', '"nan"', '"a, ]"', "null",
]  # fmt: skip


def test_json_of_another_engine_is_kept_exactly_where_the_column_takes_it(adapter: Target) -> None:
    shape = make(adapter, a_shape("doc", [ID, col("j", pa.string(), meaning="json")]))
    column = shape.column("j")
    assert column is not None
    texts = pa.array([*ALIKE, *LENIENT, None], pa.string())
    kept = adapter.kept(column, texts, "json")
    assert kept.to_pylist()[: len(ALIKE)] == ALIKE
    assert adapter.kept(column, texts).equals(kept)
    assert adapter.kept(column, pa.array(NEVER)).null_count == len(NEVER)
    good = pc.is_valid(kept)
    rows = pa.table([pa.array(range(len(texts)), pa.int64()), texts], schema=shape.schema())
    adapter.apply(change(shape, inserts=rows.filter(good)), shape, None)
    there = read(adapter, shape, ("id",))
    assert there.num_rows == pc.sum(good).as_py()
    pairs = zip(kept.filter(good).to_pylist(), there["j"].to_pylist(), strict=True)
    assert [pair for pair in pairs if not same_json(*pair)] == []
    taken = []
    for number in range(len(texts) - 1):  # and none of the others
        if kept[number].as_py() is None:
            try:
                adapter.apply(change(shape, inserts=rows.slice(number, 1)), shape, None)
            except DataError:
                continue
            if adapter.engine != "sqlite":  # takes what it cannot read again
                taken.append(texts[number].as_py())
    assert taken == []


@pytest.mark.parametrize(
    ("source", "kind", "target"),
    [("duckdb", "JSON", "sqlite"), ("postgresql", "json", "mysql")],
)
def test_json_that_the_target_does_not_read_is_set_aside(
    source: Engine, kind: str, target: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    small = Scenario.make(tmp_path, (source, target), request)
    small.source.execute(f"CREATE TABLE t (k bigint PRIMARY KEY, j {kind})")
    bad = {"duckdb": '{"a": [NaN]}', "postgresql": '{"a": "\\ud800"}'}[source]
    small.source.insert("t", [(1, '{"a": 1}'), (2, bad), (3, None)])
    small.write({"t": {"from": "t"}})
    small.run()
    assert [key for _, key, _ in quarantine(small)] == [[2]]
    assert small.target.count("t") == 2
    small.settled()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(['"', "\\", "[", ":,", "é", "\ud800", "1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "}"]), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=20)
@given(values, values)
def test_deep_json_is_compared_as_all_other_json(one: object, other: object) -> None:
    left, right = json.dumps(one), json.dumps(other, indent=1, sort_keys=True)
    assert (one_text(left) == one_text(right)) == same_json(left, right)
    assert same_json("[1.0," * 1200 + left + "]" * 1200, "[ 10e-1 , " * 1200 + json.dumps(one, indent=2) + "]" * 1200)
    assert not same_json("[1," * 1200 + left + "]" * 1200, "[2," * 1200 + left + "]" * 1200)

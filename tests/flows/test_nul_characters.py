"""`nul: strip`: NUL characters leave texts, and escaped ones the strings and keys of JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scenario import Engine, Scenario, quarantine

from transforms.mapping.nul_characters import without_nul
from transforms.vocabulary import Reason, text_of

MERGING = text_of(Reason("merged_keys"))
STRIPPED = text_of(Reason("nul_stripped"))

LETTERS = st.text(st.sampled_from('\0\\u0a"/é😀'), max_size=6)
DOCUMENTS = st.recursive(
    LETTERS | st.integers(0, 9) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(LETTERS, inner, max_size=3),
    max_leaves=6,
)


def stripped(value: Any) -> Any:
    """What is left of a document. ValueError where two keys become one."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [stripped(item) for item in value]
    if isinstance(value, dict):
        left = {stripped(name): stripped(item) for name, item in value.items()}
        if len(left) < len(value):
            raise ValueError("two keys become one")
        return left
    return value


@given(DOCUMENTS, st.booleans())
@example({"a\\u0000": "\\\\u0000\\\0"}, False)
@example({"\0": 1, "": 2}, True)
def test_json_without_nul_characters_is_the_same_document_without_them(document: Any, ascii_only: bool) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only)
    done = without_nul(pa.array([text, None]), as_json=True)
    assert done.values[1].as_py() is None
    try:
        wanted = stripped(document)
    except ValueError:
        assert (bool(done.merging[0]), done.values[0].as_py()) == (True, text)
        return
    assert json.loads(done.values[0].as_py()) == wanted
    assert (bool(done.had[0]), bool(done.merging[0])) == (wanted != document, False)
    assert without_nul(pa.array([text]), as_json=False).values[0].as_py() == text  # to a text the escape is six letters


@pytest.mark.parametrize(
    ("source", "target", "kind"),
    [
        ("sqlite", "postgresql", "jsonb"),
        ("duckdb", "mysql", "json"),
    ],
)
def test_json_with_nul_characters_goes_in_without_them(
    source: Engine, target: Engine, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    small = Scenario.make(tmp_path, (source, target), request)
    small.source.execute(f"CREATE TABLE t (k bigint PRIMARY KEY, j {'text' if source == 'sqlite' else 'json'})")
    small.target.execute(f"CREATE TABLE t (k bigint PRIMARY KEY, j {kind})")
    texts = [
        '{"a\\u0000b": "\\u0000\\\\u0000\\\\\\u0000"}',
        '{"a": 1, "a\\u0000": 2}',
        '["\\u0000"]',
        '"\\\\u0000"',
        None,
    ]
    small.source.insert("t", list(enumerate(texts)))
    small.write({"t": {"from": "t", "columns": {"k": "k", "j": {"from": "j", "nul": "strip"}}}})
    report = small.run().report
    found = dict(small.target.ask("SELECT k, j FROM t"))
    read = {
        key: json.loads(value) if isinstance(value, str) and target == "mysql" else value
        for key, value in found.items()
    }
    assert read == {0: {"ab": "\\u0000\\"}, 2: [""], 3: "\\u0000", 4: None}
    assert quarantine(small) == [("t", [1], MERGING)]
    assert any(f"t.j: {STRIPPED} in 2 of the rows" in line for line in report.warning_texts)
    small.settled()

"""The manifest of a plan: what is written is what is read, in every format, and anything else is an error that says where."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifests import manifest, planned, records

from adapters.store.json_lines import in_lines
from adapters.store.manifest import FORMAT, Manifest, PlannedRoute, manifest_json, read_manifest
from adapters.store.plans import Plan, PlanWriter
from transforms.vocabulary import PlanError, Sample, TableName, Tally

TABLE = TableName("flight", "main")


@settings(max_examples=40)
@given(records(Manifest))
def test_every_manifest_reads_back_as_it_was_written(made: Manifest) -> None:
    text = in_lines(manifest_json(made), allow_nan=False)
    assert read_manifest(json.loads(text.encode()), FORMAT) == made


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=3), inside, max_size=3),
    max_leaves=12,
)


@given(JSON, st.integers(0, 4))
def test_what_is_written_in_lines_is_the_same_json(value: Any, depth: int) -> None:
    assert json.loads(in_lines(value, depth)) == value


def test_each_file_of_a_plan_has_a_line_of_its_own() -> None:
    value = {"manifest": {"tables": [{"name": "a", "rows": [1, 2]}, {"name": "b"}], "none": []}, "files": [{"n": 1}]}
    assert in_lines(value).splitlines() == [
        "{",
        ' "manifest": {',
        '  "tables": [',
        '   {"name": "a", "rows": [1, 2]},',
        '   {"name": "b"}',
        "  ],",
        '  "none": []',
        " },",
        ' "files": [',
        '  {"n": 1}',
        " ]",
        "}",
    ]
    with pytest.raises(ValueError, match="JSON compliant"):
        in_lines([float("nan")], allow_nan=False)


def test_schemas_keep_what_equality_does_not_look_at() -> None:
    schema = pa.schema([pa.field("k", pa.int64(), nullable=False, metadata={"native": "bigint"})], {"side": "target"})
    made = manifest(replace(planned(TABLE), schema=schema))
    (table,) = read_manifest(manifest_json(made), FORMAT).tables
    assert table.schema.equals(schema, check_metadata=True)
    assert table.columns == (("k", "int64"),)


def test_what_a_plan_is_about_is_asked_of_its_manifest() -> None:
    one, other = planned(TABLE), planned(TableName("t"))
    made = manifest(one, other, ranges=("t.k:1..2",))
    assert (made.of(TABLE), made.of(TableName("flight")), made.unrestricted) == (one, None, False)
    assert manifest(keys={}).unrestricted is False
    assert manifest().unrestricted is True


FORMAT_1: dict[str, Any] = {
    "migration": "m",
    "run_id": "run-1",
    "kind": "run",
    "created_at": "2026-01-02T03:04:05.000678+00:00",
    "spec": {"path": "/spec.yaml", "digest": "d", "document": {"version": 1}},
    "source": {"url": "sqlite:///source.db", "engine": "sqlite", "mark": "1"},
    "target": {"url": "duckdb:///target.db", "engine": "duckdb", "mark": "2"},
    "ranges": [],
    "keys": None,
    "seconds": 0.0,
    "warnings": [],
    "tables": [
        {
            "name": "t",
            "target": "t",
            "ddl": [],
            "differing": {},
            "reasons": {},
            "samples": [{"op": "insert", "key": "[1]", "before": None, "after": {"k": "1"}}],
            "windows": 0,
            "after_load": [],
            "broken": [],
            "tally": {side: {"rows": 0, "distinct_keys": 0, "columns": {}} for side in ("wanted", "kept", "found")},
            "counts": dict.fromkeys(
                ("source_rows", "target_rows", "insert", "update", "delete", "unchanged", "quarantined", "conflicts",
                 "unproved"), 0,
            ),
            "columns": [["k", "int64"]],
            "schema": "",
            "table": {"name": "t", "schema": None},
            "clear": [],
        }
    ],
}  # fmt: skip
"""As small as a manifest of format 1 ever was: without what came to be written into later ones."""


def first_format(**more: Any) -> dict[str, Any]:
    """A manifest as format 1 has it, whose only table says more."""
    (table,) = FORMAT_1["tables"]
    schema = manifest_json(manifest(planned()))["tables"][0]["schema"]
    return {**FORMAT_1, "tables": [{**table, "schema": schema, **more}]}


def test_a_manifest_of_format_1_is_read_as_one_of_today() -> None:
    sample = Sample("insert", "[1]", None, {"k": "1"})
    wanted = manifest(planned(samples=(sample,), tally=Tally()), id="run-1")
    assert read_manifest(first_format(), 1) == wanted
    told = first_format(adds=[["n", "ALTER"]], whole=[["o", "int32"]], first=[1], base=True, unproved={"referred": 2})
    (table,) = read_manifest({**told, "undoes": [3], "steps": [["t", "upsert"]]}, 1).tables  # `steps` were an undo's
    assert (table.adds, table.whole, table.first, table.base) == ((("n", "ALTER"),), (("o", "int32"),), (1,), True)
    assert (table.route, table.unproved) == (PlannedRoute("source", "target"), {"referred": 2})


@pytest.mark.parametrize("lacking", [("unproved",), ("after_load", "broken", "tally"), ("differing",)], ids=str)
def test_a_manifest_of_format_1_may_lack_what_came_to_be_written_into_it_later(lacking: tuple[str, ...]) -> None:
    (table,) = first_format()["tables"]
    kept = {name: value for name, value in table.items() if name not in lacking}
    kept["counts"] = {name: rows for name, rows in table["counts"].items() if name not in lacking}
    assert read_manifest({**FORMAT_1, "tables": [kept]}, 1) == read_manifest(first_format(), 1)


def sealed(folder: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """A plan whose manifest was changed, with a digest that is right again."""
    PlanWriter(folder).finish(manifest(planned(TABLE, samples=(Sample("insert", "[1]", None, {}),))))
    path = folder / "manifest.json"
    body = json.loads(path.read_text())
    del body["digest"]
    change(body)
    digest = hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    path.write_text(json.dumps({"digest": digest, **body}))
    return folder


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda m: m["tables"][0]["counts"].update(insert="ten"), r"tables\[0\]\.counts\.insert is 'ten', and should be int"),
        (lambda m: m["tables"][0].pop("clear"), r"tables\[0\]\.clear is missing"),
        (lambda m: m.update(colour="red"), r"colour is unknown"),
        (lambda m: m.update(side="left"), r"side is 'left', and should be one of source, target"),
        (lambda m: m.update(created_at="noon"), r"created_at is 'noon', and should be a time"),
        (lambda m: m["tables"][0].update(schema="QQ=="), r"tables\[0\]\.schema is 'QQ==', and should be an Arrow schema"),
        (lambda m: m["tables"][0]["samples"][0].update(op="move"), r"tables\[0\]\.samples\[0\]\.op is 'move'"),
        (lambda m: m["tables"][0].update(adds=[["n"]]), r"tables\[0\]\.adds\[0\] has 1 values, and should have 2"),
        (lambda m: m["tables"][0].update(unproved={"why": 1}), r"a name in tables\[0\]\.unproved is 'why'"),
    ],
)  # fmt: skip
def test_a_manifest_that_is_wrong_is_refused_with_the_place(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], where: str
) -> None:
    folder = sealed(tmp_path / "plan", lambda body: change(body["manifest"]))
    with pytest.raises(PlanError, match=rf"manifest\.json \({where}.* Fix: plan again"):
        Plan.open(folder)


@pytest.mark.parametrize("part", ["manifest", "files"])
def test_a_manifest_that_lacks_a_part_is_refused(tmp_path: Path, part: str) -> None:
    with pytest.raises(PlanError, match=r"manifest\.json \(.* is None, and should be"):
        Plan.open(sealed(tmp_path / "plan", lambda body: body.pop(part)))


@pytest.mark.parametrize("kept", [0, 1, 700, -2])
def test_a_manifest_that_was_cut_is_refused_with_the_line(tmp_path: Path, kept: int) -> None:
    path = sealed(tmp_path / "plan", lambda body: None) / "manifest.json"
    path.write_text(path.read_text()[:kept])
    with pytest.raises(
        PlanError, match=r"manifest\.json \(line 1, column \d+\) was changed after planning.* Fix: plan"
    ):
        Plan.open(path.parent)

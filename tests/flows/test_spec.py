"""The spec: what it accepts, what its words mean, and what it is known by."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from specs import DESIGN, ROOT, SMALL, column, load, with_column, write

from flows.spec.json_schema import json_schema
from flows.spec.model import table_name
from transforms.vocabulary import Relation, TableName


def test_the_spec_of_the_design_loads(tmp_path: Path) -> None:
    spec = load(tmp_path, DESIGN)
    airport, flight = spec.tables["airport"].columns, spec.tables["flight"].columns
    assert airport is not None and flight is not None
    assert {name: each.kind for name, each in {**airport, **flight}.items()} == {
        "airport_id": "generate", "faa": "from", "name": "from", "altitude_m": "expr", "kind": "from", "tz": "const",
        "carrier": "from", "number": "from", "origin": "from", "departed_on": "expr", "dest_id": "lookup",
        "score": "python",
    }  # fmt: skip
    assert flight["number"].from_ == "flight"
    assert airport["kind"].map == {"A": "large", "B": "small"}
    assert spec.source_relation("flight") == Relation(TableName("flights"), where="year = 2013")
    assert spec.target_table("flight") == TableName("flight", "main")
    loaded = spec.tables["flight"].loaded[0]
    assert (loaded.type, loaded.severity) == ("expect_table_row_count_to_equal", "critical")
    assert loaded.arguments == {"value": "$source_rows"}


def test_every_value_knows_its_line(tmp_path: Path) -> None:
    spec = load(tmp_path, DESIGN)
    file = str(tmp_path / "spec.yaml")
    assert spec.where("tables", "flight", "columns", "dest_id") == f"{file}:31"
    assert spec.where("tables", "flight", "expect", 0, "severity") == f"{file}:35"
    assert spec.where("tables", "flight", "columns", "carrier", "cast") == f"{file}:27", "the nearest thing around it"
    assert spec.where("defaults", "runner", "dask") == f"{file}:6"
    assert spec.where() == f"{file}:1"


def test_words_keep_their_meaning(tmp_path: Path) -> None:
    """NO is a country, 0123 a code, 2013-01-01 a text until a cast says otherwise, and 1:30 no number."""
    made = column(tmp_path, "{from: a, map: {NO: Norway, 0123: on, 1: 1.5, null: 2013-01-01, x: 1:30, y: true}}")
    assert made.map == {"NO": "Norway", "0123": "on", 1: 1.5, None: "2013-01-01", "x": "1:30", "y": True}
    assert [type(key) for key in made.map] == [str, str, int, type(None), str, str]


def test_null_is_a_constant_and_a_policy_for_missing_lookups(tmp_path: Path) -> None:
    assert column(tmp_path, "{const: null}").kind == "const"
    look_up = "{{lookup: {{table: other, match: {{a: b}}, take: c}}{}}}"
    assert column(tmp_path, look_up.format(", missing: null")).missing == "null"
    assert column(tmp_path, look_up.format(', missing: "null"')).missing == "null"
    assert column(tmp_path, look_up.format("")).missing == "quarantine"
    assert column(tmp_path, "{from: a, map: {A: B}, default: null}").default is None


def test_casts_have_one_spelling(tmp_path: Path) -> None:
    spellings = {
        "int8": "bigint", "Decimal( 9 , 2 )": "numeric(9,2)", "numeric(5)": "numeric(5,0)", "numeric": "numeric",
        "TIMESTAMP  with time zone": "timestamptz", "bool": "boolean",
    }  # fmt: skip
    for spelling, name in spellings.items():
        assert column(tmp_path, f'{{from: a, cast: "{spelling}"}}').cast.type == name
    cast = column(tmp_path, "{from: a, cast: {type: timestamptz, time_zone: Europe/Vienna, ambiguous: latest}}").cast
    assert (cast.time_zone, cast.ambiguous, cast.nonexistent) == ("Europe/Vienna", "latest", "quarantine")


def test_tables_override_the_defaults_setting_by_setting(tmp_path: Path) -> None:
    text = SMALL.replace("key: [id]", "key: id, delete: {max_ratio: 1}, window: 5, on_invalid: fail")
    spec = load(tmp_path, text + "  u: {from: u}\ndefaults: {delete: {policy: soft, column: gone, max_ratio: 0.1}}\n")
    assert spec.tables["t"].key == ["id"]
    own, default = spec.delete_policy("t"), spec.delete_policy("u")
    assert (own.policy, own.column, own.max_ratio) == ("soft", "gone", 1)
    assert (default.policy, default.column, default.max_ratio) == ("soft", "gone", 0.1)
    assert (spec.window_rows("t"), spec.window_rows("u")) == (5, 100_000)
    assert (spec.on_invalid("t"), spec.on_invalid("u")) == ("fail", "quarantine")


@pytest.mark.parametrize(
    ("text", "kind", "address", "workers"),
    [
        ("threads", "threads", None, None),
        ("dask", "dask", None, None),
        ("{dask: {address: 'tcp://h:8786'}}", "dask", "tcp://h:8786", None),
        ("{dask: }", "dask", None, None),
        ("{threads: {workers: 2}}", "threads", None, 2),
    ],
)
def test_runners_are_words_or_settings(
    tmp_path: Path, text: str, kind: str, address: str | None, workers: int | None
) -> None:
    runner = load(tmp_path, SMALL + f"defaults: {{runner: {text}}}\n").defaults.runner
    assert (runner.kind, runner.address, runner.workers) == (kind, address, workers)


def test_two_way_and_soft_deletes_are_part_of_the_format(tmp_path: Path) -> None:
    spec = load(tmp_path, SMALL + "direction: two_way\ndefaults: {delete: {policy: soft, column: gone}}\n")
    assert (spec.direction, spec.conflict.resolve, spec.initial) == ("two_way", "merge", "report")


def test_merged_and_aliased_parts_count_as_written(tmp_path: Path) -> None:
    text = SMALL + "  u:\n    <<: {from: u, where: a}\n    where: b\n  v: &v {from: v}\n  w: {<<: *v, target: w}\n"
    tables = load(tmp_path, text).tables
    assert (tables["u"].where, tables["w"].from_.table, tables["w"].target) == ("b", "v", "w")


def test_the_digest_is_of_what_was_written(tmp_path: Path) -> None:
    digest = load(tmp_path, SMALL).digest
    same = "# a comment\nname: 'm'\nversion: 1\n" + "".join(SMALL.splitlines(keepends=True)[2:])
    assert load(tmp_path, same).digest == digest
    assert load(tmp_path, SMALL.replace("[id]", "[iid]")).digest != digest
    assert load(tmp_path, SMALL.replace("[id]", '["1"]')).digest != digest
    secret = SMALL.replace("sqlite:///a.db", "${URL}")
    one, other = load(tmp_path, secret, URL="sqlite:///x.db"), load(tmp_path, secret, URL="sqlite:///y.db")
    assert one.digest == other.digest != digest


def test_the_digest_covers_the_python_that_the_spec_names(tmp_path: Path) -> None:
    text = with_column("{python: rules.score}")
    without = load(tmp_path, text).digest
    (tmp_path / "rules.py").write_text("def score(rows): return rows.a\n")
    before = load(tmp_path, text).digest
    (tmp_path / "rules.py").write_text("def score(rows): return rows.b\n")
    assert len({without, before, load(tmp_path, text).digest}) == 3


def test_reading_a_spec_does_not_import_prefect_or_an_engine(tmp_path: Path) -> None:
    file = write(tmp_path, DESIGN)
    program = (
        "import sys, pathlib; from flows.spec.model import load_spec; load_spec(pathlib.Path(sys.argv[1]), {}); "
        "print(sorted({'prefect', 'sqlalchemy', 'duckdb', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(file)], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_names_of_tables_may_hold_dots_in_quotes() -> None:
    assert table_name("t") == TableName("t")
    assert table_name("t", "main") == TableName("t", "main")
    assert table_name("s.t", "main") == TableName("t", "s")
    assert table_name('"a.b".c') == TableName("c", "a.b")
    assert table_name('s."o""x.y"') == TableName('o"x.y', "s")
    for wrong in ("", ".t", "s.", "a.b.c", '"a', '"a"b'):
        with pytest.raises(ValueError, match=r"is not|quote"):
            table_name(wrong)


def test_a_spec_travels_to_other_processes_and_does_not_change(tmp_path: Path) -> None:
    spec = load(tmp_path, DESIGN)
    copy = pickle.loads(pickle.dumps(spec))
    assert (copy.digest, copy.tables, copy.where("name")) == (spec.digest, spec.tables, spec.where("name"))
    with pytest.raises(ValueError, match="frozen"):
        spec.name = "other"


def test_the_json_schema_accepts_what_the_spec_accepts_and_describes_every_key() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    short = "defaults: {delete: ignore, window: 5, runner: {dask: {workers: 2}}}\n"
    for text in (DESIGN, SMALL, SMALL + short, SMALL.replace('"sqlite:///a.db"', "{secret: x}")):
        assert not list(validator.iter_errors(yaml.safe_load(text)))
    assert list(validator.iter_errors(yaml.safe_load(DESIGN.replace("columns:", "colums:"))))
    parts = [schema, *(part for each in schema["$defs"].values() for part in (each, *each.get("anyOf", ())))]
    for part in parts:
        for name, described in part.get("properties", {}).items():
            refers = schema["$defs"].get(described.get("$ref", "").rpartition("/")[2], {})
            assert described.get("description") or refers.get("description"), f"{part.get('title')}.{name}"

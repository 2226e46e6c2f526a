"""The spec: what it accepts, what it refuses and in which words, and what it never shows."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.spec import SecretRef, Spec, json_schema, load_spec, resolve_url, table_name
from transforms.vocabulary import Relation, SpecError, TableName

DESIGN = """\
version: 1
name: nycflights
source: {url: "sqlite:///legacy.db", time_zone: America/New_York}   # zone of naive timestamps
target: {url: "duckdb:///core.db", schema: main}
state:  {url: "sqlite:///.syncline/ledger.db", store: ".syncline/store"}
defaults:
  delete: {policy: hard, max_ratio: 0.2}        # hard | soft | ignore; a plan that deletes more stops
  window: {rows: 100000}
  on_invalid: quarantine                        # or fail
  drift: fail                                   # or evolve: additive DDL only
tables:
  airport:                                      # a target table
    from: airports                              # a source table, or {query: "select …"}
    key: [faa]
    columns:
      airport_id: {generate: identity}          # a surrogate key of the target
      faa: faa                                  # rename
      name: {from: name}
      altitude_m: {expr: "alt * 0.3048", inverse: {alt: "altitude_m / 0.3048"}}   # SQL over the source columns
      kind: {from: kind, map: {A: large, B: small}, default: error}
      tz: {const: "UTC"}
  flight:
    from: flights
    key: [carrier, number, origin, departed_on]
    where: "year = 2013"                        # in the source's dialect, pushed down
    columns:
      carrier: carrier
      number: flight
      origin: origin
      departed_on: {expr: "make_date(year, month, day)"}
      dest_id: {lookup: {table: airport, match: {faa: dest}, take: airport_id}, missing: quarantine}
      score: {python: "rules.score", columns: [a, b]}        # pandas: DataFrame in, Series out
    ignore: [last_updated]                      # never compared
    expect:                                     # Great Expectations names and arguments
      - {type: expect_column_values_to_not_be_null, column: departed_on, severity: critical}
    loaded:                                     # after load, on the target
      - {type: expect_table_row_count_to_equal, value: "$source_rows"}
direction: one_way                              # or two_way
conflict: {resolve: newer_wins, clock: updated_at}   # source_wins | target_wins | newer_wins | merge | manual
"""

ROOT = Path(__file__).parent.parent

HEAD = """\
version: 1
name: m
source: {url: "sqlite:///a.db"}
target: {url: "sqlite:///b.db"}
"""
SMALL = HEAD + "tables:\n  t: {from: t, key: [id]}\n"


def write(folder: Path, text: str, name: str = "spec.yaml") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def load(folder: Path, text: str, **environ: str) -> Spec:
    return load_spec(write(folder, text), environ)


def problems(folder: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(folder, text, **environ)
    assert caught.value.__cause__ is None or "secret" not in str(caught.value.__cause__)
    return [line.removeprefix(f"{folder}/") for line in str(caught.value).splitlines()]


def with_column(text: str) -> str:
    return f"{HEAD}tables:\n  t:\n    from: t\n    columns:\n      c: {text}\n"


def column(folder: Path, text: str) -> Any:
    return load(folder, with_column(text)).tables["t"].columns["c"]  # type: ignore[index]


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


def test_all_mistakes_are_listed_at_once_each_with_its_line_and_what_was_meant(tmp_path: Path) -> None:
    text = DESIGN.replace("policy: hard", "policy: hrd").replace("rows: 100000", "rows: lots")
    text = text.replace("    where:", "    whre:").replace("America/New_York", "America/NewYork")
    text = text.replace("take: airport_id", "tak: airport_id").replace("generate: identity", "generate: identity, x: 1")
    text = text.replace("resolve: newer_wins, clock: updated_at", "resolve: newer_wins").replace("value:", "severity:")
    text = text.replace("from: airports ", "form: airports ")
    assert problems(tmp_path, text) == [
        "spec.yaml:3: source.time_zone is no known time zone. Did you mean America/New_York?",
        "spec.yaml:7: defaults.delete.policy must be hard, soft or ignore, not 'hrd'. Did you mean hard?",
        "spec.yaml:8: defaults.window.rows must be a whole number, not 'lots'.",
        "spec.yaml:12: tables.airport.from is missing. Fix: add `from:`.",
        "spec.yaml:13: tables.airport.form is not a known key. Did you mean from?",
        "spec.yaml:16: tables.airport.columns.airport_id.x is not a known key. Known: cast, columns, const, default, "
        "expr, from, generate, inverse, lookup, map, missing, nul, python, tolerance, zero_date.",
        "spec.yaml:25: tables.flight.whre is not a known key. Did you mean where?",
        "spec.yaml:31: tables.flight.columns.dest_id.lookup.take is missing. Fix: add `take:`.",
        "spec.yaml:31: tables.flight.columns.dest_id.lookup.tak is not a known key. Did you mean take?",
        "spec.yaml:37: tables.flight.loaded[0].severity must be critical, warning or info, not '$source_rows'.",
        "spec.yaml:39: conflict.resolve is newer_wins, which needs a clock. Fix: add `clock:` and a timestamp column.",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "spec.yaml:1: the file is empty. Fix: begin with `version: 1`."),
        ("# nothing\n", "spec.yaml:1: the file is empty. Fix: begin with `version: 1`."),
        ("- a\n", "spec.yaml:1: the file must be a mapping that begins with `version: 1`."),
        ("a: 1\nb: [1, 2\nc: 3\n", "spec.yaml:3: this is not valid YAML: expected ',' or ']', but got ':'."),
        ("a: 1\n\tb: 2\n", "spec.yaml:2: this is not valid YAML: found character '\\t' that cannot start any token."),
        ("a: {b: 1,\n  c: ${X}}\n", "spec.yaml:2: this is not valid YAML: expected ',' or '}', but got '{'. Fix: put "
         "values with ${NAME} in quotes."),
        ("a: 1\n---\nb: 2\n", "spec.yaml:2: this is not valid YAML: but found another document."),
        ("a: 1\nb: \x07\n", "spec.yaml:2: this is not valid YAML: special characters are not allowed."),
        ("a: 1\nb: !!python/name:os.system x\n", "spec.yaml:2: the tag tag:yaml.org,2002:python/name:os.system is "
         "not used in specs. Fix: remove it."),
        ("a: &x [*x]\n", "spec.yaml:1: a[0] contains itself. Fix: remove the alias."),
        (SMALL + "name: n\n", "spec.yaml:7: name is given twice, first in line 2. Fix: keep one."),
        (with_column("{from: a, from: b}"), "spec.yaml:9: tables.t.columns.c.from is given twice, first in "
         "line 9. Fix: keep one."),
        (SMALL.replace("version: 1", "version: 2"), "spec.yaml:1: version must be 1, not 2."),
        (SMALL.replace("name: m", "name: a/b"), "spec.yaml:2: name must match '^[A-Za-z0-9_]"),
        (SMALL.replace("[id]", "[]"), "spec.yaml:6: tables.t.key is empty. Fix: name the columns by which rows are "
         "matched."),
        (SMALL.replace("[id]", "[id, id]"), "spec.yaml:6: tables.t.key[1] names a column twice."),
        (SMALL.replace("[id]", "[1]"), "spec.yaml:6: tables.t.key[0] must be text. Fix: put it in quotes."),
        (SMALL.replace("t: {", "2013: {"), "spec.yaml:6: tables[2013] must be text. Fix: put it in quotes."),
        (SMALL.replace("[id]", "[idd], columns: {id: id}"), "spec.yaml:6: tables.t.key[0] is not among the columns. "
         "Did you mean id?"),
        (SMALL.replace("[id]", "[id], columns: {id: {generate: identity}}"), "spec.yaml:6: tables.t.key[0] is "
         "generated, and rows are matched by what the source has."),
        (SMALL.replace("[id]", "[id], ignore: [id]"), "spec.yaml:6: tables.t.ignore[0] is part of the key, which is "
         "always compared."),
        (SMALL.replace("{from: t, key: [id]}", ""), "spec.yaml:6: tables.t must be a mapping."),
        (SMALL.replace("from: t,", "from: {query: select 1, table: t},"), "spec.yaml:6: tables.t.from takes a table's "
         "name, or {query: …}."),
        (SMALL + "  u: {from: t, target: t}\n", "spec.yaml:7: tables.u writes t, and so does tables.t. Fix: keep one "
         "of them."),
        (SMALL + "  a.b.c: {from: t}\n", "spec.yaml:7: tables.a.b.c 'a.b.c' is not table or schema.table. Fix: write "
         "names with dots as \"a.b\", in quotes."),
        (SMALL + "defaults: {delete: soft}\n", "spec.yaml:7: defaults.delete.policy is soft, which needs the flag "
         "column. Fix: add `column:`."),
        (SMALL + "defaults: {runner: dusk}\n", "spec.yaml:7: defaults.runner must be threads or dask. Did you mean "
         "dask?"),
        (SMALL + "defaults: {delete: {max_ratio: 2}}\n", "spec.yaml:7: defaults.delete.max_ratio must be less than or "
         "equal to 1, not 2."),
        (SMALL.replace("sqlite:///a.db", "a.db"), "spec.yaml:3: source.url is not a URL. Fix: write it like "
         "sqlite:///file.db or postgresql://user@host/database."),
        (SMALL.replace('"sqlite:///a.db"', "{secrt: x}"), "spec.yaml:3: source.url takes a URL as text, or {secret: "
         "name-of-a-prefect-block}."),
        (SMALL.replace("key: [id]", "expect: [{colum: x}]"), "spec.yaml:6: tables.t.expect[0].type is missing. Fix: "
         "add `type:`."),
        (SMALL + "state: {store: 's3://bucket/x'}\n", "spec.yaml:7: state.store must be a folder of this machine, and "
         "no URL."),
        (with_column("{cast: int, expr: a, from: b}"), "spec.yaml:9: tables.t.columns.c has from and expr. "
         "Fix: give exactly one of from, expr, const, generate, lookup, python."),
        (with_column("{cast: text}"), "spec.yaml:9: tables.t.columns.c says not where its values come from. "
         "Fix: give exactly one of from, expr, const, generate, lookup, python."),
        (with_column("{from: a, missing: fail}"), "spec.yaml:9: tables.t.columns.c.missing has a meaning only "
         "together with lookup. Fix: add lookup or remove missing."),
        (with_column("{from: a, cast: intger}"), "spec.yaml:9: tables.t.columns.c.cast.type 'intger' is not a "
         "type that Syncline casts to. Did you mean integer?"),
        (with_column("{from: a, cast: {type: text, format: x}}"), "spec.yaml:9: tables.t.columns.c.cast.format"
         " is for dates and times, and the type is text. Fix: remove it."),
        (with_column("{from: a, tolerance: -1}"), "spec.yaml:9: tables.t.columns.c.tolerance must be greater "
         "than or equal to 0, not -1."),
        (with_column("{const: [1]}"), "spec.yaml:9: tables.t.columns.c.const must be a single value: text, a "
         "number, true, false or null."),
        (with_column("{lookup: {table: t, match: {c: x}, take: id}}"), "spec.yaml:9: tables.t.columns.c.lookup"
         " is looked up by way of itself. Fix: take and match other columns."),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_file_line_and_fix(tmp_path: Path, text: str, message: str) -> None:
    assert any(line.startswith(message) for line in problems(tmp_path, text)), problems(tmp_path, text)


def test_a_file_that_is_not_there_or_is_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"none\.yaml: there is no such file\. Fix: "):
        load_spec(tmp_path / "none.yaml", {})
    with pytest.raises(SpecError, match=r": cannot be read: Is a directory"):
        load_spec(tmp_path, {})
    (tmp_path / "latin.yaml").write_bytes("a: 1\nname: Müller\n".encode("latin-1"))
    with pytest.raises(SpecError, match=r"latin\.yaml:2: the file is not UTF-8 text"):
        load_spec(tmp_path / "latin.yaml", {})


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
    assert (spec.direction, spec.conflict.resolve) == ("two_way", "manual")


def test_merged_and_aliased_parts_count_as_written(tmp_path: Path) -> None:
    text = SMALL + "  u:\n    <<: {from: u, where: a}\n    where: b\n  v: &v {from: v}\n  w: {<<: *v, target: w}\n"
    tables = load(tmp_path, text).tables
    assert (tables["u"].where, tables["w"].from_.table, tables["w"].target) == ("b", "v", "w")


PLACES = [
    place
    for place in range(len(DESIGN))
    if DESIGN[place] in '{[:"' and "#" not in DESIGN[DESIGN.rfind("\n", 0, place) + 1 : place]
]
ODD = [
    "x",
    "1",
    "[]",
    "{}",
    "null",
    "[1, {a: b}]",
    "{a: 1}",
    "true",
    "''",
    "${X}",
    "*a",
    "&a",
    "- ",
    ": ",
    "\n",
    "\t",
    "2.5",
]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.sampled_from(PLACES), odd=st.sampled_from(ODD), over=st.integers(0, 12))
def test_whatever_is_wrong_the_answer_is_a_list_of_lines(tmp_path: Path, place: int, odd: str, over: int) -> None:
    text = DESIGN[: place + 1] + " " + odd + DESIGN[place + 1 + over :]
    try:
        load(tmp_path, text, X="very secret")
    except SpecError as error:
        for line in str(error).splitlines():
            assert line.startswith(f"{tmp_path}/spec.yaml:") and line.endswith((".", "?")), line
            assert "very secret" not in line


# The environment


def test_the_environment_is_read_whole_and_inside_and_can_be_escaped(tmp_path: Path) -> None:
    text = SMALL.replace(
        "key: [id]", "where: \"a = '${YEAR}' and b = '$${YEAR}' and c = '$source'\", window: '${ROWS}'"
    )
    spec = load(tmp_path, text, YEAR="2013", ROWS="7")
    assert spec.tables["t"].where == "a = '2013' and b = '${YEAR}' and c = '$source'"
    assert spec.window_rows("t") == 7


def test_every_unset_variable_is_named_with_its_line(tmp_path: Path) -> None:
    text = SMALL.replace("sqlite:///a.db", "postgresql://${USER_A}:${PW}@h/d").replace("sqlite:///b.db", "${1}")
    assert problems(tmp_path, text) == [
        "spec.yaml:3: source.url needs the environment variable USER_A, which is not set. Fix: export USER_A=….",
        "spec.yaml:3: source.url needs the environment variable PW, which is not set. Fix: export PW=….",
        "spec.yaml:4: target.url has '${1}', which names no variable. Fix: write $${ for a plain ${.",
    ]


def test_secrets_never_show(tmp_path: Path) -> None:
    text = SMALL.replace("sqlite:///a.db", "postgresql://me:${PW}@h/d").replace(
        "sqlite:///b.db", "mysql://u:hun/t2@h/d"
    )
    text = text.replace("[id]", "[id], where: \"token = '${PW}'\"")
    spec = load(tmp_path, text, PW="s3cr3t-pw")
    shown = repr(spec) + str(spec) + repr(spec.source) + str(spec.target.url) + json.dumps(spec.document)
    shown += spec.source.model_dump_json() + spec.target.model_dump_json()
    assert "s3cr3t" not in shown and "hun" not in shown and "t2@" not in shown
    assert spec.document["source"]["url"] == "postgresql://me:***@h/d"
    assert spec.document["tables"]["t"]["where"] == "token = '${PW}'"
    assert spec.hidden("bad token s3cr3t-pw") == "bad token ${PW}"
    assert resolve_url(spec.source.url) == "postgresql://me:s3cr3t-pw@h/d"


def test_secrets_are_not_in_messages(tmp_path: Path) -> None:
    text = SMALL.replace("sqlite:///a.db", "${URL}").replace(
        "[id]", "[id], on_invalid: '${POLICY}', target: '${POLICY}.b.c'"
    )
    lines = problems(tmp_path, text, URL="s3cr3t-host", POLICY="secret-policy")
    assert len(lines) == 2 and "secret" not in "".join(lines) and "s3cr3t" not in "".join(lines)
    assert "not '${POLICY}'" in lines[1]
    text = SMALL.replace("key: [id]", "target: '${NAME}.b.c'")
    assert "'${NAME}.b.c' is not table" in problems(tmp_path, text, NAME="very-secret")[0]


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


# Places


@pytest.mark.parametrize(
    ("url", "resolved"),
    [
        ("sqlite:///a.db", "sqlite:///{folder}/a.db"),
        ("sqlite+pysqlite:///sub/a.db?mode=ro", "sqlite+pysqlite:///{folder}/sub/a.db?mode=ro"),
        ("duckdb:///../a.db", "duckdb:///{folder}/../a.db"),
        ("sqlite:////srv/a.db", "sqlite:////srv/a.db"),
        ("duckdb:///:memory:", "duckdb:///:memory:"),
        ("sqlite://", "sqlite://"),
        ("sqlite:///file:a.db?uri=true", "sqlite:///file:a.db?uri=true"),
        ("postgresql://u@h/a.db", "postgresql://u@h/a.db"),
    ],
)
def test_relative_files_lie_beside_the_spec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, resolved: str
) -> None:
    monkeypatch.chdir("/")
    spec = load(tmp_path, SMALL.replace("sqlite:///a.db", url))
    assert resolve_url(spec.source.url) == resolved.format(folder=tmp_path)
    assert spec.state.store == tmp_path / ".syncline/store"
    assert resolve_url(spec.state.url) == f"sqlite:///{tmp_path}/.syncline/ledger.db"
    assert spec.folder == tmp_path


def test_a_url_may_be_a_secret_block(tmp_path: Path) -> None:
    spec = load(tmp_path, SMALL.replace('"sqlite:///a.db"', "{secret: legacy-url}"))
    assert isinstance(spec.source.url, SecretRef)
    assert spec.source.url.block == "legacy-url"


def test_a_prefect_server_that_is_away_is_a_clear_error(tmp_path: Path) -> None:
    program = (
        "from flows.spec import SecretRef, resolve_url\n"
        "try: resolve_url(SecretRef('legacy-url'))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    environ = {**os.environ, "PREFECT_API_URL": "http://127.0.0.1:1/api", "PREFECT_HOME": str(tmp_path)}
    environ |= {"DO_NOT_TRACK": "1", "PREFECT_CLIENT_MAX_RETRIES": "0"}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.stdout.startswith(
        "ConnectionFailed The Prefect server that keeps the Secret block 'legacy-url' does not"
    )


def test_reading_a_spec_does_not_import_prefect_or_an_engine(tmp_path: Path) -> None:
    file = write(tmp_path, DESIGN)
    program = (
        "import sys, pathlib; from flows.spec import load_spec; load_spec(pathlib.Path(sys.argv[1]), {}); "
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


# Editors


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

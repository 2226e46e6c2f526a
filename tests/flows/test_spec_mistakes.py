"""Mistakes in a spec: all of them at once, each with its line and what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from specs import DESIGN, SMALL, load, problems, with_column

from flows.spec.model import load_spec
from flows.spec.problems import meant
from transforms.vocabulary import SpecError


def test_all_mistakes_are_listed_at_once_each_with_its_line_and_what_was_meant(tmp_path: Path) -> None:
    text = DESIGN.replace("policy: hard", "policy: hrd").replace("rows: 100000", "rows: lots")
    text = text.replace("    where:", "    whre:").replace("America/New_York", "America/NewYork")
    text = text.replace("take: airport_id", "tak: airport_id").replace("generate: identity", "generate: identity, x: 1")
    text = text.replace("resolve: newer_wins", "resolve: newest_wins").replace("value:", "severity:")
    text = text.replace("from: airports ", "form: airports ")
    assert problems(tmp_path, text) == [
        "spec.yaml:3: source.time_zone is no known time zone. Did you mean America/New_York?",
        "spec.yaml:7: defaults.delete.policy must be hard, soft or ignore, not 'hrd'. Did you mean hard?",
        "spec.yaml:8: defaults.window.rows must be a whole number, not 'lots'.",
        "spec.yaml:12: tables.airport.from is missing. Fix: add `from:`.",
        "spec.yaml:13: tables.airport.form is not a known key. Did you mean from?",
        "spec.yaml:16: tables.airport.columns.airport_id.x is not a known key. Known: cast, columns, const, default, "
        "except, expr, from, generate, inverse, lookup, map, missing, nul, python, tolerance, zero_date.",
        "spec.yaml:25: tables.flight.whre is not a known key. Did you mean where?",
        "spec.yaml:31: tables.flight.columns.dest_id.lookup.take is missing. Fix: add `take:`.",
        "spec.yaml:31: tables.flight.columns.dest_id.lookup.tak is not a known key. Did you mean take?",
        "spec.yaml:37: tables.flight.loaded[0].severity must be critical, warning or info, not '$source_rows'.",
        "spec.yaml:39: conflict.resolve must be source_wins, target_wins, newer_wins, merge, manual or fail, not 'newest_wins'. "
        "Did you mean newer_wins?",
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
        (SMALL + "  u: {from: t, target: t}\n", "spec.yaml:7: tables.u writes t, and so does tables.t. Fix: make one "
         "of them, with `from:"),
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
        (with_column("{from: a, tolerance: -1}"), "spec.yaml:9: tables.t.columns.c.tolerance.absolute must be "
         "greater than or equal to 0."),
        (with_column("{from: a, tolerance: {relative: 1}}"), "spec.yaml:9: tables.t.columns.c.tolerance.relative must be "
         "less than 1, not 1."),
        (with_column("{from: a, tolerance: {}}"), "spec.yaml:9: tables.t.columns.c.tolerance says nothing. "
         "Fix: write a number, {absolute: …} or {relative: …}."),
        (with_column("{from: a, tolerance: close}"), "spec.yaml:9: tables.t.columns.c.tolerance must be a number, "
         "{absolute: …} or {relative: …}."),
        (SMALL.replace("[id]", "[id], columns: {id: {from: id, tolerance: 1}}"), "spec.yaml:6: tables.t.columns.id.tolerance is "
         "for columns beside the key, which is compared exactly."),
        (with_column("{except: [a]}"), "spec.yaml:9: tables.t.columns.c.except is for the column \"*\" alone. Fix: remove it."),
        (SMALL.replace("[id]", "[id], columns: {\"*\": a}"), "spec.yaml:6: tables.t.columns.* takes \"*\" or {except: […]}: the "
         "rest goes under its own names."),
        (SMALL.replace("[id]", "[id], columns: {\"*\": {except: [a], cast: text}}"), "spec.yaml:6: tables.t.columns.*.except "
         "stands alone, in the column *. Fix: remove what is beside it."),
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


@settings(max_examples=150)
@given(place=st.sampled_from(PLACES), odd=st.sampled_from(ODD), over=st.integers(0, 12))
def test_whatever_is_wrong_the_answer_is_a_list_of_lines(tmp_path: Path, place: int, odd: str, over: int) -> None:
    text = DESIGN[: place + 1] + " " + odd + DESIGN[place + 1 + over :]
    try:
        load(tmp_path, text, X="very secret")
    except SpecError as error:
        for line in str(error).splitlines():
            assert line.startswith(f"{tmp_path}/spec.yaml:") and line.endswith((".", "?")), line
            assert "very secret" not in line


@given(st.lists(st.from_regex(r"[a-zA-Z_]{1,12}", fullmatch=True), min_size=1, unique_by=str.casefold), st.data())
def test_a_name_in_another_case_is_answered_with_the_right_spelling(names: list[str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(names))
    assert meant(name.swapcase(), names) == f"Did you mean {name}?"


@pytest.mark.parametrize(("wrong", "right"), [("ORDERS", "orders"), ("ORDRES", "orders"), ("orderlines", "OrderLine")])
def test_a_mistake_in_a_name_of_another_case_is_recognized(wrong: str, right: str) -> None:
    assert meant(wrong, ["customer", "orders", "OrderLine"]) == f"Did you mean {right}?"

"""Everything that can be wrong in a spec before a row moves: a clear error in a line or two, and the target as it was."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner
from refusing import COLUMNS, T, refused, with_columns
from refusing import everywhere as everywhere
from refusing import small as small
from scenario import Scenario

from flows.cli.main import main


def test_a_right_spec_passes(everywhere: Scenario) -> None:
    done = CliRunner().invoke(main, ["check", str(everywhere.path)])
    assert (done.exit_code, done.stderr) == (0, "")


def test_an_unknown_source_column(everywhere: Scenario) -> None:
    everywhere.write(with_columns(name="nmae"))
    refused(everywhere, "spec.yaml:", "the source has no column nmae", "Did you mean name?")


def test_an_unknown_target_column(everywhere: Scenario) -> None:
    everywhere.write({"t": {**T, "columns": {**COLUMNS, "nmae": "name"}}})
    refused(everywhere, "spec.yaml:", "t has no column nmae", "Did you mean name?")


def test_an_unknown_column_in_an_expression(small: Scenario) -> None:
    small.write(with_columns(name={"expr": "upper(nmae)"}))
    refused(small, "spec.yaml:", "the source has no column nmae", "Did you mean name?")


@pytest.mark.parametrize(
    "sql",
    ["upper(", "sum(n)", "no_such_function(n)", "n + name + date '2024-01-01'", "*", "unnest([n])", "n; k", "n, k"],
)
def test_an_expression_that_is_none(small: Scenario, sql: str) -> None:
    small.write(with_columns(n={"expr": sql}))
    refused(small, "spec.yaml:", "n:", commands=("check",))


def test_all_problems_are_told_at_once_a_line_each(small: Scenario) -> None:
    small.write({"t": {**T, "columns": {"k": "k", "name": "nmae", "n": "m"}}})
    done = CliRunner().invoke(main, ["plan", str(small.path)])
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 2


def test_an_unknown_source_table(small: Scenario) -> None:
    small.write({"t": {**T, "from": "tt"}})
    refused(small, "spec.yaml:", "the source has no table tt", "Did you mean t?")


def test_a_query_that_is_wrong(everywhere: Scenario) -> None:
    for query in ("SELECT * FROM nowhere", "SELECT k k FROM", "DELETE FROM t"):
        before = everywhere.source.content()
        everywhere.write({"t": {**T, "from": {"query": query}}})
        refused(everywhere, commands=("plan",))
        assert everywhere.source.content() == before


def test_a_condition_that_is_wrong(everywhere: Scenario) -> None:
    everywhere.write({"t": {**T, "where": "no_such_column = 1"}})
    refused(everywhere, "no_such_column", commands=("plan", "run"))


def test_a_lookup_that_matches_twice(everywhere: Scenario) -> None:
    everywhere.source.execute("CREATE TABLE p (a bigint, b bigint)", "INSERT INTO p VALUES (1, 10), (2, 20), (2, 21)")
    lookup = {"table": "p", "match": {"a": "n"}, "take": "b", "side": "source"}
    everywhere.write(with_columns(n={"lookup": lookup}))
    refused(everywhere, "t.n", "matches more than one row", "(2)", "Fix:", commands=("plan", "run"))


def test_a_lookup_that_names_nothing(small: Scenario) -> None:
    for lookup, said in (
        ({"table": "tt", "match": {"k": "k"}, "take": "n"}, "no table tt"),
        ({"table": "t", "match": {"kk": "k"}, "take": "n", "side": "source"}, "no column kk"),
        ({"table": "t", "match": {"k": "kk"}, "take": "n", "side": "source"}, "no column kk"),
        ({"table": "t", "match": {"k": "k"}, "take": "nn", "side": "source"}, "no column nn"),
        ({"table": "t", "match": {"k": "name"}, "take": "n", "side": "source"}, "never match"),
    ):
        small.write(with_columns(n={"lookup": lookup}))
        refused(small, "spec.yaml:", said, commands=("check",))


def test_lookups_in_a_circle(small: Scenario) -> None:
    def of(other: str) -> dict[str, Any]:
        return {**T, "columns": {**COLUMNS, "n": {"lookup": {"table": other, "match": {"k": "n"}, "take": "k"}}}}

    small.write({"a": {**of("b"), "target": "t"}, "b": of("a")})
    refused(small, "lookups go in a circle", "Fix:")


def test_a_lookup_that_fails(small: Scenario) -> None:
    small.source.execute("CREATE TABLE p (a bigint, b bigint)", "INSERT INTO p VALUES (1, 10)")
    lookup = {"table": "p", "match": {"a": "n"}, "take": "b", "side": "source"}
    small.write(with_columns(n={"lookup": lookup, "missing": "fail"}))
    refused(small, "t.n", "2", "Fix:", commands=("plan", "run"))


def test_a_cast_that_fails(everywhere: Scenario) -> None:
    everywhere.write({"t": {**with_columns(n={"from": "name", "cast": "bigint"})["t"], "on_invalid": "fail"}})
    refused(everywhere, "t.n", "'one'", "Fix:", commands=("plan", "run"))


def test_types_that_do_not_go_together_without_a_cast(everywhere: Scenario) -> None:
    everywhere.write(with_columns(n="name"))
    refused(everywhere, "spec.yaml:", "name", "cast", "Fix:")


def test_a_missing_variable(small: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    small.write({"t": T}, target={"url": "postgresql://me:${NOT_SET}@localhost/x"})
    refused(small, "spec.yaml:", "NOT_SET", "not set", "Fix:")


def test_a_misspelt_key_of_the_spec(small: Scenario) -> None:
    small.write({"t": {**T, "colums": COLUMNS}})
    refused(small, "spec.yaml:", "colums", "Did you mean columns?")


def test_a_file_that_is_no_spec(small: Scenario) -> None:
    for text in ("", "[]", "a: [", "version: 2", "\x00", "version: 1\nname: x"):
        small.path.write_text(text)
        done = CliRunner().invoke(main, ["plan", str(small.path)])
        assert done.exit_code == 1
        assert "spec.yaml" in done.stderr
    done = CliRunner().invoke(main, ["plan", str(small.folder / "nowhere.yaml")])
    assert (done.exit_code, "there is no such file" in done.stderr) == (1, True)
    done = CliRunner().invoke(main, ["plan", str(small.folder)])
    assert done.exit_code == 1


def test_a_target_without_a_unique_constraint_on_the_key(everywhere: Scenario) -> None:
    everywhere.target.execute("CREATE TABLE u (k bigint, name text, n bigint)", "CREATE INDEX i ON u (k)")
    everywhere.write({"u": T})
    refused(everywhere, "spec.yaml:", "no unique constraint on exactly (k)", "Fix:", commands=("check", "run"))
    shown = CliRunner().invoke(main, ["plan", str(everywhere.path)])  # looking is allowed
    assert shown.exit_code == 2
    assert "no unique constraint on exactly (k)" in " ".join(shown.stdout.split())
    assert "cannot be applied" in shown.stdout
    assert "Apply with" not in shown.stdout


def test_a_source_table_without_a_primary_key(everywhere: Scenario) -> None:
    everywhere.source.execute("CREATE TABLE u (k bigint, name text)")
    everywhere.write({"t": {"from": "u"}})
    refused(everywhere, "spec.yaml:", "no primary key", "Fix:")


def test_a_required_column_that_nothing_fills(everywhere: Scenario) -> None:
    everywhere.target.execute("CREATE TABLE u (k bigint PRIMARY KEY, name text NOT NULL)")
    everywhere.write({"u": {"from": "t", "key": ["k"], "columns": {"k": "k"}}})
    refused(everywhere, "spec.yaml:", "name takes no nulls", "Fix:")


def test_a_soft_delete_without_a_place_for_its_flag(small: Scenario) -> None:
    for column, said in (("gone", "no column gone"), ("n", "cannot be mapped too"), (None, "flag column")):
        policy = {"policy": "soft"} | ({"column": column} if column else {})
        small.write({"t": {**T, "delete": policy}})
        refused(small, "spec.yaml:", said, commands=("check",))


def test_a_python_function_that_is_not_there(small: Scenario) -> None:
    small.write(with_columns(n={"python": "rules.score", "columns": ["n"]}))
    refused(small, "spec.yaml:", "rules cannot be imported", "Fix:")
    (small.folder / "rules.py").write_text("def scores(frame):\n    return frame['n']\n")
    refused(small, "spec.yaml:", "no function score", "Did you mean scores?")


def test_a_python_function_that_breaks(small: Scenario) -> None:
    (small.folder / "breaking.py").write_text("def score(frame):\n    raise RuntimeError('two\\nlines')\n")
    small.write(with_columns(n={"python": "breaking.score", "columns": ["n"]}))
    refused(small, "breaking.score", "RuntimeError", commands=("plan", "run"))


def test_a_python_function_that_mixes_types(small: Scenario) -> None:
    (small.folder / "mixing.py").write_text(
        "import pandas as pd\n\ndef score(frame):\n    return pd.Series([1, 'a', object()])\n"
    )
    small.write(with_columns(n={"python": "mixing.score", "columns": ["n"]}))
    refused(small, "mixing.score", commands=("plan", "run"))


@pytest.mark.parametrize(
    "column",
    [
        {"from": "name", "map": {1: "one", 2: "two"}, "default": "keep"},
        {"from": "name", "map": {"one": None}, "default": "keep"},
        {"from": "name", "map": {"one": "uno"}, "default": 5},
    ],
)
def test_a_value_map_works_or_says_what_is_wrong(small: Scenario, column: dict[str, Any]) -> None:
    small.write(with_columns(name=column))
    done = CliRunner().invoke(main, ["plan", str(small.path)])
    assert "unexpected" not in done.stderr, done.stderr
    assert done.exit_code in (1, 2)


def test_what_is_for_both_ways_and_goes_one_way_is_said_and_not_passed_over(small: Scenario) -> None:
    small.write({"t": T}, conflict={"resolve": "source_wins"})
    refused(small, "spec.yaml:", "conflict is for changes that go both ways", "Fix: remove it")
    small.write({"t": {**T, "initial": "source"}})
    refused(small, "spec.yaml:", "tables.t.initial is for changes that go both ways", "Fix: remove it")
    small.write(with_columns(name={"from": "name", "inverse": {"name": "upper(name)"}}))
    refused(small, "spec.yaml:", "tables.t.columns.name.inverse is for", "Fix: remove it", commands=("check", "run"))


def test_an_unknown_table_on_the_command_line(small: Scenario) -> None:
    for command in (["plan"], ["run", "--direct"], ["verify"]):
        done = CliRunner().invoke(main, [command[0], str(small.path), *command[1:], "--table", "tt"])
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
        assert "Did you mean t?" in done.stderr
    done = CliRunner().invoke(main, ["quarantine", str(small.path), "list", "--table", "tt"])
    assert (done.exit_code, "Did you mean t?" in done.stderr) == (1, True)

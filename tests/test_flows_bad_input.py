"""Everything that can be wrong before a row moves: a clear error in a line or two, and the target as it was."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from scenario import PAIRS, Engine, Scenario, Side, pair_name

from flows.cli import main

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = {"k": "k", "name": "name", "n": "n"}
T: dict[str, Any] = {"from": "t", "key": ["k"], "columns": COLUMNS}


@pytest.fixture(params=[PAIRS[0], PAIRS[1], PAIRS[2]], ids=pair_name)
def everywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    return filled(Scenario.make(tmp_path, request.param, request))


@pytest.fixture
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    return filled(Scenario.make(tmp_path, PAIRS[0], request))


def filled(made: Scenario) -> Scenario:
    """Three rows in the source, another one in the target, and a spec that would work."""
    for side in (made.source, made.target):
        side.execute("CREATE TABLE t (k bigint PRIMARY KEY, name text, n bigint)")
    made.source.insert("t", [(1, "one", 1), (2, "two", 2), (3, "drei", 2)])
    made.target.insert("t", [(1, "old", 1)])
    made.write({"t": T})
    return made


def refused(scenario: Scenario, *said: str, commands: tuple[str, ...] = ("check", "plan", "run")) -> str:
    """Each command ends with status 1 and says all of `said` in at most two lines; the target is as it was."""
    before = scenario.target.content()
    message = ""
    for command in commands:
        direct = ["--direct"] if command == "run" else []
        done = CliRunner().invoke(main, [command, str(scenario.path), *direct])
        message = done.stderr
        assert done.exit_code == 1, (command, done.output)
        assert done.stdout == "", command
        problems = [line for line in message.splitlines() if "about" not in line]
        assert len(problems) <= 2, message
        assert "Traceback" not in message
        assert "unexpected" not in message, message
        assert all(text in message for text in said), message
        assert scenario.target.content() == before
    return message


def with_columns(**columns: Any) -> dict[str, Any]:
    return {"t": {**T, "columns": {**COLUMNS, **columns}}}


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


@pytest.mark.parametrize("side", ["source", "target"])
def test_an_unreachable_server(small: Scenario, side: str) -> None:
    url = "postgresql://me:hunter2@127.0.0.1:1/nowhere"
    small.write({"t": T}, **{side: {"url": url}})
    message = refused(small, "127.0.0.1", "Fix:")
    assert "hunter2" not in message


@pytest.mark.parametrize("url", ["sqlite:///no/such/folder/x.db", "duckdb:///no/such/folder/x.db", "oracle://x/y"])
def test_a_database_that_is_not_there(small: Scenario, url: str) -> None:
    small.write({"t": T}, target={"url": url})
    refused(small, "Fix:")


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_a_source_that_is_not_there_is_not_made(small: Scenario, engine: str) -> None:
    small.write({"t": T}, source={"url": f"{engine}:///nothing.db"})
    refused(small, "nothing.db", "Fix:")
    assert not (small.folder / "nothing.db").exists()


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_looking_makes_no_target(small: Scenario, engine: Engine) -> None:
    """check, plan and verify write nothing to the target: not even an empty file."""
    small.target = Side(engine, str(small.folder / "fresh.db"))
    small.write({"t": T})
    for command, status in (("check", 0), ("plan", 2), ("verify", 2)):
        done = CliRunner().invoke(main, [command, str(small.path)])
        assert (command, done.exit_code) == (command, status), done.output
        assert not (small.folder / "fresh.db").exists(), command


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_a_file_that_is_no_database(small: Scenario, engine: str) -> None:
    (small.folder / "text.db").write_text("this is no database, however long it may be " * 100)
    small.write({"t": T}, source={"url": f"{engine}:///text.db"})
    refused(small, "text.db", commands=("check",))


def test_a_target_without_a_unique_constraint_on_the_key(everywhere: Scenario) -> None:
    everywhere.target.execute("CREATE TABLE u (k bigint, name text, n bigint)", "CREATE INDEX i ON u (k)")
    everywhere.write({"u": T})
    refused(everywhere, "spec.yaml:", "no unique constraint on exactly (k)", "Fix:")


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


def test_what_cannot_be_run_yet_is_said_and_not_passed_over(small: Scenario) -> None:
    small.write({"t": T}, direction="two_way")
    refused(small, "spec.yaml:", "cannot be run yet", "Fix:")


def test_an_unknown_table_on_the_command_line(small: Scenario) -> None:
    for command in (["plan"], ["run", "--direct"], ["verify"]):
        done = CliRunner().invoke(main, [command[0], str(small.path), *command[1:], "--table", "tt"])
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
        assert "Did you mean t?" in done.stderr
    done = CliRunner().invoke(main, ["quarantine", str(small.path), "list", "--table", "tt"])
    assert (done.exit_code, "Did you mean t?" in done.stderr) == (1, True)


def test_a_ledger_that_cannot_be_opened(small: Scenario) -> None:
    for url in ("sqlite:///no/such/folder/ledger.db", "postgresql://me:hunter2@127.0.0.1:1/ledger"):
        small.write({"t": T}, state={"url": url, "store": "store"})
        before = small.target.content()
        done = CliRunner().invoke(main, ["run", "--direct", str(small.path)])
        if done.exit_code == 0:  # a folder may be made
            assert url.startswith("sqlite")
            continue
        assert (done.exit_code, "unexpected" in done.stderr, "hunter2" in done.stderr) == (1, False, False), done.stderr
        assert small.target.content() == before


@pytest.mark.parametrize("place", ["store", "a-file"])
def test_a_store_that_cannot_be_written(small: Scenario, place: str) -> None:
    (small.folder / place).write_text("a file where a folder should be")
    small.write({"t": T}, state={"url": "sqlite:///ledger.db", "store": place})
    refused(small, place, "Fix:", commands=("plan", "run"))


def _full_store(command: str, small: Scenario) -> tuple[int, str]:
    """Run a command in a process that may write no file beyond 200 kB: what a full disk does, without filling one."""

    def limit() -> None:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", command, str(small.path), *(["--direct"] if command == "run" else [])],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("path", ["ordered", "spill"])
def test_a_full_disk_under_the_store_stops_the_plan(small: Scenario, path: str) -> None:
    noise = Path("/dev/urandom")
    with noise.open("rb") as random:
        small.source.insert("t", [(n, random.read(2000).hex(), n) for n in range(10, 200)])
    if path == "spill":
        small.write({"t": {**T, "from": {"query": "SELECT * FROM t"}}})
    before = small.target.content()
    status, said = _full_store("run", small)
    assert status == 1, said
    assert "Traceback" not in said
    assert "unexpected" not in said, said
    assert "File too large" in said
    assert small.target.content() == before
    done = CliRunner().invoke(main, ["run", "--direct", str(small.path)])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_a_full_disk_under_the_target_rolls_back(small: Scenario, engine: Engine) -> None:
    """The plan is small (its texts compress), the table is not."""
    small.target = Side(engine, str(small.folder / "big.db"))
    small.target.execute("CREATE TABLE t (k bigint PRIMARY KEY, name text, n bigint)")
    small.source.insert("t", [(n, "x" * 4000, n) for n in range(10, 400)])
    small.write({"t": T}, defaults={"window": {"rows": 1000}})
    before = small.target.content()
    status, said = _full_store("run", small)
    assert status == 1, said
    assert "Traceback" not in said
    assert "unexpected" not in said, said
    assert "another transaction" not in said, said
    assert small.target.content() == before
    done = CliRunner().invoke(main, ["run", "--direct", str(small.path)])
    assert done.exit_code == 0, done.output


@pytest.fixture
def cramped(tmp_path: Path) -> Path:
    """A file system of 600 kB, where this user may mount one."""
    place = tmp_path / "cramped"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("mounting needs root")
    return place


@pytest.mark.parametrize("place", ["store", "sqlite", "duckdb"])
def test_a_disk_that_is_really_full(small: Scenario, cramped: Path, place: str) -> None:
    try:
        state = {"url": "sqlite:///ledger.db", "store": str(cramped / "store") if place == "store" else "store"}
        if place in ("sqlite", "duckdb"):
            small.target = Side("sqlite" if place == "sqlite" else "duckdb", str(cramped / "target.db"))
            small.target.execute("CREATE TABLE t (k bigint PRIMARY KEY, name text, n bigint)")
        with Path("/dev/urandom").open("rb") as random:
            small.source.insert("t", [(n, random.read(2000).hex(), n) for n in range(10, 400)])
        small.write({"t": T}, state=state)
        refused(small, "full" if place != "store" else "No space left", "Fix:", commands=("run",))
    finally:
        subprocess.run(["umount", str(cramped)], check=True)

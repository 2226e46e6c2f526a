"""How an assessment ends and is shown: policies and limits, the JSON object, the listing, the exit status."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from assessing import LOOKED, checked, columns, fails, family, findings, table
from click.testing import CliRunner
from scenario import Engine, Scenario

from flows.check.assess import assess
from flows.cli.main import main
from flows.commands import Status


@pytest.fixture
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Engine, Engine], Scenario]:
    """Two empty databases of the engines asked for."""

    def make(source: Engine = "sqlite", target: Engine = "duckdb") -> Scenario:
        return Scenario.make(tmp_path, (source, target), request)

    return make


SUCCEEDS = "A run would succeed: 5 of 9 source rows fit, 4 would go to quarantine."

# --- how a run would end


def test_where_the_spec_says_fail_all_bad_rows_are_shown_and_not_only_the_first(made: Any) -> None:
    small = table(made("sqlite", "postgresql"), "v text", "v varchar(1)", [(n, "long") for n in range(7)])
    small.write(columns(v="v"), defaults={"on_invalid": "fail"})
    found = checked(small)
    assert [(level, n) for level, _, _, n in findings(found)] == [("refused", 7)]
    assert found.status == 1
    assert fails(small)


def test_a_quarantine_above_its_limit_is_told(made: Any) -> None:
    small = table(made("sqlite", "postgresql"), "v text", "v varchar(1)", [(1, "a"), (2, "long"), (3, "long")])
    for most, status in ((1, 1), (2, 0)):
        small.write(columns(v="v"), defaults={"quarantine": {"max_rows": most}})
        found = checked(small)
        assert found.status == status
        assert ("the limit is 1" in found.verdict) == bool(status)
        assert (small.run().status == Status.QUARANTINE) == bool(status)


def test_a_plan_that_deletes_too_much_is_told(made: Any) -> None:
    small = table(made(), "v text", "v text", [(1, "a")])
    small.target.insert("t", [(n, "old") for n in range(2, 12)])
    small.write(columns(v="v"), defaults={"delete": {"max_ratio": 0.5}})
    found = checked(small)
    ((level, column, reason, rows),) = findings(found)
    assert (level, column, rows) == ("refused", "", 10)
    assert "would delete 10 of 10 target rows" in reason
    assert (found.status, found.verdict) == (1, "A run would fail: 1 finding to mend first (t).")


def test_a_table_that_cannot_be_read_to_its_end_is_told_and_the_others_are_assessed(made: Any) -> None:
    small = family(made())
    (small.folder / "rules.py").write_text("def broken(frame):\n    raise ValueError('no')\n")
    parent = {"from": "p", "columns": {"id": "id", "name": {"python": "rules.broken", "columns": ["name"]}}}
    child = {"from": "c", "key": ["k"], "columns": {"k": "k", "p": LOOKED}}
    small.write({"p": parent, "c": child, "other": {"from": "c", "key": ["k"]}})
    before = {each.name for each in small.folder.iterdir()} | {"__pycache__"}
    found = assess(small.spec, datetime.now(UTC))
    assert {each.name for each in small.folder.iterdir()} <= before
    told = {name: [(f[0], f[2]) for f in findings(found, name)] for name in ("p", "c", "other")}
    assert told["p"][0][0] == "refused"
    assert "rules.broken failed: ValueError: no" in told["p"][0][1]
    assert told["c"] == [("refused", "c looks into p, which cannot be read.")]
    assert told["other"] == []
    assert found.status == 1


# --- the command


def command(scenario: Scenario, *options: str, status: int = 0) -> Any:
    done = CliRunner().invoke(main, ["check", str(scenario.path), *options])
    assert done.exit_code == status, done.output
    return done


def test_the_json_object_says_everything_and_is_the_same_each_time(made: Any) -> None:
    small = family(made("sqlite", "postgresql"))
    first = command(small, "--json")
    assert first.stderr == ""
    answer = json.loads(first.stdout)
    assert list(answer) == ["migration", "status", "verdict", "tables", "warnings", "notices", "unread_tables"]
    assert (answer["status"], answer["verdict"]) == (0, SUCCEEDS)
    child = answer["tables"]["c"]
    assert child["columns"][1] == {"name": "p", "from": "p", "from_type": "INTEGER", "to_type": "bigint", "fits": False}
    alone, with_parent = child["findings"]
    assert list(alone) == ["level", "columns", "code", "reason", "rows", "samples", "facts", "fix"]
    assert (alone["rows"], alone["samples"][0]) == (2, {"key": [4], "value": "9"})
    assert (with_parent["rows"], with_parent["samples"][0]) == (1, {"key": [3], "value": "3"})
    assert (child["counts"]["source_rows"], child["counts"]["quarantined"]) == (6, 3)
    assert command(small, "--json").stdout == first.stdout


def test_the_listing_names_what_does_not_fit_and_ends_with_how_a_run_would_end(made: Any) -> None:
    shown = command(family(made("sqlite", "postgresql"))).stdout
    lines = shown.splitlines()
    assert lines[0].startswith("p  3 rows of p -> core.p; key id, ordered")
    assert "  name: 1 row would be set aside: null in name, which takes no nulls" in lines
    assert "  p: 2 rows would be set aside: refers to core.p, where no row will have this id" in lines
    assert "  p: 1 row would be set aside: its p is in quarantine" in lines
    assert "    [3] '3'" in lines
    assert lines[-1] == SUCCEEDS


def test_a_table_that_fits_is_one_line(made: Any) -> None:
    small = table(made("sqlite", "postgresql"), "v text", "v text", [(1, "a")])
    assert command(small).stdout.splitlines() == [
        "t  1 row of t -> core.t; key k, ordered; all 2 columns fit", "", "A run would succeed: 1 of 1 source row fit.",
    ]  # fmt: skip


def test_what_of_the_source_is_left_where_it_is_is_listed_and_fails_nothing(made: Any) -> None:
    small = made()
    small.source.execute(
        "CREATE TABLE t (k integer PRIMARY KEY, a text, B text, c text, d text, e text)",
        "CREATE TABLE named (k integer PRIMARY KEY)", "CREATE TABLE lost (k integer PRIMARY KEY)",
        "CREATE TABLE queried (k integer PRIMARY KEY)", "INSERT INTO t (k, d) VALUES (1, 'x')",
    )  # fmt: skip
    for name in ("one", "other", "asked"):
        small.target.execute(f"CREATE TABLE {name} (k bigint PRIMARY KEY, v text)")
    small.write(
        {
            "one": {"from": "t", "key": ["k"], "columns": {"k": "k", "v": {"expr": "A || b"}}},
            "other": {"from": "t", "key": ["k"], "columns": {"k": "k", "v": "d"}},
            "asked": {
                "from": {"query": "SELECT k, 'v' AS v, 1 AS w FROM Queried"},
                "key": ["k"],
                "columns": {"k": "k", "v": "v"},
            },
        }
    )
    for options in ((), ("--schema-only",)):
        answer = json.loads(command(small, "--json", *options).stdout)
        assert {name: each["unmapped"] for name, each in answer["tables"].items()} == {
            "one": ["c", "e"], "other": ["c", "e"], "asked": ["w"],
        }  # fmt: skip
        assert answer["unread_tables"] == ["lost", "named"]
        lines = command(small, *options).stdout.splitlines()
        assert lines.count("  Source columns that are not mapped: c, e.") == 2
        assert "Source tables that the spec does not read: lost, named." in lines


def test_columns_that_the_spec_excepts_by_name_are_not_listed_and_long_lists_are_cut(made: Any) -> None:
    small = made()
    names = [f"c{number:02}" for number in range(20)]
    small.source.execute(f"CREATE TABLE t (k integer PRIMARY KEY, secret text, {' text, '.join(names)} text)")
    small.target.execute("CREATE TABLE t (k bigint PRIMARY KEY)")
    left_out = {"*": {"except": ["secret", *names]}}
    small.write({"t": {"from": "t", "key": ["k"], "columns": left_out}})
    answer = checked(small)
    assert (answer.tables[0].unmapped, answer.unread, answer.status) == ((), (), 0)
    small.write({"t": {"from": "t", "key": ["k"], "columns": {"k": "k"}}})
    assert checked(small).tables[0].unmapped == ("secret", *names)
    assert f"not mapped: secret, {', '.join(names[:11])} and 9 more." in command(small).stdout


def test_only_the_schemas_are_looked_at_when_told_so(made: Any) -> None:
    small = table(made(), "v text", "v varchar(1)", [(1, "long")])
    answer = json.loads(command(small, "--schema-only", "--json").stdout)
    assert "findings" not in answer["tables"]["t"]
    assert answer["verdict"] == "The spec fits both schemas. The data was not looked at."
    assert "findings" in json.loads(command(small, "--json").stdout)["tables"]["t"]


def test_only_some_tables_are_looked_at_when_told_so(made: Any) -> None:
    small = family(made())
    assert list(json.loads(command(small, "--table", "p", "--json").stdout)["tables"]) == ["p"]
    assert "has no table q" in command(small, "--table", "q", status=1).stderr


def test_a_wrong_spec_is_told_with_all_its_problems_before_any_row_is_read(made: Any) -> None:
    small = table(made(), "v text, w text", "v bigint, w date", [(1, "x", "y")], v="v", w="w")
    done = command(small, status=1)
    assert len(done.stderr.splitlines()) == 2
    assert all("Fix: say how with `cast:`" in line for line in done.stderr.splitlines())
    answer = json.loads(command(small, "--json", status=1).stdout)
    assert answer["kind"] == "SpecError"
    assert answer["error"].count("Fix:") == 2


@pytest.mark.parametrize("width", [60, 80, 140])
def test_no_line_is_wider_than_the_terminal(made: Any, width: int) -> None:
    from io import StringIO

    from rich.console import Console

    from flows.cli.terminal.check import show_assessment

    small = family(made())
    out = StringIO()
    show_assessment(checked(small), Console(file=out, force_terminal=True, width=width, color_system=None))
    lines = out.getvalue().splitlines()
    assert max(len(line) for line in lines) <= width
    assert lines[-1].endswith("quarantine.")

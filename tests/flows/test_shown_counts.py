"""What a command shows of its tables: those in which something happens, in 80 columns, and a page of 500."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from io import StringIO
from pathlib import Path

import pytest
from command_line import syncline
from rich.console import Console
from scenario import PAIRS, Scenario

from flows.cli.terminal.counts import COUNTS
from flows.cli.terminal.report import show_report
from flows.results.tables import Report, TableReport
from transforms.vocabulary import Counts

ROOT = Path(__file__).resolve().parents[2]
BUSY = dict.fromkeys(COUNTS, 1234567)


def report_of(counts: dict[str, dict[str, int]], **more: object) -> Report:
    tables = tuple(TableReport(name, name, Counts(**some), **more) for name, some in counts.items())  # type: ignore[arg-type]
    return Report("shop", "run", None, None, 1.0, tables)


def shown(report: Report, *, terminal: bool = True, every: bool = False) -> list[str]:
    out = Console(
        file=StringIO(),
        force_terminal=terminal,
        width=80 if terminal else 160,
        soft_wrap=not terminal,
        color_system=None,
    )
    show_report(report, samples=True, every=every, out=out)
    return out.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_tables_without_changes_and_columns_of_zeros_are_shown_where_asked_for(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    small = Scenario.make(tmp_path, PAIRS[0], request)
    for side in (small.source, small.target):
        for name in ("customer", "item"):
            side.execute(f"CREATE TABLE {name} (k bigint PRIMARY KEY)")
    small.source.insert("customer", [(1,), (2,)])
    small.write({name: {"from": name, "key": ["k"], "columns": {"k": "k"}} for name in ("customer", "item")})
    some = syncline("plan", small.path, status=2).stdout.splitlines()
    assert some[:3] == [
        "table     source rows  insert",
        "customer            2       2",
        "item without changes: 0 rows.",
    ]
    every = syncline("plan", "--all", small.path, status=2).stdout.splitlines()
    assert every[0].split() == ["table", *" ".join(COUNTS).replace("_", " ").split()]
    assert every[2].split() == ["item", *len(COUNTS) * ["0"]]
    syncline("run", "--direct", small.path)
    assert syncline("plan", small.path).stdout.splitlines()[0] == "2 tables without changes: 2 rows."


@pytest.mark.parametrize("name", ["order", "a_table_of_a_schema_whose_names_are_longer_than_most"])
def test_every_count_of_a_large_table_fits_a_terminal_of_80_columns(name: str) -> None:
    for busy in (BUSY, {"source_rows": 12_345_678, "insert": 5}):
        lines = shown(report_of({name: busy, "note": {"source_rows": 3, "update": 3}}))
        assert all(len(line.rstrip()) <= 80 for line in lines)
        text = "".join(lines)
        assert all(f"{count:,}" in text for count in busy.values())


@pytest.mark.parametrize("terminal", [True, False])
def test_five_hundred_tables_are_a_page(terminal: bool) -> None:
    made = {f"table_{number}": {"source_rows": 5, "insert": 5} for number in range(500)}
    report = report_of(made, ddl=("CREATE TABLE t (\n  a int\n)",))
    lines = shown(report, terminal=terminal)
    assert len(lines) < 120
    assert "… and 470 tables more: --all shows them." in lines
    assert "… and more of 490 tables: --all shows it." in lines
    assert sum("will be created" in line for line in shown(report, terminal=terminal, every=True)) == 500


def test_a_plan_that_was_made_earlier_is_shown_with_its_rows(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    small = edited(request, tmp_path)
    folder = tmp_path / "plan"
    made = syncline("plan", small.path, "-o", folder, status=2).stdout.splitlines()
    shown = syncline("show", folder).stdout.splitlines()
    assert shown[: len(made[:2])] == made[:2]
    assert "- item [3]" in shown
    assert f"1 to insert, 0 to update, 1 to delete. Apply with: syncline apply {folder}" in shown
    rows = syncline("show", folder, "--format", "json", "--limit", "1").stdout
    assert len(json.loads(rows)) == 1
    syncline("show", small.path, status=1)
    syncline("show", folder, "1", status=1)


@pytest.mark.parametrize("answer", ["n", "y"])
def test_a_run_that_deletes_asks_on_a_terminal(request: pytest.FixtureRequest, tmp_path: Path, answer: str) -> None:
    small = edited(request, tmp_path)
    status, said = at_terminal(["run", "--direct", str(small.path)], answer)
    assert "Delete 1 row: 1 of item?" in said
    assert status == (0 if answer == "y" else 1)
    assert small.target.ask("SELECT k FROM item ORDER BY k") == ([(1,), (2,)] if answer == "y" else [(2,), (3,)])


def edited(request: pytest.FixtureRequest, folder: Path) -> Scenario:
    """One row to insert, and one to delete."""
    small = Scenario.make(folder, PAIRS[0], request)
    for side, keys in ((small.source, (1, 2)), (small.target, (2, 3))):
        side.execute("CREATE TABLE item (k bigint PRIMARY KEY)")
        side.insert("item", [(key,) for key in keys])
    small.write({"item": {"from": "item", "key": ["k"], "columns": {"k": "k"}}})
    return small


def at_terminal(arguments: list[str], answer: str) -> tuple[int, str]:
    """A command at a terminal of its own, which answers once it is asked: how it ended, and all that it said."""
    keyboard, screen = pty.openpty()
    command = [sys.executable, "-m", "flows.cli.main", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdin=screen, stdout=screen, stderr=screen)
    os.close(screen)
    said, answered = b"", False
    with suppress(OSError):  # it has ended
        while some := os.read(keyboard, 65536):
            said += some
            if not answered and b"[y/N]" in said:
                os.write(keyboard, f"{answer}\n".encode())
                answered = True
    os.close(keyboard)
    return process.wait(timeout=60), said.decode()

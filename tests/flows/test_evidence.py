"""Evidence: each run leaves what was asked, what changed, and the proof, as JSON and as a page of its own."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path

import pytest
from click.testing import CliRunner
from scenario import PAIRS, RING, Scenario, pair_name

from flows.cli.main import main
from flows.commands import Status
from flows.evidence.record import number_text

everywhere = pytest.mark.parametrize("shop", RING, indirect=True, ids=pair_name)
RULES = [
    {"type": "expect_column_values_to_be_between", "column": "pieces", "min_value": 0, "severity": "warning"},
    {"type": "expect_column_values_to_not_be_null", "column": "mail"},
]


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    made = Scenario.make(tmp_path, getattr(request, "param", PAIRS[0]), request)
    made.source.execute("CREATE TABLE sales (id bigint PRIMARY KEY, mail varchar(40), pieces integer)")
    made.source.insert("sales", [(1, "<b>ann</b>", 5), (2, "bob 🎉", -7), (3, "eve", 12)])
    made.target.execute("CREATE TABLE sale (id bigint PRIMARY KEY, mail varchar(40), pieces integer, half integer)")
    columns = {"id": "id", "mail": "mail", "pieces": "pieces", "half": {"expr": "(pieces // 2)::int"}}
    made.write({"sale": {"from": "sales", "columns": columns, "expect": RULES}})
    return made


def test_the_page_calls_the_sides_as_the_spec_does(shop: Scenario) -> None:
    shop.path.write_text(shop.path.read_text().replace("source:\n", "source:\n  name: the old <shop>\n", 1))
    page = Path(str(shop.run().report.page))
    told = json.loads((page.parent / "evidence.json").read_text())
    assert (told["source"]["name"], told["target"]["name"]) == ("the old <shop>", None)
    assert "the old &lt;shop&gt;" in page.read_text()


@everywhere
def test_a_run_leaves_its_rules_results_and_totals(shop: Scenario) -> None:
    done = shop.run()
    page = Path(str(done.report.page))
    told = json.loads((page.parent / "evidence.json").read_text())
    assert (told["migration"], told["run_id"], told["status"], told["version"]) == (
        "shop",
        done.report.run_id,
        "done",
        1,
    )
    (table,) = told["tables"]
    assert table["counts"]["quarantined"] == 1
    assert {"column": "half", "from": ["pieces"], "how": "expr", "about": "(pieces // 2)::int"} in table["mapping"]
    (checkpoint,) = told["checkpoints"]
    assert [(each["passed"], each["severity"]) for each in checkpoint["results"]] == [
        (True, "warning"),
        (True, "critical"),
    ]
    (sale,) = told["reconciled"]
    assert sale["equal"] and sale["rows"] == {"source": 2, "kept": 0, "target": 2}
    pieces = next(column for column in sale["columns"] if column["name"] == "pieces")
    assert (pieces["source"]["total"], pieces["target"]["total"], pieces["target"]["most"]) == ("17", "17", "12")
    text = page.read_text()
    assert "expect_column_values_to_be_between" in text
    assert "<b>ann</b>" not in text


def test_a_run_that_a_checkpoint_stopped_leaves_evidence_too(shop: Scenario) -> None:
    shop.source.execute("UPDATE sales SET mail = NULL WHERE id = 3")
    stopped = shop.run()
    assert stopped.status == Status.CHECKPOINT
    told = json.loads((Path(str(stopped.report.page)).parent / "evidence.json").read_text())
    assert told["status"] == "checkpoint" and told["reconciled"] == []
    assert "id=3" in Path(str(stopped.report.page)).read_text()


def test_verify_leaves_evidence_of_its_own(shop: Scenario) -> None:
    shop.run()
    told = json.loads((Path(str(shop.verify().report.page)).parent / "evidence.json").read_text())
    assert (told["kind"], told["status"]) == ("verify", "done")
    assert told["reconciled"][0]["equal"]


def test_an_undo_leaves_evidence_of_what_it_took_back_and_of_no_source(shop: Scenario) -> None:
    shop.run()
    shop.source.execute("UPDATE sales SET mail = 'ann' WHERE id = 1", "DELETE FROM sales WHERE id = 3")
    shop.run()
    page = Path(str(shop.undo(2).report.page))
    told = json.loads((page.parent / "evidence.json").read_text())
    assert (told["kind"], told["status"], told["version"], told["undoes"]) == ("undo", "done", 3, [2])
    (table,) = told["tables"]
    assert (table["name"], table["counts"]["insert"], table["counts"]["update"]) == ("sale", 1, 1)
    assert table["mapping"] == [] and told["reconciled"] == []
    text = page.read_text()
    assert "an undo" in text and "version 2" in text
    assert "source rows" not in text.lower()
    assert shop.source.place not in text
    invoked = CliRunner().invoke(main, ["report", str(shop.path), "--json"])
    assert json.loads(invoked.stdout)["report"] == str(page), "the latest"


def test_the_page_of_a_run_is_made_again(shop: Scenario) -> None:
    first, second = shop.run(), shop.run()
    for outcome in (first, second):
        Path(str(outcome.report.page)).unlink()
    latest = CliRunner().invoke(main, ["report", str(shop.path)], catch_exceptions=False)
    assert latest.stdout.strip() == second.report.page and Path(str(second.report.page)).exists()
    target = shop.folder / "page.html"
    named = CliRunner().invoke(main, ["report", str(shop.path), first.report.run_id, "-o", str(target), "--json"])
    assert json.loads(named.stdout)["run_id"] == first.report.run_id
    assert target.exists()
    again = CliRunner().invoke(main, ["report", str(shop.path)], catch_exceptions=False)
    assert again.stdout.strip() == second.report.page  # an older page that was made again is not the latest run's


def test_a_run_without_evidence_is_told_with_those_that_have_some(shop: Scenario) -> None:
    missing = CliRunner().invoke(main, ["report", str(shop.path)])
    assert missing.exit_code == 1 and "no evidence of any run of shop" in missing.stderr
    done = shop.run()
    unknown = CliRunner().invoke(main, ["report", str(shop.path), "20200101T000000-abcdef"])
    assert unknown.exit_code == 1 and done.report.run_id in unknown.stderr


def test_a_store_that_takes_no_evidence_is_a_warning_since_the_rows_are_in(shop: Scenario) -> None:
    shop.run()
    evidence = shop.folder / "store" / "evidence"
    shutil.rmtree(evidence)
    evidence.write_text("in the way")
    done = shop.run()
    assert done.status == Status.DONE
    assert any("No evidence was kept" in warning for warning in done.report.warning_texts)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Fraction(12), "12"),
        (Fraction(25, 2), "12.5"),
        (Fraction(0.1), "0.100000000000…"),
        (Fraction(-1, 4), "-0.25"),
        (Fraction(10**300), f"1{'0' * 199}… (301 digits)"),
    ],
)
def test_sums_are_told_as_people_read_them(number: Fraction, text: str) -> None:
    assert number_text(number) == text

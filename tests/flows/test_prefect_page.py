"""The page that a run has in Prefect: it holds the essentials by itself, whatever end the run came to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from prefect_shop import Patch, Shop, request_of
from prefect_shop import shop as shop

from adapters.sqlite.adapter import SqliteAdapter
from flows import commands
from flows.commands import Outcome, Status
from flows.history.aside import SHOWN, set_aside
from flows.orchestration.page import MOST_TABLES, Page
from flows.results.tables import Report, TableReport
from flows.spec.model import load_spec
from transforms.vocabulary import Counts, Reason

BAD = 5


def page_of(shop: Shop, outcome: Outcome, reports: str | None = None) -> str:
    spec = load_spec(Path(shop.spec))
    return str(Page(outcome, "said", set_aside(spec, outcome.report), reports, shop.spec))


def section(page: str, title: str) -> str:
    return page.partition(f"### {title}\n")[2].partition("\n###")[0]


@pytest.fixture
def bad(shop: Shop) -> Shop:
    """A shop with rows whose day is none, and one without a key."""
    text = Path(shop.spec).read_text().replace("sold_on: day", "sold_on: {from: day, cast: date}")
    Path(shop.spec).write_text(text.replace("defaults: {", "defaults: {quarantine: {max_ratio: 0.5}, "))
    shop.at(
        "source", f"UPDATE things SET day = 'no | day' WHERE id < {BAD}", "INSERT INTO things VALUES (NULL, 'x', NULL)"
    )
    return shop


def test_the_page_names_why_rows_are_set_aside_and_which(bad: Shop) -> None:
    planned = commands.plan(request_of(bad))
    outcome = commands.run(request_of(bad))
    again = commands.verify(request_of(bad))
    for each in (planned, outcome, again):  # by the plan, and by the ledger
        rows = section(page_of(bad, each), "Quarantine")
        assert rows.startswith("\n| table | reason | rows | keys |\n| --- | --- | ---: | --- |\n| item | ")
        assert f"| {BAD} | `[0]`, `[1]`, `[2]` and 2 more |" in rows
        assert "| 1 | `[null]` |" in rows
    assert "`syncline quarantine " in section(page_of(bad, outcome), "What to do next")


def test_a_run_above_its_limit_shows_the_rows_that_nobody_else_has(bad: Shop) -> None:
    Path(bad.spec).write_text(Path(bad.spec).read_text().replace("max_ratio: 0.5", "max_rows: 0"))
    outcome = commands.run(request_of(bad))
    assert outcome.status is Status.QUARANTINE
    page = page_of(bad, outcome)
    assert "`[0]`, `[1]`, `[2]` and 2 more" in page and "Nothing was written. Mend" in page


def test_the_page_leads_to_the_report_where_one_is_served_and_says_how_to_serve_it_elsewhere(shop: Shop) -> None:
    outcome = commands.run(request_of(shop))
    run = outcome.report.run_id
    assert f"[The whole report](http://127.0.0.1:8400/{run}/report.html)" in page_of(
        shop, outcome, "http://127.0.0.1:8400/"
    )
    assert f"The whole report is `{run}` in `syncline serve {shop.spec}`" in page_of(shop, outcome)


def test_the_page_shows_rows_that_changed_after_planning_with_their_keys(shop: Shop, monkeypatch: Patch) -> None:
    commands.run(request_of(shop))
    shop.at("source", "UPDATE things SET name = 'ours' WHERE id = 7")
    real = SqliteAdapter.apply

    def late(self: SqliteAdapter, *given: object, **how: object) -> object:
        shop.at("target", "UPDATE item SET label = 'theirs' WHERE id = 7")
        return real(self, *given, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(SqliteAdapter, "apply", late)
    page = page_of(shop, commands.run(request_of(shop)))
    assert "| item | `[7]` | `label` | `n7` → `ours` | `theirs` |" in section(page, "Conflicts")
    assert "then run again: the source's values win" in section(page, "What to do next")


def test_a_page_of_many_tables_and_reasons_is_bounded_and_without_zeros(shop: Shop) -> None:
    reasons = {Reason("null", f"c{number}"): number + 1 for number in range(SHOWN + 3)}
    counts = Counts(source_rows=9, insert=9)
    busy = [TableReport(f"t_{number}", "t", counts, reasons=reasons) for number in range(MOST_TABLES + 2)]
    idle = [
        replace(each, name=f"u{number}", counts=Counts(source_rows=3, unchanged=3)) for number, each in enumerate(busy)
    ]
    report = Report("m", "R", None, 1, 1.0, (*busy, *idle), applied=True)
    page = page_of(shop, Outcome(report, Status.DONE))
    many = (MOST_TABLES + 2) * 2 * len(reasons)
    assert f"… and {many - SHOWN:,} reasons more." in section(page, "Quarantine")
    rows = section(page, "Rows")
    assert rows.startswith("\n| table | insert | source rows |\n| --- | ---: | ---: |\n| t\\_0 | 9 | 9 |")
    assert "… and 2 tables more." in rows and "32 tables without changes: 96 rows." in rows
    assert len(rows.splitlines()) < MOST_TABLES + 12

"""Quarantine: shown whole, tried again, forgotten; filters choose the rows."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from scenario import PAIRS, RING, Scenario, counts, pair_name, quarantine

from adapters.ledger.tables import QUARANTINE
from flows import commands
from flows.check.assess import assess
from flows.cli.main import main
from flows.commands import Outcome, Status
from flows.history import quarantine as quarantining
from flows.history.quarantine import Filter
from flows.session.stores import ledger_of
from transforms.vocabulary import SpecError

AT = datetime(2026, 11, 28, tzinfo=UTC)
everywhere = pytest.mark.parametrize("shop", RING, indirect=True, ids=pair_name)
POSITIVE = {"type": "expect_column_values_to_be_between", "column": "pieces", "min_value": 0, "severity": "warning"}


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    made = Scenario.make(tmp_path, getattr(request, "param", PAIRS[0]), request)
    made.source.execute("CREATE TABLE sales (id bigint PRIMARY KEY, mail varchar(40), pieces integer)")
    made.source.insert("sales", [(1, "ann", -5), (2, "bob", 7), (3, "eve 🎉", -1), (4, "dan", 12)])
    made.target.execute("CREATE TABLE sale (id bigint PRIMARY KEY, name varchar(40), pieces integer)")
    columns = {"id": "id", "name": "mail", "pieces": "pieces"}
    made.write({"sale": {"from": "sales", "columns": columns, "expect": [POSITIVE]}}, defaults={"window": {"rows": 2}})
    made.run()
    return made


def retried(shop: Scenario, wanted: Filter) -> Outcome | None:
    request = quarantining.retry(shop.request(), wanted)
    return None if request is None else commands.run(request)


@everywhere
def test_a_row_is_shown_as_it_was_in_the_source_and_as_it_was_mapped(shop: Scenario) -> None:
    (row,) = quarantining.shown(shop.spec, Filter(keys=("3",)), 10)
    assert row["source"] == {"id": 3, "mail": "eve 🎉", "pieces": -1}
    assert row["mapped"] == {"id": 3, "name": "eve 🎉", "pieces": -1}
    assert row["reason"] == "breaks expect_column_values_to_be_between (min_value 0)"


@everywhere
def test_retry_takes_the_rows_as_they_are_now_and_clears_what_passes(shop: Scenario) -> None:
    shop.source.execute("UPDATE sales SET pieces = 5 WHERE id = 1", "UPDATE sales SET pieces = 99 WHERE id = 2")
    done = retried(shop, Filter())
    assert done is not None
    assert counts(done, "sale") == {"source_rows": 2, "insert": 1, "quarantined": 1}
    assert done.report.version == 2
    assert shop.target.rows("sale", "id, pieces") == [(1, 5), (2, 7), (4, 12)]  # row 2 was not asked for
    assert [key for _, key, _ in quarantine(shop)] == [[3]]


def test_retry_of_some_rows_leaves_the_others_in_quarantine(shop: Scenario) -> None:
    shop.source.execute("UPDATE sales SET pieces = 5")
    done = retried(shop, Filter(keys=("[1]",)))
    assert done is not None and counts(done, "sale") == {"source_rows": 1, "insert": 1}
    assert [key for _, key, _ in quarantine(shop)] == [[3]]
    assert retried(shop, Filter(keys=("[1]",))) is None


def test_a_row_that_is_gone_from_the_source_leaves_quarantine_when_tried_again(shop: Scenario) -> None:
    shop.source.execute("DELETE FROM sales WHERE id = 3")
    done = retried(shop, Filter(keys=("3",)))
    assert done is not None and counts(done, "sale") == {}
    assert [key for _, key, _ in quarantine(shop)] == [[1]]


def test_a_row_is_not_twice_in_quarantine_for_one_reason(shop: Scenario) -> None:
    shop.run()
    retried(shop, Filter())
    assert [key for _, key, _ in quarantine(shop)] == [[1], [3]]


def test_forgotten_rows_come_back_with_the_next_run(shop: Scenario) -> None:
    assert quarantining.drop(shop.spec, Filter(keys=("1",))) == 1
    assert [key for _, key, _ in quarantine(shop)] == [[3]]
    shop.run()
    assert [key for _, key, _ in quarantine(shop)] == [[1], [3]]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(), 2),
        (Filter(tables=("sale",)), 2),
        (Filter(keys=("1", "[9]")), 1),
        (Filter(reason="BETWEEN"), 2),
        (Filter(reason="no such reason"), 0),
    ],
)
def test_filters_choose_rows(shop: Scenario, wanted: Filter, found: int) -> None:
    assert len(quarantining.chosen(shop.spec, wanted)) == found
    assert sum(quarantining.listed(shop.spec, wanted, 10)[1].values()) == found


def test_a_table_that_is_not_there_is_told(shop: Scenario) -> None:
    with pytest.raises(SpecError, match=r"no table sales\. Did you mean sale"):
        quarantining.listed(shop.spec, Filter(tables=("sales",)), 10)


def command(shop: Scenario, *words: str) -> Any:
    return CliRunner().invoke(main, ["quarantine", str(shop.path), *words], catch_exceptions=False)


def test_the_command_lists_shows_retries_and_drops(shop: Scenario) -> None:
    assert "breaks expect_column_values_to_be_between" in command(shop, "list").stdout
    shown = command(shop, "show", "--key", "3").stdout
    assert "source: id=3, mail='eve 🎉', pieces=-1" in shown
    assert json.loads(command(shop, "show", "--json").stdout)["rows"][0]["source"]["mail"] == "ann"
    shop.source.execute("UPDATE sales SET pieces = 5 WHERE id = 1")
    told = json.loads(command(shop, "retry", "--direct", "--json").stdout)
    assert told["tables"]["sale"]["insert"] == 1
    assert "1 forgotten" in command(shop, "drop", "--yes").stdout
    assert "Nothing is in quarantine" in command(shop, "list").stdout
    assert "Nothing of that is in quarantine" in command(shop, "retry", "--direct").stderr


def test_a_critical_rule_stops_a_retry_too(shop: Scenario) -> None:
    rule = {**POSITIVE, "severity": "critical"}
    shop.write(
        {"sale": {"from": "sales", "columns": {"id": "id", "name": "mail", "pieces": "pieces"}, "expect": [rule]}}
    )
    done = retried(shop, Filter())
    assert done is not None and done.status == Status.CHECKPOINT
    assert shop.target.count("sale") == 2


def test_a_row_that_is_tried_again_is_held_against_all_others(shop: Scenario) -> None:
    unique = {"type": "expect_column_values_to_be_unique", "column": "name", "severity": "warning"}
    shop.write(
        {
            "sale": {
                "from": "sales",
                "columns": {"id": "id", "name": "mail", "pieces": "pieces"},
                "expect": [POSITIVE, unique],
            }
        }
    )
    shop.source.execute("UPDATE sales SET pieces = 5, mail = 'bob' WHERE id = 1")
    done = retried(shop, Filter(keys=("1",)))
    assert done is not None and counts(done, "sale") == {"source_rows": 1, "quarantined": 1}
    assert ("sale", [1], "breaks expect_column_values_to_be_unique") in quarantine(shop)


def test_rows_that_share_a_key_are_one_line_with_their_number(shop: Scenario) -> None:
    shop.source.execute("CREATE TABLE visits (id bigint, day varchar(9))")
    shop.source.insert("visits", [(7, "mon"), (7, "tue"), (8, "mon")])
    shop.target.execute("CREATE TABLE visit (id bigint PRIMARY KEY, day varchar(9))")
    shop.write({"visit": {"from": "visits", "key": ["id"]}})
    shop.run()
    listed = command(shop, "list", "--table", "visit").stdout
    assert "(2 rows)" in listed and "--limit" not in listed


def test_rows_are_chosen_by_the_code_of_their_reason(shop: Scenario) -> None:
    listed = json.loads(command(shop, "list", "--code", "breaks_rule", "--json").stdout)
    facts = {"rule": POSITIVE["type"], "arguments": {"min_value": 0}}
    assert [(row["code"], row["facts"]) for row in listed["rows"]] == [("breaks_rule", facts)] * 2
    assert json.loads(command(shop, "list", "--code", "too_long", "--json").stdout)["rows"] == []
    assert retried(shop, Filter(codes=("too_long",))) is None
    done = retried(shop, Filter(codes=("breaks_rule", "too_long")))
    assert done is not None and counts(done, "sale") == {"source_rows": 2, "quarantined": 2}
    assert json.loads(command(shop, "drop", "--code", "breaks_rule", "--key", "3", "--json").stdout)["dropped"] == 1
    assert [key for _, key, _ in quarantine(shop)] == [[1]]
    assert json.loads(command(shop, "list", "--code", "untyped", "--json").stdout)["rows"] == []
    with ledger_of(shop.spec) as ledger, ledger._engine.writing() as connection:  # as lines of earlier formats are
        connection.execute(sa.update(QUARANTINE).values(code=None))
    assert len(json.loads(command(shop, "list", "--code", "untyped", "--json").stdout)["rows"]) == 1
    with pytest.raises(SpecError, match=r"'breaks_rul'.*Did you mean breaks_rule\?"):
        quarantining.listed(shop.spec, Filter(codes=("breaks_rul",)), 9)


def test_json_of_a_plan_and_the_evidence_of_a_run_have_the_reasons_as_data(shop: Scenario) -> None:
    facts = {"rule": POSITIVE["type"], "arguments": {"min_value": 0}}
    text = "breaks expect_column_values_to_be_between (min_value 0)"
    said = [{"code": "breaks_rule", "columns": ["pieces"], "facts": facts, "reason": text, "rows": 2}]
    assert shop.plan().report.as_dict()["tables"]["sale"]["set_aside"] == said
    again = shop.run().report
    kept = json.loads((Path(str(again.page)).parent / "evidence.json").read_text())
    (table,) = kept["tables"]
    assert (table["set_aside"], table["reasons"]) == (said, {f"pieces: {text}": 2})
    (finding,) = (each for table in assess(shop.spec, AT).tables for each in table.findings)
    assert (finding.code, finding.as_dict()["code"]) == ("breaks_rule", "breaks_rule")

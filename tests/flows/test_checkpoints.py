"""Checkpoints around a load: rules set rows aside, stop a run before it writes, or are reported."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from scenario import PAIRS, RING, Scenario, counts, halves, pair_name, quarantine

from flows.cli.terminal.report import show_report
from flows.commands import Status
from flows.spec.model import load_spec
from transforms.vocabulary import DataError, SpecError

everywhere = pytest.mark.parametrize("shop", RING, indirect=True, ids=pair_name)
one_half, other_half = halves("shop")
ROWS = [(1, "ann@x.org", 5, "open"), (2, None, 7, "open"), (3, "nobody", -1, "paid"), (4, "eve@x.org", 12, "lost")]


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    made = Scenario.make(tmp_path, getattr(request, "param", PAIRS[0]), request)
    made.source.execute(
        "CREATE TABLE sales (id bigint PRIMARY KEY, mail varchar(40), pieces integer, state varchar(9))"
    )
    made.source.insert("sales", ROWS)
    made.target.execute("CREATE TABLE sale (id bigint PRIMARY KEY, mail varchar(40), pieces integer, state varchar(9))")
    return made


def rule(kind: str, severity: str = "critical", **arguments: Any) -> dict[str, Any]:
    return {"type": f"expect_{kind}", "severity": severity, **arguments}


def write(shop: Scenario, *expect: Any, loaded: Any = (), **rest: Any) -> None:
    table = {"from": "sales", "expect": list(expect), "loaded": list(loaded)}
    shop.write({"sale": {name: value for name, value in table.items() if value}}, **rest)


POSITIVE = {"column": "pieces", "min_value": 0}


@one_half
def test_rows_that_break_a_warning_are_set_aside_with_the_rule(shop: Scenario) -> None:
    write(
        shop,
        rule("column_values_to_not_be_null", "warning", column="mail"),
        rule("column_values_to_be_between", "warning", **POSITIVE),
        rule("column_values_to_be_in_set", "warning", column="state", value_set=["open", "paid"]),
    )
    done = shop.run()
    assert done.status == Status.DONE
    assert counts(done, "sale") == {"source_rows": 4, "insert": 1, "quarantined": 3}
    assert shop.target.ask("SELECT id FROM sale") == [(1,)]
    assert quarantine(shop) == [
        ("sale", [2], "breaks expect_column_values_to_not_be_null"),
        ("sale", [3], "breaks expect_column_values_to_be_between (min_value 0)"),
        ("sale", [4], "breaks expect_column_values_to_be_in_set (value_set ['open', 'paid'])"),
    ]
    shop.settled()


@other_half
def test_a_row_that_is_mended_at_its_source_leaves_quarantine_at_the_next_run(shop: Scenario) -> None:
    write(shop, rule("column_values_to_be_between", "warning", **POSITIVE))
    assert counts(shop.run(), "sale") == {"source_rows": 4, "insert": 3, "quarantined": 1}
    shop.source.execute("UPDATE sales SET pieces = 1 WHERE id = 3")
    assert counts(shop.run(), "sale") == {"source_rows": 4, "insert": 1, "unchanged": 3}
    assert quarantine(shop) == []


@one_half
def test_a_critical_rule_stops_the_run_and_the_target_stays_as_it_was(shop: Scenario) -> None:
    shop.target.execute("INSERT INTO sale VALUES (9, 'old@x.org', 1, 'paid')")
    before = shop.target.content()
    write(shop, rule("column_values_to_be_between", **POSITIVE))
    stopped = shop.run()
    assert stopped.status == Status.CHECKPOINT
    assert "pieces" in stopped.message and "id=3" in stopped.message and "Nothing was written" in stopped.message
    assert shop.target.content() == before
    (checkpoint,) = stopped.report.checkpoints
    (result,) = checkpoint.results
    assert (checkpoint.name, checkpoint.rows, result.passed, result.unexpected) == ("planned", 4, False, 1)


def test_a_plan_that_breaks_a_critical_rule_is_not_applied(shop: Scenario) -> None:
    write(shop, rule("column_values_to_be_between", **POSITIVE))
    assert shop.apply(shop.plan().report.plan).status == Status.CHECKPOINT
    assert shop.target.count("sale") == 0


def test_what_is_only_information_is_reported_and_written(shop: Scenario) -> None:
    write(shop, rule("column_values_to_be_between", "info", **POSITIVE))
    done = shop.run()
    assert done.status == Status.DONE
    assert counts(done, "sale") == {"source_rows": 4, "insert": 4}
    (warning,) = done.report.warning_texts
    assert "sale, planned: pieces: expect_column_values_to_be_between" in warning


@pytest.mark.parametrize(("severity", "status"), [("critical", Status.CHECKPOINT), ("info", Status.DONE)])
def test_above_the_limit_the_compiled_rules_stand_for_great_expectations(
    shop: Scenario, severity: str, status: Status
) -> None:
    aside = rule("column_values_to_not_be_null", "warning", column="mail")
    broken = rule("column_values_to_be_between", severity, **POSITIVE)
    defaults = {"checkpoint": {"max_rows": 2}, "window": {"rows": 1}}
    write(shop, aside, broken, rule("column_mean_to_be_between", column="pieces", min_value=0), defaults=defaults)
    done = shop.run()
    assert done.status == status
    (checkpoint,) = done.report.checkpoints
    assert [(each.passed, each.unexpected, each.by) for each in checkpoint.results] == [
        (True, 0, "compiled rule"),
        (False, 1, "compiled rule"),
    ]
    assert checkpoint.results[1].sample == ("[3]",)
    assert "expect_column_mean_to_be_between was not looked at" in checkpoint.notes[0]
    assert checkpoint.notes[0] in done.report.warning_texts


def test_above_the_limit_a_rule_that_does_not_compile_is_great_expectations_own(shop: Scenario) -> None:
    condition = {"row_condition": "pieces > 6", "condition_parser": "pandas"}
    own = rule("column_values_to_be_between", "warning", column="pieces", max_value=1000, **condition)
    write(
        shop,
        own,
        rule("column_values_to_not_be_null", "warning", column="mail"),
        defaults={"checkpoint": {"max_rows": 2}},
    )
    (checkpoint,) = shop.run().report.checkpoints
    assert [each.by for each in checkpoint.results] == ["Great Expectations", "compiled rule"]


@everywhere
def test_the_target_is_checked_after_the_load(shop: Scenario) -> None:
    loaded = [rule("table_row_count_to_equal", value="$source_rows"), rule("column_values_to_be_unique", column="mail")]
    write(shop, loaded=loaded)
    done = shop.run()
    assert done.status == Status.DONE
    (checkpoint,) = done.report.checkpoints
    assert [(each.passed, each.type) for each in checkpoint.results] == [(True, each["type"]) for each in loaded]

    write(shop, rule("column_values_to_be_between", "warning", **POSITIVE), loaded=loaded)
    shop.target.execute("DELETE FROM sale")
    failed = shop.run()
    assert failed.status == Status.CHECKPOINT
    assert "expect_table_row_count_to_equal fails" in failed.message
    assert "The rows are in the target" in failed.message
    assert shop.target.count("sale") == 3


@everywhere
def test_the_touched_part_is_what_the_run_wrote(shop: Scenario) -> None:
    shop.target.execute("INSERT INTO sale VALUES (2, NULL, 7, 'open'), (7, 'x', -7, 'open'), (8, 'x', 1, 'open')")
    positive = rule("column_values_to_be_between", "info", **POSITIVE)
    write(shop, loaded=[positive], defaults={"checkpoint": {"loaded": "touched"}, "delete": "ignore"})
    done = shop.run()
    (checkpoint,) = done.report.checkpoints
    assert checkpoint.rows == 3
    assert checkpoint.results[0].sample == ("id=3",)


@pytest.mark.parametrize("rows", [1, 100])
def test_rules_across_rows_see_the_whole_table_whatever_the_windows(shop: Scenario, rows: int) -> None:
    shop.source.execute("UPDATE sales SET mail = 'same@x.org' WHERE id IN (1, 4)")
    write(
        shop,
        rule("column_values_to_be_unique", "warning", column="mail"),
        defaults={"window": {"rows": rows}},
    )
    done = shop.run()
    assert counts(done, "sale") == {"source_rows": 4, "insert": 2, "quarantined": 2}
    assert [key for _, key, _ in quarantine(shop)] == [[1], [4]]
    shop.settled()


def test_a_rule_that_does_not_compile_is_decided_by_great_expectations(shop: Scenario) -> None:
    write(
        shop,
        rule(
            "column_values_to_not_be_null",
            "warning",
            column="mail",
            row_condition="pieces > 6",
            condition_parser="pandas",
        ),
    )
    done = shop.run()
    assert counts(done, "sale") == {"source_rows": 4, "insert": 3, "quarantined": 1}
    assert [key for _, key, _ in quarantine(shop)] == [[2]]


def test_on_invalid_fail_stops_the_plan_at_a_broken_rule(shop: Scenario) -> None:
    write(shop, rule("column_values_to_be_between", "warning", **POSITIVE), defaults={"on_invalid": "fail"})
    with pytest.raises(DataError, match=r"(?s)sale.pieces key \[3\].*breaks expect_column_values_to_be_between"):
        shop.plan()


def test_a_share_of_the_rows_may_break_a_rule_with_mostly(shop: Scenario) -> None:
    write(shop, rule("column_values_to_be_between", mostly=0.7, **POSITIVE))
    assert shop.run().status == Status.DONE
    shop.source.execute("UPDATE sales SET pieces = -5")
    assert shop.run().status == Status.CHECKPOINT


SUITE = [rule("column_values_to_be_between", "warning", **POSITIVE), rule("column_to_exist", column="mail")]


@pytest.mark.parametrize("form", ["list", "exported"])
def test_a_suite_may_lie_in_a_file_beside_the_spec(shop: Scenario, form: str) -> None:
    exported = [
        {"type": each["type"], "severity": each["severity"], "meta": {}, "id": "x", "kwargs": {
            name: value for name, value in each.items() if name not in ("type", "severity")}}
        for each in SUITE
    ]  # fmt: skip
    told = SUITE if form == "list" else {"name": "sales", "expectations": exported, "meta": {}}
    (shop.folder / "suite.json").write_text(json.dumps(told))
    shop.write({"sale": {"from": "sales", "expect": "suite.json"}})
    done = shop.run()
    assert counts(done, "sale") == {"source_rows": 4, "insert": 3, "quarantined": 1}
    assert len(done.report.checkpoints[0].results) == 2
    digest = load_spec(shop.path).digest
    (shop.folder / "suite.json").write_text(json.dumps(SUITE[:1]))
    assert load_spec(shop.path).digest != digest


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, r"spec.yaml:\d+: tables.sale.expect names the file suite.json, which cannot be read"),
        ("{]", r"names the file suite.json, which is neither YAML nor JSON"),
        ("42", r"which is no suite. Fix: let it be a list"),
        ('[{"type": "drop_table"}]', r"a mistake: suite.json \[0\].type"),
    ],
)
def test_a_file_that_is_no_suite_is_told_by_its_name(shop: Scenario, text: str | None, told: str) -> None:
    if text is not None:
        (shop.folder / "suite.json").write_text(text)
    shop.write({"sale": {"from": "sales", "expect": "suite.json"}})
    with pytest.raises(SpecError, match=told):
        load_spec(shop.path)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (rule("column_values_to_be_between", column="peices", min_value=0), r"spec.yaml:\d+: .*peices.*pieces"),
        (rule("column_values_to_match_regex", column="mail", regex="("), r"spec.yaml:\d+: .*regex"),
        (rule("column_values_to_be_betwixt", column="pieces"), r"spec.yaml:\d+: .*expect_column_values_to_be_between"),
        (rule("column_values_to_be_between", column="pieces", min=0), r"spec.yaml:\d+: .*min.*min_value"),
        (rule("table_row_count_to_equal", value="$source_row"), r"spec.yaml:\d+: .*\$source_rows"),
    ],
)
def test_a_rule_that_makes_no_sense_is_an_error_at_its_line_before_anything_is_written(
    shop: Scenario, broken: dict[str, Any], told: str
) -> None:
    write(shop, broken)
    with pytest.raises(SpecError, match=told):
        shop.run()
    assert shop.target.count("sale") == 0


def test_both_sides_are_held_to_the_same_totals(shop: Scenario) -> None:
    write(shop, rule("column_values_to_be_between", "warning", **POSITIVE))
    shop.target.execute("INSERT INTO sale VALUES (3, 'kept', 100, 'open'), (1, 'other', 0, 'open')")
    done = shop.run()
    (sale,) = done.report.reconciled
    assert sale.afresh and sale.differences == []
    assert (sale.source.rows, sale.kept.rows, sale.target.rows, sale.target.distinct_keys) == (3, 1, 4, 4)
    assert (sale.source.columns["pieces"].total, sale.target.columns["pieces"].total) == (24, 124)
    assert (sale.target.columns["mail"].nulls, sale.target.columns["pieces"].most) == (1, 100)
    (again,) = shop.verify().report.reconciled
    assert not again.afresh and again.differences == [] and again.target == sale.target


def test_a_target_that_rewrites_what_is_loaded_does_not_reconcile(shop: Scenario) -> None:
    shop.target.execute(
        "CREATE TRIGGER fewer AFTER INSERT ON sale BEGIN UPDATE sale SET pieces = pieces - 1 WHERE id = NEW.id; END"
    )
    write(shop)
    done = shop.run()
    (sale,) = done.report.reconciled
    assert ("pieces", "total") in sale.differences
    (named,) = (each for each in done.report.warnings if each.code == "unstable_column")
    assert (named.table, named.facts["column"]) == ("sale", "pieces")


def test_a_spec_may_do_without_reconciliation(shop: Scenario) -> None:
    write(shop, defaults={"checkpoint": {"reconcile": False}})
    done = shop.run()
    assert done.status == Status.DONE
    assert done.report.reconciled == () and shop.verify().report.reconciled == ()


def test_failing_rows_are_told_apart_where_the_key_has_several_columns(shop: Scenario) -> None:
    shop.target.execute(
        "DROP TABLE sale", "CREATE TABLE sale (id bigint, state varchar(9), pieces integer, PRIMARY KEY (id, state))"
    )
    table = {"from": "sales", "key": ["id", "state"], "columns": {each: each for each in ("id", "state", "pieces")}}
    shop.write({"sale": {**table, "expect": [rule("column_values_to_be_between", column="pieces", max_value=6)]}})
    assert "in 2 rows, such as (id=2, state=open), (id=4, state=lost)" in shop.run().message


def test_a_run_that_is_stopped_does_not_claim_to_have_made_the_table(shop: Scenario) -> None:
    shop.target.execute("DROP TABLE sale")
    write(shop, rule("column_values_to_be_between", column="pieces", max_value=7))
    stopped = shop.run()
    assert "fails in 1 row, such as id=4" in stopped.message
    write(shop)
    for outcome, said in (
        (stopped, "is not there, and was not created"),
        (shop.run(), "was not there, and was created"),
    ):
        printed = StringIO()
        show_report(outcome.report, samples=False, out=Console(file=printed, width=200))
        assert f"sale: the table {said}." in printed.getvalue()

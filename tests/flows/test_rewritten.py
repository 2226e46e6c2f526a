"""Columns that the target rewrites: named by the next plan, not fought forever in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario import Engine, Scenario, counts

from adapters.store.plans import Plan

UPPER = {
    "sqlite": [
        "CREATE TRIGGER loud AFTER INSERT ON t BEGIN UPDATE t SET v = upper(v) WHERE k = new.k; END",
        "CREATE TRIGGER louder AFTER UPDATE ON t WHEN new.v <> upper(new.v) BEGIN UPDATE t SET v = upper(v) WHERE k = new.k; END",
    ],
    "postgresql": [
        "CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.v := upper(new.v); RETURN new; END $$",
        "CREATE TRIGGER loud BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION loud()",
    ],
    "mysql": [
        "CREATE TRIGGER loud BEFORE INSERT ON t FOR EACH ROW SET new.v = upper(new.v)",
        "CREATE TRIGGER louder BEFORE UPDATE ON t FOR EACH ROW SET new.v = upper(new.v)",
    ],
}


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    engine: Engine = request.param
    made = Scenario.make(tmp_path, ("sqlite", engine), request)
    for side in (made.source, made.target):
        side.execute("CREATE TABLE t (k int PRIMARY KEY, v varchar(9), w varchar(9))")
    made.source.insert("t", [(1, "one", "a"), (2, "TWO", "b"), (3, "three", "c")])
    made.write({"t": {"from": "t", "key": ["k"]}})
    return made


def test_a_column_that_a_trigger_rewrites_is_named_by_the_next_plan(small: Scenario) -> None:
    small.target.execute(*UPPER[small.target.engine])
    (told,) = small.run().report.warning_texts
    assert "t.v: 2 rows are not as they were written" in told
    assert "trigger loud" in told and "`ignore`" in told
    assert small.target.rows("t", "v") == [("ONE",), ("THREE",), ("TWO",)]
    again = small.plan()
    assert counts(again, "t") == {"source_rows": 3, "update": 2, "unchanged": 1}
    (warning,) = again.report.warning_texts
    assert "t.v" in warning
    assert "trigger" in warning
    assert "Fix:" in warning


def test_a_column_that_the_source_changed_is_not_taken_for_a_rewritten_one(small: Scenario) -> None:
    small.run()
    small.source.execute("UPDATE t SET v = 'new' WHERE k = 1")
    changed = small.plan()
    assert counts(changed, "t") == {"source_rows": 3, "update": 1, "unchanged": 2}
    assert changed.report.warning_texts == ()


@pytest.mark.parametrize("small", ["sqlite"], indirect=True)
def test_the_plan_that_wrote_last_is_read_once_however_many_tables_change(
    small: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = ("t", "u", "w")
    for side in (small.source, small.target):
        side.execute(*(f"CREATE TABLE {name} (k int PRIMARY KEY, v varchar(9))" for name in tables[1:]))
    for name in tables[1:]:
        small.source.insert(name, [(1, "one"), (2, "two")])
    small.write({name: {"from": name, "key": ["k"]} for name in tables})
    first = small.run().report.plan
    for name in tables:
        small.target.execute(f"UPDATE {name} SET v = 'theirs' WHERE k = 1")
    real, opened = Plan.open, list[Path]()

    def noted(folder: Path, *given: Any, **how: Any) -> Plan:
        opened.append(folder)
        return real(folder, *given, **how)

    monkeypatch.setattr(Plan, "open", noted)
    again = small.plan()
    assert sorted(told.partition(".")[0] for told in again.report.warning_texts) == list(tables)
    assert opened.count(Path(str(first))) == 1

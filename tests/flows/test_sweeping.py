"""Rows leave quarantine with the run that brings them in, whatever it looked at; steps are done when their rows are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scenario import PAIRS, Scenario, quarantine

from flows.commands import Status, backfill

ROWS = 12
TABLES: dict[str, Any] = {
    "parent": {"from": "parent", "key": ["id"]},
    "child": {
        "from": "child",
        "key": ["id"],
        "columns": {
            "id": "id",
            "day": "day",
            "parent": {"lookup": {"table": "parent", "match": {"id": "parent"}, "take": "id"}, "missing": "quarantine"},
        },
    },
}


@pytest.fixture
def family(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Children of a parent that has not come yet."""
    made = Scenario.make(tmp_path, PAIRS[0], request)
    for side in (made.source, made.target):
        side.execute("CREATE TABLE parent (id bigint PRIMARY KEY)")
        side.execute("CREATE TABLE child (id bigint PRIMARY KEY, day date, parent bigint)")
    made.source.insert("child", [(n, f"2024-01-{n:02d}", 1) for n in range(1, ROWS + 1)])
    made.write(TABLES)
    return made


def listed(family: Scenario) -> set[int]:
    return {key[0] for table, key, _ in quarantine(family) if table == "child"}


def loaded(family: Scenario) -> set[int]:
    return {row[0] for row in family.target.rows("child", "id")}


BY_KEY, BY_DAY = "child.id:1..13", "child.day:2024-01-01..2024-01-13"


@pytest.mark.parametrize("first", [BY_KEY, BY_DAY])
@pytest.mark.parametrize(("second", "every"), [(BY_KEY, "5"), (BY_DAY, "4d"), (BY_DAY, None)])
def test_no_row_is_both_loaded_and_in_quarantine(family: Scenario, first: str, second: str, every: str | None) -> None:
    family.backfill(first)
    assert (loaded(family), listed(family)) == (set(), set(range(1, ROWS + 1)))
    family.source.insert("parent", [(1,)])
    family.run(tables=["parent"])
    family.run(tables=["child"], ranges=["child.id:3..5"])
    assert (loaded(family), listed(family)) == ({3, 4}, {1, 2, *range(5, ROWS + 1)})
    planned = family.plan(ranges=["child.day:2024-01-08..2024-01-09"])
    family.apply(planned.report.plan)
    assert 8 not in listed(family)
    assert family.backfill(second, every).status == Status.DONE
    assert (loaded(family), listed(family)) == (set(range(1, ROWS + 1)), set())


def test_what_is_gone_from_a_range_of_keys_leaves_quarantine_with_it(family: Scenario) -> None:
    family.backfill(BY_KEY)
    family.source.execute("DELETE FROM child WHERE id IN (2, 3, 9)")
    family.run(ranges=["child.id:1..6"])
    assert listed(family) == {1, 4, 5, 6, 7, 8, 9, 10, 11, 12}


def test_a_step_that_waits_for_other_tables_is_tried_again(family: Scenario) -> None:
    done = family.backfill(BY_KEY, "6")
    assert done.status == Status.DONE  # as the spec allows
    assert "2 of 2 steps are not done" in done.message
    family.source.insert("parent", [(1,)])
    family.run(tables=["parent"])
    again = family.backfill(BY_KEY, "6")
    assert (again.report.total.insert, again.message) == (ROWS, "")
    assert "2 of 2 steps were done before" in family.backfill(BY_KEY, "6").message


def test_a_step_whose_rows_are_refused_for_good_is_done_and_can_be_forced(family: Scenario) -> None:
    family.source.insert("parent", [(1,)])
    family.source.execute("UPDATE child SET day = NULL WHERE id = 4")
    expect = [{"type": "expect_column_values_to_not_be_null", "column": "day", "severity": "warning"}]
    family.write({**TABLES, "child": {**TABLES["child"], "expect": expect}})
    family.run(tables=["parent"])
    family.backfill(BY_KEY, "6")
    assert listed(family) == {4}
    family.source.execute("UPDATE child SET day = '2024-01-04' WHERE id = 4")
    assert "2 of 2 steps were done before" in family.backfill(BY_KEY, "6").message
    forced = backfill(family.request("backfill", ranges=[BY_KEY]), "6", again=True)
    assert (forced.report.total.insert, listed(family)) == (1, set())


@pytest.mark.parametrize("every", [None, "1", "5"])
def test_a_backfill_that_sets_everything_aside_is_no_success(family: Scenario, every: str | None) -> None:
    """However narrow the steps are, the whole ends as one run of the range would."""
    family.write(TABLES, defaults={"quarantine": {}})
    done = family.backfill(BY_KEY, every)
    assert done.status == Status.QUARANTINE
    assert f"{ROWS} of {ROWS} source rows" in done.message
    assert loaded(family) == set()
    family.source.insert("parent", [(1,)])
    family.run(tables=["parent"])
    assert family.backfill(BY_KEY, every).status == Status.DONE
    assert loaded(family) == set(range(1, ROWS + 1))


def test_keys_of_any_type_are_known_in_the_ledger(family: Scenario) -> None:
    """A key that is text, a date and a decimal is read back from the JSON that stands for it."""
    kind = "(a varchar(20), b date, c numeric(9,2), v integer, PRIMARY KEY (a, b, c))"
    family.source.execute(f"CREATE TABLE wide {kind.replace('v integer', 'v varchar(9)')}")
    family.target.execute(f"CREATE TABLE wide {kind}")
    family.source.insert("wide", [("x|y", "2024-01-02", "1.50", "no"), ("z", "2024-03-02", "-1", "no")])
    family.write(
        {
            "wide": {
                "from": "wide",
                "key": ["a", "b", "c"],
                "columns": {"a": "a", "b": "b", "c": "c", "v": {"from": "v", "cast": "integer"}},
            }
        }
    )
    family.run()
    assert len(quarantine(family)) == 2
    family.source.execute("DELETE FROM wide")
    family.run(ranges=["wide.b:2024-01-01..2024-02-01"])
    assert [json.loads(json.dumps(key))[0] for _, key, _ in quarantine(family)] == ["z"]
    family.run(ranges=["wide.c:-5..0"])
    assert quarantine(family) == []

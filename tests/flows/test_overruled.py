"""Every edit that lost to a policy, a rule or a decision is in the history, with what both agreed on, what each side had, and who decided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import answer, syncline
from scenario import Scenario

from flows.commands import Status
from flows.evidence.record import kept
from flows.history.prune import _now, prune
from flows.orchestration.page import Page
from flows.session.stores import store_of
from transforms.vocabulary import PlanError

COLUMNS = {"id": {"from": "nr", "cast": "text"}, "name": "nam", "note": "notiz", "stock": "menge"}


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Five items on both sides, which have met; keys are numbers on the source and texts on the target."""
    made = Scenario.make(tmp_path, ("sqlite", "duckdb"), request)
    made.source.execute("CREATE TABLE ding (nr integer PRIMARY KEY, nam varchar(40), notiz varchar(40), menge integer)")
    made.target.execute(
        "CREATE TABLE item (id varchar(9) PRIMARY KEY, name varchar(40), note varchar(40), stock integer)"
    )
    made.source.insert("ding", [(n, "cup", "note", 10) for n in range(1, 7)])
    write(made)
    assert made.run().status is Status.DONE
    return made


def write(shop: Scenario, **defaults: Any) -> None:
    conflict = {
        "resolve": "source_wins",
        "by": "field",
        "delete": "update_wins",
        "columns": {"note": "longer", "stock": "sum", "name": "source_wins"},
    }
    shop.write(
        {"item": {"from": "ding", "columns": COLUMNS, "conflict": conflict}},
        direction="two_way",
        defaults={"delete": {"max_ratio": 1.0}, "window": 3, **defaults},
    )


def edit(shop: Scenario) -> None:
    """Of row 1 both change all columns, in row 2 each another one; row 3 is deleted on the target and edited on the source; row 4 is
    edited on the source alone."""
    shop.source.execute(
        "UPDATE ding SET nam = 'mug', notiz = 'a longer note', menge = 12 WHERE nr = 1",
        "UPDATE ding SET nam = 'jar' WHERE nr IN (2, 4)",
        "UPDATE ding SET menge = 99 WHERE nr = 3",
    )
    shop.target.execute(
        "UPDATE item SET name = 'jug', note = 'short', stock = 7 WHERE id = '1'",
        "UPDATE item SET stock = 5 WHERE id = '2'",
        "DELETE FROM item WHERE id = '3'",
    )


def life(shop: Scenario, key: Any) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = answer("log", shop.path, "item", "--key", key)["changes"]
    return [line for line in lines if line["version"] != 1]


def lost(line: dict[str, Any]) -> dict[str | None, tuple[Any, ...]]:
    names = ("lost", "rule", "base", "source", "target", "won")
    return {
        each["column"]: tuple(tuple(each[n]) if n == "lost" else each[n] for n in names) for each in line["overruled"]
    }


NAME = (("target",), "source_wins", "cup", "mug", "jug", "mug")
NOTE = (("target",), "longer", "note", "a longer note", "short", "a longer note")


def test_the_life_of_a_row_says_where_each_change_came_from_and_which_edits_it_overruled(shop: Scenario) -> None:
    edit(shop)
    assert shop.run().status is Status.DONE
    changed = {line["side"]: line for line in life(shop, 1)}
    assert {side: line["came_from"] for side, line in changed.items()} == {"source": "target", "target": "source"}
    assert all(line["author"] and line["when"] for line in changed.values())
    assert lost(changed["target"]) == {"name": NAME, "note": NOTE}
    assert changed["target"]["before"] == {"name": "jug", "note": "short", "stock": "7"}
    assert (lost(changed["source"]), changed["source"]["after"]) == ({}, {"menge": "9"})
    assert [lost(line) for line in life(shop, 2)] == [{}, {}]
    (back,) = life(shop, 3)
    assert (back["op"], lost(back)) == ("insert", {None: (("target",), "update_wins", None, None, None, None)})
    text = syncline("log", shop.path, "item", "--key", 1).stdout
    assert "update of the source to the target  (mapping; by " in text
    assert "overruled name: base cup, source mug, target jug; the target's lost (source_wins)" in text
    text = syncline("log", shop.path, "item", "--key", 3).stdout
    assert "overruled the row: base (a row), source (a row), target (no row); the target's lost (update_wins)" in text


def test_versions_and_their_difference_list_what_they_overruled(shop: Scenario) -> None:
    edit(shop)
    version = shop.run().report.version
    told = answer("show", shop.path, version)
    assert [(each["key"], each["column"]) for each in told["overruled"]] == [
        ('["1"]', "name"),
        ('["1"]', "note"),
        ('["3"]', None),
    ]
    assert answer("show", shop.path, version, "--key", 3)["overruled"][0]["key"] == '["3"]'
    for ends in ((1, 3), (3, 1)):
        found = answer("diff", shop.path, *ends)["overruled"]
        assert [(each["version"], each["column"]) for each in found] == [
            (version, "name"),
            (version, "note"),
            (version, None),
        ]
    assert (
        'Overruled: 3 edits\n! item ["1"] name: base cup' in syncline("diff", shop.path, 1, 3, "--table", "item").stdout
    )
    assert answer("diff", shop.path, 0, 1)["overruled"] == []


def test_plan_run_and_page_count_edits_that_lose_and_show_some(shop: Scenario) -> None:
    edit(shop)
    planned = shop.plan()
    for outcome in (planned, shop.apply(planned.report.plan)):
        (table,) = outcome.report.tables
        assert (table.merged, table.overruled, len(table.overruled_edits)) == (2, 2, 3)
        told = table.as_dict()["overruled_edits"][0]
        assert (told["base"], told["source"], told["target"]) == ("cup", "mug", "jug")
        words = str(Page(outcome, "said"))
        done = "to insert, 2 to update, 0 to delete" if outcome is planned else "inserted, 2 updated, 0 deleted"
        assert f"in the source: 0 {done}" in words and "2 with edits of both sides" in words
        assert '2 with an edit that lost, such as `["1"]`; `["3"]`' in words and "mug" not in words
    page = Path(str(outcome.report.page)).read_text("utf-8")
    at = page.index("Edits that lost")
    assert all(f"<bdi>{value}</bdi>" in page[at:] for value in ("cup", "mug", "jug", "a longer note"))
    assert kept(store_of(shop.spec), shop.spec.name, outcome.report.run_id)["tables"][0]["overruled"] == 2


def test_a_plan_for_people_says_what_comes_together_and_what_loses(shop: Scenario) -> None:
    edit(shop)
    text = syncline("plan", shop.path, status=2).stdout
    assert "item: edits of both sides come together in 2 rows." in text
    assert 'item: 2 rows with an edit that loses\n  ! item ["1"] name: base cup, source mug, target jug' in text


def test_a_row_that_was_edited_before_it_was_written_has_nothing_overruled(shop: Scenario) -> None:
    edit(shop)
    planned = shop.plan()
    shop.target.execute("UPDATE item SET name = 'late' WHERE id = '1'")
    assert shop.apply(planned.report.plan).status is Status.CONFLICTS
    assert not [line for line in life(shop, 1) if "overruled" in line], "nothing went to either side"
    assert shop.run().status is Status.DONE
    late = [lost(line) for line in life(shop, 1) if line.get("side") == "target"][-1]
    assert late["name"] == (*NAME[:4], "late", "mug")


def test_what_a_decision_overruled_has_who_made_it_and_why(shop: Scenario) -> None:
    shop.write({"item": {"from": "ding", "columns": COLUMNS}}, direction="two_way")
    edit(shop)
    assert shop.run().status is Status.CONFLICTS
    syncline(
        "conflicts", shop.path, "resolve", "--table", "item", "--key", 1, "--take", "target", "--why", "they called"
    )
    syncline("conflicts", shop.path, "resolve", "--table", "item", "--key", 1, "--field", "name", "--take", "pot")
    shop.run()
    lines = life(shop, 1)
    edits = {each["column"]: each for line in lines for each in line.get("overruled", ()) if line["side"] == "source"}
    assert {name: (each["rule"], each["won"], each["why"]) for name, each in edits.items()} == {
        "name": ("decision", "pot", None), "note": ("decision", "short", "they called"), "stock": ("decision", "7", "they called"),
    }  # fmt: skip
    assert len({each["by"] for each in edits.values()} | {line["author"] for line in lines}) == 1
    text = syncline("log", shop.path, "item", "--key", 1).stdout
    assert "name: base cup, source mug, target jug; the source's lost (decision, " in text and "; both have pot" in text


@pytest.mark.parametrize("history", ["keys", "off"])
def test_where_values_are_not_kept_those_of_edits_that_lost_are_not_either(shop: Scenario, history: str) -> None:
    write(shop, history=history)
    edit(shop)
    done = shop.run()
    assert [table.overruled for table in done.report.tables] == [2]
    assert not list(store_of(shop.spec).root.rglob("overruled/**/*.parquet"))
    assert not any(line.get("overruled") for line in life(shop, 1))


def test_what_was_pruned_is_told_no_more(shop: Scenario) -> None:
    edit(shop)
    shop.run()
    prune(shop.spec, _now())
    assert life(shop, 1) == []
    assert [answer("show", shop.path, number)["overruled"] for number in (2, 3)] == [[], []]
    beside = {path.parts[-3] for path in store_of(shop.spec).root.rglob("plans/*/*/*/*.parquet")}
    assert not beside & {"agreed", "before", "wanted", "pairs", "overruled", "edits", "changes"}
    with pytest.raises(PlanError, match=r"pruned|--side"):
        shop.undo(2)
    shop.source.execute("UPDATE ding SET nam = 'late' WHERE nr = 5")
    version = shop.run().report.version or 0
    assert shop.undo(version).status is Status.DONE
    assert shop.run().status is Status.DONE
    assert shop.verify().status is Status.DONE

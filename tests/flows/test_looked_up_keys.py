"""Keys that contain a number which is looked up in another table, and is given out in the very same plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import syncline
from scenario import RING, Rows, Scenario, counts, halves, pair_name, quarantine

from flows import commands
from flows.commands import Status
from flows.history import quarantine as quarantining

everywhere = pytest.mark.parametrize("shop", RING, indirect=True, ids=pair_name)
one_half, other_half = halves("shop")
LOOKUP = {"table": "purchase", "match": {"no": "purchase_no"}, "take": "purchase_id"}


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    made = Scenario.make(tmp_path, getattr(request, "param", ("sqlite", "sqlite")), request)
    made.source.execute(
        "CREATE TABLE purchases (no varchar(9) PRIMARY KEY, total varchar(9))",
        "CREATE TABLE items (purchase_no varchar(9), line integer, item varchar(9), PRIMARY KEY (purchase_no, line))",
    )
    purchase = {"purchase_id": {"generate": "identity"}, "no": "no", "total": {"from": "total", "cast": "integer"}}
    columns: dict[str, Any] = {"purchase_id": {"lookup": LOOKUP}, "line": "line", "item": "item"}
    foreign = {"columns": ["purchase_id"], "table": "purchase", "refers": ["purchase_id"]}
    made.write(
        {
            "purchase": {"from": "purchases", "key": ["no"], "columns": purchase},
            "line": {
                "from": "items", "key": ["purchase_id", "line"], "columns": columns, "create": {"foreign_keys": [foreign]},
            },
        },
        defaults={"window": {"rows": 2}},
    )  # fmt: skip
    return made


def fill(shop: Scenario, purchases: Rows, lines: Rows) -> None:
    shop.source.execute("DELETE FROM items", "DELETE FROM purchases")
    shop.source.insert("purchases", purchases)
    shop.source.insert("items", lines)


def lines(shop: Scenario) -> Rows:
    found = shop.target.ask("SELECT no, line, item FROM line JOIN purchase ON line.purchase_id = purchase.purchase_id")
    assert len(found) == shop.target.count("line")
    return sorted(found)


@everywhere
def test_lines_are_matched_by_the_numbers_of_their_orders(shop: Scenario) -> None:
    fill(shop, [("p3", "3"), ("p1", "1"), ("p2", "2")], [(f"p{at % 3 + 1}", at, f"i{at}") for at in range(8)])
    first = shop.run()
    assert counts(first, "line") == {"source_rows": 8, "insert": 8}
    assert lines(shop) == sorted((f"p{at % 3 + 1}", at, f"i{at}") for at in range(8))
    shop.settled()
    before = shop.target.content()
    fill(
        shop,
        [("p4", "4"), ("p1", "1"), ("p3", "9")],
        [("p1", 0, "new"), ("p1", 3, "i3"), ("p4", 1, "x"), ("p3", 2, "i2")],
    )
    done = shop.run()
    assert counts(done, "line") == {"source_rows": 4, "insert": 1, "update": 1, "delete": 5, "unchanged": 2}
    assert lines(shop) == [("p1", 0, "new"), ("p1", 3, "i3"), ("p3", 2, "i2"), ("p4", 1, "x")]
    shop.settled()
    assert done.report.version is not None
    assert shop.undo(done.report.version).status == Status.DONE
    assert shop.target.content() == before


@one_half
def test_lines_without_their_order_wait_in_quarantine_each_by_itself(shop: Scenario) -> None:
    rows = [("p1", 1, "a"), ("p2", 1, "b"), ("p3", 1, "c"), ("p3", 2, "d"), ("p4", 1, "e")]
    fill(shop, [("p1", "1"), ("p2", "two")], rows)
    done = shop.run()
    assert counts(done, "line") == {"source_rows": 5, "insert": 1, "quarantined": 4}
    aside = [(key, why) for table, key, why in quarantine(shop) if table == "line"]

    assert aside == [
        ([{"purchase_no": "p2"}, 1], "its purchase is in quarantine"),
        ([{"purchase_no": "p3"}, 1], "no purchase has this no"),
        ([{"purchase_no": "p3"}, 2], "no purchase has this no"),
        ([{"purchase_no": "p4"}, 1], "no purchase has this no"),
    ]
    shop.settled()
    fill(shop, [("p1", "1"), ("p2", "2"), ("p3", "3")], rows)
    shop.run(tables=["purchase"])
    again = quarantining.retry(shop.request("retry"), quarantining.Filter(tables=("line",)))
    assert again is not None
    tried = commands.run(again)
    assert counts(tried, "line") == {"source_rows": 4, "insert": 3, "quarantined": 1}
    assert lines(shop) == sorted(rows[:4])
    assert [why for table, _, why in quarantine(shop)] == ["no purchase has this no"]
    shop.run()
    shop.settled()


@other_half
def test_a_range_over_the_other_columns_of_such_a_key(shop: Scenario) -> None:
    rows = [("p1", 1, "a"), ("p2", 1, "b"), ("p3", 2, "c"), ("p3", 3, "d"), ("p4", 2, "e")]
    fill(shop, [("p1", "1"), ("p2", "2"), ("p3", "3")], rows)
    shop.run(tables=["purchase"])
    shop.backfill("line.line:2..4", "1")
    assert lines(shop) == [("p3", 2, "c"), ("p3", 3, "d")]
    number = dict(shop.target.ask("SELECT no, purchase_id FROM purchase"))["p2"]
    shop.run(ranges=[f"line.purchase_id:{number}..{number + 1}"])
    assert len(lines(shop)) == 3
    shop.run()
    assert lines(shop) == sorted(rows[:4])
    shop.settled()


@one_half
def test_keys_are_listed_with_what_they_stand_for(shop: Scenario) -> None:
    """Before the number is in the target and after, whatever lists the row; and where nothing was found that it could stand for."""

    def told(*arguments: str, status: int = 0) -> Any:
        return json.loads(syncline(*arguments, "--json", status=status).stdout)

    def of(name: str) -> Any:
        return {"purchase_id": {"table": "purchase", "by": {"no": name}}}

    spec = str(shop.path)
    fill(shop, [("p1", "1"), ("p2", "x")], [("p1", 1, "a"), ("p1", 2, "b"), ("p9", 1, "c")])
    planned = syncline("plan", spec, "--rows", status=2).output
    assert "+ line [1,1]  purchase_id → purchase(no=p1)" in planned
    assert "+ line 1, 1  purchase_id → purchase(no=p1)" in syncline("plan", spec, status=2).output
    assert "+ purchase" in planned and "purchase(no=p1)" not in planned.split("+ line")[0]
    assert [each.get("stands_for") for each in told("plan", spec, status=2)["rows"]] == [None, of("p1"), of("p1")]
    syncline("run", spec, "--direct")

    listed = syncline("quarantine", spec, "list", "--table", "line").output
    assert '[{"purchase_no":"p9"},1] purchase_id → purchase(no=p9)' in listed
    (aside,) = told("quarantine", spec, "list", "--table", "line")["rows"]
    assert aside["stands_for"] == [of("p9")]
    assert told("quarantine", spec, "show", "--table", "line")["rows"][0]["stands_for"] == of("p9")
    assert "  purchase_id → purchase(no=p9)" in syncline("quarantine", spec, "show", "--table", "line").output

    assert "+ line [1,2]  purchase_id → purchase(no=p1)" in syncline("show", spec, "1").output
    assert told("diff", spec, "0", "1", "--table", "line")["changes"][0]["stands_for"] == of("p1")
    assert syncline("log", spec, "line", "--key", "[1,2]").output.startswith("purchase_id → purchase(no=p1)\n")
    assert told("log", spec, "line", "--key", "[1,2]")["changes"][0]["stands_for"] == of("p1")
    shop.source.execute("UPDATE items SET item = 'z' WHERE line = 2")
    assert "~ line [1,2]  purchase_id → purchase(no=p1)" in syncline("verify", spec, "--rows", status=2).output

    plan = told("plan", spec, status=2)["plan"]
    shop.target.execute("UPDATE line SET item = 'by hand' WHERE line = 2")
    syncline("apply", plan, "--direct", "--yes", status=5)
    assert "] purchase_id → purchase(no=p1)" in syncline("conflicts", spec, "list").output
    assert "\n    purchase_id → purchase(no=p1)\n" in syncline("conflicts", spec, "show").output
    (conflict,) = told("conflicts", spec, "list")["conflicts"]
    assert conflict["stands_for"] == of("p1")
    (page,) = [
        each for each in (tmp.read_text() for tmp in shop.path.parent.glob("**/report.html")) if "by hand" in each
    ]
    assert "purchase_id → purchase(no=p1)" in page


def test_a_target_that_is_away_takes_nothing_from_a_listing_but_what_keys_stand_for(shop: Scenario) -> None:
    fill(shop, [("p1", "1")], [("p1", 1, "a")])
    syncline("run", str(shop.path), "--direct")
    before = syncline("show", str(shop.path), "1").output
    shop.target.execute("ALTER TABLE purchase RENAME TO elsewhere")
    assert syncline("show", str(shop.path), "1").output == before.replace("  purchase_id → purchase(no=p1)", "")

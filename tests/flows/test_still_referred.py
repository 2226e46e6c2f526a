"""A row that the source has lost stays in the target while rows that stay refer to it; all else goes in, and nothing cascades."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario import Engine, Scenario, counts, quarantine

from flows.commands import Status
from transforms.vocabulary import PlanError

ENGINES: tuple[Engine, ...] = ("sqlite", "duckdb", "postgresql", "mysql")
LEVELS = ("region", "site", "device")


@pytest.fixture(params=ENGINES)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Regions, their sites, and the devices of those: five of each, and notes of the target's own. Loaded."""
    made = Scenario.make(tmp_path, ("sqlite", request.param), request)
    action = " ON DELETE CASCADE" if request.param != "duckdb" else ""
    made.source.execute(
        "CREATE TABLE region (no integer PRIMARY KEY, name varchar(20), code integer)",
        "CREATE TABLE site (no integer PRIMARY KEY, region integer, day varchar(20))",
        "CREATE TABLE device (no integer PRIMARY KEY, site integer, day varchar(20))",
    )
    made.target.execute(
        "CREATE TABLE region (no integer PRIMARY KEY, name varchar(20), code integer UNIQUE)",
        "CREATE TABLE site (no integer PRIMARY KEY, region integer, day date, FOREIGN KEY (region) REFERENCES region (no))",
        "CREATE TABLE device (no integer PRIMARY KEY, site integer, day date, "
        f"FOREIGN KEY (site) REFERENCES site (no){action})",
        "CREATE TABLE note (no integer PRIMARY KEY, region integer, "
        f"FOREIGN KEY (region) REFERENCES region (no){action.replace('CASCADE', 'SET NULL')})",
    )
    made.source.insert("region", [(n, f"region {n}", n) for n in range(1, 6)])
    for table in ("site", "device"):
        made.source.insert(table, [(n, n, "2020-02-02") for n in range(1, 6)])
    made.write(tables())
    assert made.run().status == Status.DONE
    return made


def tables(**more: Any) -> dict[str, Any]:
    dated = {"day": {"from": "day", "cast": "date"}}
    found: dict[str, Any] = {
        "region": {"from": "region", "key": "no"},
        "site": {"from": "site", "key": "no", "columns": {"no": "no", "region": "region", **dated}},
        "device": {"from": "device", "key": "no", "columns": {"no": "no", "site": "site", **dated}},
    }
    return {name: {**table, **more.get(name, {})} for name, table in found.items()}


def lost(shop: Scenario, *numbers: int, but: str = "") -> None:
    """The source loses these regions and all that hangs below them, and everything else of it changes."""
    chosen = ", ".join(map(str, numbers))
    for table in LEVELS:
        if table != but:
            shop.source.execute(f"DELETE FROM {table} WHERE no IN ({chosen})")
    shop.source.execute("UPDATE region SET name = name || '!'", "INSERT INTO region VALUES (9, 'region 9', 9)")


def there(shop: Scenario) -> dict[str, list[int]]:
    return {table: [no for (no,) in shop.target.rows(table, "no")] for table in LEVELS}


def test_what_a_row_in_quarantine_refers_to_stays_until_it_is_mended(shop: Scenario) -> None:
    lost(shop, 2, 4, but="device")
    shop.source.execute("UPDATE device SET day = 'never' WHERE no = 2", "DELETE FROM device WHERE no = 4")
    planned = shop.plan()
    assert [counts(planned, table).get("delete", 0) for table in LEVELS] == [1, 1, 1]
    assert [dict(each.unproved) for each in planned.report.tables] == [
        {"referred": 1},
        {"referred": 1},
        {"quarantined": 1},
    ]
    done = shop.run()
    assert done.status == Status.DONE
    assert there(shop) == {"region": [1, 2, 3, 5, 9], "site": [1, 2, 3, 5], "device": [1, 2, 3, 5]}
    assert sum("row stays" in each for each in done.report.warning_texts) == 2
    assert not any("reconcile" in each for each in done.report.warning_texts)
    assert shop.plan().status == Status.DONE
    proof = shop.verify()
    assert proof.status == Status.CHANGES
    assert [counts(proof, table).get("delete", 0) for table in LEVELS] == [1, 1, 0]
    shop.source.execute("DELETE FROM device WHERE no = 2")
    assert shop.run().status == Status.DONE
    assert there(shop) == {"region": [1, 3, 5, 9], "site": [1, 3, 5], "device": [1, 3, 5]}
    shop.settled()
    assert shop.undo(1, to=True).status == Status.DONE
    assert there(shop) == {table: [1, 2, 3, 4, 5] for table in LEVELS}


@pytest.mark.parametrize(
    ("shop", "why"),
    [
        *((engine, "other table") for engine in ENGINES),
        ("postgresql", "owns"),
        ("mysql", "ignore"),
        ("sqlite", "not asked for"),
    ],
    indirect=["shop"],
)
def test_rows_that_are_not_the_plans_are_never_changed_by_a_delete(shop: Scenario, why: str) -> None:
    """Neither refused nor carried further by ON DELETE CASCADE and SET NULL."""
    if why == "other table":
        shop.target.insert("note", [(1, 2)])
    more = {"owns": {"owns": "no <> 2"}, "ignore": {"delete": "ignore"}}.get(why)
    shop.write(tables(device=more) if more else tables())
    lost(shop, 2, 4)
    asked = {"tables": ["region", "site"]} if why == "not asked for" else {}
    before = shop.target.content()
    done = shop.run(**asked)
    assert done.status == Status.DONE
    assert done.report.total.quarantined == 0
    now = shop.target.content()
    stay = {"other table": [1, 3, 5], "owns": [1, 2, 3, 5]}.get(why, [1, 2, 3, 4, 5])
    assert there(shop)["device"] == stay
    assert now["device"] == [row for row in before["device"] if row[0] in stay]
    assert now["note"] == before["note"]
    assert there(shop)["region"] == [*([1, 2, 3, 5] if why == "other table" else stay), 9]
    assert (3, "region 3!", 3) in now["region"]
    assert shop.plan(**asked).status == Status.DONE


@pytest.mark.parametrize("shop", ["mysql"], indirect=True)
def test_a_row_that_takes_a_unique_value_of_one_that_stays_is_set_aside(shop: Scenario) -> None:
    shop.target.insert("note", [(1, 2)])
    shop.source.execute(
        "DELETE FROM device WHERE no = 2", "DELETE FROM site WHERE no = 2", "DELETE FROM region WHERE no = 2"
    )
    shop.source.execute("INSERT INTO region VALUES (7, 'same code', 2), (8, 'new', 8)")
    done = shop.run()
    assert counts(done, "region") == {"source_rows": 6, "insert": 1, "unchanged": 4, "unproved": 1, "quarantined": 1}
    assert there(shop)["region"] == [1, 2, 3, 4, 5, 8]
    shop.target.execute("DELETE FROM note")
    again = shop.run()
    assert counts(again, "region") == {"source_rows": 6, "insert": 1, "delete": 1, "unchanged": 5}


def test_rows_of_one_table_keep_each_other(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A leaf in quarantine keeps its whole line of ancestors, and nothing beside it."""
    tree = Scenario.make(tmp_path, ("sqlite", "postgresql"), request)
    tree.source.execute("CREATE TABLE node (no integer PRIMARY KEY, up integer, day varchar(20))")
    tree.target.execute(
        "CREATE TABLE node (no integer PRIMARY KEY, up integer REFERENCES node (no) ON DELETE CASCADE, day date)"
    )
    tree.source.insert("node", [(n, n // 2 or None, "2020-02-02") for n in range(1, 32)])
    tree.write({"node": {"from": "node", "key": "no", "columns": {"no": "no", "up": "up", "day": {"from": "day", "cast": "date"}}}})  # fmt: skip
    assert tree.run().status == Status.DONE
    tree.source.execute("DELETE FROM node WHERE no NOT IN (1, 2, 22)", "UPDATE node SET day = 'never' WHERE no = 22")
    assert tree.run().status == Status.DONE
    assert [no for (no,) in tree.target.ask("SELECT no FROM node ORDER BY no")] == [1, 2, 5, 11, 22]
    assert tree.plan().status == Status.DONE


@pytest.mark.parametrize("shop", ["sqlite", "postgresql", "mysql"], indirect=True)
def test_a_delete_is_held_back_that_would_take_rows_along_which_came_after_planning(shop: Scenario) -> None:
    lost(shop, 2, 4)
    planned = shop.plan()
    assert counts(planned, "region")["delete"] == 2
    shop.target.insert("note", [(1, 2)])
    done = shop.apply(planned.report.plan)
    assert done.report.total.delete == 5
    assert there(shop)["region"] == [1, 2, 3, 5, 9]
    assert shop.target.rows("note") == [(1, 2)]
    assert [key for _, key, reason in quarantine(shop) if "ON DELETE SET NULL" in reason] == [[2]]
    shop.target.insert("note", [(2, 9)])
    with pytest.raises(PlanError, match="note"):  # an undo would delete region 9
        shop.undo(2)
    assert shop.target.rows("note") == [(1, 2), (2, 9)]

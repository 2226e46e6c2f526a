"""Tables of every kind read by a cursor: what a run of what is new makes of them is what a run of all rows would, but for deletes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario import Scenario, pair_name

SOURCE = [
    "CREATE TABLE people (id INTEGER PRIMARY KEY, code VARCHAR(20), boss VARCHAR(20), v INTEGER NOT NULL)",
    "CREATE TABLE firms (id INTEGER PRIMARY KEY, code VARCHAR(20), v INTEGER NOT NULL)",
    "CREATE TABLE old_firms (id INTEGER PRIMARY KEY, code VARCHAR(20), v INTEGER NOT NULL)",
    "CREATE TABLE visits (id INTEGER PRIMARY KEY, person VARCHAR(20), n INTEGER, v INTEGER NOT NULL)",
]
TARGET = [
    "CREATE TABLE person (id INTEGER PRIMARY KEY, code VARCHAR(20) UNIQUE, boss INTEGER)",
    "CREATE TABLE firm (kind VARCHAR(10), id INTEGER, code VARCHAR(20), PRIMARY KEY (kind, id))",
    "CREATE TABLE visit (person INTEGER PRIMARY KEY, n INTEGER CHECK (n < 100))",
    "CREATE TABLE flagged (id INTEGER PRIMARY KEY, code VARCHAR(20), gone BOOLEAN)",
    "CREATE TABLE asked (id INTEGER PRIMARY KEY, code VARCHAR(20))",
]
CURSOR = {"column": "v", "overlap": 1}
LOOKED = {"lookup": {"table": "person", "match": {"code": "person"}, "take": "id"}}
TABLES: dict[str, Any] = {
    "person": {  # looked up in itself
        "from": "people",
        "columns": {
            "id": "id",
            "code": "code",
            "boss": {"lookup": {"table": "person", "match": {"code": "boss"}, "take": "id"}, "missing": "null"},
        },
    },
    "firm": {  # of two sources, each with numbers of its own
        "from": [
            {"table": "firms", "columns": {"kind": {"const": "new"}}},
            {"table": "old_firms", "columns": {"kind": {"const": "old"}}},
        ],
        "key": ["kind", "id"],
        "columns": {"id": "id", "code": "code"},
    },
    "visit": {"from": "visits", "key": "person", "columns": {"person": LOOKED, "n": "n"}},  # of a key that is looked up
    "flagged": {
        "from": "firms",
        "delete": {"policy": "soft", "column": "gone"},
        "columns": {"id": "id", "code": "code"},
    },
    "asked": {
        "key": "id",
        "columns": {"id": "id", "code": "code"},
    },
}


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    made = Scenario.make(tmp_path, request.param, request)
    made.source.execute(*SOURCE)
    made.target.execute(*TARGET)
    defaults = {"delete": {"max_ratio": 1.0}, "quarantine": {"max_ratio": 1.0}, "cursor": CURSOR}
    schema = f"{made.source.schema}." if made.source.schema else ""
    query = f"SELECT id, upper(code) AS code, v FROM {schema}firms"
    made.write({**TABLES, "asked": {**TABLES["asked"], "from": {"query": query}}}, defaults=defaults)
    return made


def start(shop: Scenario) -> None:
    shop.source.insert("people", [(1, "ada", None, 1), (2, "bob", "ada", 2), (3, "cy", "bob", 3)])
    shop.source.insert("firms", [(n, f"f{n}", 10 + n) for n in range(1, 6)])
    shop.source.insert("old_firms", [(n, f"o{n}", 1000 + n) for n in range(1, 4)])
    shop.source.insert("visits", [(1, "ada", 1, 1), (2, "bob", 2, 2), (3, "dan", 3, 3)])
    shop.run()


def step(shop: Scenario) -> dict[str, Any]:
    """A run, of which all tables were read by their cursors; what it did with each."""
    outcome = shop.run()
    assert all(each.cursor.since is not None for each in outcome.report.tables), outcome.report.tables
    names = ("insert", "update", "delete", "quarantined")
    found = {each.name: [getattr(each.counts, name) for name in names] for each in outcome.report.tables}
    return {name: made for name, made in found.items() if any(made)}


def put(shop: Scenario, table: str, row: tuple[Any, ...]) -> None:
    shop.source.execute(f"DELETE FROM {table} WHERE id = {row[0]}")
    shop.source.insert(table, [row])


@pytest.mark.parametrize("shop", [("duckdb", "sqlite")], indirect=True, ids=pair_name)
def test_new_rows_of_tables_of_every_kind(shop: Scenario) -> None:
    start(shop)
    assert step(shop) == {"visit": [0, 0, 0, 1]}
    # a parent that comes with its child, and one that somebody waited for in the key
    put(shop, "people", (4, "dan", "eve", 10))
    put(shop, "people", (5, "eve", None, 10))
    put(shop, "old_firms", (3, "again", 1010))
    assert step(shop) == {"person": [2, 0, 0, 0], "firm": [0, 1, 0, 0], "visit": [1, 0, 0, 0]}
    assert shop.target.rows("person", "id, boss") == [(1, None), (2, 1), (3, 2), (4, 5), (5, None)]
    assert shop.target.rows("visit") == [(1, 1), (2, 2), (4, 3)]
    # what the target refuses waits, however old it is when it is mended
    put(shop, "visits", (2, "bob", 500, 20))
    put(shop, "firms", (6, "f6", 16))
    assert step(shop) == {
        "visit": [0, 0, 0, 1], "firm": [1, 0, 0, 0], "flagged": [1, 0, 0, 0], "asked": [1, 0, 0, 0],
    }  # fmt: skip
    shop.source.execute("UPDATE visits SET n = 50 WHERE id = 2")
    put(shop, "visits", (4, "cy", 4, 40))
    assert step(shop) == {"visit": [1, 1, 0, 0]}
    # deletes wait for a run of all rows, and a flag that it has set is taken back by a row that comes again
    shop.source.execute(
        "DELETE FROM firms WHERE id = 2", "DELETE FROM people WHERE id = 3", "DELETE FROM visits WHERE id = 2"
    )
    put(shop, "firms", (7, "f7", 17))
    assert step(shop) == {name: [1, 0, 0, 0] for name in ("firm", "flagged", "asked")}
    full = shop.run(full=True).report
    assert {each.name: each.counts.delete for each in full.tables} == {
        "person": 1, "firm": 1, "visit": 2, "flagged": 1, "asked": 1,
    }  # fmt: skip
    put(shop, "firms", (2, "f2", 18))
    assert step(shop) == {
        "firm": [1, 0, 0, 0], "flagged": [0, 1, 0, 0], "asked": [1, 0, 0, 0], "visit": [0, 0, 0, 1],
    }  # fmt: skip
    shop.settled()


@pytest.mark.parametrize("shop", [("mysql", "sqlite")], indirect=True, ids=pair_name)
def test_values_that_move_and_rows_of_others(shop: Scenario) -> None:
    """A unique value that goes from row to row, also by way of one that is not new; and rows that `owns` leaves to others."""
    start(shop)
    put(shop, "people", (1, "bob", None, 10))
    put(shop, "people", (2, "ada", "bob", 10))
    assert step(shop)["person"] == [0, 3, 0, 0]  # the boss of the third is another by now
    assert shop.target.rows("person", "id, code") == [(1, "bob"), (2, "ada"), (3, "cy")]
    # the row that has the value is gone in the source: a run of what is new cannot know, sets the new one aside, and keeps it
    shop.source.execute("DELETE FROM people WHERE id = 3")
    put(shop, "people", (9, "cy", None, 11))
    assert step(shop)["person"] == [0, 0, 0, 1]
    put(shop, "people", (10, "zed", None, 50))
    assert step(shop)["person"] == [1, 0, 0, 1]
    assert shop.run(full=True).report.tables[0].counts.quarantined == 0
    assert shop.target.rows("person", "id, code") == [(1, "bob"), (10, "zed"), (2, "ada"), (9, "cy")]

    owned = {"firm": {**TABLES["firm"], "owns": "kind <> 'theirs'"}}
    shop.write(owned, defaults={"delete": {"max_ratio": 1.0}, "quarantine": {"max_ratio": 1.0}, "cursor": CURSOR})
    shop.target.execute("""INSERT INTO firm VALUES ('theirs', 1, 'x')""")
    shop.run()
    put(shop, "firms", (1, "f1 anew", 60))
    assert step(shop) == {"firm": [0, 1, 0, 0]}


@pytest.mark.parametrize("shop", [("sqlite", "duckdb")], indirect=True, ids=pair_name)
def test_more_keys_than_the_target_is_asked_for_at_once(shop: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.plan.reading.chosen_keys.ASKED", 2)
    start(shop)
    for number in range(1, 6):
        put(shop, "firms", (number, f"n{number}", 20))
    put(shop, "old_firms", (3, "o3", 1020))
    assert step(shop)["flagged"] == [0, 5, 0, 0]
    shop.settled()


@pytest.mark.parametrize("shop", [("sqlite", "sqlite")], indirect=True, ids=pair_name)
def test_tables_that_both_sides_number_and_limits_on_quarantine(shop: Scenario) -> None:
    """An identity map pairs the rows that are read; a limit is held to the rows that the source has, not to the few that were read."""
    shop.target.execute("CREATE TABLE client (no INTEGER PRIMARY KEY AUTOINCREMENT, code VARCHAR(20) NOT NULL)")
    key = {"map": ["no"], "source": ["id"], "match": ["code"]}
    table = {"from": "people", "key": key, "columns": {"no": {"generate": "identity"}, "code": "code"}}
    defaults = {"delete": {"max_ratio": 1.0}, "quarantine": {"max_ratio": 0.3}, "cursor": CURSOR}
    shop.write({"client": table}, defaults=defaults)
    shop.source.insert("people", [(n, f"c{n}", None, n) for n in range(1, 9)])
    shop.target.execute("INSERT INTO client VALUES (100, 'c3')")
    assert shop.run().report.tables[0].counts.insert == 7
    numbers = dict(shop.target.ask("SELECT code, no FROM client"))
    assert numbers["c3"] == 100

    put(shop, "people", (3, "renamed", None, 20))
    put(shop, "people", (9, "c9", None, 20))
    put(shop, "people", (10, None, None, 20))  # 1 of 3 rows that are read, and of 10 that there are
    assert step(shop) == {"client": [1, 1, 0, 1]}
    assert dict(shop.target.ask("SELECT code, no FROM client WHERE no = 100")) == {"renamed": 100}
    put(shop, "people", (10, "c10", None, 21))
    done = shop.run()
    assert (done.report.tables[0].counts.insert, done.report.tables[0].cursor.since, done.report.aside) == (1, "19", "")
    shop.settled()

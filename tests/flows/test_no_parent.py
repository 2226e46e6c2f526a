"""Rows whose parent is nowhere, neither in the target nor in the plan, are set aside when they are planned; all others go in."""

from __future__ import annotations

from pathlib import Path

import pytest
from assessing import checked
from scenario import Engine, Scenario, counts, quarantine, reasons

from flows.commands import Status

ENGINES: tuple[Engine, ...] = ("sqlite", "duckdb", "postgresql", "mysql")
everywhere = pytest.mark.parametrize("engine", ENGINES)


def made(folder: Path, engine: Engine, request: pytest.FixtureRequest) -> Scenario:
    """A parent's code is unique, a child refers to it, and a grandchild to the child."""
    shop = Scenario.make(folder, ("sqlite", engine), request)
    shop.source.execute(
        "CREATE TABLE parent (k integer PRIMARY KEY, code varchar(9))",
        "CREATE TABLE child (k integer PRIMARY KEY, code varchar(9), v integer)",
        "CREATE TABLE leaf (k integer PRIMARY KEY, child integer)",
    )
    shop.target.execute(
        "CREATE TABLE parent (k integer PRIMARY KEY, code varchar(9) NOT NULL UNIQUE)",
        "CREATE TABLE child (k integer PRIMARY KEY, code varchar(9), v integer, "
        "CONSTRAINT child_code FOREIGN KEY (code) REFERENCES parent (code))",
        "CREATE TABLE leaf (k integer PRIMARY KEY, child integer, FOREIGN KEY (child) REFERENCES child (k))",
    )
    shop.source.insert("parent", [(1, "a"), (2, "b")])
    shop.source.insert("child", [(1, "a", 1), (2, "b", 1), (3, None, 1)])
    shop.source.insert("leaf", [(1, 1), (2, 2), (3, 3)])
    shop.write({name: {"from": name, "key": "k"} for name in ("parent", "child", "leaf")})
    return shop


@everywhere
def test_any_number_of_rows_without_a_parent_stops_no_run(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(tmp_path, engine, request)
    shop.source.execute(
        "INSERT INTO child WITH RECURSIVE n (i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 1509) "
        "SELECT i, 'none' || (i % 7), 1 FROM n",
        "INSERT INTO leaf VALUES (10, 10), (11, 7777)",
    )
    planned, done = shop.plan(), shop.run()
    assert done.status == Status.DONE
    assert counts(planned, "child") == counts(done, "child") == {"source_rows": 1503, "insert": 3, "quarantined": 1500}
    assert counts(planned, "leaf") == counts(done, "leaf") == {"source_rows": 5, "insert": 3, "quarantined": 2}
    assert not done.report.warning_texts
    (why,) = reasons(done, "child")
    assert why.startswith("code: no parent has this code")
    assert engine not in ("postgresql", "mysql") or "(foreign key child_code)" in why
    lower = sorted(reasons(done, "leaf"))
    assert lower[0] == "child: its child is in quarantine" and lower[1].startswith("child: no child has this k")
    assert counts(shop.run(), "child") == {"source_rows": 1503, "unchanged": 3, "quarantined": 1500}
    shop.source.execute("INSERT INTO parent SELECT 100 + n, 'none' || n FROM (SELECT DISTINCT k % 7 AS n FROM child)")
    assert counts(shop.run(), "child") == {"source_rows": 1503, "insert": 1500, "unchanged": 3}
    assert [key for _, key, _ in quarantine(shop)] == [[11]]


@everywhere
def test_a_table_alone_finds_its_parents_in_the_target(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(tmp_path, engine, request)
    shop.target.insert("parent", [(1, "a")])
    alone = shop.run(tables=["child"])
    assert counts(alone, "child") == {"source_rows": 3, "insert": 2, "quarantined": 1}
    assert [key for _, key, _ in quarantine(shop)] == [[2]]
    assert counts(shop.run(), "child") == {"source_rows": 3, "insert": 1, "unchanged": 2}
    assert quarantine(shop) == []
    shop.settled()


@everywhere
def test_a_parent_that_the_spec_does_not_name_is_asked_for(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(tmp_path, engine, request)
    shop.target.insert("parent", [(1, "a")])
    shop.write({"child": {"from": "child", "key": "k"}}, defaults={"window": 2})
    assert counts(shop.run(), "child") == {"source_rows": 3, "insert": 2, "quarantined": 1}
    shop.source.execute("UPDATE child SET code = 'nowhere' WHERE k = 3", "UPDATE child SET v = 2")
    assert counts(shop.run(), "child") == {
        "source_rows": 3, "update": 1, "quarantined": 2, "unproved": 1,
    }  # fmt: skip
    assert shop.target.rows("child") == [(1, "a", 2), (3, None, 1)]


@everywhere
@pytest.mark.parametrize("window", [2, 1000])
def test_rows_of_a_tree_whose_parent_is_nowhere_are_set_aside_with_their_branches(
    engine: Engine, window: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", engine), request)
    table = "CREATE TABLE node (no integer PRIMARY KEY, up integer"
    shop.source.execute(f"{table})")
    shop.target.execute(f"{table}, FOREIGN KEY (up) REFERENCES node (no))")
    shop.source.insert("node", [(1, None), (2, 1), (3, 99), (4, 3), (5, 4), (6, 2)])
    shop.write({"node": {"from": "node", "key": "no"}}, defaults={"window": window})
    planned = shop.plan()
    assert counts(planned, "node") == {"source_rows": 6, "insert": 3, "quarantined": 3}
    shop.run()
    why = {key: reason for _, (key,), reason in quarantine(shop)}
    assert why[3].startswith("no node has this no") and why[4] == why[5] == "its node is in quarantine"
    shop.source.execute("INSERT INTO node VALUES (99, NULL)")
    assert counts(shop.run(), "node")["insert"] == 4


def test_a_row_keeps_a_reference_to_nothing_that_was_there_before(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(tmp_path, "mysql", request)
    shop.run()
    with shop.target.connected() as execute:
        execute("SET foreign_key_checks = 0")
        execute("DELETE FROM parent WHERE k = 2")
    shop.source.execute("DELETE FROM parent WHERE k = 2", "UPDATE child SET v = 9 WHERE k = 2")
    assert counts(shop.run(), "child") == {"source_rows": 3, "update": 1, "unchanged": 2}


@pytest.mark.parametrize(
    ("engine", "parent", "child"),
    [("sqlite", "NOCASE", "BINARY"), ("mysql", "utf8mb4_general_ci", "utf8mb4_general_ci")],
)
def test_a_collation_finds_the_parent_that_the_engine_finds(
    engine: Engine, parent: str, child: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, (engine, engine), request)
    shop.source.execute("CREATE TABLE child (k integer PRIMARY KEY, code varchar(9))")
    shop.target.execute(
        f"CREATE TABLE parent (code varchar(9) COLLATE {parent} PRIMARY KEY)",
        f"CREATE TABLE child (k integer PRIMARY KEY, code varchar(9) COLLATE {child}, "
        "FOREIGN KEY (code) REFERENCES parent (code))",
    )
    shop.target.insert("parent", [("ANN",)])
    shop.source.insert("child", [(1, "ann"), (2, "bob")])
    shop.write({"child": {"from": "child", "key": "k"}})
    assert counts(shop.run(), "child") == {"source_rows": 2, "insert": 1, "quarantined": 1}


def test_a_key_that_is_match_full_takes_all_nulls_or_none(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", "postgresql"), request)
    shop.source.execute("CREATE TABLE child (k integer PRIMARY KEY, a integer, b integer, v integer)")
    shop.target.execute(
        "CREATE TABLE parent (a integer, b integer, PRIMARY KEY (a, b))",
        "CREATE TABLE child (k integer PRIMARY KEY, a integer, b integer, v integer, "
        "CONSTRAINT whole FOREIGN KEY (a, b) REFERENCES parent (a, b) MATCH FULL)",
    )
    shop.target.insert("parent", [(1, 1)])
    shop.source.insert(
        "child", [(1, 1, 1, 0), (2, None, None, 0), (3, 1, None, 0), (4, None, 1, 0), (5, 2, 2, 0), (6, 1, 1, 0)]
    )
    shop.write({"child": {"from": "child", "key": "k"}})
    (looked,) = checked(shop).tables
    assert [(each.code, each.rows, each.columns) for each in looked.findings if each.code == "partly_null"] == [
        ("partly_null", 2, ("a", "b"))
    ]
    for outcome in (shop.plan(), shop.run()):
        assert counts(outcome, "child") == {"source_rows": 6, "insert": 3, "quarantined": 3}
        assert any("MATCH FULL" in text and "whole" in text for text in reasons(outcome, "child"))
    assert [key for _, key, _ in quarantine(shop)] == [[3], [4], [5]]
    shop.source.execute("UPDATE child SET b = NULL, v = 1 WHERE k = 6", "UPDATE child SET v = 1 WHERE k = 2")
    assert counts(shop.run(), "child")["update"] == 1
    assert (6, 1, 1, 0) in shop.target.rows("child")


@pytest.mark.parametrize("engine", ["sqlite", "postgresql", "mysql"])
def test_rows_of_a_circle_that_refer_to_nothing_are_found_by_the_plan_and_so_are_those_below_them(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", engine), request)
    for table, other in (("store", "staff"), ("staff", "store")):
        shop.source.execute(f"CREATE TABLE {table} (k integer PRIMARY KEY, {other} integer)")
        shop.target.execute(f"CREATE TABLE {table} (k integer PRIMARY KEY, {other} integer)")
    if engine == "sqlite":
        shop.target.execute(
            "DROP TABLE store",
            "DROP TABLE staff",
            "CREATE TABLE store (k integer PRIMARY KEY, staff integer REFERENCES staff (k))",
            "CREATE TABLE staff (k integer PRIMARY KEY, store integer REFERENCES store (k))",
        )
    else:
        shop.target.execute(
            "ALTER TABLE store ADD FOREIGN KEY (staff) REFERENCES staff (k)",
            "ALTER TABLE staff ADD FOREIGN KEY (store) REFERENCES store (k)",
        )
    many = "WITH RECURSIVE n (i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 1209) SELECT i, 90000 + i FROM n"
    for table in ("store", "staff"):
        shop.source.insert(table, [(1, 1), (2, None), (3, 4), (4, 3), (5, 10)])
        shop.source.execute(f"INSERT INTO {table} {many}")
    shop.write(
        {name: {"from": name, "key": "k"} for name in ("store", "staff")}, defaults={"quarantine": {"max_ratio": 1.0}}
    )
    planned, done = shop.plan(), shop.run()
    assert done.status == Status.DONE
    for table in ("store", "staff"):
        assert counts(planned, table) == counts(done, table) == {"source_rows": 1205, "insert": 4, "quarantined": 1201}
        assert shop.target.rows(table) == [(1, 1), (2, None), (3, 4), (4, 3)]
    assert {each.code for each in done.report.warnings}.isdisjoint({"refused_on_write", "refused_rows"})
    shop.source.execute("INSERT INTO store VALUES (90010, 1)", "UPDATE store SET staff = 10 WHERE k = 10")
    assert shop.run().status == Status.DONE
    assert (10, 90010) in shop.target.rows("staff") and (10, 10) in shop.target.rows("store")
    shop.settled()


@everywhere
def test_what_is_looked_up_refers_to_what_is_there_and_what_does_not_is_found_by_the_plan(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A code that a table beside says, and a key of which one column is a number that is looked up."""
    shop = Scenario.make(tmp_path, ("sqlite", engine), request)
    shop.source.execute(
        "CREATE TABLE alias (name varchar(9) PRIMARY KEY, code varchar(9))",
        "CREATE TABLE area (k integer PRIMARY KEY, name varchar(9))",
        "CREATE TABLE sale (no varchar(9) PRIMARY KEY)",
        "CREATE TABLE line (sale varchar(9), pos integer, PRIMARY KEY (sale, pos))",
        "CREATE TABLE mark (k integer PRIMARY KEY, sale varchar(9), pos integer)",
    )
    shop.target.execute(
        "CREATE TABLE country (code varchar(9) PRIMARY KEY)",
        "CREATE TABLE area (k integer PRIMARY KEY, country varchar(9), FOREIGN KEY (country) REFERENCES country (code))",
        "CREATE TABLE sale (id integer PRIMARY KEY, no varchar(9) NOT NULL UNIQUE)",
        "CREATE TABLE line (sale integer NOT NULL, pos integer NOT NULL, PRIMARY KEY (sale, pos), FOREIGN KEY (sale) REFERENCES sale (id))",
        "CREATE TABLE mark (k integer PRIMARY KEY, sale integer, pos integer, "
        "FOREIGN KEY (sale, pos) REFERENCES line (sale, pos))",
    )
    code = {"lookup": {"side": "source", "table": "alias", "match": {"name": "name"}, "take": "code"}}
    sale = {"lookup": {"table": "sale", "match": {"no": "sale"}, "take": "id"}}
    shop.write(
        {
            "area": {"from": "area", "key": ["k"], "columns": {"k": "k", "country": code}},
            "sale": {"from": "sale", "key": ["no"], "columns": {"id": {"generate": "identity"}, "no": "no"}},
            "line": {"from": "line", "key": ["sale", "pos"], "columns": {"sale": sale, "pos": "pos"}},
            "mark": {"from": "mark", "key": ["k"], "columns": {"k": "k", "sale": sale, "pos": "pos"}},
        },
        defaults={"window": 2, "quarantine": {"max_ratio": 1.0}},
    )
    shop.target.insert("country", [("at",), ("de",)])
    shop.source.insert("alias", [("austria", "at"), ("german", "de"), ("nowhere", "xx")])
    shop.source.insert("area", [(1, "austria"), (2, "nowhere"), (3, "german"), (4, "nowhere")])
    shop.source.insert("sale", [("a",), ("b",)])
    shop.source.insert("line", [("a", 1), ("b", 1), ("b", 2)])
    shop.source.insert("mark", [(1, "a", 1), (2, "a", 2), (3, "b", 2), (4, "b", None)])
    planned, done = shop.plan(), shop.run()
    for each in (planned, done):
        assert counts(each, "area") == {"source_rows": 4, "insert": 2, "quarantined": 2}
        assert counts(each, "mark") == {"source_rows": 4, "insert": 3, "quarantined": 1}
        assert counts(each, "line") == {"source_rows": 3, "insert": 3}
    assert {each.code for each in done.report.warnings}.isdisjoint({"refused_on_write", "refused_rows"})
    assert [key for _, key, _ in quarantine(shop)] == [[2], [4], [2]]
    shop.source.execute("UPDATE alias SET code = 'de' WHERE name = 'nowhere'", "INSERT INTO line VALUES ('a', 2)")
    assert shop.run().status == Status.DONE
    assert quarantine(shop) == []
    shop.settled()


@pytest.mark.parametrize("engine", ["sqlite", "postgresql", "mysql"])
def test_rows_of_a_circle_that_are_numbered_refer_to_nothing_and_are_found_by_the_plan(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", engine), request)
    shop.source.execute(
        "CREATE TABLE store (k integer PRIMARY KEY, head varchar(9))",
        "CREATE TABLE staff (name varchar(9) PRIMARY KEY, store integer)",
    )
    store = "CREATE TABLE store (k integer PRIMARY KEY, head varchar(9)"
    late = ["ALTER TABLE store ADD FOREIGN KEY (head) REFERENCES staff (name)"] if engine != "sqlite" else []
    shop.target.execute(
        f"{store})" if late else f"{store}, FOREIGN KEY (head) REFERENCES staff (name))",
        "CREATE TABLE staff (id integer NOT NULL UNIQUE, name varchar(9) NOT NULL PRIMARY KEY, store integer, "
        "FOREIGN KEY (store) REFERENCES store (k))",
        *late,
    )
    numbered = {"id": {"generate": "identity"}, "name": "name", "store": "store"}
    shop.write(
        {"store": {"from": "store"}, "staff": {"from": "staff", "key": ["name"], "columns": numbered}},
        defaults={"window": 2, "quarantine": {"max_ratio": 1.0}},
    )
    shop.source.insert("store", [(1, "a"), (2, "b"), (3, None), (4, "nobody")])
    shop.source.insert("staff", [("a", 1), ("b", 4), ("c", 3), ("d", 9)])
    planned, done = shop.plan(), shop.run()
    for each in (planned, done):
        assert counts(each, "store") == {"source_rows": 4, "insert": 2, "quarantined": 2}
        assert counts(each, "staff") == {"source_rows": 4, "insert": 2, "quarantined": 2}
    assert {each.code for each in done.report.warnings}.isdisjoint({"refused_on_write", "refused_rows"})
    assert sorted(shop.target.ask("SELECT id, name FROM staff")) == [(1, "a"), (2, "c")]
    shop.settled()

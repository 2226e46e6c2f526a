"""A plan of some keys reads those keys on both sides: by the servers' own counts of rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rows_read import rows_read
from scenario import Engine, Scenario, counts, quarantine

from flows import commands
from flows.commands import Outcome
from flows.history import quarantine as quarantining
from flows.history.quarantine import Filter

ROWS = 20_000
BAD = (3, 17, 29, 41, 53, 71, 97)
NUMBERS = {
    "postgresql": f"generate_series(1, {ROWS}) AS t (n)",
    "mysql": f"(SELECT seq AS n FROM seq_1_to_{ROWS}) AS t",
    "sqlite": f"(WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < {ROWS}) SELECT n FROM r) AS t",
    "duckdb": f"range(1, {ROWS + 1}) AS t (n)",
}


def retried(scenario: Scenario, wanted: Filter = Filter()) -> Outcome:
    request = quarantining.retry(scenario.request(), wanted)
    assert request is not None
    return commands.run(request)


@pytest.fixture(params=["postgresql", "mysql", "sqlite", "duckdb"])
def large(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """A table of many rows on both sides, of which seven do not fit yet: the target has all others."""
    engine: Engine = request.param
    made = Scenario.make(tmp_path, (engine, engine), request)
    # DuckDB looks up keys of one column alone in an index
    key = ("(code)", "(a)") if engine == "duckdb" else ("(code, nr)", "(a, b)")
    listed = ", ".join(map(str, BAD))
    # the sequence tables and PostgreSQL's concat want other casts: || and a text column do in all four
    prefix = "concat('Key ', n)" if engine == "mysql" else "'Key ' || n"
    made.source.execute(
        f"CREATE TABLE item (code varchar(20) NOT NULL, nr integer NOT NULL, v varchar(20), PRIMARY KEY {key[0]})",
        f"INSERT INTO item SELECT {prefix}, n % 7, CASE WHEN n IN ({listed}) THEN 'x' ELSE '5' END FROM {NUMBERS[engine]}",
    )
    made.target.execute(
        f"CREATE TABLE item (a varchar(20) NOT NULL, b varchar(10) NOT NULL, v integer, PRIMARY KEY {key[1]})",
        f"INSERT INTO item SELECT {prefix}, CAST(n % 7 AS char(1)), 5 FROM {NUMBERS[engine]} WHERE n NOT IN ({listed})",
    )
    columns = {"a": "code", "b": {"from": "nr", "cast": "text"}, "v": {"from": "v", "cast": "integer"}}
    wanted = ["a"] if engine == "duckdb" else ["a", "b"]
    made.write(
        {"item": {"from": "item", "key": wanted, "columns": columns}}, defaults={"checkpoint": {"reconcile": False}}
    )
    assert counts(made.run(), "item")["quarantined"] == len(BAD)
    made.source.execute("UPDATE item SET v = '6' WHERE v = 'x'")
    return made


@pytest.fixture
def read(large: Scenario, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, int]]:
    """How many rows of the table each side's server has read since."""
    return rows_read(large, ["item"], monkeypatch)


def test_a_retry_reads_the_rows_of_its_keys_and_no_others(large: Scenario, read: Callable[[], dict[str, int]]) -> None:
    done = retried(large)
    found = read()
    assert counts(done, "item") == {"source_rows": len(BAD), "insert": len(BAD)}
    assert len(BAD) <= found["source"] < 100
    assert found["target"] < 100
    assert quarantine(large) == []
    assert large.target.count("item") == ROWS
    assert not done.report.warning_texts


@pytest.fixture
def shop(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    return Scenario.make(tmp_path, ("sqlite", "duckdb"), request)


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ({"expr": "upper(code)"}, "key column k is made by an expression"),
        ({"from": "code", "map": {"a": "A", "b": "B", "c": "C"}}, "key column k goes through a value map"),
    ],
)
def test_a_key_that_does_not_say_its_source_row_is_found_in_all_of_them_and_said_so(
    shop: Scenario, column: dict[str, Any], why: str
) -> None:
    shop.source.execute("CREATE TABLE s (code text PRIMARY KEY, v text)")
    shop.source.insert("s", [("a", "x"), ("b", "2"), ("c", "x")])
    shop.write({"t": {"from": "s", "key": ["k"], "columns": {"k": column, "v": {"from": "v", "cast": "integer"}}}})
    shop.run()
    shop.source.execute("UPDATE s SET v = '1'")
    done = retried(shop)
    assert counts(done, "t") == {"source_rows": 2, "insert": 2}
    assert shop.target.rows("t") == [("A", 1), ("B", 2), ("C", 1)]
    assert f"t: the source was read whole for 2 keys: {why}." in done.report.warning_texts


def test_a_row_without_a_key_is_looked_for_in_the_whole_source(shop: Scenario) -> None:
    shop.source.execute("CREATE TABLE s (code text, part integer, v text)")
    shop.source.insert("s", [(None, 1, "1"), ("b", 2, "x"), ("c", 3, "3")])
    columns = {"k": "code", "p": "part", "v": {"from": "v", "cast": "integer"}}
    shop.write({"t": {"from": "s", "key": ["k"], "columns": columns}})
    shop.run()
    shop.source.execute("UPDATE s SET v = '2' WHERE v = 'x'")
    done = retried(shop)
    assert counts(done, "t") == {"source_rows": 2, "insert": 1, "quarantined": 1}
    assert [key for _, key, _ in quarantine(shop)] == [[None]]
    assert any("key column k is null in some of the keys" in warning for warning in done.report.warning_texts)


def test_keys_that_the_source_or_target_cannot_hold_are_not_there(shop: Scenario) -> None:
    shop.source.execute("CREATE TABLE s (code text PRIMARY KEY, v text)")
    shop.source.insert("s", [("not a uuid", "1"), ("00000000-0000-4000-8000-000000000001", "x")])
    shop.target.execute("CREATE TABLE t (k uuid PRIMARY KEY, v integer)")
    columns = {"k": {"from": "code", "cast": "uuid"}, "v": {"from": "v", "cast": "integer"}}
    shop.write({"t": {"from": "s", "key": ["k"], "columns": columns}})
    assert counts(shop.run(), "t")["quarantined"] == 2
    shop.source.execute("UPDATE s SET v = '1'")
    assert counts(retried(shop), "t") == {"source_rows": 2, "insert": 1, "quarantined": 1}


def test_keys_of_every_kind_are_asked_for_as_the_columns_hold_them(shop: Scenario) -> None:
    kinds = {
        "d": ("date", "date", "'2020-02-29'"),
        "m": ("timestamp", "timestamp", "'2020-02-29 12:00:00.5'"),
        "n": ("decimal(9, 2)", "decimal(9, 2)", "1.50"),
        "u": ("uuid", "uuid", "'00000000-0000-4000-8000-000000000001'"),
        "b": ("blob", "blob", "x'00ff'"),
        "f": ("boolean", "boolean", "1"),
        "i": ("integer", "varchar", "7"),
    }
    tables = {}
    for name, (own, there, value) in kinds.items():
        shop.source.execute(
            f"CREATE TABLE s_{name} (k {own} NOT NULL, v text)", f"INSERT INTO s_{name} VALUES ({value}, 'x')"
        )
        shop.target.execute(f"CREATE TABLE t_{name} (k {there} PRIMARY KEY, v integer)")
        key = {"from": "k", "cast": "text"} if there == "varchar" else "k"
        tables[f"t_{name}"] = {
            "from": f"s_{name}", "key": ["k"], "columns": {"k": key, "v": {"from": "v", "cast": "integer"}},
        }  # fmt: skip
    shop.write(tables)
    assert sum(each.quarantined for each in shop.run().report.counts.values()) == len(kinds)
    for name in kinds:
        shop.source.execute(f"UPDATE s_{name} SET v = '1'")
    done = retried(shop)
    assert {name: each.insert for name, each in done.report.counts.items()} == dict.fromkeys(tables, 1)
    assert not done.report.warning_texts


def test_many_keys_are_cut_into_windows(shop: Scenario) -> None:
    shop.source.execute("CREATE TABLE s (k integer PRIMARY KEY, v text)")
    shop.source.execute(f"INSERT INTO s SELECT n, 'x' FROM {NUMBERS['sqlite'].replace(str(ROWS), '300')}")
    columns = {"k": "k", "v": {"from": "v", "cast": "integer"}}
    shop.write({"t": {"from": "s", "columns": columns}}, defaults={"window": {"rows": 100}})
    shop.run()
    shop.source.execute("UPDATE s SET v = '1'")
    done = retried(shop)
    assert counts(done, "t") == {"source_rows": 300, "insert": 300}
    assert done.report.tables[0].windows == 3


def test_a_row_whose_key_is_spelled_in_a_way_of_its_own_is_not_taken_for_gone(shop: Scenario) -> None:
    stored = ["infinity", "2020-01-01 10:00", "2020-01-02T10:00:00", "2020-01-03 10:00:00.5"]
    shop.source.execute("CREATE TABLE s (k datetime NOT NULL, v text)")
    shop.source.insert("s", [(text, "1") for text in stored])
    shop.target.execute("CREATE TABLE t (k timestamp PRIMARY KEY, v integer)")
    columns = {"k": "k", "v": {"from": "v", "cast": "integer"}}
    shop.write({"t": {"from": "s", "columns": columns, "key": ["k"]}})
    assert counts(shop.run(), "t")["insert"] == len(stored)
    shop.source.execute("UPDATE s SET v = 'x'")
    assert counts(shop.run(), "t")["quarantined"] == len(stored)
    shop.source.execute("UPDATE s SET v = '2'")
    assert counts(retried(shop), "t") == {"source_rows": len(stored), "update": len(stored)}


def test_an_empty_enum_is_not_taken_for_gone(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    shop = Scenario.make(tmp_path, ("mysql", "duckdb"), request)
    shop.source.execute(
        "CREATE TABLE s (k enum('a', 'b') PRIMARY KEY, v varchar(9))",
        "SET sql_mode = ''",
        "INSERT INTO s VALUES ('a', '1'), ('none', '1')",
    )
    shop.target.execute("CREATE TABLE t (k varchar PRIMARY KEY, v integer)")
    columns = {"k": "k", "v": {"from": "v", "cast": "integer"}}
    shop.write({"t": {"from": "s", "columns": columns, "key": ["k"]}})
    assert counts(shop.run(), "t")["insert"] == 2
    shop.source.execute("UPDATE s SET v = 'x'")
    assert counts(shop.run(), "t")["quarantined"] == 2
    shop.source.execute("UPDATE s SET v = '2'")
    assert counts(retried(shop), "t") == {"source_rows": 2, "update": 2}

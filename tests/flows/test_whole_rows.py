"""Rows that a run deletes are known whole: columns that the spec does not map are guarded, and come back with an undo."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario import PAIRS, RING, Engine, Scenario, Side, counts, pair_name

from flows.commands import Status
from flows.history.asof import asof, table_at
from flows.history.log import difference, life
from transforms.vocabulary import DataError, PlanError, SpecError, TableName

everywhere = pytest.mark.parametrize("shop", RING, indirect=True, ids=pair_name)

OWN: dict[Engine, dict[str, tuple[str, list[str]]]] = {
    "postgresql": {
        "note": ("text NOT NULL DEFAULT 'none'", ["'mine'", "''", "E'line\\n\\ttab'", "'Škoda 🚗'"]),
        "doc": ("jsonb", ['\'{"b": 1.50, "a": [null, true]}\'', "'null'", "'[]'"]),
        "raw_doc": ("json", ['\'{"b":1,  "b": 2}\'', "'1e2'"]),
        "bytes": ("bytea", ["'\\x00ff'", "''"]),
        "price": ("numeric(12,4)", ["1.1000", "-99999999.9999"]),
        "any_number": ("numeric", ["1.25", "1e40", "'NaN'"]),
        "at": ("timestamptz", ["'2024-03-31 01:30:00.123456+00'", "'infinity'"]),
        "naive": ("timestamp", ["'0001-01-01'", "'9999-12-31 23:59:59.999999'"]),
        "day": ("date", ["'2024-02-29'", "'-infinity'"]),
        "ratio": ("double precision", ["0.1", "'-Infinity'", "'NaN'", "-0.0"]),
        "small": ("real", ["0.1", "3.4e38"]),
        "tags": ("text[]", ["ARRAY['a', NULL, 'b,\"c']", "'{}'"]),
        "state": ("mood", ["'sad'", "'very happy'"]),
        "mail": ("address", ["'a@b'"]),
        "span": ("interval", ["'1 mon 30 days'", "'-00:00:00.5'"]),
        "id": ("uuid", ["'00000000-0000-4000-8000-0000000000ff'"]),
        "range": ("int4range", ["'[1,5)'", "'empty'"]),
        "net": ("inet", ["'10.0.0.1/8'"]),
        "flag": ("boolean", ["true", "false"]),
        "padded": ("char(5)", ["'ab'"]),
        "bits": ("bit varying", ["B'0101'"]),
        "money": ("money", ["'12.50'"]),
        "no": ("bigint GENERATED ALWAYS AS IDENTITY", ["DEFAULT"]),
        "made": ("text GENERATED ALWAYS AS (lower(v)) STORED", ["DEFAULT"]),
    },
    "mysql": {
        "note": ("varchar(40) NOT NULL DEFAULT 'none'", ["'mine'", "''", "'Škoda 🚗'", "'trailing  '"]),
        "long_text": ("longtext CHARACTER SET latin1", ["'é'", "'a'"]),
        "doc": ("json", ['\'{"b": 1.50,  "a": [null, true]}\'', "'null'"]),
        "bytes": ("varbinary(20)", ["x'00ff'", "''"]),
        "lump": ("longblob", ["x'00ff'", "''"]),
        "price": ("decimal(12,4)", ["1.1000", "-99999999.9999"]),
        "wide": ("decimal(65,10)", ["1.1", "-9999999999999999999999999999999999999999999999999999.5"]),
        "at": ("timestamp(6) NULL", ["'2024-03-31 01:30:00.123456'"]),
        "naive": ("datetime(6)", ["'1000-01-01'", "'9999-12-31 23:59:59.999999'"]),
        "day": ("date", ["'2024-02-29'"]),
        "ratio": ("double", ["0.1", "1.7976931348623157e308"]),
        "small": ("float", ["0.1", "3.4e38"]),
        "state": ("enum('sad','very happy')", ["'sad'", "'very happy'"]),
        "tags": ("set('a','b','c')", ["'a,c'", "''"]),
        "big": ("bigint unsigned", ["18446744073709551615"]),
        "bits": ("bit(10)", ["b'1010101010'"]),
        "year_made": ("year", ["2024", "1901"]),
        "span": ("time(3)", ["'-838:59:59.000'", "'100:00:00.5'"]),
        "flag": ("tinyint(1)", ["2", "0"]),
        "no": ("bigint AUTO_INCREMENT UNIQUE", ["DEFAULT"]),
        "made": ("varchar(40) GENERATED ALWAYS AS (lower(v)) STORED", ["DEFAULT"]),
    },
    "sqlite": {
        "note": ("text NOT NULL DEFAULT 'none'", ["'mine'", "''", "'Škoda 🚗'"]),
        "bytes": ("blob", ["x'00ff'", "x''"]),
        "price": ("decimal(12,4)", ["1.1", "'-99999999.9999'"]),
        "whole": ("integer", ["9223372036854775807", "-1"]),
        "ratio": ("real", ["0.1", "9e999", "-5e-324"]),
        "day": ("date", ["'2024-02-29'"]),
        "at": ("timestamp", ["'2024-03-31 01:30:00.123456'"]),
        "doc": ("json", ['\'{"b": 1.50,  "a": [null, true]}\'']),
        "flag": ("boolean", ["1", "0"]),
        "plain": ("", ["'text'"]),
        "made": ("text GENERATED ALWAYS AS (lower(v)) STORED", []),
        "seen": ("text GENERATED ALWAYS AS (upper(v)) VIRTUAL", []),
    },
    "duckdb": {
        "note": ("varchar NOT NULL DEFAULT 'none'", ["'mine'", "''", "'Škoda 🚗'"]),
        "bytes": ("blob", ["'\\x00\\xFF'::blob", "''::blob"]),
        "price": ("decimal(12,4)", ["1.1000", "-99999999.9999"]),
        "huge": ("hugeint", ["170141183460469231731687303715884105727"]),
        "at": ("timestamptz", ["'2024-03-31 01:30:00.123456+00'", "'infinity'"]),
        "naive": ("timestamp", ["'0001-01-01'", "'9999-12-31 23:59:59.999999'"]),
        "day": ("date", ["'2024-02-29'", "'-infinity'"]),
        "ratio": ("double", ["0.1", "'-Infinity'", "'NaN'"]),
        "tags": ("varchar[]", ["['a', NULL, 'b,\"c']", "[]"]),
        "pair": ("STRUCT(a INTEGER, b VARCHAR)", ["{'a': 1, 'b': 'x'}"]),
        "state": ("mood", ["'sad'", "'very happy'"]),
        "doc": ("json", ['\'{"b": 1.50,  "a": [null, true]}\'']),
        "id": ("uuid", ["'00000000-0000-4000-8000-0000000000ff'"]),
        "span": ("interval", ["INTERVAL '1 month 30 days'", "INTERVAL '-0.5 seconds'"]),
        "flag": ("boolean", ["true", "false"]),
    },
}  # fmt: skip
"""Columns of each engine that no spec here maps, with some of their values in SQL."""

TYPES: dict[Engine, list[str]] = {
    "postgresql": [
        "CREATE TYPE mood AS ENUM ('sad', 'very happy')",
        "CREATE DOMAIN address AS text CHECK (value LIKE '%@%')",
    ],
    "duckdb": ["CREATE TYPE mood AS ENUM ('sad', 'very happy')"],
    "mysql": [],
    "sqlite": [],
}


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """A source of `k` and `v`, and a target that has columns of its own besides."""
    made = Scenario.make(tmp_path, getattr(request, "param", PAIRS[0]), request)
    made.source.execute("CREATE TABLE t (k bigint PRIMARY KEY, v varchar(40))")
    made.write({"t": {"from": "t", "key": "k", "columns": {"k": "k", "v": "v"}}})
    return made


def own(target: Side) -> dict[str, list[str]]:
    """Make the target's table; the values that its own columns may be given."""
    wanted = OWN[target.engine]
    columns = ", ".join(f'"{name}" {kind}' for name, (kind, _) in wanted.items())
    target.execute(*TYPES[target.engine], f"CREATE TABLE t (k bigint PRIMARY KEY, {columns}, v varchar(40))")
    given = {name: (kind, values) for name, (kind, values) in wanted.items() if values and values != ["DEFAULT"]}
    return {name: values if "NOT NULL" in kind else [*values, "NULL"] for name, (kind, values) in given.items()}


def fill(target: Side, values: dict[str, list[str]], rows: list[int]) -> None:
    """Rows of which each has other values: the first of each column, the second, and so on round."""
    names = ", ".join(f'"{name}"' for name in values)
    target.execute(
        *(
            f"INSERT INTO t (k, v, {names}) VALUES ({key}, 'row {key}', {', '.join(some[key % len(some)] for some in values.values())})"
            for key in rows
        )
    )


def taken(target: Side) -> dict[int, str]:
    """Every row of the target as its engine shows it, whole."""
    shown = "t::text" if target.engine == "postgresql" else "t.*"
    return {int(row[0]): str(row[1:]) for row in target.ask(f"SELECT k, {shown} FROM t")}


@everywhere
def test_deleted_rows_come_back_as_they_were(shop: Scenario) -> None:
    values = own(shop.target)
    fill(shop.target, values, list(range(1, 13)))
    before = taken(shop.target)
    shop.source.insert("t", [(1, "row 1"), (2, "changed"), (13, "new"), (14, "new")])
    done = shop.run()
    assert counts(done, "t") == {"source_rows": 4, "insert": 2, "update": 1, "delete": 10, "unchanged": 1}
    shop.settled()
    after = taken(shop.target)
    assert shop.undo(1).status == Status.DONE
    assert taken(shop.target) == before
    assert shop.undo(2).status == Status.DONE
    assert taken(shop.target).keys() == after.keys()
    assert shop.undo(3).status == Status.DONE
    assert taken(shop.target) == before
    assert shop.undo(1, to=True).status == Status.DONE
    assert taken(shop.target).keys() == after.keys()


@everywhere
def test_a_row_that_somebody_edits_in_any_column_after_planning_is_not_deleted(shop: Scenario) -> None:
    values = own(shop.target)
    fill(shop.target, values, list(range(len(values) + 1)))
    plan = shop.plan().report.plan
    edits = [(key, name, some[(key + 1) % len(some)]) for key, (name, some) in enumerate(values.items())]
    shop.target.execute(*(f'UPDATE t SET "{name}" = {value} WHERE k = {key}' for key, name, value in edits))
    edited = taken(shop.target)
    done = shop.apply(plan)
    assert done.status == Status.CONFLICTS
    assert counts(done, "t") == {"delete": 1, "conflicts": len(values)}
    edited.pop(len(values))
    assert taken(shop.target) == edited
    assert counts(shop.run(), "t") == {"delete": len(values)}
    for number in (2, 1):
        assert shop.undo(number).status == Status.DONE
    assert {key: row for key, row in taken(shop.target).items() if key < len(values)} == edited


@everywhere
def test_an_inserted_row_that_somebody_fills_since_is_not_taken_back(shop: Scenario) -> None:
    values = own(shop.target)
    empty = {name: some for name, some in values.items() if "NULL" in some}
    shop.source.insert("t", [(key, "new") for key in range(len(empty) + 1)])
    assert shop.run().report.version == 1
    edits = [(key, name, some[0]) for key, (name, some) in enumerate(empty.items())]
    shop.target.execute(*(f'UPDATE t SET "{name}" = {value} WHERE k = {key}' for key, name, value in edits))
    filled = taken(shop.target)
    done = shop.undo(1)
    assert done.status == Status.CONFLICTS
    assert counts(done, "t") == {"delete": 1, "conflicts": len(empty)}
    filled.pop(len(empty))
    assert taken(shop.target) == filled


@everywhere
def test_what_the_target_fills_itself_goes_and_comes_back_with_a_row(shop: Scenario) -> None:
    own(shop.target)
    shop.source.insert("t", [(1, "a"), (2, "b")])
    shop.run()
    shop.target.execute("UPDATE t SET note = 'edited' WHERE k = 2")
    there = taken(shop.target)
    assert shop.undo(1).status == Status.DONE
    assert taken(shop.target) == {}
    assert shop.undo(2).status == Status.DONE
    assert taken(shop.target) == there


@everywhere
def test_rows_that_went_and_came_again_get_back_what_they_had(shop: Scenario) -> None:
    """Taken back in one step, they are in the target all the time: the row is made what it was."""
    values = own(shop.target)
    fill(shop.target, values, [1, 2, 3])
    before = taken(shop.target)
    shop.source.insert("t", [(2, "row 2")])
    shop.run()
    shop.source.insert("t", [(1, "row 1"), (3, "another")])
    shop.run()
    assert shop.undo(0, to=True).status == Status.DONE
    assert taken(shop.target) == before


def test_a_plan_knows_the_columns_that_rows_are_deleted_with(shop: Scenario) -> None:
    shop.target.execute(
        "CREATE TABLE t (k integer PRIMARY KEY, v text, note text)", "INSERT INTO t VALUES (1, 'a', 'x')"
    )
    for change in (
        "ALTER TABLE t ADD COLUMN more text",
        "ALTER TABLE t RENAME COLUMN note TO remark",
        "ALTER TABLE t DROP COLUMN more",
    ):
        plan = shop.plan().report.plan
        shop.target.execute(change)
        with pytest.raises(PlanError, match=r"rows would be deleted with\. Nothing was written\. Fix: plan again"):
            shop.apply(plan)
    assert counts(shop.run(), "t") == {"delete": 1}
    shop.target.execute("ALTER TABLE t ADD COLUMN late text DEFAULT 'late'")
    assert shop.undo(1).status == Status.DONE
    assert shop.target.rows("t") == [(1, "a", "x", "late")]


def test_columns_that_may_be_lost_are_neither_guarded_nor_given_back(shop: Scenario) -> None:
    shop.target.execute("CREATE TABLE t (k integer PRIMARY KEY, v text, seen text, note text)")
    shop.target.execute("INSERT INTO t VALUES (1, 'a', 'x', 'y')")
    table = {"from": "t", "key": "k", "columns": {"k": "k", "v": "v"}}
    for column, why in (("sen", "is not there"), ("v", "is mapped")):
        shop.write({"t": {**table, "delete": {"lose": [column]}}})
        with pytest.raises(SpecError, match=rf"t\.{column} {why}.* so there is nothing of it to lose"):
            shop.plan()
    shop.write({"t": {**table, "delete": {"lose": ["seen"]}}})
    plan = shop.plan().report.plan
    shop.target.execute("UPDATE t SET seen = 'z'")
    assert shop.apply(plan).status == Status.DONE
    assert shop.undo(1).status == Status.DONE
    assert shop.target.rows("t") == [(1, "a", None, "y")]


def test_rows_whose_columns_cannot_travel_are_deleted_only_where_that_may_be_lost(shop: Scenario) -> None:
    shop.target.execute("CREATE TABLE t (k integer PRIMARY KEY, v text, n integer)")
    shop.target.execute("INSERT INTO t VALUES (1, 'a', 'no number'), (2, 'b', 'no number')")
    table = {"from": "t", "key": "k", "columns": {"k": "k", "v": "v"}}
    shop.source.insert("t", [(1, "changed"), (2, "b")])
    assert counts(shop.run(), "t") == {"source_rows": 2, "update": 1, "unchanged": 1}, (
        "nobody reads it of rows that stay"
    )
    shop.source.execute("DELETE FROM t WHERE k = 1")
    with pytest.raises(DataError, match=r"key \[1\]: .*delete: \{lose: \[n\]\}"):
        shop.run()
    assert shop.target.count("t") == 2
    shop.write({"t": {**table, "delete": {"lose": ["n"]}}})
    assert counts(shop.run(), "t") == {"source_rows": 1, "unchanged": 1, "delete": 1}


def test_history_tells_of_whole_rows(shop: Scenario) -> None:
    shop.target.execute("CREATE TABLE t (k integer PRIMARY KEY, v text, note text)")
    shop.target.execute("INSERT INTO t VALUES (1, 'a', 'x'), (2, 'b', 'y'), (3, 'c', 'z'), (4, 'd', NULL)")
    shop.source.insert("t", [(3, "c"), (4, "d"), (5, "e")])

    def noted(version: int) -> dict[int, str | None]:
        return dict(zip(*asof(shop.spec, version, "t").select(["k", "note"]).to_pydict().values(), strict=True))

    assert shop.run().report.version == 1
    assert noted(0) == {1: "x", 2: "y", 3: None, 4: None}, "of a row that stays nobody has read it"
    assert table_at(shop.spec, 0, TableName("t", shop.target.schema), side="target", whole=False).column_names == [
        "k",
        "v",
    ]
    assert asof(shop.spec, 1, "t").column_names == ["k", "v"]
    assert [line["before"] for line in life(shop.spec, "t", "2")] == [{"k": "2", "v": "b", "note": "y"}]
    shop.undo(1)
    shop.target.execute("UPDATE t SET note = 'edited' WHERE k = 2")
    shop.source.execute("DELETE FROM t WHERE k = 3")
    assert shop.run().report.version == 3
    assert noted(0) == {1: "x", 2: "y", 3: "z", 4: None}
    assert noted(2) == {1: "x", 2: "y", 3: "z", 4: None}, (
        "what was given back, and not yet the edit that the next run met"
    )
    assert life(shop.spec, "t", "2")[-1]["before"] == {"k": "2", "v": "b", "note": "edited"}
    gone = [row for _, changes in difference(shop.spec, 2, 3) for row in changes.deletes.to_pylist()]
    assert {row["k"]: row["note"] for row in gone} == {1: "x", 2: "edited", 3: "z"}


@pytest.mark.parametrize("shop", [pair for pair in RING if pair[1] != "duckdb"], indirect=True, ids=pair_name)
def test_rows_of_a_tree_go_and_come_back_whole(shop: Scenario) -> None:
    """A row goes whose children go too, and one whose child moves; unique values pass on from a row that goes.

    DuckDB counts rows as referring that the same transaction deletes, so that no row goes there together with its child.
    """
    shop.source.execute("CREATE TABLE node (id integer PRIMARY KEY, parent integer, label varchar(9))")
    shop.target.execute(
        "CREATE TABLE node (id integer PRIMARY KEY, parent integer REFERENCES node (id), label varchar(9) UNIQUE, note varchar(9))"
        if shop.target.engine != "mysql"
        else "CREATE TABLE node (id integer PRIMARY KEY, parent integer, label varchar(9) UNIQUE, note varchar(9), "
        "FOREIGN KEY (parent) REFERENCES node (id))"
    )
    rows = [(1, None, "a"), (2, 1, "b"), (3, None, "c"), (4, None, "d"), (5, 4, "e"), (6, None, "f")]
    shop.target.insert("node", [(*row, f"own {row[0]}") for row in rows])
    shop.source.insert("node", [(2, 3, "b"), (3, None, "c"), (7, None, "f")])
    shop.write({"node": {"from": "node"}})
    before = shop.target.rows("node")
    assert counts(shop.run(), "node") == {"source_rows": 3, "insert": 1, "update": 1, "unchanged": 1, "delete": 4}
    shop.settled()
    assert shop.undo(1).status == Status.DONE
    assert shop.target.rows("node") == before

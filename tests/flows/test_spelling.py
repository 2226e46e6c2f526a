"""Names of a spec in another case than the catalogs have them: one table and one history where the engine takes them for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from scenario import RING, Engine, Scenario, Side, counts, pair_name, quarantine

from flows import commands
from flows.check.assess import assess
from flows.history import log
from flows.history import quarantine as quarantining
from flows.history.asof import asof
from transforms.vocabulary import SpecError

ALL: tuple[Engine, ...] = ("sqlite", "duckdb", "mysql", "postgresql")
CASELESS: tuple[Engine, ...] = ("sqlite", "duckdb")
"""Where names of tables are taken without regard to case; names of columns are on MariaDB as well."""

Say = Callable[[str], str]


def tables(read: Say, write: Say, column: Say) -> dict[str, Any]:
    """A spec of two tables: sources, targets and columns of both sides as they are said."""
    return {
        write("kind"): {"from": read("kinds"), "columns": {column("id"): column("id"), column("label"): column("label")}},
        write("item"): {
            "from": read("items"),
            "key": [column("id")],
            "ignore": [column("note")],
            "delete": {"policy": "soft", "column": column("gone"), "max_ratio": 1},
            "columns": {
                column("id"): column("id"),
                column("name"): {"expr": f"upper({column('name')})"},
                column("note"): {"from": column("note"), "nul": "strip"},
                column("kind"): {
                    "lookup": {"table": write("kind"), "match": {column("id"): column("kind")}, "take": column("id")}
                },
            },
            "create": {
                "columns": {column("name"): "varchar(9)"},
                "unique": [[column("name")]],
                "indexes": [[column("kind")]],
                "foreign_keys": [{"columns": column("kind"), "table": write("kind"), "refers": column("id")}],
            },
            "expect": [{"type": "expect_column_values_to_not_be_null", "column": column("name")}],
            "loaded": [{"type": "expect_column_values_to_be_unique", "column": column("id")}],
        },
    }  # fmt: skip


def filled(small: Scenario) -> Scenario:
    small.source.execute(
        "CREATE TABLE kinds (id integer PRIMARY KEY, label varchar(9))",
        "CREATE TABLE items (id integer PRIMARY KEY, name varchar(9), note varchar(9), kind integer)",
        "INSERT INTO kinds VALUES (1, 'one')",
        "INSERT INTO items VALUES (1, 'a', 'n', 1), (2, 'b', 'n', 7)",
    )
    small.target.execute(
        "CREATE TABLE kind (id integer PRIMARY KEY, label varchar(9))",
        "CREATE TABLE item (id integer PRIMARY KEY, name varchar(9) UNIQUE, note varchar(9), kind integer, gone boolean)",
    )
    return small


@pytest.mark.parametrize(("source", "target"), RING, ids=map(pair_name, RING))
def test_names_in_any_case_are_one_table_and_one_history(
    tmp_path: Path, source: Engine, target: Engine, request: pytest.FixtureRequest
) -> None:
    small = filled(Scenario.make(tmp_path, (source, target), request))
    small.write(tables(str, str, str))
    assert counts(small.run(), "item") == {"source_rows": 2, "insert": 1, "quarantined": 1}
    aside = quarantine(small)
    column = str if "postgresql" in (source, target) else str.upper
    table = str.title if target in CASELESS else str
    small.write(tables(str.upper if source in CASELESS else str, table, column))
    assert assess(small.spec, small.request().at).status == 0
    small.settled()
    assert small.run().report.version is None
    assert small.backfill(f"{table('item')}.{column('id')}:1..9").report.version is None
    small.source.execute("UPDATE items SET name = 'c' WHERE id = 1")
    changed = small.run(tables=["ITEM"])
    assert counts(changed, "item") == {"source_rows": 2, "update": 1, "quarantined": 1}
    assert (quarantine(small), small.target.tables()) == (aside, {"item", "kind"})
    assert quarantining.listed(small.spec, quarantining.Filter(("ITEM",)), 9)[1] == {"item": 1}
    assert [line["version"] for line in log.life(small.spec, "iTem", "1")] == [1, 2]
    assert [row["name"] for row in asof(small.spec, 1, "ITEM").to_pylist()] == ["A"]
    small.undo(2)
    assert small.target.rows("item", "name") == [("A",)]


@pytest.mark.parametrize("target", ["mysql", "postgresql"])
def test_no_table_is_made_beside_one_that_differs_in_case_unless_its_name_is_in_quotes(
    tmp_path: Path, target: Engine, request: pytest.FixtureRequest
) -> None:
    small = filled(Scenario.make(tmp_path, ("sqlite", target), request))
    small.write({"Kind": {"from": "kinds"}})
    for refused in (lambda: assess(small.spec, small.request().at), lambda: commands.run(small.request())):
        with pytest.raises(
            SpecError, match=r"spec\.yaml:\d+: the target has no table .*Kind.*Did you mean .*kind\?.*Fix:"
        ):
            refused()
    assert small.target.tables() == {"item", "kind"}
    small.write({"Kind": {"from": "kinds", "target": '"Kind"'}})
    assert counts(small.run(), "Kind") == {"source_rows": 1, "insert": 1}
    assert small.target.tables() == {"item", "kind", "Kind"}
    small.write({"Kind": {"from": "kinds"}, "kind": {"from": "kinds"}})
    small.run()
    small.settled()


@pytest.mark.parametrize("target", ALL)
def test_columns_without_names_in_the_spec_go_to_those_that_the_target_takes_for_them(
    tmp_path: Path, target: Engine, request: pytest.FixtureRequest
) -> None:
    small = Scenario.make(tmp_path, ("postgresql", target), request)
    small.source.execute('CREATE TABLE t ("Id" integer PRIMARY KEY, "É" text, "Full Name" text)')
    small.source.insert("t", [(1, "e", "f")])
    small.target.execute('CREATE TABLE t (id integer PRIMARY KEY, "É" varchar(9), "full NAME" varchar(9))')
    small.write({"t": {"from": "t"}})
    if target == "postgresql":
        with pytest.raises(SpecError, match=r"has no column Id\. Did you mean id\?"):
            commands.plan(small.request("plan"))
        return
    assert counts(small.run(), "t") == {"source_rows": 1, "insert": 1}
    assert small.target.rows("t") == [(1, "e", "f")]
    small.settled()


TWO: dict[str, Any] = {
    "of the source": {},
    "of the spec": {"columns": {"id": "id", "name": "name", "Name": "Name"}},
    "of the spec and the source": {"columns": {"*": "*", "NAME": "name"}},
}


@pytest.mark.parametrize("target", ["sqlite", "duckdb", "mysql"])
def test_two_columns_that_the_target_takes_for_one_are_refused_before_anything_is_made(
    tmp_path: Path, target: Engine, request: pytest.FixtureRequest
) -> None:
    small = Scenario.make(tmp_path, ("postgresql", target), request)
    small.source.execute('CREATE TABLE t (id integer PRIMARY KEY, name text, "Name" text)')
    small.target.execute("CREATE TABLE there (id integer PRIMARY KEY, nAME varchar(9))")
    for said in TWO.values():
        for table in ("there", "made"):
            small.write({table: {"from": "t", **said}})
            with pytest.raises(SpecError, match=r"takes columns name and Name .*for one.*Fix:"):
                commands.run(small.request())
    assert small.target.tables() == {"there"}


@pytest.mark.parametrize("engine", CASELESS)
def test_names_of_schemas_are_found_in_any_case(tmp_path: Path, engine: Engine, request: pytest.FixtureRequest) -> None:
    small = filled(Scenario.make(tmp_path, (engine, engine), request))
    sides = {
        name: side.endpoint | {"schema": "MAIN"} for name, side in (("source", small.source), ("target", small.target))
    }
    small.write({"Main.KIND": {"from": "Main.Kinds"}, "made": {"from": "MAIN.kinds"}}, **sides)
    small.run()
    small.write({"kind": {"from": "kinds"}, "main.made": {"from": "kinds"}}, **{
        name: {**side, "schema": "main"} for name, side in sides.items()
    })  # fmt: skip
    small.settled()
    assert small.run().report.version is None
    assert small.target.tables() == {"kind", "item", "made"}
    assert [line["version"] for line in log.life(small.spec, "main.MADE", "1")] == [1]


def test_a_table_that_a_lookup_names_in_another_case_is_read_as_the_plan_will_leave_it(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    small = filled(Scenario.make(tmp_path, ("sqlite", "postgresql"), request))
    said = tables(str, str, str)
    said["item"]["columns"]["kind"]["lookup"]["table"] = "KIND"
    small.write(said)
    assert counts(small.run(), "item") == {"source_rows": 2, "insert": 1, "quarantined": 1}
    assert quarantine(small) == [("item", [2], "no kind has this id")]


def test_a_key_in_a_case_that_the_target_tells_apart_is_refused_with_the_right_one(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    small = filled(Scenario.make(tmp_path, ("sqlite", "postgresql"), request))
    columns = {"id": "id", "name": "name"}
    small.write({"item": {"from": "items", "key": ["ID"], "columns": columns, "create": {"unique": ["NAME"]}}})
    with pytest.raises(SpecError) as refused:
        commands.plan(small.request("plan"))
    assert "tables.item.key[0] is not among the columns. Did you mean id?" in str(refused.value)
    assert "tables.item.create.unique[0][0] is not among the columns. Did you mean name?" in str(refused.value)


@pytest.fixture
def lowering() -> Iterator[Side]:
    """A database of a MariaDB that keeps the names of tables in small letters."""
    from examples.legacyshop.server import daemon, mariadb

    if daemon() is None:
        pytest.skip("mariadbd is not installed")
    with mariadb("--lower-case-table-names=1") as server:
        name = f"core_{uuid4().hex[:12]}"
        Side("mysql", server).execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        yield Side("mysql", f"{server.rpartition('/')[0]}/{name}")


def test_a_server_that_keeps_names_in_small_letters_has_one_table_and_one_history(
    tmp_path: Path, lowering: Side
) -> None:
    small = Scenario(tmp_path, Side("sqlite", str(tmp_path / "legacy.db")), lowering)
    small.source.execute("CREATE TABLE t (id integer PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'a')")
    small.write({"Item": {"from": "T"}})
    assert counts(small.run(), "item") == {"source_rows": 1, "insert": 1}
    small.settled()
    small.source.execute("UPDATE t SET v = 'b'")
    small.write({"ITEM": {"from": "t"}})
    small.run()
    assert small.target.tables() == {"item"}
    assert [line["version"] for line in log.life(small.spec, "Item", "1")] == [1, 2]
    small.write({"ITEM": {"from": "t"}, "item": {"from": "t"}})
    with pytest.raises(SpecError, match=r"mysql takes ITEM and item for one table"):
        commands.plan(small.request("plan"))

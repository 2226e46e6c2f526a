"""Parquet as a target, from the spec to undo: what is said of it is what any other target gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow.dataset as ds
import pytest
from command_line import syncline
from scenario import Scenario, counts

from flows.commands import Status
from flows.history.asof import asof
from transforms.vocabulary import SpecError

TABLES: dict[str, Any] = {
    "customer": {
        "from": "people",
        "key": "customer_id",
        "columns": {"customer_id": "id", "name": "name", "born": {"from": "born", "cast": "date"}, "paid": "paid"},
        "create": {"columns": {"paid": {"type": "decimal(12,2)"}}},
    }
}


@pytest.fixture
def shop(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    made = Scenario.make(tmp_path, ("sqlite", "parquet"), request)
    made.source.execute("CREATE TABLE people (id integer PRIMARY KEY, name text, born text, paid decimal(12,2))")
    made.write(TABLES, defaults={"window": 50})
    return made


def there(shop: Scenario) -> list[tuple[Any, ...]]:
    """What others read, by DuckDB and by Arrow."""
    path = f"{shop.target.place}/customer"
    rows = duckdb.sql(f"SELECT * FROM read_parquet('{path}/*.parquet') ORDER BY ALL").fetchall()
    arrow = ds.dataset(path, format="parquet").to_table().sort_by("customer_id").to_pylist()
    assert [tuple(row.values()) for row in arrow] == rows
    return rows


def test_rows_go_to_parquet_and_back_in_time_as_to_any_target(shop: Scenario) -> None:
    assert shop.run().status == Status.DONE, "no rows"
    assert there(shop) == []
    people = [(i, None if i % 7 == 0 else f"Ünï 😀 {i}", "2001-02-03", i / 4) for i in range(1, 201)]
    shop.source.insert("people", people)
    assert counts(shop.run(), "customer") == {"source_rows": 200, "insert": 200}
    shop.settled()
    first = there(shop)
    assert first[0][1:3] == ("Ünï 😀 1", __import__("datetime").date(2001, 2, 3))
    shop.source.execute(
        "UPDATE people SET name = '' WHERE id <= 3", "DELETE FROM people WHERE id > 190",
        "INSERT INTO people VALUES (1000, 'new', NULL, NULL)", "UPDATE people SET born = 'never' WHERE id = 77",
    )  # fmt: skip
    assert counts(shop.run(), "customer") == {
        "source_rows": 191, "insert": 1, "update": 3, "delete": 10, "unchanged": 186, "quarantined": 1, "unproved": 1,
    }  # fmt: skip
    assert len(there(shop)) == 191
    for version, rows in ((1, first), (2, there(shop))):
        known = asof(shop.spec, version, "customer").to_pylist()
        assert sorted((tuple(row.values()) for row in known), key=str) == sorted(rows, key=str)
    assert shop.undo(2).status == Status.DONE
    assert there(shop) == first


def test_what_others_edit_is_a_conflict_or_drift_and_stays(shop: Scenario) -> None:
    shop.source.insert("people", [(i, "x", None, None) for i in range(100)])
    assert shop.run().status == Status.DONE
    shop.source.execute("UPDATE people SET name = 'y' WHERE id < 10")
    folder = shop.folder / "planned"
    shop.plan(folder=folder)
    shop.target.execute("UPDATE customer SET name = 'theirs' WHERE customer_id = 5")
    done = shop.apply(folder)
    assert done.status == Status.CONFLICTS
    assert dict(row[:2] for row in there(shop))[5] == "theirs"


def test_a_create_that_asks_for_more_than_files_hold_is_refused_before_anything_is_made(shop: Scenario) -> None:
    shop.source.insert("people", [(1, "x", None, None)])
    for more, what in (
        ({"indexes": [["name"]]}, "indexes"),
        ({"checks": ["paid > 0"]}, "checks"),
        ({"unique": [["name"]]}, "unique columns"),
        ({"foreign_keys": [{"columns": "customer_id", "table": "customer", "refers": "customer_id"}]}, "foreign keys"),
        ({"columns": {"name": {"default": "'x'"}}}, "defaults"),
    ):
        shop.write({"customer": {**TABLES["customer"], "create": more}})
        with pytest.raises(SpecError, match=f"no {what}"):
            shop.plan()
    assert not Path(shop.target.place).exists()


def test_a_folder_of_others_is_read_and_never_written(shop: Scenario) -> None:
    folder = Path(shop.target.place) / "customer"
    folder.mkdir(parents=True)
    duckdb.sql(f"COPY (SELECT 1::BIGINT AS customer_id, 'x' AS name) TO '{folder}/a.parquet'")
    shop.source.insert("people", [(1, "x", None, None)])
    for asked in (shop.plan, shop.run):
        with pytest.raises(SpecError, match="customer is there, and no table of Syncline's"):
            asked()
    assert [each.name for each in folder.iterdir()] == ["a.parquet"]


def test_a_draft_leaves_out_what_files_cannot_hold_and_runs(shop: Scenario) -> None:
    shop.source.execute(
        "CREATE TABLE artist (id integer PRIMARY KEY, name text NOT NULL UNIQUE, rating integer DEFAULT 3 CHECK (rating >= 0))",
        "CREATE TABLE album (id integer PRIMARY KEY, of integer REFERENCES artist (id), title text, "
        "loud text GENERATED ALWAYS AS (title || '!') VIRTUAL)",
        "CREATE INDEX titles ON album (title)",
        "INSERT INTO artist VALUES (1, 'a', 2)",
        "INSERT INTO album (id, of, title) VALUES (7, 1, 'x')",
    )
    said = syncline("scaffold", shop.source.url, shop.target.url, "-o", shop.path, "--force").output
    for what in ("foreign key", "unique (name)", "default 3", "check", "generated column", "identity", "index (title)"):
        assert what in said, said
    assert "commented out" not in said
    assert shop.run().status == Status.DONE
    shop.settled()
    assert shop.target.ask("SELECT loud FROM album") == [("x!",)]


def test_both_sides_are_edited_where_both_are_parquet(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    shop = Scenario.make(tmp_path, ("parquet", "parquet"), request)
    shop.source.execute("CREATE TABLE people (id integer PRIMARY KEY, name varchar, mail varchar)")
    shop.target.execute("CREATE TABLE customer (no integer PRIMARY KEY, name varchar, mail varchar)")
    shop.source.insert("people", [(n, f"name {n}", f"{n}@x") for n in range(1, 6)])
    table = {"from": "people", "key": "no", "columns": {"no": "id", "name": "name", "mail": "mail"}}
    shop.write({"customer": table}, direction="two_way", initial="policy", conflict={"resolve": "merge"})
    assert shop.run().status is Status.DONE
    met = shop.target.rows("customer")
    shop.source.execute("UPDATE people SET name = 'here' WHERE id = 1", "DELETE FROM people WHERE id = 2")
    shop.target.execute("UPDATE customer SET mail = 'there' WHERE no = 1", "INSERT INTO customer VALUES (9, 'n', 'm')")
    assert shop.run().status is Status.DONE
    wanted = [(1, "here", "there"), *((n, f"name {n}", f"{n}@x") for n in range(3, 6)), (9, "n", "m")]
    assert shop.source.rows("people") == shop.target.rows("customer") == wanted
    assert shop.undo(2).status is Status.DONE
    assert shop.target.rows("customer") == sorted([*met[1:], (1, "name 1", "there"), (9, "n", "m")])

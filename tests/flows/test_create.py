"""`create:`: tables that a migration makes, with what they need beyond columns, before and after the rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario import Engine, Scenario, counts, reasons

from adapters.registry import open_target
from flows import commands
from flows.commands import Status
from flows.history.version_list import listed
from transforms.vocabulary import DataError, SpecError, TableName, TableShape

TARGETS: tuple[Engine, ...] = ("sqlite", "duckdb", "postgresql")
everywhere = pytest.mark.parametrize("films", TARGETS, indirect=True)
in_circles = pytest.mark.parametrize("films", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def films(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Films and the stores and staff that refer to each other, in SQLite; the target is empty."""
    made = Scenario.make(tmp_path, ("sqlite", getattr(request, "param", "sqlite")), request)
    made.source.execute(
        "CREATE TABLE language (id INTEGER PRIMARY KEY, name TEXT)",
        "CREATE TABLE film (id INTEGER PRIMARY KEY, title TEXT, year INT, lang INT, price DECIMAL(8,2), count INT, flag INT)",
        "CREATE TABLE store (id INTEGER PRIMARY KEY, manager INT NOT NULL)",
        "CREATE TABLE staff (id INTEGER PRIMARY KEY, store INT NOT NULL)",
    )
    made.source.insert("language", [(1, "en"), (2, "de")])
    made.source.insert("film", [(5, "Stalker", 1979, 1, 2.5, 4, 1), (9, "Solaris", 1972, 2, 10, 1, 0)])
    made.source.insert("store", [(1, 10), (2, 20)])
    made.source.insert("staff", [(10, 1), (20, 2)])
    made.write(SPEC)
    return made


FILM: dict[str, Any] = {
    "from": "film",
    "key": ["film_id"],
    "columns": {
        "film_id": "id", "title": "title", "year": "year", "language_id": "lang", "price": "price", "count": "count",
        "rented": {"from": "flag", "cast": "boolean"},
    },
    "create": {
        "columns": {
            "film_id": {"type": "bigint", "identity": True},
            "title": {"type": "varchar(40)", "nullable": False, "default": "'it''s: untitled'"},
            "year": "smallint",
            "price": {"type": "numeric(8,2)", "default": "0.5"},
            "total": {"type": "numeric(12,2)", "generated": "price * count"},
            "count": "integer",
            "rented": "boolean",
        },
        "primary_key": ["film_id"],
        "unique": [["title", "year"]],
        "indexes": [["language_id"], ["year", "title"]],
        "foreign_keys": [{"columns": "language_id", "table": "language", "refers": "id"}],
        "checks": ["price >= 0 AND count <> 13"],
    },
}  # fmt: skip
CIRCLE: dict[str, Any] = {
    here: {
        "from": here,
        "key": ["id"],
        "columns": {"id": "id", there: there if there in ("store",) else "manager"},
        "create": {"foreign_keys": [{"columns": [there], "table": there, "refers": ["id"]}]},
    }
    for here, there in (("store", "staff"), ("staff", "store"))
}
LANGUAGE: dict[str, Any] = {"from": "language", "key": ["id"]}
SPEC = {"film": FILM, "language": LANGUAGE}


def shape(scenario: Scenario, table: str) -> TableShape:
    adapter = open_target(scenario.target.url)
    try:
        found = adapter.describe(TableName(table, scenario.target.schema))
    finally:
        adapter.close()
    assert found is not None
    return found


def statements(outcome: commands.Outcome) -> list[str]:
    return [statement for table in outcome.report.tables for statement in (*table.ddl, *table.after_load)]


@everywhere
def test_a_new_table_has_all_that_create_says(films: Scenario) -> None:
    if films.target.engine == "duckdb":  # it would check a foreign key before the parent's rows may change
        films.write({**SPEC, "film": {**FILM, "create": {**FILM["create"], "foreign_keys": []}}})
    planned = films.plan()
    assert planned.status == Status.CHANGES
    assert not films.target.content()
    done = films.run()
    assert counts(done, "film") == {"source_rows": 2, "insert": 2}
    made = shape(films, "film")
    assert made.names == ("film_id", "title", "year", "language_id", "price", "total", "count", "rented")
    assert made.primary_key == ("film_id",)
    assert frozenset({"title", "year"}) in made.uniques
    nullable = {each.name: each.nullable for each in made.columns}
    assert (nullable["film_id"], nullable["title"], nullable["year"]) == (False, False, True)
    assert [each.name for each in made.columns if each.generated] == ["total"]
    assert [each.name for each in made.columns if each.identity] == ["film_id"]
    if films.target.engine != "duckdb":
        assert [(each.columns, each.refers.name, each.refers_columns) for each in made.foreign_keys] == [
            (("language_id",), "language", ("id",))
        ]
    adapter = open_target(films.target.url)
    design = adapter.design(made.name)
    adapter.close()
    assert set(design.indexes) == {("language_id",), ("year", "title")}
    assert len(design.checks) == 1
    films.target.execute("INSERT INTO film (language_id, count) VALUES (1, 4)")
    assert [float(n) for (n,) in films.target.ask("SELECT total FROM film ORDER BY film_id")] == [10, 10, 2]
    assert films.target.ask("SELECT film_id, title FROM film ORDER BY film_id")[-1] == (10, "it's: untitled")
    films.target.execute("DELETE FROM film WHERE film_id = 10")
    assert statements(films.plan()) == []
    films.settled()


@everywhere
def test_a_plan_shows_what_comes_before_the_rows_and_what_comes_after(films: Scenario) -> None:
    (film,) = (table for table in films.plan().report.tables if table.name == "film")
    assert "CREATE TABLE" in film.ddl[-1]
    assert not any("INDEX" in statement for statement in film.ddl)
    assert sum("CREATE INDEX" in statement for statement in film.after_load) == 2
    assert any("FOREIGN KEY" in statement for statement in film.after_load) == (films.target.engine == "postgresql")


@in_circles
def test_tables_that_refer_to_each_other_are_loaded_and_hold_each_other(films: Scenario) -> None:
    films.write(CIRCLE)
    assert films.run().status == Status.DONE
    assert [shape(films, name).foreign_keys[0].refers.name for name in ("store", "staff")] == ["staff", "store"]
    assert statements(films.plan()) == []
    films.settled()
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        films.target.execute("INSERT INTO store VALUES (3, 30)")


@pytest.mark.parametrize("films", ["postgresql"], indirect=True)
def test_rows_that_a_foreign_key_refuses_are_in_and_the_next_plan_tries_again(films: Scenario) -> None:
    films.write(CIRCLE)
    films.source.execute("UPDATE store SET manager = 99 WHERE id = 2")
    with pytest.raises(DataError, match="store"):
        films.run()
    assert films.target.count("store") == 2
    (version,) = listed(films.spec)
    assert version["counts"]["insert"] == 4
    films.source.execute("UPDATE store SET manager = 20 WHERE id = 2")
    assert films.run().status == Status.DONE
    assert {key.refers.name for name in ("store", "staff") for key in shape(films, name).foreign_keys} == {
        "store",
        "staff",
    }
    films.settled()


@pytest.mark.parametrize("films", ["postgresql"], indirect=True)
def test_foreign_keys_and_indexes_that_a_killed_run_left_out_come_with_the_next_one(films: Scenario) -> None:
    films.run()
    (key,) = films.target.ask("SELECT conname FROM pg_constraint WHERE conrelid = 'film'::regclass AND contype = 'f'")
    films.target.execute(f"ALTER TABLE film DROP CONSTRAINT {key[0]}", "DROP INDEX film_language_id_idx")
    planned = films.plan()
    assert planned.status == Status.CHANGES
    assert sorted(statement.split(" ", 1)[0] for statement in statements(planned)) == ["ALTER", "CREATE"]
    assert films.verify().status == Status.DONE
    done = films.apply(planned.report.plan)
    assert done.status == Status.DONE
    assert len(shape(films, "film").foreign_keys) == 1
    films.settled()
    films.apply(planned.report.plan)  # once more changes nothing
    assert len(shape(films, "film").foreign_keys) == 1


@pytest.mark.parametrize("films", ["postgresql"], indirect=True)
def test_a_foreign_key_waits_for_the_table_that_it_refers_to(films: Scenario) -> None:
    assert films.run(tables=["film"]).status == Status.DONE
    assert shape(films, "film").foreign_keys == ()
    assert films.run().status == Status.DONE
    assert len(shape(films, "film").foreign_keys) == 1


@pytest.mark.parametrize("films", ["postgresql"], indirect=True)
def test_a_plan_over_a_range_adds_no_foreign_keys(films: Scenario) -> None:
    assert not any(table.after_load for table in films.plan(ranges=["film.film_id:1..6"]).report.tables)


def test_a_foreign_key_that_sqlite_cannot_add_any_more_is_warned_of(films: Scenario) -> None:
    films.target.execute("CREATE TABLE language (id INTEGER PRIMARY KEY, name TEXT)")
    films.target.execute("CREATE TABLE film (film_id INTEGER PRIMARY KEY, language_id INT)")
    film = {**FILM, "columns": {"film_id": "id", "language_id": "lang"}}
    keys = {"foreign_keys": FILM["create"]["foreign_keys"], "indexes": [["language_id"]]}
    films.write({"film": {**film, "create": keys}, "language": LANGUAGE})
    planned = films.plan()
    assert any("has no foreign key (language_id) to language" in each for each in planned.report.warning_texts)
    assert [statement.split(" ON ")[1] for statement in statements(planned)] == ['"film" ("language_id")']


@everywhere
def test_the_type_that_create_says_is_held_against_every_value(films: Scenario) -> None:
    films.source.insert("film", [(10, None, 40_000, 1, 1, 1, None)])
    columns = {"id": "id", "year": "year", "title": "title"}
    create = {"columns": {"year": "smallint", "title": {"type": "varchar(7)", "nullable": False}}}
    films.write({"film": {"from": "film", "key": ["id"], "columns": columns, "create": create}})
    done = films.run()
    assert counts(done, "film")["quarantined"] == 1
    assert any("title" in reason or "year" in reason for reason in reasons(done, "film"))
    films.settled()


def test_a_type_that_values_do_not_reach_by_themselves_asks_for_a_cast(films: Scenario) -> None:
    film = {"from": "film", "key": ["id"], "create": {"columns": {"title": "integer"}}}
    films.write({"film": film})
    with pytest.raises(SpecError, match=r"title is string and the target column is INTEGER.*cast: "):
        films.plan()


def test_a_key_that_is_not_the_primary_key_is_unique(films: Scenario) -> None:
    film = {
        **FILM,
        "key": ["title"],
        "create": {"columns": {"film_id": {"type": "bigint", "identity": True}}, "primary_key": "film_id"},
    }
    films.write({"film": film})
    films.run()
    made = shape(films, "film")
    assert made.primary_key == ("film_id",)
    assert frozenset({"title"}) in made.uniques
    films.settled()


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"columns": {"titel": "text"}}, r"create.columns.titel is not among the mapped columns. Did you mean title\?"),
    ({"columns": {"title": "varchar(0)"}}, r"create.columns.title.type must have a length from 1"),
    ({"columns": {"title": "varchr(9)"}}, r"is not a type that Syncline casts to"),
    ({"columns": {"title": {"type": "text", "identity": True}}}, "only whole numbers can be an identity"),
    ({"columns": {"year": {"default": "1", "identity": True}}}, "has default and identity"),
    ({"columns": {"year": {"generated": "1"}}}, r"needs its type"),
    ({"columns": {"year": {"identity": True}, "count": {"identity": True}}}, "is the second identity"),
    ({"indexes": [["nope"]]}, r"create.indexes\[0\]\[0\] is not among the columns"),
    ({"unique": [["year", "year"]]}, r"create.unique\[0\]\[1\] names a column twice"),
    ({"foreign_keys": [{"columns": ["year"], "table": "x", "refers": ["a", "b"]}]}, "must name as many columns"),
    ({"check": ["1"]}, r"create.check is not a known key. Did you mean checks\?"),
]  # fmt: skip


@pytest.mark.parametrize(("create", "message"), WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_what_is_wrong_in_create_is_said_with_its_line(films: Scenario, create: dict[str, Any], message: str) -> None:
    films.write({"film": {**FILM, "create": create}})
    with pytest.raises(SpecError, match=rf"spec.yaml:\d+: tables\.film\..*{message}"):
        _ = films.spec


def test_sqlite_numbers_nothing_but_a_primary_key(films: Scenario) -> None:
    create = {"columns": {"film_id": {"type": "bigint", "identity": True}}, "primary_key": ["film_id", "year"]}
    films.write({"film": {**FILM, "create": create}})
    with pytest.raises(SpecError, match="SQLite numbers a column only where it is the primary key"):
        films.plan()

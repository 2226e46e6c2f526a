"""PostgreSQL's tables that inherit hold their own rows; a partitioned table and its partitions are one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario import Scenario, counts

from adapters.registry import open_target
from flows.commands import Status
from flows.results.untranslated import text_of
from transforms.vocabulary import ForeignKey, Relation, TableName

SHAPES = (
    "CREATE TABLE kind (code text PRIMARY KEY)",
    "CREATE TABLE animal (id int PRIMARY KEY, name text UNIQUE, kind text)",
    "CREATE TABLE asset (id int, cost numeric(9,2))",
    "CREATE TABLE dog (breed text, PRIMARY KEY (id)) INHERITS (animal, asset)",
    "CREATE TABLE puppy (born date, PRIMARY KEY (id)) INHERITS (dog)",
    "CREATE TABLE poodle (PRIMARY KEY (id)) INHERITS (dog)",
    "CREATE TABLE event (id int, day date, note text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)",
    "CREATE TABLE event_old PARTITION OF event FOR VALUES FROM (MINVALUE) TO ('2020-01-01')",
    "CREATE TABLE event_new PARTITION OF event FOR VALUES FROM ('2020-01-01') TO (MAXVALUE) PARTITION BY LIST (id)",
    "CREATE TABLE event_rest PARTITION OF event_new DEFAULT",
)
ROWS = (
    "INSERT INTO kind VALUES ('cat'), ('dog')",
    "INSERT INTO animal SELECT n, 'a' || n, 'cat' FROM generate_series(1, 40) n",
    "INSERT INTO dog SELECT n, 'd' || n, 'dog', n * 1.5, 'lab' FROM generate_series(20, 60) n",  # keys of animals, too
    "INSERT INTO puppy SELECT n, 'p' || n, 'dog', 7, 'mutt', '2024-01-01' FROM generate_series(30, 33) n",
    "INSERT INTO event SELECT n, date '2019-12-01' + n, 'e' || n FROM generate_series(1, 60) n",
)
KEYS = {"animal": ["id"], "dog": ["id"], "puppy": ["id"], "poodle": ["id"], "event": ["id", "day"]}
TREE = ("animal", "dog", "puppy", "poodle")


@pytest.fixture
def zoo(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    made = Scenario.make(tmp_path, ("postgresql", "postgresql"), request)
    made.source.execute(*SHAPES, *ROWS)
    made.target.execute(*SHAPES, ROWS[0])
    write(made)
    return made


def write(zoo: Scenario, **of_animal: Any) -> None:
    tables: dict[str, Any] = {name: {"from": name, "key": key} for name, key in KEYS.items()}
    tables["animal"] |= of_animal
    zoo.write(tables, defaults={"window": {"rows": 7}})


def own(side: Any) -> dict[str, Any]:
    """Each table's rows as the database itself tells them apart."""
    whole = {name: side.rows(name) for name in ("event", "event_old", "event_rest")}
    return whole | {name: sorted(side.ask(f"SELECT * FROM ONLY {name}"), key=str) for name in TREE}


def test_each_table_of_a_family_gets_its_own_rows_and_a_partitioned_one_all(zoo: Scenario) -> None:
    done = zoo.run()
    inserted = {table.name: table.counts.insert for table in done.report.tables}
    assert inserted == {"animal": 40, "dog": 41, "puppy": 4, "poodle": 0, "event": 60}
    assert str(own(zoo.target)) == str(own(zoo.source))
    zoo.settled()


def test_changes_stay_in_the_table_that_they_are_of(zoo: Scenario) -> None:
    """Deletes, updates and rows that trade unique values, in a parent whose keys are those of children too."""
    zoo.run()
    before = own(zoo.target)
    zoo.source.execute(
        "DELETE FROM ONLY animal WHERE id IN (31, 32)",
        "UPDATE ONLY animal SET kind = NULL WHERE id = 25",
        "UPDATE ONLY animal SET name = 'x' WHERE id = 35",
        "UPDATE ONLY animal SET name = 'a35' WHERE id = 36",
        "UPDATE ONLY animal SET name = 'a36' WHERE id = 35",
        "UPDATE ONLY puppy SET breed = 'lab' WHERE id = 31",
        "DELETE FROM ONLY dog WHERE id = 30",
    )
    done = zoo.run()
    assert counts(done, "animal") == {"source_rows": 38, "update": 3, "delete": 2, "unchanged": 35}
    assert str(own(zoo.target)) == str(own(zoo.source))
    zoo.settled()
    assert zoo.undo(2).status == Status.DONE
    assert str(own(zoo.target)) == str(before)


def test_a_conflict_is_about_the_table_s_own_row(zoo: Scenario) -> None:
    """A child's row with the same key is neither the row that is there, nor in the way of an insert."""
    zoo.run()
    zoo.source.execute("DELETE FROM ONLY animal WHERE id = 31", "INSERT INTO animal VALUES (50, 'a50', 'cat')")
    planned = zoo.plan()
    zoo.target.execute("DELETE FROM ONLY animal WHERE id = 31")
    done = zoo.apply(planned.report.plan)
    assert done.status == Status.DONE, done
    assert zoo.target.ask("SELECT count(*) FROM ONLY animal WHERE id = 50") == [(1,)]
    assert zoo.target.ask("SELECT count(*) FROM ONLY puppy WHERE id = 31") == [(1,)]


def test_rules_on_the_loaded_table_count_its_own_rows(zoo: Scenario) -> None:
    write(
        zoo,
        loaded=[
            {"type": "expect_table_row_count_to_equal", "value": "$loaded"},
            {"type": "expect_column_values_to_be_unique", "column": "id"},
        ],
    )
    done = zoo.run()
    assert done.status == Status.DONE, [check for table in done.report.tables for check in table.checks]


def test_what_is_counted_estimated_and_cut_is_the_table_s_own(zoo: Scenario) -> None:
    zoo.source.execute("ANALYZE", "INSERT INTO dog (id, kind) VALUES (999, 'cow')")
    zoo.source.execute("INSERT INTO kind VALUES ('ox')", "CREATE TABLE old_kind () INHERITS (kind)")
    zoo.source.execute("INSERT INTO old_kind VALUES ('yak')", "INSERT INTO animal VALUES (-1, 'y', 'yak')")
    adapter = open_target(zoo.source.url)
    animal, kind = TableName("animal", "legacy"), TableName("kind", "legacy")
    try:
        with adapter.snapshot() as snapshot:
            assert snapshot.count(Relation(animal)) == 41
            assert snapshot.estimate(Relation(animal)) == 41
            assert snapshot.highest(Relation(animal), "id") == 40
            assert snapshot.split(Relation(animal), ("id",), 20) == [(20,), (40,)]
            assert snapshot.split(Relation(animal), ("kind",), 40) == [("yak",)]
            orphans = snapshot.orphans(animal, ForeignKey(("kind",), kind, ("code",)))
            assert orphans is not None
            assert [batch.to_pylist() for batch in snapshot.scan(orphans, ["id"])] == [[{"id": -1}]]
            event = Relation(TableName("event", "legacy"))
            assert (snapshot.count(event), snapshot.highest(event, "id")) == (60, 60)
    finally:
        adapter.close()


def test_a_schema_lists_families_whole_and_partitions_with_their_table(zoo: Scenario) -> None:
    zoo.source.execute(
        "CREATE SCHEMA attic", "CREATE TABLE attic.event_2 PARTITION OF event_new FOR VALUES IN (-1, -2)"
    )
    adapter = open_target(zoo.source.url)
    try:
        listed = {each.name for each in adapter.tables("legacy")}
        assert listed == {"kind", "asset", *KEYS}
        assert [each.name for each in adapter.tables("attic")] == ["event_2"]  # whose table is not of that schema
        design = adapter.design(TableName("animal", "legacy"))
        inherited = [each for each in design.features if each.kind == "inherited"]
        assert list(map(text_of, inherited)) == ["is inherited by legacy.dog, whose rows are a table of their own here"]
        assert "inherited" not in [each.kind for each in adapter.design(TableName("event", "legacy")).features]
    finally:
        adapter.close()

"""Orphans, on every engine: rows that refer to what is not there, unless the engine itself holds the foreign key."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from databases import Database
from scenario import Side

from adapters.protocol import Target
from transforms.vocabulary import ColumnRange, ForeignKey, Relation, TableName

PARENT, CHILD = TableName("parent"), TableName("child")


@pytest.fixture
def side(database: Database) -> Side:
    place = database.url if database.engine in ("postgresql", "mysql") else str(database.path)
    return Side(database.engine, place, "public" if database.engine == "postgresql" else None)  # type: ignore[arg-type]


def looked_for(adapter: Target, reference: ForeignKey, *key: str, **more: Any) -> tuple[int, list[Any]] | None:
    """How many orphans there are and their keys; None where the engine allows none."""
    with adapter.snapshot() as snapshot:
        relation = snapshot.orphans(CHILD, reference)
        if relation is None:
            return None
        found = [row for batch in snapshot.scan(relation, key, **more) for row in batch.to_pylist()]
        return snapshot.count(relation, **more), sorted((tuple(row.values()) for row in found), key=str)


def test_rows_whose_parent_is_missing_are_counted_and_scanned(adapter: Target, side: Side) -> None:
    side.execute("CREATE TABLE parent (id bigint)", "CREATE TABLE child (id bigint PRIMARY KEY, of bigint)")
    side.insert("parent", [(1,), (2,), (None,)])
    side.insert("child", [(10, 1), (11, 3), (12, None), (13, 2), (14, 4), (15, 3)])
    reference = ForeignKey(("of",), PARENT, ("id",))
    assert looked_for(adapter, reference, "id") == (3, [(11,), (14,), (15,)])
    assert looked_for(adapter, reference, "id", ranges=[ColumnRange("of", 4)]) == (1, [(14,)])


def test_a_column_of_the_parent_may_have_the_name_of_the_childs(adapter: Target, side: Side) -> None:
    side.execute(
        "CREATE TABLE parent (code varchar(9), region integer)",
        "CREATE TABLE child (code varchar(9), region integer)",
    )
    side.insert("parent", [("a|b", 1), ("a", 2)])
    side.insert("child", [("a|b", 1), ("a|b", 2), ("a", 1), (None, 7), ("zz", None)])
    both = ForeignKey(("code", "region"), PARENT, ("code", "region"))
    assert looked_for(adapter, both, "code", "region") == (2, [("a", 1), ("a|b", 2)])
    itself = ForeignKey(("region",), CHILD, ("region",))
    assert looked_for(adapter, itself, "region") == (0, [])


def test_texts_are_one_only_where_every_letter_is(adapter: Target, side: Side) -> None:
    side.execute("CREATE TABLE parent (code varchar(9))", "CREATE TABLE child (id integer, code varchar(9))")
    side.insert("parent", [("Straße",), ("é",)])
    side.insert("child", [(1, "Straße"), (2, "STRASSE"), (3, "é"), (4, "e\u0301"), (5, "é ")])
    assert looked_for(adapter, ForeignKey(("code",), PARENT, ("code",)), "id") == (3, [(2,), (4,), (5,)])


def test_other_types_are_compared_by_what_they_mean(adapter: Target, side: Side) -> None:
    kind = {"mysql": "datetime"}.get(side.engine, "timestamp")
    side.execute(
        f"CREATE TABLE parent (day date, price numeric(9,2), moment {kind})",
        f"CREATE TABLE child (id integer, day date, price numeric(9,2), moment {kind})",
    )
    other = "2020-01-02T03:04:05" if side.engine == "sqlite" else "2020-01-02 03:04:05"
    side.insert("parent", [("2020-02-29", "1.10", "2020-01-02 03:04:05")])
    side.insert("child", [(1, "2020-02-29", "1.1", other), (2, "2020-03-01", "1.11", "2020-01-02 03:04:06")])
    for name in ("day", "price", "moment"):
        assert looked_for(adapter, ForeignKey((name,), PARENT, (name,)), "id") == (1, [(2,)])


def test_the_two_ends_may_keep_their_values_in_different_ways(adapter: Target, side: Side) -> None:
    texts, numbers = {
        "sqlite": (("CHAR(9) COLLATE NOCASE", "TEXT"), ("DECIMAL_TEXT(9,2)", "DECIMAL(9,2)")),
        "duckdb": (("VARCHAR COLLATE NOCASE", "VARCHAR"), ("decimal(9,2)", "decimal(9,2)")),
        "postgresql": (("char(9)", "text"), ("integer", "bigint")),
        "mysql": (("varchar(9) COLLATE utf8mb4_bin", "text CHARACTER SET latin1"), ("integer", "bigint unsigned")),
    }[side.engine]
    side.execute(
        f"CREATE TABLE parent (code {texts[0]}, n {numbers[0]})",
        f"CREATE TABLE child (id integer, code {texts[1]}, n {numbers[1]})",
    )
    side.insert("parent", [("wïen", "2"), ("graz", "3")])
    side.insert("child", [(1, "wïen", "2"), (2, "WÏEN", "4")])
    for name in ("code", "n"):
        assert looked_for(adapter, ForeignKey((name,), PARENT, (name,)), "id") == (1, [(2,)])


def test_a_declared_key_that_the_engine_holds_is_not_looked_at(adapter: Target, side: Side) -> None:
    side.execute(
        "CREATE TABLE parent (id integer PRIMARY KEY)",
        "CREATE TABLE child (id integer PRIMARY KEY, of integer, FOREIGN KEY (of) REFERENCES parent (id))",
    )
    side.insert("parent", [(1,)])
    side.insert("child", [(10, 1), (11, None)])
    declared, other = ForeignKey(("of",), PARENT, ("id",)), ForeignKey(("id",), PARENT, ("id",))
    assert looked_for(adapter, declared, "id") == ((0, []) if side.engine == "sqlite" else None)
    assert looked_for(adapter, other, "id") == (2, [(10,), (11,)])


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
@pytest.mark.parametrize("change", ["NOT VALID", "DISABLE TRIGGER"])
def test_postgres_is_asked_where_its_key_does_not_hold_for_all_rows(adapter: Target, side: Side, change: str) -> None:
    side.execute("CREATE TABLE parent (a integer, b integer, UNIQUE (b, a))")
    side.execute("CREATE TABLE child (id integer PRIMARY KEY, x integer, y integer)")
    key = "ALTER TABLE child ADD FOREIGN KEY (x, y) REFERENCES parent (a, b)"
    if change == "NOT VALID":
        side.execute("INSERT INTO child VALUES (1, 7, 8)", f"{key} NOT VALID")
    else:
        side.execute(key, "ALTER TABLE child DISABLE TRIGGER ALL", "INSERT INTO child VALUES (1, 7, 8)")
    reference = ForeignKey(("x", "y"), PARENT, ("a", "b"))
    assert looked_for(adapter, reference, "id") == (1, [(1,)])
    side.execute("DELETE FROM child", "ALTER TABLE child ENABLE TRIGGER ALL")
    ((name,),) = side.ask("SELECT conname FROM pg_constraint WHERE conrelid = 'child'::regclass AND contype = 'f'")
    side.execute(f"ALTER TABLE child VALIDATE CONSTRAINT {name}")
    assert looked_for(adapter, reference, "id") is None


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_sqlite_compares_a_declared_key_by_the_parents_collation(adapter: Target, database: Database) -> None:
    database.execute(
        "CREATE TABLE parent (code TEXT COLLATE NOCASE PRIMARY KEY)",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, code TEXT REFERENCES parent)",
        "INSERT INTO parent VALUES ('Vienna')",
        "INSERT INTO child VALUES (1, 'VIENNA'), (2, 'Graz')",
    )
    assert looked_for(adapter, ForeignKey(("code",), PARENT, ("code",)), "id") == (1, [(2,)])
    other = ForeignKey(("code",), TableName("PARENT"), ("code",))  # not as declared: texts are compared by their bytes
    assert looked_for(adapter, other, "id") == (2, [(1,), (2,)])


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_in_sqlite_no_row_finds_a_parent_in_a_table_that_is_not_there(adapter: Target, database: Database) -> None:
    database.execute(
        "CREATE TABLE child (id INTEGER PRIMARY KEY, of INTEGER REFERENCES parent (id))",
        "INSERT INTO child VALUES (1, 7), (2, NULL)",
    )
    assert looked_for(adapter, ForeignKey(("of",), PARENT, ("id",)), "id") == (1, [(1,)])


def test_names_with_quotes_and_colons_are_kept(adapter: Target, side: Side) -> None:
    name = 'Or"der'.replace('"', '""')
    side.execute(
        f'CREATE TABLE "{name}" (id integer, "co:lon" integer, "select" integer)',
        f'INSERT INTO "{name}" VALUES (1, 5, 5), (2, 6, 5)',
    )
    table = TableName('Or"der')
    with adapter.snapshot() as snapshot:
        relation = snapshot.orphans(table, ForeignKey(("co:lon",), table, ("select",)))
        assert relation == Relation(table, where=relation.where if relation else None)
        assert relation is not None and snapshot.count(relation) == 1
        assert pa.Table.from_batches(snapshot.scan(relation, ["id"]))["id"].to_pylist() == [2]

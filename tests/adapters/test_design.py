"""What a table has beyond its columns: read from every engine, made again by every engine, added after the rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from databases import Database

from adapters.protocol import Target
from adapters.registry import open_target
from flows.results.untranslated import text_of
from transforms.vocabulary import (
    ChangeSet,
    ColumnShape,
    DataError,
    Design,
    ForeignKey,
    SpecError,
    SynclineError,
    TableName,
    TableShape,
)


def col(name: str, travel: pa.DataType, **more: Any) -> ColumnShape:
    return ColumnShape(name, travel, "", **more)


ID = col("id", pa.int64(), nullable=False)
DESIGN = Design(
    defaults=(("Odd: \"name'", "'it''s: 100%'"), ("n", "1 + 1")),
    generated=(("twice", "n * 2"),),
    checks=("n >= 0 AND n < 1000", '"Odd: ""name\'" <> \'x:y\''),
    indexes=(("n",), ("Odd: \"name'", "n")),
)
IN_MYSQL = replace(DESIGN, checks=("`n` >= 0 AND `n` < 1000", "`Odd: \"name'` <> 'x:y'"))
"""The same in MySQL's quotes: what others take for a name would be a text there, and hold for every row."""
SHAPE = TableShape(
    TableName("designed"),
    (
        ID,
        col("Odd: \"name'", pa.string(), nullable=False, default=True),
        col("n", pa.int64(), default=True),
        col("twice", pa.int64(), generated=True),
    ),
    ("id",),
    frozenset({frozenset({"id"}), frozenset({"n", "id"})}),
    design=DESIGN,
)


@pytest.fixture
def shape(engine: str) -> TableShape:
    """A table with a design, in the engine's own SQL."""
    return replace(SHAPE, design=IN_MYSQL) if engine == "mysql" else SHAPE


def squeezed(text: str) -> str:
    """An expression without what engines add to it: blanks, parentheses, casts and case."""
    for extra in ("::text", "::bigint", "::integer", "(", ")", " ", "`"):
        text = text.replace(extra, "")
    return text.replace("!=", "<>").lower()


def test_a_design_is_made_and_read_back(adapter: Target, database: Database, shape: TableShape) -> None:
    adapter.execute_ddl([*adapter.ddl(shape), *adapter.constraints(shape)])
    found, made = adapter.design(shape.name), adapter.describe(shape.name)
    assert made is not None
    assert shape.design is not None
    assert made.names == shape.names
    assert [(name, squeezed(text)) for name, text in found.defaults] == [
        ("Odd: \"name'", "'it''s:100%'"),
        ("n", "1+1"),
    ]
    assert [name for name, _ in found.generated] == ["twice"]
    assert {squeezed(each) for each in found.checks} == {squeezed(each) for each in shape.design.checks}
    assert set(found.indexes) == set(DESIGN.indexes)
    assert found.features == ()
    assert made.uniques >= shape.uniques
    assert [each.name for each in made.columns if each.generated] == ["twice"]
    assert {each.name for each in made.columns if each.default} == {"Odd: \"name'", "n"}
    database_rows(adapter, database, "INSERT INTO designed (id) VALUES (7)")
    assert database.execute("SELECT * FROM designed") == [(7, "it's: 100%", 2, 4)]


def database_rows(adapter: Target, database: Database, *statements: str) -> None:
    """Statements from outside; DuckDB lets in one process only."""
    adapter.close()
    database.execute(*statements)


@pytest.mark.parametrize("row", ["(1, 1000, 'a')", "(1, 1, 'x:y')"])
def test_a_check_holds_rows_back(adapter: Target, database: Database, shape: TableShape, row: str) -> None:
    adapter.execute_ddl(adapter.ddl(shape))
    adapter.close()
    insert = """INSERT INTO designed (id, n, "Odd: ""name'") VALUES """
    with pytest.raises(Exception, match=r"(?i)check|CONSTRAINT `\w+` failed"):
        database.execute(insert + row)
    database.execute(insert + "(1, 999, 'y')")


def test_statements_are_tried_out_and_nothing_is_left(adapter: Target, shape: TableShape) -> None:
    good = [*adapter.ddl(shape), *adapter.constraints(shape)]
    assert adapter.tried(good) is None
    assert adapter.tried(good) is None
    bad = replace(shape, design=replace(DESIGN, checks=("no_such_function(n) > 0",)))
    assert "no_such_function" in str(adapter.tried(adapter.ddl(bad)))
    assert adapter.describe(shape.name) is None


# DuckDB cannot add foreign keys, and checks them at once: it has no tables that refer to each other
in_circles = pytest.mark.parametrize("engine", ["sqlite", "postgresql", "mysql"])


@in_circles
def test_foreign_keys_of_a_circle_hold_once_both_tables_are_loaded(adapter: Target, database: Database) -> None:
    store, staff = (
        TableShape(
            TableName(here),
            (ID, col(f"{there}_id", pa.int64(), nullable=False)),
            ("id",),
            frozenset({frozenset({"id"})}),
            (ForeignKey((f"{there}_id",), TableName(there), ("id",), deferred=True),),
        )
        for here, there in (("store", "staff"), ("staff", "store"))
    )
    late = database.engine != "sqlite"
    for each in (store, staff):
        adapter.execute_ddl(adapter.ddl(replace(each, foreign_keys=()) if late else each))
    load(adapter, store, (1, 10), (2, 20))
    load(adapter, staff, (10, 1), (20, 2))
    for each in (store, staff):
        adapter.execute_ddl(adapter.constraints(each))
    for each in (store, staff):
        (found,) = described(adapter, each).foreign_keys
        assert (found.columns, found.refers.name) == (each.foreign_keys[0].columns, each.foreign_keys[0].refers.name)
    with pytest.raises(SynclineError, match="staff"):
        load(adapter, store, (3, 30))


@in_circles
def test_a_circle_that_does_not_close_is_found_after_the_rows(adapter: Target, database: Database) -> None:
    foreign = [ForeignKey(("other",), TableName(each), ("id",), deferred=True) for each in ("b", "a")]
    shapes = [
        TableShape(TableName(name), (ID, col("other", pa.int64())), ("id",), frozenset({frozenset({"id"})}), (key,))
        for name, key in zip("ab", foreign, strict=True)
    ]
    for each in shapes:
        adapter.execute_ddl(adapter.ddl(each if database.engine == "sqlite" else replace(each, foreign_keys=())))
    load(adapter, shapes[0], (1, 10), (2, 99))
    load(adapter, shapes[1], (10, 1))
    with pytest.raises(DataError, match=r"[ab]"):
        for each in shapes:
            adapter.execute_ddl(adapter.constraints(each))


def described(adapter: Target, shape: TableShape) -> TableShape:
    found = adapter.describe(shape.name)
    assert found is not None
    return found


def load(adapter: Target, shape: TableShape, *rows: tuple[int, int]) -> None:
    there = described(adapter, shape)
    names = there.names
    whole = pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema=there.schema())
    none = whole.slice(0, 0)
    adapter.apply(ChangeSet(there.name, ("id",), names, whole, none, none, none), there, None, empty=True)


def test_an_identity_keeps_the_primary_key_that_the_design_says(adapter: Target, database: Database) -> None:
    columns = (col("id", pa.int64(), nullable=False, identity=True), col("year", pa.int64(), nullable=False))
    shape = TableShape(TableName("numbered"), columns, ("id", "year"), design=Design())
    if database.engine == "sqlite":
        with pytest.raises(SpecError, match="numbers a column only where it is the primary key"):
            adapter.ddl(shape)
        return
    adapter.execute_ddl(adapter.ddl(shape))
    found = described(adapter, shape)
    assert found.primary_key == ("id", "year")
    adapter.close()
    database.execute("INSERT INTO numbered (year) VALUES (2024)")
    assert database.execute("SELECT * FROM numbered") == [(1, 2024)]


UNTOLD = {
    "sqlite": (
        [
            "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE COLLATE NOCASE, b INT REFERENCES parent ON DELETE CASCADE)",
            "CREATE INDEX half ON t (b) WHERE b > 0",
            "CREATE INDEX lowered ON t (lower(a))",
            "CREATE UNIQUE INDEX down ON t (b DESC)",
            "CREATE TRIGGER touched AFTER INSERT ON t BEGIN SELECT 1; END",
        ],
        ["index half", "index lowered", "index down", "collation NOCASE", "trigger touched"],
    ),
    "duckdb": (
        [
            "CREATE SEQUENCE s",
            "CREATE TABLE t (id INTEGER, n INTEGER DEFAULT nextval('s'), a VARCHAR)",
            "CREATE INDEX lowered ON t (lower(a))",
            "COMMENT ON TABLE t IS 'of all'",
            "COMMENT ON COLUMN t.a IS 'its 100%'",
        ],
        ["index lowered", "default nextval of n", "comment of the table: of all", "comment of column a: its 100%"],
    ),
    "mysql": (
        [
            "CREATE TABLE parent (id INT PRIMARY KEY)",
            "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(9) NOT NULL COMMENT 'its 100%', b INT REFERENCES parent (id) ON DELETE CASCADE,"
            " c VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin UNIQUE, d CHAR(2) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin UNIQUE, e VARCHAR(9) UNIQUE,"
            " at TIMESTAMP NULL DEFAULT NULL ON UPDATE current_timestamp(), hidden INT INVISIBLE, body TEXT,"
            " g POINT NOT NULL, INDEX begins (a(3), b), UNIQUE INDEX once (body(5)), INDEX down (b DESC), FULLTEXT words (body),"
            " SPATIAL places (g)) COMMENT 'of all' CHARACTER SET latin1 ROW_FORMAT = COMPACT",
            "CREATE TRIGGER touched BEFORE INSERT ON t FOR EACH ROW SET NEW.b = NULL",
        ],
        ["comment of the table: of all", "comment of column a: its 100%", "character set latin1", "row format COMPACT",
         "utf8mb4_bin of column c: in keys blanks", "of column e: in keys upper and lower case",
         "column at: ON UPDATE CURRENT_TIMESTAMP", "column hidden: INVISIBLE", "index begins: (a(3), b)",
         "index once: UNIQUE (body(5))", "index down: (b DESC)", "index words: FULLTEXT (body)", "index places: SPATIAL (g",
         "trigger touched (BEFORE INSERT)"],
    ),
    "postgresql": (
        [
            "CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
            "CREATE TABLE parent (id int PRIMARY KEY)",
            "CREATE TABLE above (id int)",
            "CREATE TABLE t (id int PRIMARY KEY, a text, b int REFERENCES parent ON DELETE CASCADE, c positive, j jsonb,"
            " EXCLUDE USING btree (a WITH =)) INHERITS (above)",
            "CREATE INDEX half ON t (b) WHERE b > 0",
            "CREATE INDEX lowered ON t (lower(a))",
            "CREATE INDEX inside ON t USING gin (j)",
            "CREATE UNIQUE INDEX nulls ON t (a) NULLS NOT DISTINCT",
            "CREATE TRIGGER touched BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            "CREATE POLICY own ON t USING (true)",
            "COMMENT ON TABLE t IS 'of all'",
            "COMMENT ON COLUMN t.a IS 'its 100%'",
        ],
        ["index half", "index lowered", "index inside", "index nulls", "domain positive", "exclusion",
         "inherits from above", "trigger touched", "policy own", "comment of the table: of all", "comment of column a: its 100%"],
    ),
}  # fmt: skip


def test_what_no_field_can_say_is_a_record_of_its_kind(adapter: Target, database: Database) -> None:
    statements, words = UNTOLD[database.engine]
    database.execute(*statements)
    found = adapter.design(TableName("t"))
    lines = list(map(text_of, found.features))
    for word in words:
        assert any(word in line for line in lines), (word, lines)
    assert len(lines) == len(words)
    assert [each.order for each in found.features] == sorted(each.order for each in found.features)
    shape = adapter.describe(TableName("t"))
    assert shape is not None
    assert [key.on_delete for key in shape.foreign_keys] == ([] if database.engine == "duckdb" else ["CASCADE"])


@pytest.mark.parametrize("engine", ["sqlite", "mysql"])
def test_a_next_number_that_the_largest_value_does_not_tell_is_a_record(database: Database) -> None:
    numbered = "INTEGER PRIMARY KEY AUTOINCREMENT" if database.engine == "sqlite" else "INT AUTO_INCREMENT PRIMARY KEY"
    database.execute(
        f"CREATE TABLE t (id {numbered}, a int)", f"CREATE TABLE u (id {numbered}, a int)", f"CREATE TABLE v (id {numbered})",
        "INSERT INTO t VALUES (7, 1)", "INSERT INTO u VALUES (7, 1)", "DELETE FROM u", "INSERT INTO u VALUES (3, 1)",
    )  # fmt: skip
    adapter = open_target(database.url)
    try:
        assert [list(map(text_of, adapter.design(TableName(name)).features)) for name in "tuv"] == [
            [], ["next number of id: 8"], [],
        ]  # fmt: skip
    finally:
        adapter.close()


BESIDES = {
    "sqlite": (["CREATE VIEW v AS SELECT 1"], ["view v"]),
    "duckdb": (["CREATE VIEW v AS SELECT 1", "CREATE MACRO twice(a) AS a * 2"], ["macro twice", "view v"]),
    "mysql": (
        [
            "CREATE VIEW v AS SELECT 1 AS one",
            "CREATE SEQUENCE s",
            "CREATE PROCEDURE p() SELECT 1",
            "CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN 1",
            "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1",
        ],
        ["event e", "function f", "procedure p", "sequence s", "view v"],
    ),
    "postgresql": (
        [
            "CREATE VIEW v AS SELECT 1 AS one",
            "CREATE MATERIALIZED VIEW m AS SELECT 1 AS one",
            "CREATE SEQUENCE s",
            "CREATE TABLE numbered (id serial, n int GENERATED ALWAYS AS IDENTITY)",
            "CREATE PROCEDURE p(a int) LANGUAGE sql AS 'SELECT 1'",
            "CREATE SCHEMA other",
            "CREATE VIEW other.v AS SELECT 1 AS one",
        ],
        ["materialized view m", "procedure p(integer)", "sequence s", "view v"],
    ),
}


def test_what_a_schema_holds_beside_tables_is_listed(adapter: Target, database: Database) -> None:
    statements, lines = BESIDES[database.engine]
    database.execute("CREATE TABLE plain (id INTEGER PRIMARY KEY)", *statements)
    assert sorted(map(text_of, adapter.besides())) == lines
    if database.engine == "postgresql":
        assert list(map(text_of, adapter.besides("other"))) == ["view v"]


@pytest.mark.parametrize("engine", ["sqlite"])  # it alone keeps nothing but the statement
def test_checks_and_generated_columns_are_read_out_of_any_create_table(database: Database) -> None:
    database.execute(
        """CREATE TABLE "t, (x)" ( -- a comment, with ( and '
            [a b] INTEGER /* CHECK (0) */ CHECK ([a b] > 1e3 -- why
                OR [a b] IN (1, 2)),
            `g``h` TEXT GENERATED ALWAYS AS ('CHECK (' || [a b] || ')') VIRTUAL,
            "check" TEXT DEFAULT ('(') CONSTRAINT named CHECK ("check" <> ','),
            k AS ([a b] + 1) STORED,
            CHECK (length("check") < 10)
        )"""
    )
    opened = open_target(database.url)
    found = opened.design(TableName("t, (x)"))
    opened.close()
    assert [" ".join(each.split()) for each in found.checks] == [
        "[a b] > 1e3 OR [a b] IN (1, 2)",
        "\"check\" <> ','",
        'length("check") < 10',
    ]
    assert found.generated == (("g`h", "'CHECK (' || [a b] || ')'"), ("k", "[a b] + 1"))
    assert found.defaults == (("check", "'('"),)

"""`scaffold`: a draft that plans, loads and verifies as it is, with all that the target can say and a list of the rest."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from scenario import Engine, Scenario, Side, counts, pair_name

from adapters.registry import open_adapter
from flows.cli import main
from flows.runs import Status
from flows.spec import load_spec
from transforms.vocabulary import TableName, TableShape

PAIRS: list[tuple[Engine, Engine]] = [
    (source, target)
    for source in ("sqlite", "duckdb", "postgresql")
    for target in ("sqlite", "duckdb", "postgresql")
    if (source, target) != ("duckdb", "duckdb")
]
everywhere = pytest.mark.parametrize("shop", PAIRS, indirect=True, ids=pair_name)

SHOP: dict[str, list[str]] = {
    "sqlite": [
        "CREATE TABLE country (code CHAR(2) PRIMARY KEY NOT NULL, name VARCHAR(60) NOT NULL UNIQUE) WITHOUT ROWID",
        "CREATE TABLE store (id INTEGER PRIMARY KEY, manager INT NOT NULL UNIQUE REFERENCES staff DEFERRABLE INITIALLY DEFERRED,"
        " country CHAR(2) DEFAULT 'AT' REFERENCES country)",
        "CREATE TABLE staff (id INTEGER PRIMARY KEY AUTOINCREMENT, store INT NOT NULL REFERENCES store ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,"
        " name TEXT NOT NULL DEFAULT ('O''Hara: 100%'), kind VARCHAR(5) CHECK (kind IN ('boss', 'other')),"
        " since TIMESTAMP DEFAULT CURRENT_TIMESTAMP)",
        "CREATE INDEX by_name ON staff (name, store)",
        "CREATE INDEX half ON staff (name) WHERE store > 1",
        "CREATE TABLE product (id INTEGER PRIMARY KEY, price DECIMAL(10,2) NOT NULL DEFAULT 0.5 CHECK (price >= 0), number INT,"
        " total DECIMAL(12,2) GENERATED ALWAYS AS (price * number) STORED, low TEXT AS (lower('A')) STORED)",
    ],
    "duckdb": [
        "CREATE SEQUENCE numbers",
        "CREATE TABLE country (code VARCHAR PRIMARY KEY, name VARCHAR NOT NULL UNIQUE)",
        "CREATE TABLE staff (id BIGINT PRIMARY KEY DEFAULT nextval('numbers'), store INTEGER NOT NULL,"
        " name VARCHAR NOT NULL DEFAULT 'O''Hara: 100%', kind ENUM ('boss', 'other'), since TIMESTAMP DEFAULT current_timestamp)",
        "CREATE INDEX by_name ON staff (name, store)",
        "CREATE INDEX half ON staff (lower(name))",
        "CREATE TABLE store (id INTEGER PRIMARY KEY, manager INTEGER NOT NULL UNIQUE, country VARCHAR DEFAULT 'AT'"
        " REFERENCES country (code))",
        "CREATE TABLE product (id BIGINT PRIMARY KEY, price DECIMAL(10,2) NOT NULL DEFAULT 0.5 CHECK (price >= 0),"
        " number INTEGER, total DECIMAL(12,2) GENERATED ALWAYS AS (price * number), low VARCHAR AS (lower('A')))",
    ],
    "postgresql": [
        "CREATE TYPE kinds AS ENUM ('boss', 'other')",
        "CREATE TABLE country (code char(2) PRIMARY KEY, name varchar(60) NOT NULL UNIQUE)",
        "CREATE TABLE store (id int PRIMARY KEY, manager int NOT NULL UNIQUE, country char(2) DEFAULT 'AT' REFERENCES country)",
        "CREATE TABLE staff (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, store int NOT NULL REFERENCES store ON DELETE"
        " CASCADE, name text NOT NULL DEFAULT 'O''Hara: 100%', kind kinds DEFAULT 'boss', since timestamp DEFAULT now())",
        "ALTER TABLE store ADD FOREIGN KEY (manager) REFERENCES staff",
        "CREATE INDEX by_name ON staff (name, store)",
        "CREATE INDEX half ON staff (name) WHERE store > 1",
        "CREATE TABLE product (id serial PRIMARY KEY, price numeric(10,2) NOT NULL DEFAULT 0.5 CHECK (price >= 0), number int,"
        " total numeric(12,2) GENERATED ALWAYS AS (price * number) STORED, low text GENERATED ALWAYS AS (lower('A' || number::text)) STORED)",
    ],
}  # fmt: skip
COMMON = [
    'CREATE TABLE "Odd: ""name"" & co" ("select" int NOT NULL, "Größe" varchar(9), "a.b" int NOT NULL, PRIMARY KEY ("select", "a.b"))',
    "CREATE TABLE blank (id int PRIMARY KEY, day date, note text)",
]
ROWS = [
    "INSERT INTO country VALUES ('AT', 'Austria'), ('JP', '日本')",
    "INSERT INTO product (id, price, number) VALUES (3, 2.5, 4), (7, 0, NULL)",
    'INSERT INTO "Odd: ""name"" & co" VALUES (1, \'ß\', 1), (1, NULL, 2)',
    "INSERT INTO staff (id, store, name, kind) {over} VALUES (10, 1, 'Ann', 'boss'), (20, 2, 'Bob', 'other')",
    "INSERT INTO store VALUES (1, 10, 'AT'), (2, 20, NULL)",
]


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """A shop with a circle of foreign keys, in each engine's own SQL; the target is empty."""
    made = Scenario.make(tmp_path, getattr(request, "param", ("sqlite", "sqlite")), request)
    over = "OVERRIDING SYSTEM VALUE" if made.source.engine == "postgresql" else ""
    made.source.execute(*SHOP[made.source.engine], *COMMON)
    with made.source.connected() as run:
        if made.source.engine == "postgresql":
            run("SET session_replication_role = replica")  # rows of a circle come one after the other
        for row in ROWS:
            run(row.replace("{over}", over))
    return made


def syncline(*arguments: Any, status: int = 0) -> Result:
    done = CliRunner().invoke(main, [str(each) for each in arguments])
    assert done.exit_code == status, (arguments, done.output)
    return done


def scaffold(scenario: Scenario, *more: Any, status: int = 0) -> dict[str, Any]:
    """Run the command with --json; the draft lies where the scenario has its spec."""
    sides: list[Any] = []
    for name, side in (("--schema", scenario.source), ("--target-schema", scenario.target)):
        sides += [name, side.schema] if side.schema else []
    done = syncline(
        "scaffold",
        scenario.source.url,
        scenario.target.url,
        "-o",
        scenario.path,
        "--json",
        *sides,
        *more,
        status=status,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def shape(side: Side, table: str) -> TableShape:
    adapter = open_adapter(side.url)
    try:
        found = adapter.describe(TableName(table, side.schema))
    finally:
        adapter.close()
    assert found is not None
    return found


def untold(draft: dict[str, Any], table: str) -> list[str]:
    return [each["what"] for each in draft["untranslated"] if each["table"] == table]


@everywhere
def test_a_draft_plans_loads_and_verifies_as_it_is(shop: Scenario) -> None:
    before = shop.source.rows("staff")
    draft = scaffold(shop)
    assert {table["name"] for table in draft["tables"]} == {*shop.spec.tables} == {
        "country", "store", "staff", "product", 'Odd: "name" & co', "blank",
    }  # fmt: skip
    planned = shop.plan()
    assert planned.status == Status.CHANGES
    assert all(table.ddl for table in planned.report.tables)
    done = shop.run()
    assert (done.status, done.report.total.quarantined, done.report.total.insert) == (Status.DONE, 0, 10)
    shop.settled()
    assert not any(table.ddl or table.after_load for table in shop.plan().report.tables)
    assert shop.source.rows("staff") == before
    late = shop.target.engine != "duckdb"
    made = {name: shape(shop.target, name) for name in shop.target.tables()}
    keys = {name: {key.refers.name for key in each.foreign_keys} for name, each in made.items() if each.foreign_keys}
    circle = (
        {"store": {"staff", "country"}, "staff": {"store"}}
        if shop.source.engine != "duckdb"
        else {"store": {"country"}}
    )
    assert keys == (circle if late else {})
    assert made["country"].primary_key == ("code",)
    assert made['Odd: "name" & co'].primary_key == ("select", "a.b")
    assert frozenset({"name"}) in made["country"].uniques
    assert [column.name for column in made["product"].columns if column.generated][:1] == ["total"]
    assert not made["staff"].column("name").nullable  # type: ignore[union-attr]


@everywhere
def test_what_the_source_fills_in_numbers_and_forbids_the_target_does_too(shop: Scenario) -> None:
    scaffold(shop)
    shop.run()
    shop.target.execute("INSERT INTO staff (store) VALUES (1)")
    assert shop.target.ask("SELECT id, name FROM staff ORDER BY id")[-1] == (21, "O'Hara: 100%")
    assert shop.target.ask("SELECT count(*) FROM staff WHERE since IS NOT NULL") == [(3,)]
    shop.target.execute("INSERT INTO product (id, number) VALUES (99, 3)")
    assert float(shop.target.ask("SELECT total FROM product WHERE id = 99")[0][0]) == 1.5
    for wrong in (
        "INSERT INTO product (id, price) VALUES (100, -1)",
        "INSERT INTO staff (id, store, kind) VALUES (100, 1, 'cook')",
        "INSERT INTO country (code, name) VALUES ('DE', 'Austria')",
        "INSERT INTO country (code) VALUES ('DE')",
    ):
        with pytest.raises(Exception, match=r"(?i)check|unique|null"):
            shop.target.execute(wrong)


@everywhere
def test_what_does_not_translate_is_listed_in_the_draft_and_by_the_command(shop: Scenario) -> None:
    draft = scaffold(shop)
    text = shop.path.read_text()
    assert any("index half" in what for what in untold(draft, "staff"))
    if shop.source.engine != "duckdb":
        assert any("ON DELETE CASCADE" in what for what in untold(draft, "staff"))
    if shop.source.engine != shop.target.engine:
        assert any("generated column low" in what and "LOWER" in what for what in untold(draft, "product"))
    if shop.target.engine == "duckdb":
        assert any("foreign key (country) to country: DuckDB checks it" in what for what in untold(draft, "store"))
    flat = " ".join(text.replace("#", " ").split())
    for each in draft["untranslated"]:
        assert "Not translated: " + " ".join(each["what"].split()) in flat


def test_tables_come_after_those_that_they_refer_to_and_circles_are_named(shop: Scenario) -> None:
    draft = scaffold(shop)
    names = [table["name"] for table in draft["tables"]]
    assert names.index("country") < names.index("store")
    assert "refer to each other: their foreign keys hold once the rows of both are in" in " ".join(
        shop.path.read_text().split()
    )


# --- types


Fill = Callable[[Scenario], None]


def typed(scenario: Scenario, table: str = "t") -> dict[str, Any]:
    """The types of the draft's new columns."""
    created = yaml.safe_load(scenario.path.read_text())["tables"][table]["create"]["columns"]
    return {name: column["type"] if isinstance(column, dict) else column for name, column in created.items()}


def noted(draft: dict[str, Any], column: str) -> str:
    return "; ".join(each["why"] for each in draft["decisions"] if each["column"] == column)


@pytest.fixture
def legacy(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    return Scenario.make(tmp_path, getattr(request, "param", ("sqlite", "postgresql")), request)


def test_types_of_sqlite_are_what_its_rows_say(legacy: Scenario) -> None:
    legacy.source.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, flag TINYINT(1), two TINYINT(1), short VARCHAR(3), long VARCHAR(3),"
        " mixed INT, n NUMERIC, day DATE, price DECIMAL(8,2), free)",
        "INSERT INTO t VALUES (1, 1, 2, 'abc', 'äöü', 1, 1e20, '2024-02-29', 1.5, 'x')",
        "INSERT INTO t VALUES (2, 0, 0, NULL, 'abcd', 'one', 1.25, NULL, NULL, NULL)",
        "INSERT INTO t VALUES (3, NULL, 1, '', NULL, x'00', NULL, NULL, NULL, NULL)",
    )
    draft = scaffold(legacy)
    assert typed(legacy) == {
        "id": "bigint", "flag": "boolean", "two": "smallint", "short": "varchar(3)", "long": "text", "mixed": "bigint",
        "n": "numeric", "day": "date", "price": "numeric(8,2)", "free": "text",
    }  # fmt: skip
    assert noted(draft, "flag") == "tinyint(1) that holds only 0, 1 and null"
    assert noted(draft, "two") == "tinyint(1) that holds 0 to 2: no boolean"
    assert noted(draft, "long") == "declared VARCHAR(3), and holds texts of 4 characters"
    assert noted(draft, "mixed").startswith("2 of 3 rows hold something else (text 'one' is not an integer)")
    assert counts(legacy.run(), "t") == {"source_rows": 3, "insert": 1, "quarantined": 2}
    legacy.settled()


@pytest.mark.parametrize("legacy", [("duckdb", "postgresql"), ("duckdb", "sqlite")], indirect=True, ids=pair_name)
def test_unsigned_numbers_are_as_wide_as_their_values_at_both_ends_of_a_foreign_key(legacy: Scenario) -> None:
    legacy.source.execute(
        "CREATE TABLE small (id UBIGINT PRIMARY KEY)",
        "CREATE TABLE big (id UBIGINT PRIMARY KEY)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, small UBIGINT REFERENCES small (id), big UBIGINT REFERENCES big (id),"
        " tiny UTINYINT, whole UINTEGER)",
        "INSERT INTO small VALUES (9223372036854775807)",
        "INSERT INTO big VALUES (1), (18446744073709551615)",
        "INSERT INTO t VALUES (1, NULL, 1, 255, 4294967295)",
    )
    draft = scaffold(legacy)
    assert typed(legacy) == {
        "id": "integer", "small": "bigint", "big": "numeric(20,0)", "tiny": "smallint", "whole": "bigint",
    }  # fmt: skip
    assert typed(legacy, "big") == {"id": "numeric(20,0)"}
    assert "numeric(20,0), as big.id which it is linked to" in noted(draft, "big")
    assert counts(legacy.run(), "t") == {"source_rows": 1, "insert": 1}
    legacy.settled()


@pytest.mark.parametrize("legacy", [("postgresql", "duckdb")], indirect=True, ids=pair_name)
def test_types_that_the_target_has_not_become_what_holds_their_values(legacy: Scenario) -> None:
    legacy.source.execute(
        "CREATE TYPE mood AS ENUM ('sad', 'it''s')",
        "CREATE TABLE t (id int PRIMARY KEY, free numeric, nan numeric, tags text[], mood mood, span interval, doc jsonb,"
        " at timestamptz, ip inet, code char(3), who uuid)",
        "INSERT INTO t VALUES (1, 12.345, 'NaN', '{a,b}', 'it''s', '1 mon 100:00:00', '{\"a\": 1}', now(), '10.0.0.1', 'a',"
        " '12345678-9abc-4def-8123-456789abcdef')",
    )
    draft = scaffold(legacy)
    assert typed(legacy) == {
        "id": "integer", "free": "numeric(38,10)", "nan": "numeric", "tags": "text", "mood": "varchar(4)", "span": "interval",
        "doc": "json", "at": "timestamptz", "ip": "text", "code": "char(3)", "who": "uuid",
    }  # fmt: skip
    assert "NaN" in noted(draft, "nan")
    assert noted(draft, "ip") == "inet as the text that postgresql writes it in"
    created = yaml.safe_load(legacy.path.read_text())["tables"]["t"]["create"]
    assert created["checks"] == ["\"mood\" IN ('sad', 'it''s')"]
    legacy.run()
    legacy.settled()


# --- keys


def test_a_table_without_a_key_is_commented_out_with_what_could_be_one(legacy: Scenario) -> None:
    legacy.source.execute(
        "CREATE TABLE kept (id INTEGER PRIMARY KEY)",
        "CREATE TABLE one (n INT, code TEXT)",
        "INSERT INTO one VALUES (1, 'a'), (1, 'b')",
        "CREATE TABLE two (a INT, b TEXT, c REAL)",
        "INSERT INTO two VALUES (1, 'a', 1), (1, 'b', 2), (2, 'a', 3)",
        "CREATE TABLE none (a INT)",
        "INSERT INTO none VALUES (1), (1)",
        "CREATE TABLE uniq (x INT NOT NULL UNIQUE, y INT REFERENCES one (n))",
    )
    draft = scaffold(legacy)
    assert set(legacy.spec.tables) == {"kept", "uniq"}
    about = {table["name"]: table.get("left_out", "") for table in draft["tables"]}
    assert "(code) is unique and never null" in about["one"]
    assert "(a, b) is unique and never null" in about["two"]
    assert "no column and no pair of columns" in about["none"]
    assert any("one is left out" in what for what in untold(draft, "uniq"))
    text = legacy.path.read_text()
    block = text[text.index("  # two:") : text.index("\n\n", text.index("  # two:"))]
    legacy.path.write_text(text.replace(block, block.replace("  # ", "  ")))
    assert set(legacy.spec.tables) == {"kept", "uniq", "two"}
    assert counts(legacy.run(), "two") == {"source_rows": 3, "insert": 3}
    legacy.settled()


def test_foreign_keys_that_the_rows_break_are_left_out_with_their_count(legacy: Scenario) -> None:
    legacy.source.execute(
        "CREATE TABLE p (id INTEGER PRIMARY KEY)", "CREATE TABLE c (id INTEGER PRIMARY KEY, p INT REFERENCES p)"
    )
    with sqlite3.connect(legacy.source.place) as loose:
        loose.execute("INSERT INTO c VALUES (1, 7), (2, 8), (3, NULL)")
    loose.close()
    draft = scaffold(legacy)
    assert untold(draft, "c") == ["foreign key (p) to p: 2 rows refer to nothing"]
    legacy.run()
    legacy.settled()


def test_a_check_that_rows_break_is_left_out_with_their_count(legacy: Scenario) -> None:
    legacy.source.execute("CREATE TABLE c (id INTEGER PRIMARY KEY, n INT CHECK (n > 0), m INT CHECK (m > 0))")
    with sqlite3.connect(legacy.source.place) as loose:
        loose.execute("PRAGMA ignore_check_constraints = ON")
        loose.execute("INSERT INTO c VALUES (1, 0, 1), (2, -1, 1), (3, NULL, NULL)")
    loose.close()
    draft = scaffold(legacy)
    assert untold(draft, "c") == ["check n > 0: 2 rows stand against it"]
    legacy.run()
    legacy.settled()


def test_what_the_target_refuses_is_found_by_trying_it(legacy: Scenario) -> None:
    legacy.source.execute(
        "CREATE TABLE c (id INTEGER PRIMARY KEY, flag TINYINT(1) DEFAULT 1 CHECK (flag IN (0, 1)), day DATE DEFAULT 'never',"
        " name TEXT DEFAULT 7 CHECK (length(name) > day))"
    )
    draft = scaffold(legacy)
    found = untold(draft, "c")
    assert [what.split(":")[0] for what in found] == [
        "default 'never' of day", "check flag IN (0, 1)", "check length(name) > day",
    ]  # fmt: skip
    legacy.run()
    assert shape(legacy.target, "c").names == ("id", "flag", "day", "name")
    legacy.settled()


# --- target tables that are there


@pytest.mark.parametrize("legacy", [("sqlite", "postgresql"), ("sqlite", "sqlite")], indirect=True, ids=pair_name)
def test_target_tables_that_are_there_are_mapped_by_name_with_the_casts_that_they_need(legacy: Scenario) -> None:
    legacy.source.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, flag INT, price TEXT, gone TEXT, Name TEXT, at TIMESTAMP)",
        "INSERT INTO t VALUES (1, 1, '1.50', 'x', 'Ann', '2024-01-01 00:00:00')",
        "CREATE TABLE u (id INTEGER PRIMARY KEY)",
    )
    legacy.target.execute(
        "CREATE TABLE t (id bigint PRIMARY KEY, name varchar(9), flag boolean, price numeric(8,2), extra text)",
        "CREATE TABLE u (id bigint PRIMARY KEY, needed text NOT NULL)",
    )
    draft = scaffold(legacy)
    written = yaml.safe_load(legacy.path.read_text())["tables"]
    assert written["t"]["columns"] == {
        "id": "id", "name": "Name", "flag": {"from": "flag", "cast": "boolean"},
        "price": {"from": "price", "cast": "numeric(8,2)"},
    }  # fmt: skip
    assert "create" not in written["t"]
    assert "u" not in written
    assert "needed takes no nulls" in next(t["left_out"] for t in draft["tables"] if t["name"] == "u")
    assert noted(draft, "gone") == "the target has no such column"
    legacy.run()
    assert legacy.target.ask("SELECT id, name, extra FROM t") == [(1, "Ann", None)]
    legacy.settled()


# --- the command


def test_a_draft_writes_over_nothing_unless_forced(shop: Scenario) -> None:
    shop.path.write_text("mine")
    assert "is there already" in scaffold(shop, status=1)["error"]
    assert shop.path.read_text() == "mine"
    scaffold(shop, "--force")
    assert load_spec(shop.path).name == "spec"


def test_a_draft_can_be_printed(shop: Scenario) -> None:
    done = syncline("scaffold", shop.source.url, shop.target.url, "-o", "-")
    assert "version: 1" in done.stdout
    assert "Not translated:" in done.stderr
    shop.path.write_text(done.stdout)
    assert "store" in shop.spec.tables
    assert not Path(shop.target.place).exists()


def test_only_the_tables_that_are_named_are_drafted(shop: Scenario) -> None:
    draft = scaffold(shop, "--table", "store", "--table", "staff")
    assert {table["name"] for table in draft["tables"]} == {"store", "staff"}
    assert "foreign key (country) to country: its other end is not in this draft" in untold(draft, "store")
    assert "Did you mean staff?" in scaffold(shop, "--force", "--table", "staf", status=1)["error"]


def test_a_draft_says_what_it_did_on_the_terminal(shop: Scenario) -> None:
    done = syncline("scaffold", shop.source.url, shop.target.url, "-o", shop.path)
    assert "syncline plan" in done.stdout
    assert "product" in done.stdout
    assert "index half" in done.stderr


def test_relative_files_are_written_as_seen_from_the_draft(shop: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop.folder)
    (shop.folder / "specs").mkdir()
    syncline("scaffold", "sqlite:///legacy.db", "duckdb:///core.duckdb", "-o", "specs/draft.yaml")
    assert yaml.safe_load(Path("specs/draft.yaml").read_text())["source"]["url"] == "sqlite:///../legacy.db"
    syncline("plan", "specs/draft.yaml", status=2)


@pytest.mark.parametrize("legacy", [("sqlite", "postgresql")], indirect=True, ids=pair_name)
def test_passwords_stay_in_the_environment(legacy: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    legacy.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    head, tail = legacy.target.url.split("://")[0], legacy.target.url.split("@", 1)[-1].split("://")[-1]
    url = f"{head}://postgres:s3cret@{tail}" if "@" in legacy.target.url else f"{legacy.target.url}&password=s3cret"
    done = syncline("scaffold", legacy.source.url, url, "-o", legacy.path, "--target-schema", legacy.target.schema)
    assert "export TARGET_URL" in done.stderr
    assert "s3cret" not in legacy.path.read_text() + done.output
    assert "${TARGET_URL}" in legacy.path.read_text()
    monkeypatch.setenv("TARGET_URL", url)
    legacy.run()
    legacy.settled()


def test_names_that_the_target_would_take_for_one_or_cut_are_told_apart(legacy: Scenario) -> None:
    long = "x" * 70
    legacy.source.execute(
        f'CREATE TABLE t (id INTEGER PRIMARY KEY, "{long}a" INT, "{long}b" INT, "${{HOME}}" TEXT, "tab\there" TEXT)',
        "INSERT INTO t VALUES (1, 2, 3, '4', '5')",
    )
    draft = scaffold(legacy)
    legacy.run()
    names = shape(legacy.target, "t").names
    assert names == ("id", "x" * 63, "x" * 61 + "_2", "${HOME}", "tab\there")
    assert legacy.target.ask(f'SELECT "{names[1]}", "{names[2]}", "${{HOME}}" FROM t') == [(2, 3, "4")]
    assert "a name that postgresql does not keep" in noted(draft, names[2])
    legacy.settled()


@pytest.mark.parametrize("legacy", [("postgresql", "sqlite")], indirect=True, ids=pair_name)
def test_names_that_differ_in_case_alone_are_told_apart_where_case_does_not_count(legacy: Scenario) -> None:
    legacy.source.execute(
        'CREATE TABLE t (id int PRIMARY KEY, a int, "A" int)', 'CREATE TABLE "T" (id int PRIMARY KEY)',
        "INSERT INTO t VALUES (1, 2, 3)",
    )  # fmt: skip
    draft = scaffold(legacy)
    assert {table["name"] for table in draft["tables"]} == {"T", "t_2"}
    legacy.run()
    assert sorted(legacy.target.ask("SELECT * FROM t_2")) == [(1, 2, 3)]
    legacy.settled()


@pytest.mark.parametrize("legacy", [("postgresql", "sqlite")], indirect=True, ids=pair_name)
def test_a_table_of_another_schema_is_not_taken_for_one_of_this(legacy: Scenario) -> None:
    legacy.source.execute(
        "CREATE SCHEMA other",
        "CREATE TABLE other.p (id int PRIMARY KEY)",
        "CREATE TABLE p (id int PRIMARY KEY)",
        "CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES other.p)",
    )
    draft = scaffold(legacy)
    assert untold(draft, "c") == ["foreign key (p) to p: its other end is not in this draft"]
    legacy.plan()


def test_a_source_that_is_its_own_target_is_refused(legacy: Scenario) -> None:
    legacy.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    done = syncline("scaffold", legacy.source.url, legacy.source.url, "-o", "-", status=1)
    assert "are the same" in done.stderr


def test_a_source_without_tables_is_said_to_be_one(legacy: Scenario) -> None:
    legacy.source.execute("SELECT 1")
    assert "There are no tables in" in scaffold(legacy, status=1)["error"]


def test_a_column_that_cannot_be_read_is_left_out_with_the_reason(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    made = Scenario.make(tmp_path, ("duckdb", "sqlite"), request)
    made.source.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, u UNION (num INTEGER, str VARCHAR))", "INSERT INTO t VALUES (1, 2)"
    )
    draft = scaffold(made)
    assert "cannot be read exactly" in noted(draft, "u")
    made.run()
    made.settled()

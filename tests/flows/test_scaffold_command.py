"""`scaffold` as a command: what it writes where, target tables that are there, and names."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from command_line import syncline
from drafts import fill, noted, scaffold, shape, untold
from scenario import RING, Scenario, pair_name

from flows.spec.model import load_spec


@pytest.fixture
def legacy(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    return Scenario.make(tmp_path, getattr(request, "param", ("sqlite", "postgresql")), request)


@pytest.fixture
def shop(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    made = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    fill(made.source)
    return made


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
    assert "Not translated (behaviour):\n  staff: index half" in done.stderr
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
    assert "staff: index half" in done.stderr


def test_what_is_there_beside_tables_is_listed_unless_tables_are_named(shop: Scenario) -> None:
    shop.source.execute("CREATE VIEW report AS SELECT * FROM staff")
    draft = scaffold(shop)
    assert untold(draft, None) == ["view report"]
    assert "# - view: report\n" in shop.path.read_text()
    done = syncline("scaffold", shop.source.url, shop.target.url, "-o", "-", "--table", "country")
    assert "report" not in done.output
    assert "\n  view report\n" in syncline("scaffold", shop.source.url, shop.target.url, "-o", "-").stderr


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


# --- a target that has tables of its own names


def test_a_draft_onto_a_redesigned_target_says_what_is_there_what_is_like_it_and_what_a_person_has_to_do(
    legacy: Scenario,
) -> None:
    legacy.source.execute(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, cust_name TEXT, birthDate TEXT, note TEXT)",
        "INSERT INTO customers VALUES (1, 'Ann', '1990-01-31', 'x')",
        "CREATE TABLE audit (id INTEGER PRIMARY KEY)",
    )
    legacy.target.execute(
        "CREATE TABLE customer (id bigint PRIMARY KEY, customer_name varchar(9) NOT NULL, birth_date date, stars integer)",
        "CREATE TABLE invoice (id bigint PRIMARY KEY)",
    )
    draft = scaffold(legacy)
    assert draft["target"].endswith("audit, customers: made beside; customer, invoice: not touched.")
    (need,) = draft["needs"]
    assert (need["table"], need["column"]) == ("customers", None)
    assert need["why"] == "one is made; or is customer meant, which is there? --onto customers=customer"

    schemas = ("--schema", legacy.source.schema, "--target-schema", legacy.target.schema)
    given = [each for name, value in zip(schemas[::2], schemas[1::2], strict=True) if value for each in (name, value)]
    asked = ("scaffold", legacy.source.url, legacy.target.url, "-o", legacy.path, "--force", *given)
    done = syncline(*asked, "--onto", "customers=customer")
    assert "customer: loaded as it is; audit: made beside; invoice: not touched." in done.output
    assert (
        "customer.customer_name: takes no nulls, has no default, and nothing of that name is in the source: "
        in done.output
    )
    text = legacy.path.read_text()
    assert "Nothing goes to stars" in text and "note: the target has no such column" in text
    near = {"customer_name: cust_name", "birth_date: birthDate"}
    assert near == {line.strip("# ").partition("  #")[0] for line in text.splitlines() if "take the first #" in line}

    kept = text.replace("# customer_name: cust_name", "customer_name: cust_name")
    kept = kept.replace("# birth_date: birthDate", "birth_date: {from: birthDate, cast: date}")
    lines = kept[kept.index("  # customer:") :].splitlines()
    legacy.path.write_text(
        kept[: kept.index("  # customer:")] + "\n".join(line.replace("  # ", "  ", 1) for line in lines)
    )
    legacy.run()
    assert legacy.target.ask("SELECT customer_name, cast(birth_date AS text), stars FROM customer") == [
        ("Ann", "1990-01-31", None)
    ]

    wrong = syncline(*asked, "--onto", "customers=custom", status=1)
    assert "there is no table custom in" in wrong.output and "Did you mean customer?" in wrong.output
    assert "Fix: write --onto customers=customer" in syncline(*asked, "--onto", "customers", status=1).output


@pytest.mark.parametrize("legacy", RING, indirect=True, ids=pair_name)
def test_a_view_is_drafted_by_its_name_with_a_key_that_is_marked_as_a_guess(legacy: Scenario) -> None:
    legacy.source.execute(
        "CREATE TABLE sales (id integer PRIMARY KEY, area varchar(9), cents integer)",
        "CREATE VIEW sold AS SELECT area, count(*) AS pieces, max(cents) AS most FROM sales GROUP BY area",
    )
    legacy.source.insert("sales", [(1, "north", 5), (2, "south", 9), (3, "north", 9), (4, "south", 1)])
    draft = scaffold(legacy, "--table", "sold")
    assert "sold: view" not in str(draft["untranslated"])
    assert "No key is declared: rows are matched by (area)" in legacy.path.read_text()
    legacy.run()
    assert sorted(legacy.target.ask("SELECT area, pieces, most FROM sold")) == [("north", 2, 9), ("south", 2, 9)]
    legacy.settled()

"""`diff-tables`: any two tables, views or queries held to each other, on every engine, and nothing is written anywhere."""

from __future__ import annotations

import csv
import errno
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import answer, syncline
from databases import Database
from scenario import RING, Engine, Scenario, pair_name

from adapters.store import spill

LEFT = """CREATE TABLE "item" ("id" INTEGER, "name" VARCHAR(40), "price" NUMERIC(9,2), "moment" TIMESTAMP NULL, "extra" INTEGER)"""
RIGHT = """CREATE TABLE "thing" ("ID" BIGINT, "name" VARCHAR(40), "price" NUMERIC(12,4), "moment" TIMESTAMP NULL, "more" INTEGER)"""
ROWS_LEFT = """INSERT INTO "item" VALUES (1,'Ada',19.99,'2020-01-01 10:00:00',0), (2,'Škoda 🚗',5,NULL,0), (3,'x',7.5,NULL,0),
    (4,'y',1,NULL,0), (4,'z',1,NULL,0), (NULL,'n',3,NULL,0), (6,'a',1,NULL,0)"""
ROWS_RIGHT = """INSERT INTO "thing" VALUES (6,'A',1,NULL,0), (NULL,'n',3.0,NULL,0), (4,'z',1,NULL,0), (1,'Ada',19.9901,'2020-01-01 10:00:00',0),
    (2,'Škoda 🚗',5,NULL,0), (5,'new',2,NULL,0)"""


@pytest.fixture
def sides(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    return Scenario.make(tmp_path, request.param, request)


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands run in a folder of their own, which stays empty."""
    folder = tmp_path / "working"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield
    assert list(folder.iterdir()) == []


def at(side: Any, table: str) -> str:
    return f"{side.url}#{side.schema + '.' if side.schema else ''}{table}"


@pytest.mark.parametrize("sides", RING, indirect=True, ids=pair_name)
def test_rows_are_compared_by_key_and_value_over_any_two_engines(sides: Scenario) -> None:
    for side, made, rows in ((sides.source, LEFT, ROWS_LEFT), (sides.target, RIGHT, ROWS_RIGHT)):
        side.execute(made.replace("TIMESTAMP", "DATETIME") if side.engine == "mysql" else made, rows)
    found = answer("diff-tables", at(sides.source, "item"), at(sides.target, "thing"), "--key", "id=ID", status=2)
    assert [found[name] for name in ("same", "different", "only_left", "only_right")] == [3, 2, 2, 1]
    assert (found["left"]["rows"], found["right"]["rows"]) == (7, 6)
    assert (found["left"]["double_keys"], found["left"]["double_rows"], found["left"]["null_keys"]) == (1, 2, 1)
    assert (found["right"]["double_keys"], found["right"]["null_keys"]) == (0, 1)
    assert (found["left"]["columns_alone"], found["right"]["columns_alone"]) == (["extra"], ["more"])
    assert {name: told["different"] for name, told in found["columns"].items()} == {"name": 1, "price": 1, "moment": 0}
    assert found["columns"]["name"]["match"] == pytest.approx(4 / 5)
    assert [(row["kind"], row["key"]) for row in found["rows"]] == [
        ("different", [1]), ("only_left", [3]), ("only_left", [4]), ("only_right", [5]), ("different", [6])
    ]  # fmt: skip
    assert found["rows"][4]["left"] == {"name": "a"} and found["rows"][4]["right"] == {"name": "A"}
    assert found["rows_left_off"] == 0

    # the sides swapped, and a query in the place of one: the same, mirrored
    schema = f"{sides.source.schema}." if sides.source.schema else ""
    query = f"SELECT id, name, price, moment FROM {schema}item"
    names = ("--key", "ID=id", "--columns", "name,price,moment", "--tolerance", "price=0.001")
    mirrored = answer("diff-tables", at(sides.target, "thing"), f"{sides.source.url}#({query})", *names, status=2)
    assert [mirrored[name] for name in ("same", "different", "only_left", "only_right")] == [4, 1, 1, 2]
    assert mirrored["left"]["columns_alone"] == []

    # a view on one side, only the rows that are the same on the other
    sides.target.execute(f'CREATE VIEW "some" AS SELECT * FROM {target_name(sides)} WHERE "ID" = 2')
    same = syncline(
        "diff-tables", at(sides.source, "item"), at(sides.target, "some"), "--key", "id=ID", "--columns", "name, price",
        "--where", "name LIKE 'Š%'",
    )  # fmt: skip
    assert same.stdout.endswith("Equal: 1 row, 2 columns beside the key.\n")


def target_name(sides: Scenario) -> str:
    return f'"{sides.target.schema}"."thing"' if sides.target.schema else '"thing"'


LITE: list[tuple[Engine, Engine]] = [("sqlite", "duckdb")]


@pytest.mark.parametrize("sides", LITE, indirect=True, ids=pair_name)
def test_windows_by_an_index_and_by_hash_find_the_same(sides: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.compare import reading

    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "
    sides.source.execute(
        "CREATE TABLE n (i INTEGER PRIMARY KEY, t TEXT)", f"INSERT INTO n {numbers} SELECT i, 'v' || i FROM n"
    )
    sides.target.execute("CREATE TABLE n (i BIGINT PRIMARY KEY, t VARCHAR)")
    sides.target.execute(f"INSERT INTO n {numbers} SELECT i + 10, 'v' || (i + 10 + (i % 50 = 0)::INT) FROM n")
    monkeypatch.setattr(reading, "WINDOW_ROWS", 700)
    left, right = at(sides.source, "n"), at(sides.target, "n")
    ordered = answer("diff-tables", left, right, "--rows", status=2)
    spilled = answer("diff-tables", left, f"{sides.target.url}#(SELECT * FROM n)", "--rows", status=2)
    assert [ordered[name] for name in ("same", "different", "only_left", "only_right")] == [4891, 99, 10, 10]
    assert {k: ordered[k] for k in ("same", "different", "only_left", "only_right", "columns")} == {
        k: spilled[k] for k in ("same", "different", "only_left", "only_right", "columns")
    }
    assert len(ordered["rows"]) == 119
    by_key = lambda row: row["key"]  # noqa: E731
    assert ordered["rows"] == sorted(ordered["rows"], key=by_key) == sorted(spilled["rows"], key=by_key)

    # rows as JSON lines and CSV, alone on standard output; some of them, in a file
    lines = syncline("diff-tables", left, right, "--format", "jsonl", status=2)
    assert [json.loads(line) for line in lines.stdout.splitlines()] == ordered["rows"]
    assert "119 rows named." in lines.stderr and "Not equal: 99 different" in lines.stderr
    listed = list(csv.DictReader(io.StringIO(syncline("diff-tables", left, right, "--format", "csv", status=2).stdout)))
    assert listed[0] == {"kind": "only_left", "key": "[1]", "column": "i", "left": "1", "right": ""}
    file = sides.folder / "rows.json"
    done = syncline("diff-tables", left, right, "--limit", 3, "--format", "json", "-o", file, status=2)
    assert "3 rows named in" in done.stdout and "116 more were left off" in done.stdout
    assert json.loads(file.read_text()) == ordered["rows"][:3]
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("sides", LITE, indirect=True, ids=pair_name)
def test_odd_rows_and_tables(sides: Scenario) -> None:
    wide = [f"c{number}" for number in range(500)]
    sides.source.execute(
        "CREATE TABLE empty (id INTEGER PRIMARY KEY, v TEXT)",
        "CREATE TABLE odd (id TEXT, f REAL, v)",
        "INSERT INTO odd VALUES ('1', 9e999, 'x'), ('02', -0.0, 2), ('no', 1.5, NULL), (NULL, NULL, 3)",
        f"CREATE TABLE wide (id INTEGER PRIMARY KEY, {', '.join(wide)})",
        f"INSERT INTO wide VALUES (1, {', '.join(['1'] * 500)})",
        "CREATE TABLE mixed (id INTEGER PRIMARY KEY, n INTEGER)",
        "INSERT INTO mixed VALUES (1, 1), (2, 'two'), (3, 'three')",
        "CREATE TABLE huge (id INTEGER PRIMARY KEY, t TEXT)",
        "INSERT INTO huge VALUES (1, hex(zeroblob(1000000))), (2, 'b')",
        "CREATE TABLE late (id INTEGER PRIMARY KEY, moment TIMESTAMP)",
        "INSERT INTO late VALUES (1, '2020-07-01 12:00:00')",
    )
    sides.target.execute(
        "CREATE TABLE empty (id BIGINT, v VARCHAR)",
        "CREATE TABLE odd (id BIGINT, f DOUBLE, v VARCHAR)",
        "INSERT INTO odd VALUES (1, 'infinity', 'x'), (2, 0.0, '2'), (2, 'nan', '2'), (NULL, NULL, '3')",
        f"CREATE TABLE wide (id BIGINT, {', '.join(f'{name} INTEGER' for name in wide)})",
        f"INSERT INTO wide VALUES (1, {', '.join(['1'] * 499)}, 2)",
        "CREATE TABLE mixed (id BIGINT PRIMARY KEY, n INTEGER)",
        "INSERT INTO mixed VALUES (1, 1), (2, 2)",
        "CREATE TABLE huge (id BIGINT, t VARCHAR)",
        "INSERT INTO huge VALUES (1, repeat('0', 1999999) || '1'), (2, 'b')",
        "CREATE TABLE late (id BIGINT, moment TIMESTAMPTZ)",
        "INSERT INTO late VALUES (1, '2020-07-01 10:00:00+00')",
    )

    def compared(table: str, *options: str, status: int = 2) -> dict[str, Any]:
        return answer("diff-tables", at(sides.source, table), at(sides.target, table), *options, status=status)

    assert compared("empty", status=0)["message"] == "Equal: 0 rows, 1 column beside the key."
    odd = compared("odd", "--key", "id", "--columns", "f")
    assert [odd[name] for name in ("same", "different", "only_left", "only_right")] == [3, 0, 1, 1]
    assert (odd["left"]["foreign_keys"], odd["right"]["double_rows"]) == (1, 2)
    assert [row["key"] for row in odd["rows"]] == [["2"], ["no"]]
    apart = compared("wide")
    assert {name: told["different"] for name, told in apart["columns"].items() if told["different"]} == {"c499": 1}
    mixed = compared("mixed")
    assert (mixed["left"]["rows"], mixed["left"]["unread"], mixed["same"], mixed["only_right"]) == (3, 2, 1, 1)
    assert mixed["message"] == "Not equal: 1 only right, 2 cannot be read."
    assert list(mixed["left"]["unread_why"].values()) == [2]
    huge = syncline("diff-tables", at(sides.source, "huge"), at(sides.target, "huge"), status=2)
    assert "1 different" in huge.stdout and len(huge.stdout) < 2_000
    assert len(compared("huge", "--rows")["rows"][0]["left"]["t"]) == 2_000_000
    unlike = compared("late")
    assert list(unlike["not_compared"]) == ["moment"] and "--time-zone" in unlike["not_compared"]["moment"]
    assert compared("late", "--time-zone", "Europe/Vienna", status=0)["equal"] is True


@pytest.mark.parametrize("sides", LITE, indirect=True, ids=pair_name)
def test_what_cannot_be_compared_is_refused_with_what_there_is(sides: Scenario) -> None:
    sides.source.execute("CREATE TABLE item (id INTEGER, n INTEGER, d DATE)", "CREATE TABLE other (id INTEGER)")
    sides.target.execute("CREATE TABLE item (id BIGINT, n VARCHAR, d INTEGER, j JSON)")
    left, right = at(sides.source, "item"), at(sides.target, "item")
    for arguments, words in (
        ((left, right), ("primary key", "--key id")),
        ((left, right, "--key", "idd"), ("'idd'", "Did you mean id?")),
        ((left, right, "--key", "id=no"), ("right side has no column 'no'",)),
        ((left, right, "--key", "d"), ("d cannot be compared: date and integer",)),
        ((left, right, "--key", "id", "--columns", "d"), ("d cannot be compared",)),
        ((left, right, "--key", "id", "--tolerance", "id=1"), ("compared exactly",)),
        ((left, right, "--key", "id", "--tolerance", "zz=1"), ("'zz'",)),
        ((left, right, "--key", "id", "--tolerance", "n=-1"), ("says nothing",)),
        ((left, right, "--key", "id", "--tolerance", "n=nan"), ("says nothing",)),
        ((left, right, "--key", "id", "--time-zone", "Vienna/Europe"), ("no time zone",)),
        ((left.replace("item", "itm"), right, "--key", "id"), ("has no table", "Did you mean item?")),
        ((left.partition("#")[0], right, "--key", "id"), ("names no table", "item, other")),
        (("item", right, "--key", "id"), ("no URL",)),
        (("oracle://x#item", right, "--key", "id"), ("No adapter knows",)),
        (("sqlite:///lost.db#item", right, "--key", "id"), ("lost.db",)),
        ((left, right, "--key", "id", "--where", "nonsense = 1"), ("nonsense", "correct --where")),
        ((left, f"{right.partition('#')[0]}#(SELECT nonsense)", "--key", "id"), ("nonsense",)),
        ((left, right, "--key", "id,id=n"), ("named twice",)),
    ):
        said = syncline("diff-tables", *arguments, status=1).stderr
        assert said.startswith("error: ") and "Fix: " in said, (arguments, said)
        assert all(word in said for word in words), (arguments, said)
    # a text that is no number is equal to no number, within whatever tolerance
    sides.source.execute("INSERT INTO item VALUES (1, 1, NULL), (2, 2, NULL), (3, 3, NULL)")
    sides.target.execute("INSERT INTO item VALUES (1, '1.4', NULL, NULL), (2, 'x', NULL, NULL), (3, '3.6', NULL, NULL)")
    near = answer("diff-tables", left, right, "--key", "id", "--columns", "n", "--tolerance", "n=0.5", status=2)
    assert [row["key"] for row in near["rows"]] == [[2], [3]]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:{}@127.0.0.1:1/db#item",
        "postgresql://me:{}@127.0.0.1:1/db",
        "mysql://me:{}@127.0.0.1:1/db#(SELECT 1 AS id)",
        "oracle://me:{}@127.0.0.1:1/db#item",
        "postgresql://me@127.0.0.1:1/db?password={}#item",
    ],
)
@pytest.mark.parametrize("password", ["s3cr#t-canary", "s3cr#(t-canary", "s3crt-canary"])
def test_a_password_is_never_shown(url: str, password: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.session.retry.POLICY.__class__.attempts", 1, raising=False)
    other = Database("sqlite", f"sqlite:///{tmp_path}/x.db")
    other.execute("CREATE TABLE item (id INTEGER PRIMARY KEY)")
    for sides in ((url.format(password), f"{other.url}#item"), (f"{other.url}#item", url.format(password))):
        done = syncline("diff-tables", *sides, "--json", status=1)
        assert "canary" not in done.output and "s3c" not in done.output


@pytest.mark.parametrize("engine", ["postgresql", "mysql", "duckdb"])
def test_a_query_cannot_write(database: Database, tmp_path: Path) -> None:
    beside = Database("sqlite", f"sqlite:///{tmp_path}/beside.db")
    beside.execute("CREATE TABLE item (id INTEGER PRIMARY KEY)")
    database.execute("CREATE SEQUENCE numbers")
    number = "nextval(numbers)" if database.engine == "mysql" else "nextval('numbers')"
    query = f"{database.url}#(SELECT {number} AS id)"
    said = syncline("diff-tables", query, f"{beside.url}#item", "--key", "id", status=1).stderr
    assert "error: " in said and "Tried" not in said
    assert database.execute(f"SELECT {number}") == [(1,)]


def test_a_file_is_compared_as_a_table_is(tmp_path: Path) -> None:
    beside = Database("sqlite", f"sqlite:///{tmp_path}/beside.db")
    beside.execute(
        "CREATE TABLE item (id TEXT, price NUMERIC(9,2))", "INSERT INTO item VALUES ('1', 1.5), ('2', 7), ('3', 0)"
    )
    rows = pa.table({"id": [3, 2, 1], "price": [0.0, 7.25, 1.5]})
    pq.write_table(rows, tmp_path / "item.parquet")
    file, table = f"parquet:///{tmp_path}/item.parquet", f"{beside.url}#item"
    found = answer("diff-tables", file, table, "--key", "id", status=2)
    assert (found["left"]["url"], found["same"], found["different"]) == (f"{file}#item", 2, 1)
    where = ("--key", "id", "--where", "price < 5", "--query", "SELECT * FROM item")
    assert answer("diff-tables", beside.url, file, *where)["message"] == "Equal: 2 rows, 1 column beside the key."


def test_a_full_disk_is_told_with_the_folder_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = Database("sqlite", f"sqlite:///{tmp_path}/beside.db")
    beside.execute("CREATE TABLE item (id TEXT)", "INSERT INTO item VALUES ('1')")

    make_file = spill.private.make_file

    def full(path: Path) -> None:
        if path.suffix == ".arrow":
            raise OSError(errno.ENOSPC, "No space left on device")
        make_file(path)

    monkeypatch.setattr(spill.private, "make_file", full)
    said = syncline("diff-tables", f"{beside.url}#item", f"{beside.url}#item", "--key", "id", status=1).stderr
    assert "syncline-compare-" in said and "No space left on device" in said
    assert said.endswith("Fix: free space there, or set TMPDIR to another folder.\n")

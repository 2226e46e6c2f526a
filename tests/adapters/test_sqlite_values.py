"""Any value in any column of SQLite: affinities, offenders, and numbers and times in their spellings."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from scenario import Scenario, Side, quarantine
from sqlite_tables import adapter as adapter
from sqlite_tables import change, read, run, shape_of
from sqlite_tables import path as path

from adapters.sqlite.adapter import SqliteAdapter
from adapters.sqlite.types import kind_of, travel_of
from transforms.vocabulary import INVALID, Applied, ColumnShape, DataError, TableName, TableShape, reason_of, text_of


@pytest.mark.parametrize(
    ("declared", "travel", "meaning"),
    [
        ("INT", pa.int64(), "plain"),
        ("UNSIGNED BIG INT", pa.int64(), "plain"),
        ("tinyint(1)", pa.int64(), "plain"),
        ("BOOLEAN", pa.bool_(), "plain"),
        ("double precision", pa.float64(), "plain"),
        ("FLOAT", pa.float64(), "plain"),
        ("DATE", pa.date32(), "plain"),
        ("DATETIME", pa.timestamp("us"), "plain"),
        ("TIMESTAMP", pa.timestamp("us"), "plain"),
        ("TIMESTAMP WITH TIME ZONE", pa.timestamp("us", "UTC"), "plain"),
        ("TIME", pa.time64("us"), "plain"),
        ("DECIMAL(9, 2)", pa.decimal128(9, 2), "plain"),
        ("NUMERIC(7)", pa.decimal128(7, 0), "plain"),
        ("NUMERIC", pa.string(), "decimal"),
        ("DECIMAL_TEXT(20, 4)", pa.decimal128(20, 4), "plain"),
        ("decimal(60,4)", pa.decimal256(60, 4), "plain"),
        ("NVARCHAR(100)", pa.string(), "plain"),
        ("CHARACTER(20)", pa.string(), "plain"),
        ("INTERVAL", pa.string(), "interval"),
        ("BLOB", pa.binary(), "plain"),
        ("UUID", pa.string(), "uuid"),
        ("JSON", pa.string(), "json"),
        ("", pa.string(), "plain"),
        ("GEOMETRY", pa.string(), "plain"),
    ],
)
def test_the_declared_type_decides_how_a_column_travels(declared: str, travel: pa.DataType, meaning: str) -> None:
    assert travel_of(declared) == (travel, meaning)


def test_the_length_of_a_text_is_not_promised(adapter: SqliteAdapter, path: Path) -> None:
    run(path, "CREATE TABLE t (a VARCHAR(3))", "INSERT INTO t VALUES ('longer')")
    assert shape_of(adapter, "t").columns[0].length is None
    assert read(adapter, "t") == [{"a": "longer"}]


OFFENDERS: list[tuple[str, Any, str]] = [
    ("INTEGER", "abc", "column x: text 'abc' is not an integer"),
    ("INTEGER", 1.5, "column x: real 1.5 is not an integer"),
    ("INTEGER", b"\x00\x01", "column x: a blob of 2 bytes is not an integer"),
    ("BOOLEAN", 2, "column x: integer 2 is not a boolean (0 or 1)"),
    ("BOOLEAN", -1, "column x: integer -1 is not a boolean (0 or 1)"),
    ("BOOLEAN", "true", "column x: text 'true' is not a boolean (0 or 1)"),
    ("REAL", "n/a", "column x: text 'n/a' is not a number that a float can hold"),
    ("TEXT", b"\xff", "column x: a blob of 1 bytes is not text"),
    ("BLOB", "text", "column x: text 'text' is not a blob"),
    ("DATE", "2024-02-30", "column x: text '2024-02-30' is not a date (YYYY-MM-DD)"),
    ("DATE", "0000-00-00", "column x: text '0000-00-00' is not a date (YYYY-MM-DD)"),
    ("DATE", 20240101, "column x: integer 20240101 is not a date (YYYY-MM-DD)"),
    ("DATE", "2024-01-01 10:00:00", "column x: text '2024-01-01 10:00:00' is not a date (YYYY-MM-DD)"),
    ("DATETIME", "yesterday", "column x: text 'yesterday' is not a timestamp"),
    ("DATETIME", "2024-01-01T00:00:00Z", "column x: text '2024-01-01T00:00:00Z' is not a timestamp"),
    ("DATETIME", "2024-01-01 00:00:00.1234567", "column x: text '2024-01-01 00:00:00.1234567' is not a timestamp"),
    ("DATETIME", 1700000000, "column x: integer 1700000000 is not a timestamp"),
    ("TIMESTAMPTZ", "2024-01-01 00:00:00", "column x: text '2024-01-01 00:00:00' is not a timestamp with its offset"),
    ("TIME", "25:00:00", "column x: text '25:00:00' is not a time of day"),
    ("TIME", "-01:00:00", "column x: text '-01:00:00' is not a time of day"),
    ("DECIMAL(5,2)", 1.239, "column x: 1.239 is not a numeric(5,2)"),
    ("DECIMAL(5,2)", 1000, "column x: 1000.0 is not a numeric(5,2)"),
    ("DECIMAL(5,2)", "ten", "column x: text 'ten' is not a number"),
    ("DECIMAL(5,2)", float("inf"), "column x: inf is not a numeric(5,2)"),
    ("NUMERIC", "ten", "column x: text 'ten' is not a number"),
    ("UUID", "no-uuid", "column x: text 'no-uuid' is not a UUID"),
    ("JSON", "{", "column x: text '{' is not JSON"),
]


@pytest.mark.parametrize(("declared", "value", "reason"), OFFENDERS, ids=[f"{a}-{b!r}" for a, b, _ in OFFENDERS])
def test_a_value_that_breaks_its_type_makes_its_row_invalid_and_no_other(
    adapter: SqliteAdapter, path: Path, declared: str, value: Any, reason: str
) -> None:
    run(
        path,
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, x {declared}, y TEXT)",
        "INSERT INTO t VALUES (?, ?, ?)",
        values=[(1, None, "a"), (2, value, "b"), (3, None, "c")],
    )
    rows = read(adapter, "t", ("id",))
    assert [row["x"] for row in rows] == [None, None, None]
    assert [row["y"] for row in rows] == ["a", "b", "c"]
    assert [row[INVALID] is None for row in rows] == [True, False, True]
    assert text_of(reason_of(rows[1][INVALID])).startswith(reason)


def test_valid_rows_carry_no_column_of_reasons(adapter: SqliteAdapter, path: Path) -> None:
    run(path, "CREATE TABLE t (x INTEGER)", "INSERT INTO t VALUES (1), (NULL)")
    assert read(adapter, "t") == [{"x": 1}, {"x": None}]


def test_text_that_is_not_utf_8_is_reported_and_never_replaced(adapter: SqliteAdapter, path: Path) -> None:
    run(path, "CREATE TABLE t (x TEXT)", "INSERT INTO t VALUES ('good'), (CAST(X'61FF62' AS TEXT)), ('ä')")
    rows = read(adapter, "t")
    assert [row["x"] for row in rows] == ["good", None, "ä"]
    assert text_of(reason_of(rows[1][INVALID])) == "column x: text 'a\\xffb' is not valid UTF-8"
    run(path, "CREATE TABLE n (x INTEGER)", "INSERT INTO n VALUES (CAST(X'61FF' AS TEXT))")
    assert text_of(reason_of(read(adapter, "n")[0][INVALID])) == "column x: text 'a\\xff' is not an integer"


def test_the_first_rows_do_not_decide_the_types(adapter: SqliteAdapter, path: Path) -> None:
    count = 70_000
    rows = [(i, None, None, None, None) for i in range(count)] + [(count, "t", 1.5, b"b", 7)]
    run(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b REAL, c BLOB, d INTEGER)",
        "INSERT INTO t VALUES (?, ?, ?, ?, ?)",
        values=rows,
    )
    found = read(adapter, "t", ("id",))
    assert len(found) == count + 1
    assert found[-1] == {"id": count, "a": "t", "b": 1.5, "c": b"b", "d": 7}


def test_many_offenders_are_found_one_by_one(adapter: SqliteAdapter, path: Path) -> None:
    values = [(f"2024-01-{i % 40 + 1:02}",) for i in range(4000)]
    run(path, "CREATE TABLE t (d DATE)", "INSERT INTO t VALUES (?)", values=values)
    rows = read(adapter, "t")
    assert sum(row[INVALID] is not None for row in rows) == 4000 * 9 // 40
    assert all((row["d"] is None) == (row[INVALID] is not None) for row in rows)


def test_floating_point_storage_gives_the_decimal_that_was_meant(adapter: SqliteAdapter, path: Path) -> None:
    numbers = ["1.1", "0.07", "-123456789.01", "100", "9999999999999.99", "0.1"]
    run(
        path,
        "CREATE TABLE t (x DECIMAL(15,2), y NUMERIC)",
        "INSERT INTO t VALUES (?, ?)",
        values=[(n, n) for n in numbers],
    )
    rows = read(adapter, "t")
    assert [row["x"] for row in rows] == [Decimal(n).quantize(Decimal("0.01")) for n in numbers]
    assert [Decimal(row["y"]) for row in rows] == [Decimal(n) for n in numbers]
    assert INVALID not in rows[0]


@pytest.mark.parametrize("declared", ["DECIMAL(20,4)", "NUMERIC", "JSON"])
def test_a_number_that_sqlite_would_round_is_refused(adapter: SqliteAdapter, path: Path, declared: str) -> None:
    run(path, f"CREATE TABLE t (id INTEGER PRIMARY KEY, x {declared})")
    shape = shape_of(adapter, "t")
    travel = shape.columns[1].type
    exact, lost = ("123456789.1234", "1234567890123.4567")

    def rows(text: str) -> pa.Table:
        return pa.table([pa.array([1]), pa.array([text]).cast(travel)], schema=shape.schema())

    for empty in (True, False):
        with pytest.raises(DataError, match=r"1234567890123\.4567"):
            adapter.apply(change(shape, inserts=rows(lost)), shape, None, empty=empty)
    assert adapter.apply(change(shape, inserts=rows(exact)), shape, None) == Applied(inserted=1)
    assert [str(row["x"]) for row in read(adapter, "t")] == [exact]


def test_a_number_without_bounds_is_read_in_one_spelling(adapter: SqliteAdapter, path: Path) -> None:
    run(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, n DECIMAL_TEXT)",
        "INSERT INTO t (n) VALUES ('-1.10'), ('+5'), ('007'), ('.5'), ('1e-5'), ('-0.0'), ('100'), ('12e2'), ('NaN'), (NULL)")  # fmt: skip
    found = [row["n"] for row in read(adapter, "t", ("id",))]
    assert found == ["-1.1", "5", "7", "0.5", "0.00001", "0", "100", "1200", "NaN", None]


@pytest.mark.parametrize(
    "number", [str(2**63 - 1), str(-(2**63)), "0.30000000000000004", "0.00000000000000000000000000000004"]
)
def test_a_numeric_column_keeps_what_comes_back_as_it_was(adapter: SqliteAdapter, path: Path, number: str) -> None:
    run(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, n NUMERIC)")
    shape = shape_of(adapter, "t")
    rows = pa.table({"id": [1], "n": [number]})
    assert adapter.kept(shape.columns[1], rows["n"].combine_chunks()).to_pylist() == [number]
    assert adapter.apply(change(shape, inserts=rows), shape, None).inserted == 1
    assert read(adapter, "t") == [{"id": 1, "n": number}]


@pytest.mark.parametrize("number", [str(2**63), "0.1234567890123456789", "1" + "0" * 400, "0." + "0" * 400 + "1"])
def test_a_numeric_column_does_not_keep_what_it_would_round(adapter: SqliteAdapter, path: Path, number: str) -> None:
    run(path, "CREATE TABLE t (n NUMERIC)")
    assert adapter.kept(shape_of(adapter, "t").columns[0], pa.array([number])).to_pylist() == [None]


def test_whole_decimals_of_eighteen_digits_stay_exact(adapter: SqliteAdapter, path: Path) -> None:
    run(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, x DECIMAL(20,2))")
    shape = shape_of(adapter, "t")
    rows = pa.Table.from_pylist([{"id": 1, "x": Decimal("123456789012345678.00")}], shape.schema())
    adapter.apply(change(shape, inserts=rows), shape, None)
    assert read(adapter, "t") == rows.to_pylist()


def test_times_with_offsets_are_read_as_utc(adapter: SqliteAdapter, path: Path) -> None:
    texts = ["2024-01-01T00:00:00Z", "2024-01-01 00:00:00+05:30", "2024-01-01 00:00:00.5-01:00"]
    run(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at TIMESTAMPTZ)",
        "INSERT INTO t VALUES (?, ?)",
        values=list(enumerate(texts)),
    )
    assert [row["at"] for row in read(adapter, "t", ("at",))] == [
        datetime(2023, 12, 31, 18, 30, tzinfo=UTC),
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2024, 1, 1, 1, 0, 0, 500000, UTC),
    ]


def test_other_spellings_of_a_value_are_no_conflict(adapter: SqliteAdapter, path: Path) -> None:
    run(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at TIMESTAMP, d DATE, u UUID, j JSON, n DECIMAL(9,2))",
        "INSERT INTO t VALUES (1, '2024-01-01T00:00:00.000', '2024-01-01 00:00:00',"
        " 'FFFFFFFF-0000-4000-8000-000000000000', '{\"b\": 1, \"a\":2}', '5.50')",
    )
    shape = shape_of(adapter, "t")
    (row,) = read(adapter, "t")
    assert (row["d"], row["u"]) == (date(2024, 1, 1), "ffffffff-0000-4000-8000-000000000000")
    rows = pa.Table.from_pylist([{**row, "j": '{"a": 2, "b": 1}'}], shape.schema())
    after = rows.set_column(5, shape.schema().field("n"), pa.array([Decimal("6.50")], pa.decimal128(9, 2)))
    assert adapter.apply(change(shape, before=rows, after=after), shape, None) == Applied(updated=1)
    assert adapter.apply(change(shape, deletes=after), shape, None) == Applied(deleted=1)


def test_views_are_read_by_the_types_of_their_values(adapter: SqliteAdapter, path: Path) -> None:
    run(
        path,
        "CREATE TABLE t (a INTEGER PRIMARY KEY, d DATE)",
        "CREATE VIEW v AS SELECT a, d, a * 1.5 AS r, count(*) OVER () AS n, 'x' || a AS s, NULL AS nil FROM t",
        "INSERT INTO t VALUES (1, '2024-01-01')",
    )
    shape = shape_of(adapter, "v")
    assert [each.type for each in shape.columns] == [
        pa.int64(), pa.date32(), pa.float64(), pa.int64(), pa.string(), pa.string(),
    ]  # fmt: skip
    assert read(adapter, "v") == [{"a": 1, "d": date(2024, 1, 1), "r": 1.5, "n": 1, "s": "x1", "nil": None}]
    assert adapter.tables() == [TableName("t")]


def test_dates_beyond_four_digit_years_are_refused(adapter: SqliteAdapter, path: Path) -> None:
    run(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, d DATE)")
    shape = shape_of(adapter, "t")
    rows = pa.table([pa.array([1]), pa.array([4_000_000], pa.int32()).view(pa.date32())], schema=shape.schema())
    with pytest.raises(DataError, match="Column d"):
        adapter.apply(change(shape, inserts=rows), shape, None)


def test_an_exact_decimal_is_declared_so_that_it_stays_text() -> None:
    shape = TableShape(
        TableName("t"), (ColumnShape("d", pa.decimal128(20, 4), ""), ColumnShape("e", pa.decimal128(15, 4), ""))
    )
    (statement,) = SqliteAdapter("sqlite:///t.db").ddl(shape)
    assert "DECIMAL_TEXT(20, 4)" in statement
    assert "DECIMAL(15, 4)" in statement
    assert kind_of("DECIMAL_TEXT(20, 4)") == "decimal"


KNOWN = [
    "abc",
    "",
    "1",
    "-5",
    "0",
    "1.5",
    "123456789012345678",
    "0x10",
    "Infinity",
    "nan",
    "1_000",
    "5 apples",
    "é",
    None,
]
ALTERED = ["007", "1.0", "1.50", "1e3", "+1", " 1", "1 ", "\v1", "-0", ".5", "5.", "9" * 30, "9e999", "0.1000000000000000055511151231257827"]  # fmt: skip


@pytest.mark.parametrize("declared", ["STRING", "ENUM"])
def test_a_column_of_an_unknown_type_takes_the_texts_that_it_gives_back(
    declared: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """SQLite makes numbers of texts there: 007 would be 7. What it has made of others is read as the text that it is."""
    small = Scenario.make(tmp_path, ("duckdb", "sqlite"), request)
    small.source.execute("CREATE TABLE t (k bigint PRIMARY KEY, v varchar)")
    small.source.insert("t", list(enumerate([*KNOWN, *ALTERED])))
    small.target.execute(f"CREATE TABLE t (k bigint PRIMARY KEY, v {declared})")
    small.write({"t": {"from": "t"}})
    small.run()
    found = dict(small.target.ask("SELECT k, v FROM t"))
    assert [None if found[number] is None else str(found[number]) for number in range(len(KNOWN))] == KNOWN
    assert len(found) == len(KNOWN)
    assert {key for _, (key,), _ in quarantine(small)} == set(range(len(KNOWN), len(KNOWN) + len(ALTERED)))
    small.settled()
    small.source.execute("UPDATE t SET v = '42' WHERE k = 2", "DELETE FROM t WHERE k = 3")
    small.run()
    small.settled()
    small.undo(1)
    assert small.target.count("t") == 1  # the row that the second run updated
    back = Scenario(tmp_path, small.target, Side("duckdb", str(tmp_path / "back.db")))
    back.write({"t": {"from": "t"}})
    back.run()
    assert back.target.rows("t") == [(2, "42")]

"""Types of MariaDB and MySQL: extremes, dates that are none, values that are not kept, designs."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from databases import Database
from mysql_tables import adapter as adapter
from mysql_tables import database as database
from mysql_tables import described, inserts, read
from whys import why_texts

from adapters.mysql.adapter import MysqlAdapter
from transforms.mapping.column_limits import misfits
from transforms.vocabulary import INVALID, DataError, Relation, SynclineError, TableName

EXTREMES: list[tuple[str, pa.DataType, list[tuple[str, Any]]]] = [
    ("tinyint", pa.int8(), [("-128", -128), ("127", 127)]),
    ("tinyint(1)", pa.int8(), [("2", 2), ("-1", -1)]),
    ("tinyint unsigned", pa.uint8(), [("255", 255)]),
    ("mediumint", pa.int32(), [("-8388608", -(2**23)), ("8388607", 2**23 - 1)]),
    ("mediumint unsigned", pa.uint32(), [("16777215", 2**24 - 1)]),
    ("int(5) zerofill", pa.uint32(), [("42", 42)]),
    ("bigint", pa.int64(), [(str(-(2**63)), -(2**63)), (str(2**63 - 1), 2**63 - 1)]),
    ("bigint unsigned", pa.uint64(), [(str(2**64 - 1), 2**64 - 1), (str(2**63), 2**63)]),
    ("decimal(38,10)", pa.decimal128(38, 10), [("0.0000000001", Decimal("1E-10")), ("-" + "9" * 28 + ".9999999999", Decimal("-" + "9" * 28 + ".9999999999"))]),
    ("decimal(65,30)", pa.string(), [("9" * 35 + "." + "9" * 30, "9" * 35 + "." + "9" * 30)]),
    ("bit(1)", pa.uint8(), [("b'1'", 1), ("b'0'", 0)]),
    ("bit(64)", pa.uint64(), [("b'" + "1" * 64 + "'", 2**64 - 1)]),
    ("year", pa.int16(), [("0", 0), ("1901", 1901), ("2155", 2155)]),
    ("float", pa.float32(), [("16777217", 16777216.0), ("0.1", pa.scalar(0.1, pa.float32()).as_py()), ("3.4028234663852886e38", 3.4028234663852886e38)]),
    ("double", pa.float64(), [("0.1e0", 0.1), ("5e-324", 5e-324), ("1.7976931348623157e308", 1.7976931348623157e308)]),
    ("date", pa.date32(), [("'0001-01-01'", date(1, 1, 1)), ("'9999-12-31'", date(9999, 12, 31))]),
    ("datetime(6)", pa.timestamp("us"), [("'0001-01-01 00:00:00.000001'", datetime(1, 1, 1, 0, 0, 0, 1)), ("'9999-12-31 23:59:59.999999'", datetime(9999, 12, 31, 23, 59, 59, 999999))]),
    ("timestamp(6) null", pa.timestamp("us", "UTC"), [("'1970-01-01 00:00:01'", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)), ("'2038-01-19 03:14:07.999999'", datetime(2038, 1, 19, 3, 14, 7, 999999, UTC))]),
    ("time(6)", pa.duration("us"), [("'838:59:59.999999'", timedelta(hours=838, minutes=59, seconds=59, microseconds=999999)), ("'-838:59:59.999999'", -timedelta(hours=838, minutes=59, seconds=59, microseconds=999999)), ("'-05:00:00'", timedelta(hours=-5)), ("'-00:00:00.000001'", timedelta(microseconds=-1))]),
    ("time", pa.duration("us"), [("'100:00:00'", timedelta(hours=100))]),
    ("char(5)", pa.string(), [("'a'", "a")]),
    ("varchar(9)", pa.string(), [("' a  '", " a  "), ("''", ""), ("'NULL'", "NULL"), ("'\\\\N'", "\\N")]),
    ("varchar(9) character set latin1", pa.string(), [("'é€?'", "é€?")]),
    ("varchar(9) character set ucs2", pa.string(), [("'日本?'", "日本?")]),
    ("varchar(9) character set cp1251", pa.string(), [("'Ж'", "Ж")]),
    ("varchar(9) character set sjis", pa.string(), [("'日本'", "日本")]),
    ("varchar(9) character set ascii", pa.string(), [("'a?'", "a?")]),
    ("longtext", pa.string(), [("repeat('🎉', 300000)", "🎉" * 300000), ("'\\0\t\n\r\\\\'", "\0\t\n\r\\")]),
    ("binary(3)", pa.binary(), [("x'01'", b"\x01\x00\x00")]),
    ("varbinary(9)", pa.binary(), [("x'00ff0a5c09'", b"\x00\xff\n\\\t"), ("''", b"")]),
    ("blob", pa.binary(), [("x'01ff01ff01ff'", b"\x01\xff" * 3)]),
    ("enum('a','b''c','d\\\\e')", pa.string(), [("'a'", "a"), ("'b''c'", "b'c"), ("'d\\\\e'", "d\\e")]),
    ("set('a','b','c')", pa.string(), [("'c,a'", "a,c"), ("''", "")]),
    ("json", pa.string(), [("'{\"b\": 1, \"a\": [1.5, null]}'", '{"b": 1, "a": [1.5, null]}')]),
    ("uuid", pa.string(), [("'FFFFFFFF-9abc-4def-8123-456789abcdef'", "ffffffff-9abc-4def-8123-456789abcdef")]),
    ("inet6", pa.string(), [("'2001:DB8::1'", "2001:db8::1")]),
]  # fmt: skip


@pytest.mark.parametrize(("native", "travel", "values"), EXTREMES, ids=[each[0] for each in EXTREMES])
def test_every_type_is_read_exactly_and_written_back(
    adapter: MysqlAdapter, database: Database, native: str, travel: pa.DataType, values: list[tuple[str, Any]]
) -> None:
    for name in ("t", "copy"):
        database.execute(f"CREATE TABLE {name} (id int primary key, v {native}) CHARACTER SET utf8mb4")
    for i, (text, _) in enumerate([*values, ("NULL", None)]):
        database.execute(f"INSERT INTO t VALUES ({i}, {text})")
    found = read(adapter)
    assert found.schema.field("v").type == travel
    assert found["v"].to_pylist() == [*(value for _, value in values), None]
    column = described(adapter).columns[1]
    whole = found["v"].combine_chunks()
    assert misfits(whole, column) == []
    assert adapter.kept(column, whole).equals(whole)
    target = described(adapter, "copy")
    for empty in (True, False):
        database.execute("DELETE FROM copy")
        assert adapter.apply(inserts(target, found), target, None, empty=empty).inserted == len(values) + 1
        assert read(adapter, "copy").equals(found)
        assert adapter.apply(inserts(target, found), target, None).conflicts is None
    assert database.execute("SELECT count(*) FROM t JOIN copy USING (id) WHERE t.v <=> copy.v") == [(len(values) + 1,)]


def test_doubles_and_floats_are_exact_to_the_last_bit(adapter: MysqlAdapter, database: Database) -> None:
    database.execute("CREATE TABLE t (id int primary key, d double, f float)")
    shape, drawn = described(adapter), random.Random(3)
    numbers = [drawn.uniform(-1, 1) * 10.0 ** drawn.randint(-307, 307) for _ in range(3000)]
    numbers += [-0.0, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, -1.7976931348623157e308]
    singles = [drawn.uniform(-1, 1) * 10.0 ** drawn.randint(-37, 37) for _ in numbers]
    rows = pa.table([pa.array(range(len(numbers))), pa.array(numbers), pa.array(singles, pa.float32())], schema=pa.schema(
        [("id", pa.int64()), ("d", pa.float64()), ("f", pa.float32())])).cast(shape.schema())  # fmt: skip
    adapter.apply(inserts(shape, rows), shape, None, empty=True)
    found = read(adapter)
    assert found.equals(rows)
    assert found["d"][3000].as_py() == 0  # MariaDB stores the sign of a zero and does not tell it


def test_a_decimal_of_more_digits_than_arrow_has_is_one_text_for_each_number(
    adapter: MysqlAdapter, database: Database
) -> None:
    database.execute(
        "CREATE TABLE t (id int primary key, v decimal(65,10), w decimal(40,0), z decimal(40,2) zerofill)",
        "INSERT INTO t VALUES (1, 0, 100, 7), (2, -1.5, 0, 0.50), (3, 10, NULL, NULL)",
    )
    rows = read(adapter)
    assert rows["v"].to_pylist() == ["0", "-1.5", "10"]
    assert rows["w"].to_pylist() == ["100", "0", None]
    assert rows["z"].to_pylist() == ["7", "0.5", None]


# Dates that are none


@pytest.fixture
def zeros(database: Database) -> None:
    database.execute(
        "SET sql_mode = 'ALLOW_INVALID_DATES'",
        "CREATE TABLE t (id int primary key, d date, m datetime(6), s timestamp NULL)",
        "INSERT INTO t VALUES (1, '2024-02-29', '2024-02-29 01:02:03.000004', '2024-02-29 00:00:00')",
        "INSERT INTO t VALUES (2, '0000-00-00', '2024-02-00', '0000-00-00 00:00:00'), (3, '2024-02-31', NULL, NULL)",
        "INSERT INTO t VALUES (4, '0000-01-01', '0000-00-00', NULL)",
    )


@pytest.mark.usefixtures("zeros")
def test_zero_and_partial_dates_are_invalid_and_name_column_and_value(adapter: MysqlAdapter) -> None:
    found = read(adapter)
    reasons = why_texts(found[INVALID])
    assert reasons[0] is None
    assert reasons[1:] == [
        "column d: 0000-00-00 is no date",
        "column d: 2024-02-31 is no date",
        "column d: 0000-01-01 is no date",
    ]
    assert found["d"].to_pylist() == [date(2024, 2, 29), None, None, None]


@pytest.mark.usefixtures("zeros")
def test_zero_dates_are_read_as_the_relation_says(adapter: MysqlAdapter) -> None:
    told = (("d", "null"), ("m", "1900-01-01T00:00:00"), ("s", "1970-01-02"))
    found = read(adapter, zero_dates=told)
    assert INVALID not in found.column_names
    assert found["d"].to_pylist() == [date(2024, 2, 29), None, None, None]
    assert found["m"].to_pylist() == [
        datetime(2024, 2, 29, 1, 2, 3, 4),
        datetime(1900, 1, 1),
        None,
        datetime(1900, 1, 1),
    ]
    assert found["s"].to_pylist()[:2] == [datetime(2024, 2, 29, tzinfo=UTC), datetime(1970, 1, 2, tzinfo=UTC)]
    with pytest.raises(DataError, match=r"t, column 'd': 0000-00-00"):
        read(adapter, zero_dates=(("d", "fail"),))


# Values that are not kept


@pytest.mark.parametrize(
    ("native", "values", "kept"),
    [
        ("year", [0, 1900, 1901], [0, None, 1901]),
        ("binary(2)", [b"ab", b"a"], [b"ab", None]),
        ("set('a','b')", ["a,b", "b,a", "", "c", "a,"], ["a,b", None, "", None, None]),
        ("json", ['{"a": 1}', "{"], ['{"a": 1}', None]),
        ("inet6", ["::1", "nonsense"], ["::1", None]),
        ("varchar(9) character set gbk", ["中", "🎉"], ["中", None]),
    ],
)
def test_values_that_would_be_stored_as_others_are_told_before(
    adapter: MysqlAdapter, database: Database, native: str, values: list[Any], kept: list[Any]
) -> None:
    database.execute(f"CREATE TABLE t (id int primary key, v {native})")
    column = described(adapter).columns[1]
    assert adapter.kept(column, pa.array(values, column.type)).to_pylist() == kept


def test_a_year_of_two_digits_is_refused(adapter: MysqlAdapter, database: Database) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY, y year(2), z year(4))")
    shape = described(adapter)
    assert "century" in str(shape.column("y").refused)
    assert shape.column("z").refused is None


def test_what_has_no_arrow_type_is_refused_with_a_way_out(adapter: MysqlAdapter, database: Database) -> None:
    database.execute("CREATE TABLE t (id int primary key, g point)")
    column = described(adapter).columns[1]
    assert column.refused is not None
    assert "ST_AsText" in column.refused
    with pytest.raises(SynclineError, match="ST_AsText"):
        read(adapter)
    shape = adapter.describe_query("SELECT id, ST_AsText(g) AS g FROM t")
    assert shape.columns[1].type == pa.string()


# Design


def test_a_design_is_told_and_made_again(adapter: MysqlAdapter, database: Database) -> None:
    database.execute(
        "CREATE TABLE t (id int primary key auto_increment, v varchar(9) DEFAULT 'it''s', n int DEFAULT 7, "
        "at timestamp DEFAULT current_timestamp() ON UPDATE current_timestamp(), g int AS (n + 1) STORED, j json, "
        "KEY plain (n, v), KEY part (v(3)), FULLTEXT KEY words (v), CONSTRAINT c CHECK (n > 0))",
        "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.n = NEW.n",
    )
    design = adapter.design(TableName("t"))
    assert dict(design.defaults) == {"v": "'it''s'", "n": "7", "at": "current_timestamp()"}
    assert [name for name, _ in design.generated] == ["g"]
    assert design.checks == ("`n` > 0",)
    assert design.indexes == (("n", "v"),)
    named = {(each.kind, each.columns, each.fact("name")) for each in design.features}
    assert named >= {("trigger", (), "tr"), ("index", (), "part"), ("index", (), "words"), ("on_update", ("at",), "")}


def test_keys_are_found_that_are_no_label_or_have_no_short_number(adapter: MysqlAdapter, database: Database) -> None:
    database.execute(
        "CREATE TABLE t (id INT PRIMARY KEY, e ENUM('a', 'b'), f FLOAT, d DOUBLE)",
        "SET sql_mode = ''",
        "INSERT INTO t VALUES (1, 'a', 0.1, 0.1), (2, 'none', 1.17549e-38, 1e-300), (3, 'b', 3.40282e38, 1e300)",
    )
    rows = read(adapter)
    assert rows["e"].to_pylist() == ["a", "", "b"]
    with adapter.snapshot() as snapshot:
        for names in (["e"], ["f"], ["d"], ["e", "f"]):
            found = pa.Table.from_batches(
                list(snapshot.scan(Relation(TableName("t")), ["id"], keys=rows.select(names)))
            )
            assert sorted(found["id"].to_pylist()) == [1, 2, 3], names

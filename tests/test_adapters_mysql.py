"""What is special about MariaDB and MySQL: types at their extremes, dates that are none, character sets, one connection."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from conftest import Database

from adapters.mysql import MysqlAdapter
from adapters.mysql_arrow import arrived
from transforms.limits import misfits
from transforms.vocabulary import (
    INVALID,
    BusyError,
    ChangeSet,
    DataError,
    Key,
    KeyRange,
    Marker,
    Relation,
    SynclineError,
    TableName,
    TableShape,
    TransientError,
)


@pytest.fixture
def database(mariadb_url: str) -> Database:
    return Database("mysql", mariadb_url)


@pytest.fixture
def adapter(database: Database) -> Iterator[MysqlAdapter]:
    opened = MysqlAdapter(database.url)
    yield opened
    opened.close()


def described(adapter: MysqlAdapter, name: str = "t") -> TableShape:
    shape = adapter.describe(TableName(name))
    assert shape is not None
    return shape


def read(adapter: MysqlAdapter, name: str = "t", key: Key = ("id",), **told: Any) -> pa.Table:
    shape = described(adapter, name)
    with adapter.snapshot() as snapshot:
        batches = list(snapshot.scan(Relation(shape.name, **told), shape.names, key=key))
    return pa.Table.from_batches(batches)


def inserts(shape: TableShape, rows: pa.Table, key: Key = ("id",)) -> ChangeSet:
    none = shape.schema().empty_table()
    return ChangeSet(shape.name, key, shape.names, rows, none, none, none)


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


# ---------------------------------------------------------------------------------------------------------------------
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
    reasons = found[INVALID].to_pylist()
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


# ---------------------------------------------------------------------------------------------------------------------
# Texts


def test_text_that_is_not_valid_in_its_character_set_is_reported_and_never_replaced(
    adapter: MysqlAdapter, database: Database
) -> None:
    database.execute(
        "CREATE TABLE t (id int primary key, c varbinary(9))",
        "INSERT INTO t VALUES (1, 'fine?'), (2, x'986162'), (3, NULL)",
        "ALTER TABLE t MODIFY c varchar(9) CHARACTER SET cp1251",
    )
    found = read(adapter)
    assert found["c"].to_pylist() == ["fine?", None, None]
    assert found[INVALID].to_pylist() == [None, "column c: the bytes 986162 are no text in cp1251", None]


def test_bytes_that_are_no_utf8_are_found_row_by_row(adapter: MysqlAdapter, database: Database) -> None:
    database.execute("CREATE TABLE t (id int primary key, v varchar(9))")
    travel = adapter._relation(Relation(TableName("t"))).travels["v"]
    texts, reasons = arrived(pa.array([b"ok", b"\xc3", b"\xa9", None, "é".encode()]), travel, Relation(TableName("t")))
    assert texts.to_pylist() == ["ok", None, None, None, "é"]
    assert reasons is not None
    told = [None, *(f"column v: the bytes {each} are no text in utf8mb4" for each in ("c3", "a9")), None, None]
    assert reasons.to_pylist() == told


def test_a_latin1_column_tells_what_it_holds(adapter: MysqlAdapter, database: Database) -> None:
    database.execute(
        "CREATE TABLE t (id int primary key, v varchar(5) CHARACTER SET latin1, u varchar(5) CHARACTER SET utf8mb3)"
    )
    shape = described(adapter)
    ((bad, _),) = misfits(pa.array(["é", "€", "Ж", "日"]), shape.columns[1])
    assert bad.tolist() == [False, False, True, True]
    ((bad, _),) = misfits(pa.array(["日", "🎉"]), shape.columns[2])
    assert bad.tolist() == [False, True]
    rows = pa.table([[1], ["Ж"], ["x"]], schema=shape.schema())
    for empty in (True, False):
        with pytest.raises(DataError, match=r"(?s)Table t.*'v'.*id = '1'.*Ж"):
            adapter.apply(inserts(shape, rows), shape, None, empty=empty)


COLLATIONS = [
    "utf8mb4_general_ci",
    "utf8mb4_unicode_ci",
    "utf8mb4_bin",
    "utf8mb4_nopad_bin",
    "latin1_swedish_ci",
    "utf8mb4_unicode_nopad_ci",
]


@pytest.mark.parametrize("collation", COLLATIONS)
def test_alike_says_what_a_unique_index_takes_for_one(
    adapter: MysqlAdapter, database: Database, collation: str
) -> None:
    charset = collation.split("_")[0]
    database.execute(
        f"CREATE TABLE t (id int primary key, v varchar(9) CHARACTER SET {charset} COLLATE {collation} UNIQUE)"
    )
    texts = ["a", "A", "á", "a ", "a  ", "b", "", " ", "ss", "ß", "e", "é", "a\t", "ab", "a b", "\u00a0", "a\u00a0"]
    (told,) = adapter.alike(TableName("t"), pa.table({"v": texts}))
    told = told.to_pylist()
    numbered = " UNION ALL ".join(
        f"SELECT {n} AS n, CONVERT(CONVERT(x'{text.encode().hex()}' USING utf8mb4) USING {charset}) COLLATE {collation} AS v"
        for n, text in enumerate(texts)
    )
    pairs = database.execute(
        f"WITH texts AS ({numbered}) SELECT a.n, b.n, a.v = b.v FROM texts a JOIN texts b ON b.n < a.n"
    )
    assert len(pairs) == len(texts) * (len(texts) - 1) // 2
    for one, other, same in pairs:
        assert (told[one] == told[other]) == bool(same), (texts[one], texts[other])
    assert (described(adapter).columns[1].collation is None) == (collation == "utf8mb4_nopad_bin")


@pytest.mark.parametrize("charset", ["latin1", "utf8mb3", "gbk"])
def test_a_text_that_the_character_set_does_not_hold_is_like_no_other(
    adapter: MysqlAdapter, database: Database, charset: str
) -> None:
    database.execute(f"CREATE TABLE t (id int primary key, v varchar(9) CHARACTER SET {charset} UNIQUE)")
    (told,) = adapter.alike(TableName("t"), pa.table({"v": ["a", "🎉", "A", "?", "🎊", "🎉"]}))
    small, party, capital, mark, other, again = told.to_pylist()
    assert small == capital
    assert party == again
    assert len({small, party, mark, other}) == 4


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


def test_keys_that_differ_in_case_or_blanks_find_their_own_rows(adapter: MysqlAdapter, database: Database) -> None:
    database.execute(
        "CREATE TABLE t (id varchar(9) COLLATE utf8mb4_general_ci primary key, v int)", "INSERT INTO t VALUES ('A', 1)"
    )
    shape = described(adapter)
    wanted = pa.table([["a"], [1]], schema=shape.schema())
    with pytest.raises(DataError, match="Duplicate"):
        adapter.apply(inserts(shape, wanted), shape, None)
    none = shape.schema().empty_table()
    gone = ChangeSet(shape.name, ("id",), shape.names, none, none, none, wanted)
    assert adapter.apply(gone, shape, None).deleted == 1  # there is no such row
    assert read(adapter)["id"].to_pylist() == ["A"]


# ---------------------------------------------------------------------------------------------------------------------
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


# ---------------------------------------------------------------------------------------------------------------------
# Large values, one connection


def test_values_of_more_than_a_packet_travel(adapter: MysqlAdapter, database: Database) -> None:
    database.execute("CREATE TABLE t (id int primary key, b longblob, t longtext)")
    shape = described(adapter)
    pattern = bytes(range(256)) * (17 * 2**12)  # 17 MiB
    rows = pa.table([[1, 2, 3], [pattern, b"\x01\xff", None], ["x" * (16 * 2**20), "", None]], schema=shape.schema())
    for empty in (True, False):
        database.execute("DELETE FROM t")
        adapter.apply(inserts(shape, rows), shape, None, empty=empty)
        assert read(adapter).equals(rows)


def test_scans_nest_and_threads_share_one_connection(adapter: MysqlAdapter, database: Database) -> None:
    database.execute(
        "CREATE TABLE t (id int primary key, v varchar(99))",
        "INSERT INTO t SELECT seq, repeat('x', 90) FROM seq_1_to_60000",
    )
    relation = Relation(TableName("t"))
    with adapter.snapshot() as snapshot:
        outer = snapshot.scan(relation, ["id", "v"], key=("id",))
        first = next(outer)
        inner = sum(
            batch.num_rows for batch in snapshot.scan(relation, ["id"], key=("id",), within=KeyRange((100,), (200,)))
        )
        assert inner == 100
        with ThreadPoolExecutor(4) as pool:
            sums = pool.map(lambda _: sum(b.num_rows for b in snapshot.scan(relation, ["id", "v"])), range(4))
            assert list(sums) == [60_000] * 4
        assert first.num_rows + sum(batch.num_rows for batch in outer) == 60_000


def test_a_killed_connection_is_a_passing_fault(adapter: MysqlAdapter, database: Database) -> None:
    database.execute(
        "CREATE TABLE t (id int primary key, v varchar(999))",
        "INSERT INTO t SELECT seq, repeat('x', 900) FROM seq_1_to_50000",
    )
    with pytest.raises(TransientError), adapter.snapshot() as snapshot:
        batches = snapshot.scan(Relation(TableName("t")), ["id", "v"])
        next(batches)
        for (number,) in database.execute(
            "SELECT id FROM information_schema.processlist WHERE id <> connection_id() AND db = database()"
        ):
            database.execute(f"KILL {number}")
        list(batches)
    assert read(adapter).num_rows == 50_000


def test_a_lock_names_its_holder(adapter: MysqlAdapter, database: Database) -> None:
    other = MysqlAdapter(database.url)
    with adapter.lock("shop"):
        with pytest.raises(BusyError, match=r"shop is held on .* by connection \d+, user root"), other.lock("shop"):
            pass
        with other.lock("another"):
            pass
    with other.lock("shop"):
        pass
    other.close()


def test_a_table_without_transactions_is_not_written(adapter: MysqlAdapter, database: Database) -> None:
    database.execute("CREATE TABLE t (id int primary key) ENGINE=MyISAM")
    shape = described(adapter)
    with pytest.raises(SynclineError, match="ENGINE = InnoDB"):
        adapter.apply(inserts(shape, pa.table([[1]], schema=shape.schema())), shape, Marker("m", "p", "t", 0))


def test_a_load_that_the_server_would_alter_is_refused(adapter: MysqlAdapter, database: Database) -> None:
    database.execute("CREATE TABLE t (id int primary key, v varchar(3), e enum('a','b'), CHECK (id < 100))")
    shape = described(adapter)
    for row in ((1, "long", "a"), (1, "x", "z"), (100, "x", "a")):
        rows = pa.table([[each] for each in row], schema=shape.schema())
        for empty in (True, False):
            with pytest.raises(DataError):
                adapter.apply(inserts(shape, rows), shape, None, empty=empty)
    assert database.execute("SELECT count(*) FROM t") == [(0,)]


def test_a_server_that_asks_for_another_file_gets_nothing(adapter: MysqlAdapter, database: Database) -> None:
    database.execute("CREATE TABLE t (v text)")
    connection = adapter._connections.take()
    with pytest.raises(RuntimeError, match="LOAD_LOCAL"):
        connection.query("LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE t")
    connection._force_close()


# ---------------------------------------------------------------------------------------------------------------------
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
    assert any("trigger tr" in line for line in design.untold)
    assert any("part" in line for line in design.untold)
    assert any("words" in line for line in design.untold)
    assert any("column at" in line for line in design.untold)


def test_a_user_who_may_not_write_is_told_what_to_grant(adapter: MysqlAdapter, database: Database) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v varchar(9))")
    database.execute(
        "CREATE USER IF NOT EXISTS reader@'%' IDENTIFIED BY 'hunter2'", "GRANT SELECT ON *.* TO reader@'%'"
    )
    reader = MysqlAdapter(database.url.replace("root:@", "reader:hunter2@"))
    shape = described(reader)
    rows = pa.table({"id": [1], "v": ["a"]}, schema=shape.schema())
    with pytest.raises(SynclineError, match=r"denied.*Fix: GRANT .*CREATE TEMPORARY TABLES") as caught:
        reader.apply(inserts(shape, rows), shape, None)
    assert "hunter2" not in str(caught.value)
    reader.close()
    database.execute("DROP USER reader@'%'")

"""The adapter contract: what a scan tells apart has different checksums, and what nobody changed has the same."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Sequence

import pyarrow as pa
import pytest
from contract import constrained
from databases import Database

from adapters.protocol import CHECKSUMS, Sealing, Snapshot, Target
from adapters.registry import open_source, open_target
from transforms.vocabulary import KeyRange, Relation, TableName

T = TableName("t")
ALL = (KeyRange(),)

TRAPS: dict[str, dict[str, list[tuple[str, ...]]]] = {
    "postgresql": {
        "double precision": [("0", "'-0'", "'NaN'", "'Infinity'", "0.1", "0.10000000000000002")],
        "real": [("0.1", "0.1000001", "'-0'", "0")],
        "numeric": [("1", "2", "'NaN'", "1e40")],
        "numeric(9,2)": [("1.0", "1.01")],
        "text": [("''", "NULL", "'a'", "'A'", "'a '", "U&'\\00e9'", "U&'e\\0301'")],
        "char(3)": [("'a'", "'A'", "''", "NULL")],
        "json": [("'1'", "'1.0'", "'{\"a\":1}'", "'{\"a\": 1}'")],
        "jsonb": [("'1'", "'1.0'", "'null'", "NULL")],
        "bit(3)": [("B'000'", "B'001'")],
        "varbit": [("B'0'", "B'00'")],
        "interval": [("'1 day'", "'24 hours'", "'1 mon'", "'30 days'")],
        "int[]": [("'{1,2}'", "'[2:3]={1,2}'", "'{1,NULL}'")],
        "point": [("'(1,2)'", "'(2,1)'")],
        "tsvector": [("'a b'", "'a:1 b:2'")],
        "money": [("1", "2")],
        "bytea": [("''", "'\\x00'", "NULL")],
        "boolean": [("true", "false", "NULL")],
        "timestamptz": [("'2024-01-01 00:00+00'", "'2024-01-01 00:00:00.000001+00'")],
        "time": [("'00:00'", "'24:00'")],
        "inet": [("'10.0.0.1'", "'10.0.0.1/31'")],
    },
    "mysql": {
        "double": [("0", "0.1", "0.10000000000000002", "1e300", "NULL")],
        "float": [("0.1", "0.1000001", "16777216", "16777217")],
        "decimal(30,10)": [("1", "1.0000000001")],
        "varchar(20)": [("''", "NULL", "'a'", "'A'", "'a '", "'ä'", "'-'", "'N'", "'0'")],
        "varchar(20) CHARACTER SET latin1": [("'a'", "'ä'", "'?'", "''")],
        "char(5)": [("'a'", "'A'", "'b'")],
        "json": [("'1'", "'1.0'", "'{\"a\":1}'", "'{\"a\": 1}'")],
        "bit(3)": [("b'000'", "b'001'")],
        "timestamp(6) NULL": [("'2024-01-01 00:00:00'", "'2024-01-01 00:00:00.000001'", "NULL")],
        "datetime": [("'2024-01-01 00:00:00'", "'2024-01-01 00:00:01'")],
        "time(6)": [("'24:00:00'", "'-24:00:00'", "'00:00:00.000001'")],
        "blob": [("''", "x'00'", "NULL", "'a'")],
        "enum('a','A2','')": [("'a'", "'A2'", "''", "NULL")],
        "set('a','b')": [("'a'", "'a,b'", "''")],
        "int zerofill": [("1", "10")],
        "year": [("1970", "2050", "0")],
    },
    "duckdb": {
        "DOUBLE": [("0.0", "-0.0::double", "'nan'", "'inf'", "0.1", "0.10000000000000002")],
        "FLOAT": [("0.1", "0.1000001", "-0.0::float", "0")],
        "DECIMAL(9,2)": [("1.0", "1.01")],
        "VARCHAR": [("''", "NULL", "'a'", "'A'", "'a '")],
        "VARCHAR COLLATE NOCASE": [("'a'", "'A'")],
        "JSON": [("'1'", "'1.0'", "'null'", "NULL")],
        "INTERVAL": [("'1 day'", "'24 hours'", "'1 month'", "'30 days'")],
        "INTEGER[]": [("[1,2]", "[1,NULL]", "[]", "NULL")],
        "STRUCT(a INTEGER, b INTEGER)": [("{'a': 1, 'b': 2}", "{'a': 2, 'b': 1}")],
        "BLOB": [("''", "'\\x00'", "NULL")],
        "BOOLEAN": [("true", "false", "NULL")],
        "BIT": [("'0'", "'00'")],
        "TIMESTAMPTZ": [("'2024-01-01 00:00+00'", "'2024-01-01 00:00:00.000001+00'")],
        "HUGEINT": [("1", "-1", "170141183460469231731687303715884105727")],
    },
    "sqlite": {
        "": [("''", "NULL", "0", "'0'", "0.0", "x'00'", "'a'", "'A'")],
        "TEXT COLLATE NOCASE": [("'a'", "'A'", "'a '")],
    },
}  # fmt: skip
PARTLY = ("VARCHAR COLLATE NOCASE", "INTERVAL", "INTEGER[]", "STRUCT(a INTEGER, b INTEGER)", "BIT", "HUGEINT")
TRAPS["parquet"] = {kind: groups for kind, groups in TRAPS["duckdb"].items() if kind not in PARTLY}


def checksum(adapter: Target, columns: Sequence[str], windows: Sequence[KeyRange] = ALL) -> list[str]:
    with adapter.snapshot() as snapshot:
        return summed(snapshot, columns, windows)


def summed(snapshot: Snapshot, columns: Sequence[str], windows: Sequence[KeyRange] = ALL) -> list[str]:
    assert isinstance(snapshot, Sealing)
    found = snapshot.checksums(Relation(T), columns, ("id",), windows)
    assert found is not None
    assert found.schema == CHECKSUMS
    return [str(each) for each in found["checksum"].to_pylist()]


def scanned(snapshot: Snapshot, columns: Sequence[str], within: KeyRange = KeyRange()) -> str:
    """What a scan tells: 0 and -0 are two texts, and so is what cannot travel."""
    batches = list(snapshot.scan(Relation(T), columns, key=("id",), within=within))
    return "\n".join(str(row) for batch in batches for row in batch.to_pylist())


def test_whatever_a_scan_tells_apart_has_another_checksum(database: Database) -> None:
    for kind, groups in TRAPS[database.engine].items():
        for values in groups:
            database.execute("DROP TABLE IF EXISTS t", f"CREATE TABLE t (id integer PRIMARY KEY, v {kind}, w {kind})")
            adapter = open_target(database.url)
            seen: dict[str, str] = {}
            for v, w in itertools.product(values, values):
                database.execute("DELETE FROM t", f"INSERT INTO t VALUES (1, {v}, {w})")
                with adapter.snapshot() as snapshot:
                    (made,), told = summed(snapshot, ("id", "v", "w")), scanned(snapshot, ("id", "v", "w"))
                if v == w:
                    assert checksum(adapter, ("id", "v", "w")) == [made], kind
                assert seen.setdefault(made, told) == told, (kind, v, w)
            assert len(seen) > 1, kind
            adapter.close()


def test_what_rows_swap_shift_or_double_is_not_lost(database: Database) -> None:
    """An exclusive or of CRC32, or of hashes that are themselves joined by one, misses all swaps of values of one length."""
    text = "varchar(20)" if database.engine == "mysql" else "text"
    database.execute(f"CREATE TABLE t (id integer PRIMARY KEY, a {text}, b {text}, c {text})")
    states = [
        ["(1, 'aa', 'bb', NULL)", "(2, 'cc', 'dd', NULL)"],
        ["(1, 'cc', 'bb', NULL)", "(2, 'aa', 'dd', NULL)"],
        ["(1, 'aa', 'dd', NULL)", "(2, 'cc', 'bb', NULL)"],
        ["(1, 'bb', 'aa', NULL)", "(2, 'dd', 'cc', NULL)"],
        ["(2, 'aa', 'bb', NULL)", "(1, 'cc', 'dd', NULL)"],
        ["(1, 'aa', 'bb', NULL)", "(3, 'cc', 'dd', NULL)"],
        ["(1, 'aa', NULL, 'bb')", "(2, 'cc', 'dd', NULL)"],
        ["(1, 'aa', '', 'bb')", "(2, 'cc', 'dd', NULL)"],
        ["(1, 'a', 'abb', NULL)", "(2, 'cc', 'dd', NULL)"],
        ["(1, 'aab', 'b', NULL)", "(2, 'cc', 'dd', NULL)"],
        ["(1, 'aa,bb', NULL, NULL)", "(2, 'cc', 'dd', NULL)"],
        ["(1, 'aa', 'bb', NULL)", "(2, 'cc', 'dd', '')"],
        ["(1, NULL, NULL, NULL)", "(2, NULL, NULL, NULL)"],
        ["(1, NULL, NULL, NULL)"],
        [],
    ]
    adapter = open_target(database.url)
    made = []
    for rows in states:
        database.execute("DELETE FROM t", *(f"INSERT INTO t VALUES {row}" for row in rows))
        (sum_,) = checksum(adapter, ("id", "a", "b", "c"))
        made.append(sum_)
    assert len(set(made)) == len(states)
    adapter.close()


@constrained
def test_rows_that_are_alike_do_not_cancel_each_other(database: Database) -> None:
    database.execute("CREATE TABLE t (id integer, v integer)")
    adapter = open_target(database.url)
    made = []
    for rows in ("(1, 1), (1, 1)", "(1, 2), (1, 2)", "(NULL, 1), (NULL, 1)", "(1, 1), (1, 1), (1, 1), (1, 1)"):
        database.execute("DELETE FROM t", f"INSERT INTO t VALUES {rows}")
        made += checksum(adapter, ("id", "v"))
    assert len(set(made)) == 4
    adapter.close()


def test_each_window_has_its_own(database: Database) -> None:
    database.execute("CREATE TABLE t (id integer PRIMARY KEY, v integer, w integer)")
    database.execute("INSERT INTO t VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 4, 4)")
    windows = [KeyRange(None, (3,)), KeyRange((3,), None, nulls=False)]
    adapter = open_target(database.url)
    before = checksum(adapter, ("v", "id"), windows)
    assert before == checksum(adapter, ("v", "id"), windows)
    with adapter.snapshot() as snapshot:
        assert isinstance(snapshot, Sealing)
        held = snapshot.checksums(Relation(T), ("v", "id"), ("id",), windows)
        assert held is not None
        assert held["rows"].to_pylist() in ([2, 2], [None, None])
        if database.engine != "sqlite":  # whose snapshot keeps others from writing
            database.execute("UPDATE t SET v = 9 WHERE id = 2")
            assert snapshot.checksums(Relation(T), ("v", "id"), ("id",), windows) == held  # type: ignore[comparison-overlap]
    database.execute("UPDATE t SET v = 8 WHERE id = 2")
    after = checksum(adapter, ("v", "id"), windows)
    assert after[0] != before[0]
    assert (after[1] == before[1]) is (database.engine != "sqlite")
    database.execute("UPDATE t SET v = 2 WHERE id = 2")
    assert checksum(adapter, ("v", "id"), windows) == before or database.engine == "sqlite"
    assert checksum(adapter, ("w", "id"), windows) != checksum(adapter, ("v", "id"), windows)
    adapter.close()


def test_another_type_is_another_checksum(database: Database) -> None:
    made = []
    for kind in ("integer", "bigint"):
        database.execute("DROP TABLE IF EXISTS t", f"CREATE TABLE t (id integer PRIMARY KEY, v {kind})")
        database.execute("INSERT INTO t VALUES (1, 1)")
        adapter = open_target(database.url)
        made += checksum(adapter, ("id", "v"))
        adapter.close()
    assert len(set(made)) == 2


@constrained
def test_what_is_no_table_of_its_own_has_none(database: Database) -> None:
    """A view may say something else without a change of any row."""
    database.execute("CREATE TABLE base (id integer PRIMARY KEY)", "CREATE VIEW t AS SELECT id FROM base")
    adapter = open_target(database.url)
    with adapter.snapshot() as snapshot:
        assert isinstance(snapshot, Sealing)
        assert snapshot.checksums(Relation(T), ("id",), ("id",), ALL) is None
    adapter.close()


@pytest.mark.parametrize("engine", ["mysql"], indirect=True)
def test_mariadb_vouches_only_for_rows_that_its_snapshot_holds(database: Database) -> None:
    now = "v integer AS (second(now())) VIRTUAL"
    for columns, options in (("v integer", "ENGINE=MyISAM"), ("v integer", "ENGINE=MEMORY"), (now, "")):
        database.execute("DROP TABLE IF EXISTS t", f"CREATE TABLE t (id integer PRIMARY KEY, {columns}) {options}")
        adapter = open_target(database.url)
        with adapter.snapshot() as snapshot:
            assert isinstance(snapshot, Sealing)
            assert snapshot.checksums(Relation(T), ("id", "v"), ("id",), ALL) is None
        adapter.close()
    database.execute("DROP TABLE t", "CREATE TABLE t (id integer PRIMARY KEY, v longtext, w longtext)")
    database.execute("INSERT INTO t VALUES (1, repeat('a', 9000000), repeat('b', 9000000))")  # more than it joins
    adapter = open_target(database.url)
    with adapter.snapshot() as snapshot:
        assert isinstance(snapshot, Sealing)
        assert snapshot.checksums(Relation(T), ("id", "v", "w"), ("id",), ALL) is None
    adapter.close()


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_postgresql_vouches_for_partitions_and_not_for_what_policies_hide(database: Database) -> None:
    database.execute(
        "CREATE TABLE t (id integer PRIMARY KEY, v text) PARTITION BY RANGE (id)",
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE t2 (id integer NOT NULL PRIMARY KEY, v text)",
        "INSERT INTO t VALUES (1, 'a')",
        "INSERT INTO t2 VALUES (11, 'b')",
    )
    adapter = open_target(database.url)
    before = checksum(adapter, ("id", "v"))
    database.execute("ALTER TABLE t ATTACH PARTITION t2 FOR VALUES FROM (10) TO (20)")
    assert checksum(adapter, ("id", "v")) != before
    database.execute("ALTER TABLE t ENABLE ROW LEVEL SECURITY", "ALTER TABLE t FORCE ROW LEVEL SECURITY")
    database.execute("ALTER TABLE t DETACH PARTITION t2", "ALTER TABLE t DISABLE ROW LEVEL SECURITY")
    assert checksum(adapter, ("id", "v")) == before
    adapter.close()


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_settings_of_a_database_make_no_other_checksum(database: Database) -> None:
    columns = "m timestamptz, d date, f double precision, b bytea, i interval"
    database.execute(f"CREATE TABLE t (id integer PRIMARY KEY, {columns})")
    database.execute("INSERT INTO t VALUES (1, '2024-01-01 00:00+00', '2024-02-03', 0.1, '\\x00ff', '1 day 2 hours')")
    ((name,),) = database.execute("SELECT current_database()")
    made = []
    for setting in (
        "timezone = 'Asia/Tokyo'", "datestyle = 'German'", "extra_float_digits = -5", "bytea_output = 'escape'",
        "intervalstyle = 'iso_8601'", "client_encoding = 'latin1'",
    ):  # fmt: skip
        database.execute(f"ALTER DATABASE {name} SET {setting}")
        adapter = open_target(database.url)
        made += checksum(adapter, ("id", "m", "d", "f", "b", "i"))
        adapter.close()
    assert len(set(made)) == 1


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_file_whose_log_holds_something_has_none(database: Database) -> None:
    """Which part of a log a snapshot sees, nobody can ask."""
    database.execute("PRAGMA journal_mode = wal", "CREATE TABLE t (id integer PRIMARY KEY)")
    adapter = open_source(database.url)
    with adapter.snapshot() as snapshot:
        assert isinstance(snapshot, Sealing)
        assert snapshot.checksums(Relation(T), ("id",), ("id",), ALL) is not None
    with adapter.snapshot() as snapshot:
        writing = "import sqlite3, sys; lite = sqlite3.connect(sys.argv[1]); lite.execute('INSERT INTO t VALUES (1)'); lite.commit()"
        subprocess.run([sys.executable, "-c", writing, database.path], check=True)
        assert isinstance(snapshot, Sealing)
        assert snapshot.checksums(Relation(T), ("id",), ("id",), ALL) is None
    with adapter.snapshot() as snapshot:
        assert pa.table({"id": [1]}) == pa.Table.from_batches(list(snapshot.scan(Relation(T), ["id"])))
    adapter.close()

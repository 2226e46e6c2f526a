"""Texts of MariaDB and MySQL: character sets, collations, and keys that are alike."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from databases import Database
from mysql_tables import adapter as adapter
from mysql_tables import database as database
from mysql_tables import described, inserts, read
from whys import why_texts

from adapters.mysql.adapter import MysqlAdapter
from adapters.mysql.arrow import arrived
from transforms.mapping.column_limits import misfits
from transforms.vocabulary import INVALID, ChangeSet, DataError, Relation, TableName


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
    assert why_texts(found[INVALID]) == [None, "column c: the bytes 986162 are no text in cp1251", None]


def test_bytes_that_are_no_utf8_are_found_row_by_row(adapter: MysqlAdapter, database: Database) -> None:
    database.execute("CREATE TABLE t (id int primary key, v varchar(9))")
    travel = adapter._relation(Relation(TableName("t"))).travels["v"]
    texts, reasons = arrived(pa.array([b"ok", b"\xc3", b"\xa9", None, "é".encode()]), travel, Relation(TableName("t")))
    assert texts.to_pylist() == ["ok", None, None, None, "é"]
    assert reasons is not None
    told = [None, *(f"column v: the bytes {each} are no text in utf8mb4" for each in ("c3", "a9")), None, None]
    assert why_texts(reasons) == told


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


WORDS = ["é", "€", "ł", "привет", "日本", "ソ表", "가", "😀", "?", "a?b é?", "", " a ", "a\\b", "\\N", "\u00a0", "\ufffd", "\0", "a\tb\nc",
         "ﬀ", "~¥‾", "\x80\x9f", "ß", "ก", "ω", "א", "|", "[]{}", "e\u0301", "～−‖"]  # fmt: skip


def test_texts_go_in_and_out_of_every_character_set_of_the_server_as_they_are(
    adapter: MysqlAdapter, database: Database
) -> None:
    """What a character set does not hold is said not to be kept, and nothing else."""
    sets = [name for name, *_ in database.execute("SHOW CHARACTER SET WHERE Charset NOT IN ('binary', 'filename')")]
    columns = ", ".join(f"c_{name} varchar(20) CHARACTER SET {name}" for name in sets)
    database.execute(f"CREATE TABLE t (id int primary key, {columns})")
    shape, given = described(adapter), pa.array(WORDS)
    held = {}
    for column, charset in zip(shape.columns[1:], sets, strict=True):
        kept = adapter.kept(column, given)
        bad = np.logical_or.reduce([~pc.is_valid(kept).to_numpy(False), *(mask for mask, _ in misfits(given, column))])
        asked = ", ".join(
            f"CONVERT(CONVERT(_utf8mb4 x'{word.encode().hex()}' USING {charset}) USING utf8mb4)" for word in WORDS
        )
        (back,) = database.execute(f"SELECT {asked}")
        assert [not each for each in bad] == [one == other for one, other in zip(back, WORDS, strict=True)], charset
        held[column.name] = pa.array(WORDS, mask=bad)
    rows = pa.table([pa.array(range(len(WORDS)), pa.int32()), *held.values()], schema=shape.schema())
    adapter.apply(inserts(shape, rows), shape, None)
    assert read(adapter).equals(rows)


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
    applied = adapter.apply(gone, shape, None)  # there is no such row
    assert (applied.deleted, applied.conflicts) == (0, None)
    assert read(adapter)["id"].to_pylist() == ["A"]

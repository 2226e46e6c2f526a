"""PostgreSQL's types at their extremes, and how its tables, views and encodings are described."""

from __future__ import annotations

import uuid

import pyarrow as pa
import pytest
from postgres_tables import adapter as adapter
from postgres_tables import changes, edited, read, shape_of, written
from postgres_tables import db as db
from whys import why_texts

from adapters.postgres.adapter import PostgresAdapter
from adapters.protocol import Snapshot, Target
from transforms.vocabulary import (
    DATE_INFINITY,
    INVALID,
    TIMESTAMP_INFINITY,
    ColumnShape,
    Relation,
    SynclineError,
    TableName,
    TableShape,
)

psycopg = pytest.importorskip("psycopg")


def same(left: pa.Table, right: pa.Table) -> bool:
    """Equal to the bit: NaN is like itself."""
    bits = {pa.float32(): pa.int32(), pa.float64(): pa.int64()}
    plain = [
        [each.combine_chunks().view(bits.get(each.type, each.type)) for each in table.columns]
        for table in (left, right)
    ]
    return left.schema == right.schema and all(a.equals(b) for a, b in zip(*plain, strict=True))


# A column, its type, and its values in the rows 1 to 3; row 4 holds nulls.
EVERYTHING = [
    ("small", "smallint", "-32768", "32767", "0"),
    ("whole", "integer", "-2147483648", "2147483647", "0"),
    ("big", "bigint", "-9223372036854775808", "9223372036854775807", "0"),
    ("one", "real", "-Infinity", "NaN", "-0"),
    ("two", "double precision", "NaN", "Infinity", "5e-324"),
    ("yes", "boolean", "true", "false", None),
    ("words", "text", "", "a\\b'\"\t\n%:x", "NULL"),
    ("short", "varchar(5)", "", "ünïçø", "é"),
    ("fixed", "char(6)", "", "ab", "x "),
    ("raw", "bytea", "", "\\x00ff27", "\\x"),
    ("day", "date", "-infinity", "infinity", "0044-03-15 BC"),
    ("clock", "time", "00:00", "24:00", "12:34:56.789012"),
    ("moment", "timestamp", "-infinity", "infinity", "4713-01-01 BC"),
    ("instant", "timestamptz", "-infinity", "infinity", "294246-12-31 23:59:59.999999"),
    ("money_like", "numeric(12,2)", "-9999999999.99", "9999999999.99", "0"),
    ("most", "numeric(18,18)", "-0.999999999999999999", "0.999999999999999999", "0"),
    ("wide", "numeric(38,4)", f"-{'9' * 34}.9999", f"{'9' * 34}.9999", "0.0001"),
    ("widest", "numeric(60,5)", "NaN", "1e50", "0.00001"),
    ("rounded", "numeric(6,-2)", "-999900", "12300", "0"),
    ("free", "numeric", "NaN", "-Infinity", "1.1"),
    ("holed", "numeric(9,2)", "NaN", "1.10", None),
    ("tag", "uuid", "00000000-0000-0000-0000-000000000000", "FFFFFFFF-ffff-ffff-ffff-ffffffffffff", str(uuid.uuid4())),
    ("doc", "json", '{"b": 1,  "a":1}', '"x\\u00e9"', "[1, 2]"),
    ("docb", "jsonb", '{"b": 1,  "a":1}', "null", '{"k": [1.10, 1e2]}'),
    ("list", "integer[]", "{}", "{NULL,1,-1}", "[0:1]={1,2}"),
    ("texts", "text[]", "{}", '{"a,b","",NULL,"NULL","q\\""}', "{{a,b},{c,d}}"),
    ("spread", "int4range", "empty", "[1,5)", "(,)"),
    ("many", "int4multirange", "{}", "{[1,2),[4,6)}", "{(,)}"),
    ("period", "tstzrange", "empty", "[2020-01-01 00:00+02,infinity)", "(,)"),
    ("host", "inet", "0.0.0.0", "::1/64", "192.168.0.1"),
    ("net", "cidr", "0.0.0.0/0", "10.0.0.0/8", "::/0"),
    ("mac", "macaddr", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "08:00:2b:01:02:03"),
    ("span", "interval", "-178000000 years", "1 mon -1 day 100:00:00.000001", "-00:00:00.000001"),
    ("zoned", "timetz", "00:00:00+14", "23:59:59.999999-14:30", "12:00Z"),
    ("cash", "money", "-92233720368547758.08", "92233720368547758.07", "1234.56"),
    ("bits", "bit(5)", "00000", "11111", "10101"),
    ("morebits", "bit varying", "", "1", "101"),
    ("mood", "mood", "sad", "so so", "ok"),
    ("moods", "mood[]", "{}", '{"so so",NULL}', "{sad,ok}"),
    ("positive", "positive", "1", "2147483647", "7"),
    ("code", "code", "x", "AB", "abc"),
    ("spot", "point", "(0,0)", "(1e300,-1e-300)", "(NaN,Infinity)"),
    ("vec", "tsvector", "", "a b:1A", "x"),
    ("lsn", "pg_lsn", "0/0", "FFFFFFFF/FFFFFFFF", "1/0"),
    ("nm", "name", "n", "N", "é"),
    ("num", "oid", "0", "4294967295", "1"),
    ("pair", "pair", "(,)", '("(,",1)', "(a,)"),
]


def make_everything(db: psycopg.Connection, name: str) -> None:
    columns = ", ".join(f"{column} {kind}" for column, kind, *_ in EVERYTHING)
    db.execute(
        f"CREATE TABLE {name} (id bigint PRIMARY KEY, {columns}, "
        "twice bigint GENERATED ALWAYS AS (whole::bigint * 2) STORED, thrice bigint GENERATED ALWAYS AS (small * 3))"
    )


@pytest.fixture
def everything(db: psycopg.Connection) -> None:
    db.execute("CREATE TYPE mood AS ENUM ('sad', 'ok', 'so so'); CREATE TYPE pair AS (a text, b int)")
    db.execute("CREATE DOMAIN positive AS integer CHECK (VALUE > 0); CREATE DOMAIN code AS varchar(3) DEFAULT 'x'")
    make_everything(db, "src")
    names, marks = ", ".join(each[0] for each in EVERYTHING), ", ".join("%s" for _ in EVERYTHING)
    for number in range(3):
        db.execute(
            f"INSERT INTO src (id, {names}) VALUES ({number + 1}, {marks})", [each[2 + number] for each in EVERYTHING]
        )
    db.execute("INSERT INTO src (id, code) VALUES (4, NULL)")


def texts(db: psycopg.Connection, name: str) -> list[str]:
    db.execute("SET extra_float_digits = 3; SET TimeZone = 'Asia/Tokyo'")
    return [row for (row,) in db.execute(f'SELECT t::text FROM "{name}" t ORDER BY id')]


def test_the_adapter_and_its_snapshot_keep_the_protocol(adapter: PostgresAdapter) -> None:
    assert isinstance(adapter, Target)
    with adapter.snapshot() as snapshot:
        assert isinstance(snapshot, Snapshot)


@pytest.mark.parametrize("empty", [True, False])
def test_every_type_at_its_extremes_arrives_as_it_left(
    db: psycopg.Connection, adapter: PostgresAdapter, everything: None, empty: bool
) -> None:
    make_everything(db, "dst")
    rows = read(adapter, "src", key=("id",))
    shape = shape_of(adapter, "dst")
    if shape.schema(written(shape)) != rows.schema:  # the empty target has no NaN in its numeric(9,2)
        db.execute("INSERT INTO dst (id, holed) VALUES (0, 'NaN')")
        shape = shape_of(adapter, "dst")
        db.execute("DELETE FROM dst")
    applied = adapter.apply(changes("dst", rows, inserts=rows), shape, None, empty=empty)
    assert applied.inserted == 4
    assert texts(db, "dst") == texts(db, "src")
    assert same(read(adapter, "dst", key=("id",)), rows)


@pytest.mark.parametrize("row", [0, 1, 2])
def test_every_type_is_updated_and_deleted_under_its_precondition(
    db: psycopg.Connection, adapter: PostgresAdapter, everything: None, row: int
) -> None:
    shape = shape_of(adapter, "src")
    rows = read(adapter, "src", key=("id",))
    before = rows.slice(3, 1)
    after = edited(rows.slice(row, 1), "id", [4])
    assert adapter.apply(changes("src", rows, before=before, after=after), shape, None).updated == 1
    found = texts(db, "src")
    assert found[3].removeprefix("(4,") == found[row].removeprefix(f"({row + 1},")
    again = adapter.apply(changes("src", rows, before=before, after=after), shape, None)
    assert (again.updated, again.conflicts) == (0, None)
    assert again.by_others is not None
    gone = adapter.apply(changes("src", rows, deletes=after), shape, None)
    assert (gone.deleted, gone.conflicts) == (1, None)
    assert len(texts(db, "src")) == 3


def test_a_conflict_shows_the_row_that_was_found_in_travel_types(
    db: psycopg.Connection, adapter: PostgresAdapter, everything: None
) -> None:
    shape = shape_of(adapter, "src")
    rows = read(adapter, "src", key=("id",))
    planned = edited(rows.slice(0, 3), "whole", [10, 11, 12])
    applied = adapter.apply(
        changes("src", rows, before=planned, after=edited(planned, "words", ["x"] * 3)), shape, None
    )
    assert applied.updated == 0 and applied.conflicts is not None
    found = pa.Table.from_struct_array(applied.conflicts["found"].combine_chunks())
    assert same(found, rows.slice(0, 3))


def test_infinity_travels_by_the_shared_convention(adapter: PostgresAdapter, everything: None) -> None:
    rows = read(adapter, "src", ("day", "moment", "instant"), key=("id",))
    assert rows["day"].cast(pa.int32()).to_pylist()[:2] == [-DATE_INFINITY, DATE_INFINITY]
    for name in ("moment", "instant"):
        assert rows[name].cast(pa.int64()).to_pylist()[:2] == [-TIMESTAMP_INFINITY, TIMESTAMP_INFINITY]


def test_a_timestamp_beyond_arrow_is_invalid_and_never_wrapped(
    db: psycopg.Connection, adapter: PostgresAdapter
) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, moment timestamp)")
    db.execute("INSERT INTO t VALUES (1, '294276-12-31 23:59:59.999999'), (2, 'infinity'), (3, NULL)")
    with adapter.snapshot() as snapshot:
        (batch,) = snapshot.scan(Relation(TableName("t")), ["id", "moment"], key=("id",))
        assert snapshot.split(Relation(TableName("t")), ("moment",), 1) == []
    assert batch["moment"].view(pa.int64()).to_pylist() == [None, TIMESTAMP_INFINITY, None]
    told = why_texts(batch[INVALID])
    assert str(told[0]).startswith("column moment: the timestamp is beyond 294247-01-10")
    assert told[1:] == [None, None]


def test_shapes_tell_how_columns_travel(adapter: PostgresAdapter, everything: None) -> None:
    columns = {each.name: each for each in shape_of(adapter, "src").columns}
    assert columns["money_like"].type == pa.decimal128(12, 2)
    assert columns["wide"].type == pa.decimal128(38, 4)
    assert (columns["widest"].type, columns["widest"].meaning) == (pa.string(), "decimal")
    assert (columns["free"].type, columns["free"].meaning) == (pa.string(), "decimal")
    assert (columns["holed"].type, columns["holed"].meaning) == (pa.string(), "decimal")
    assert columns["tag"].meaning == "uuid"
    assert columns["doc"].meaning == columns["docb"].meaning == "json"
    assert columns["list"].meaning == columns["cash"].meaning == "opaque"
    assert columns["span"].meaning == "interval"
    assert (columns["mood"].meaning, columns["mood"].labels) == ("plain", ("sad", "ok", "so so"))
    assert (columns["fixed"].padded, columns["fixed"].length, columns["short"].length) == (True, 6, 5)
    assert columns["positive"].type == pa.int32()
    assert (columns["code"].length, columns["code"].native, columns["code"].default) == (3, "code", True)
    assert columns["twice"].generated
    assert not columns["words"].nul
    assert columns["instant"].type == pa.timestamp("us", "UTC")
    assert columns["moment"].type == pa.timestamp("us")
    assert not columns["id"].nullable


def test_char_travels_without_its_padding(adapter: PostgresAdapter, everything: None) -> None:
    assert read(adapter, "src", ("fixed",), key=("id",))["fixed"].to_pylist() == ["", "ab", "x", None]


def test_a_nan_that_came_after_the_description_is_an_error(db: psycopg.Connection, adapter: PostgresAdapter) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a numeric(9,2), b numeric(30,2))")
    db.execute("INSERT INTO t VALUES (1, 1.5, 2.5)")
    shape = shape_of(adapter, "t")
    assert shape.schema().types == [pa.int32(), pa.decimal128(9, 2), pa.decimal128(30, 2)]
    db.execute("INSERT INTO t VALUES (2, 'NaN', 1), (3, 1, 'NaN')")
    for name in ("a", "b"):
        with adapter.snapshot() as snapshot, pytest.raises(SynclineError, match="NaN"):
            list(snapshot.scan(Relation(TableName("t")), (name,)))
    assert shape_of(adapter, "t").schema().types == [pa.int32(), pa.string(), pa.string()]
    assert read(adapter, "t", ("a", "b"), key=("id",))["a"].to_pylist() == ["1.5", "NaN", "1"]


def test_ddl_makes_a_table_that_describes_as_the_shape_asked(db: psycopg.Connection, adapter: PostgresAdapter) -> None:
    name = TableName('odd "name" %')
    shape = TableShape(
        name,
        (
            ColumnShape("id", pa.int64(), "", nullable=False, identity=True),
            ColumnShape("Key", pa.string(), "", nullable=False, length=10),
            ColumnShape("d", pa.decimal128(12, 2), ""),
            ColumnShape("free", pa.string(), "", meaning="decimal"),
            ColumnShape("at", pa.timestamp("us", "UTC"), ""),
            ColumnShape("doc", pa.string(), "", meaning="json"),
            ColumnShape("tag", pa.string(), "", meaning="uuid"),
            ColumnShape("raw", pa.binary(), ""),
        ),
        ("Key",),
        frozenset({frozenset({"Key"}), frozenset({"d", "tag"})}),
    )
    adapter.execute_ddl(adapter.ddl(shape))
    found = adapter.describe(name)
    assert found is not None
    assert (found.primary_key, found.uniques) == (("id",), shape.uniques | {frozenset({"id"})})
    assert found.schema() == shape.schema()
    assert [each.meaning for each in found.columns] == [each.meaning for each in shape.columns]
    with pytest.raises(SynclineError, match="already exists"):
        adapter.execute_ddl(adapter.ddl(shape))


def test_foreign_keys_and_other_schemas_are_described(db: psycopg.Connection, adapter: PostgresAdapter) -> None:
    db.execute("CREATE SCHEMA other; CREATE TABLE other.parent (a int, b int, PRIMARY KEY (b, a))")
    db.execute("CREATE TABLE child (x int, y int, FOREIGN KEY (x, y) REFERENCES other.parent (a, b))")
    shape = shape_of(adapter, "child")
    (foreign,) = shape.foreign_keys
    assert (foreign.columns, foreign.refers, foreign.refers_columns) == (
        ("x", "y"),
        TableName("parent", "other"),
        ("a", "b"),
    )
    assert adapter.tables("other") == [TableName("parent", "other")]
    parent = adapter.describe(TableName("parent", "other"))
    assert parent is not None and parent.primary_key == ("b", "a")
    assert adapter.describe(TableName("parent")) is None
    assert adapter.describe(TableName("nowhere", "no schema")) is None


def test_views_are_described_and_indexes_are_not(db: psycopg.Connection, adapter: PostgresAdapter) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE VIEW v AS SELECT id, id + 1 AS next FROM t")
    shape = shape_of(adapter, "v")
    assert (shape.names, shape.primary_key, shape.ordered) == (("id", "next"), (), frozenset())
    assert adapter.describe(TableName("t_pkey")) is None
    assert adapter.tables() == [TableName("t")]


@pytest.mark.parametrize(("encoding", "bytes_of_it"), [("LATIN1", b"\xe9"), ("SQL_ASCII", b"\xc3\xa9")])
def test_text_of_other_encodings_is_read(postgres_server: str, encoding: str, bytes_of_it: bytes) -> None:
    name = f"e{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING {encoding} LOCALE 'C' TEMPLATE template0")
    url = postgres_server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, x text)")
        connection.execute("INSERT INTO t VALUES (1, convert_from(%s, getdatabaseencoding()::name))", [bytes_of_it])
        adapter = PostgresAdapter(url)
        assert read(adapter, "t")["x"].to_pylist() == ["é"]
        assert adapter.describe(TableName("t")) is not None
        adapter.close()

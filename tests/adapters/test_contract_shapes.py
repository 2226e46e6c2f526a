"""The adapter contract: what is told of tables and queries, and how adapters and databases are opened and closed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from contract import ID, a_shape, change, col, constrained, edited, in_dialect, load, make, read, rows_of, simple
from databases import Database

from adapters.protocol import Target
from adapters.registry import open_target
from transforms.vocabulary import ConnectionFailed, ForeignKey, KeyRange, Marker, Relation, SpecError, TableName

ODD_NAMES = [
    'Or"der',
    "two words",
    "select",
    "Größe",
    "UPPER",
    "per%cent",
    "co:lon",
    "semi;colon",
    "back\\slash",
    "a'b",
]


def test_a_missing_table_is_none(reader: Target) -> None:
    assert reader.describe(TableName("nothing")) is None
    assert reader.tables() == []


@constrained
def test_foreign_keys_are_described(adapter: Target) -> None:
    make(
        adapter,
        a_shape("parent", [ID, col("code", pa.string(), nullable=False)], uniques=frozenset({frozenset({"code"})})),
    )
    foreign = (ForeignKey(("code",), TableName("parent"), ("code",)),)
    shape = make(adapter, a_shape("child", [ID, col("code", pa.string())], foreign_keys=foreign))
    assert [(each.columns, each.refers.name, each.refers_columns) for each in shape.foreign_keys] == [
        (("code",), "parent", ("code",))
    ]


@constrained
def test_who_refers_to_a_table_is_known_without_a_look_at_all_others(adapter: Target) -> None:
    parent = make(adapter, a_shape('Par"ent', [ID, col("up", pa.int64())]))
    own = ForeignKey(("up",), TableName("tree"), ("id",))
    make(adapter, a_shape("tree", [ID, col("up", pa.int64())], foreign_keys=(own,)))
    linked = ForeignKey(("of",), parent.name, ("id",))
    make(adapter, a_shape("child", [ID, col("of", pa.int64()), col("again", pa.int64())],
                          foreign_keys=(linked, replace(linked, columns=("again",)))))  # fmt: skip
    assert adapter.referrers(parent.name) == [TableName("child")]
    assert adapter.referrers(TableName("tree")) == [TableName("tree")]
    assert adapter.referrers(TableName("child")) == adapter.referrers(TableName("nowhere")) == []


def test_identifiers_are_kept_exactly(adapter: Target) -> None:
    names = ODD_NAMES
    columns = [ID, *(col(name, pa.string()) for name in names)]
    for name in names:
        shape = make(adapter, a_shape(name, columns))
        assert shape.names == ("id", *names)
        row = rows_of(shape, {"id": 1, **{each: each for each in names}})
        load(adapter, shape, row)
        after = edited(row, name, ["new"])
        assert adapter.apply(change(shape, before=row, after=after), shape, Marker("m", name, name, 0)).updated == 1
        assert adapter.applied(name) == {Marker("m", name, name, 0)}
        assert read(adapter, shape, (name,), within=KeyRange(("a",))).equals(after)
    assert [each.name for each in adapter.tables()] == sorted(names)


def test_a_query_is_described_and_read(reader: Target) -> None:
    simple(reader)
    query = in_dialect(reader, "SELECT id AS a, name || ':%' AS \"two words\" FROM simple WHERE n > 10; -- the end")
    shape = reader.describe_query(query.replace("; --", " --"))
    assert shape.names == ("a", "two words")
    assert [each.type for each in shape.columns] == [pa.int64(), pa.string()]
    assert (shape.primary_key, shape.uniques, shape.ordered) == ((), frozenset(), frozenset())
    relation = Relation(query=query.replace("; --", " --"), where="a < 3")
    with reader.snapshot() as snapshot:
        found = pa.Table.from_batches(list(snapshot.scan(relation, ["two words", "a"], key=("a",))))
        assert found.to_pylist() == [{"two words": "row 2:%", "a": 2}]
        assert snapshot.count(relation) == 1


def test_a_primary_key_is_ordered_and_cheap(adapter: Target) -> None:
    columns = [col("a", pa.string(), nullable=False), col("b", pa.int64(), nullable=False), col("c", pa.float64())]
    shape = make(adapter, a_shape("composite", columns, ("a", "b")))
    if adapter.engine != "postgresql":  # there the database's collation decides
        assert ("a", "b") in shape.ordered
    assert ("c",) not in shape.ordered


# Opening and closing


@pytest.mark.parametrize("engine", ["sqlite", "duckdb", "parquet"])
def test_a_source_is_never_made_by_reading_it(engine: str, tmp_path: Path) -> None:
    for folder, create in ((tmp_path, False), (tmp_path / "missing", False), (tmp_path / "missing", True)):
        opened = open_target(f"{engine}:///{folder}/none.db", create=create)
        with pytest.raises(ConnectionFailed, match=r"none\.db"):
            opened.tables()
        with pytest.raises(ConnectionFailed, match=r"none\.db"), opened.snapshot():
            pass
        opened.close()
    target = open_target(f"{engine}:///{tmp_path}/new.db", create=True)
    assert target.describe(TableName("t")) is None
    with target.snapshot() as snapshot:
        assert snapshot.count(Relation(query="SELECT 1 AS a")) == 1
    assert list(tmp_path.iterdir()) == []
    make(target, a_shape("t", [ID]))
    target.close()
    assert (tmp_path / "new.db").exists()


@pytest.mark.parametrize("engine", ["sqlite", "duckdb", "parquet"])
def test_what_is_no_database_is_refused(engine: str, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"this is a text and no database at all" * 200)
    opened = open_target(f"{engine}:///{tmp_path}/x.db")
    with pytest.raises(ConnectionFailed, match=r"x\.db"):
        opened.tables()


@pytest.mark.parametrize(
    ("scheme", "driver"), [("postgresql", "psycopg"), ("mysql", "pymysql"), ("mariadb+pymysql", "pymysql")]
)
def test_an_unreachable_server_is_named_without_its_password(scheme: str, driver: str) -> None:
    pytest.importorskip(driver)
    opened = open_target(f"{scheme}://me:hunter2@127.0.0.1:1/db?connect_timeout=2")
    assert "hunter2" not in opened.url
    with pytest.raises(ConnectionFailed) as caught:
        opened.tables()
    assert "hunter2" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


def test_an_unknown_scheme_is_told_the_known_ones() -> None:
    with pytest.raises(SpecError, match=r"sqlite://.*duckdb://.*postgresql://.*mysql://.*mariadb://") as caught:
        open_target("mongodb://me:hunter2@host/db")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("scheme", "extra", "driver"), [("postgresql", "postgres", "psycopg"), ("mysql", "mysql", "pymysql")]
)
def test_a_missing_driver_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, scheme: str, extra: str, driver: str
) -> None:
    import sys

    for name in [each for each in sys.modules if each.startswith((f"adapters.{extra}", f"{driver}."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(SpecError, match=rf"pip install 'syncline\[{extra}\]'"):
        open_target(f"{scheme}://host/db")


def test_opening_connects_to_nothing_and_closing_twice_is_harmless(database: Database) -> None:
    opened = open_target(database.url, create=True)
    assert isinstance(opened, Target)
    assert opened.engine == database.engine
    opened.close()
    opened.close()


def test_a_lock_is_given_back(adapter: Target) -> None:
    for _ in range(2):
        with adapter.lock("migration"):
            pass

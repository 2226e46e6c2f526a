"""Which different texts a unique index takes for one: what `alike` says is what the engine does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pyarrow as pa
import pytest
from databases import Database

from adapters.protocol import Target
from adapters.registry import open_target
from transforms.vocabulary import TableName

TEXTS = [
    "Ann",
    "ANN",
    "ann",
    "Ann ",
    "Ann  ",
    " Ann",
    "Zoë",
    "ZOË",
    "Zoe",
    "",
    " ",
    "e\u0301",
    "\u00e9",
    "straße",
    "STRASSE",
    "İ",
    "i",
]
T = TableName("t")

# engine, the column, what makes it special, and pairs that must be one and must not be
CASES = {
    "sqlite-plain": ("sqlite", "k TEXT UNIQUE", None, [], [("Ann", "ANN"), ("Ann", "Ann ")]),
    "sqlite-nocase": ("sqlite", "k TEXT COLLATE NOCASE UNIQUE", "NOCASE", [("Ann", "ANN")], [("Zoë", "ZOË"), ("Ann", "Ann ")]),
    "sqlite-rtrim": ("sqlite", "k TEXT COLLATE RTRIM UNIQUE", "RTRIM", [("Ann", "Ann ")], [("Ann", " Ann"), ("Ann", "ANN")]),
    "sqlite-index": ("sqlite", "k TEXT", "NOCASE", [("Ann", "ANN")], [("Ann", "Ann ")]),
    "duckdb-plain": ("duckdb", "k VARCHAR UNIQUE", None, [], [("Ann", "ANN")]),
    "duckdb-nocase": ("duckdb", "k VARCHAR COLLATE NOCASE UNIQUE", None, [], [("Ann", "ANN")]),
    "duckdb-noaccent": ("duckdb", "k VARCHAR COLLATE NOACCENT UNIQUE", None, [], [("Zoë", "Zoe"), ("e\u0301", "\u00e9")]),
    "postgresql-plain": ("postgresql", "k text UNIQUE", None, [], [("Ann", "ANN"), ("Ann", "Ann ")]),
    "postgresql-citext": ("postgresql", "k citext UNIQUE", "citext", [("Ann", "ANN")], [("Ann", "Ann "), ("Zoë", "Zoe")]),
    "postgresql-char": ("postgresql", "k char(8) UNIQUE", "char", [("Ann", "Ann ")], [("Ann", "ANN"), ("Ann", " Ann")]),
    "postgresql-lower": ("postgresql", "k text", "lower(k)", [("Ann", "ANN"), ("Zoë", "ZOË")], [("Ann", "Ann "), ("Zoë", "Zoe")]),
    "postgresql-upper": ("postgresql", "k varchar(40)", "upper(k)", [("Ann", "ANN")], [("Ann", "Ann ")]),
    "postgresql-exact": ("postgresql", 'k text COLLATE "C"', None, [], [("Ann", "Ann ")]),
    "mysql-exact": ("mysql", "k varchar(40) COLLATE utf8mb4_nopad_bin UNIQUE", None, [], [("Ann", "ANN"), ("Ann", "Ann ")]),
    "mysql-padded": ("mysql", "k varchar(40) COLLATE utf8mb4_bin UNIQUE", "utf8mb4_bin", [("Ann", "Ann ")], [("Ann", "ANN")]),
    "mysql-general": (
        "mysql", "k varchar(40) COLLATE utf8mb4_general_ci UNIQUE", "utf8mb4_general_ci", [("Ann", "ANN"), ("Zoë", "Zoe")], [("Ann", " Ann")],
    ),
    "mysql-unicode": (
        "mysql", "k varchar(40) COLLATE utf8mb4_unicode_ci UNIQUE", "utf8mb4_unicode_ci", [("straße", "STRASSE")], [("Ann", " Ann")],
    ),
    "mysql-char": ("mysql", "k char(40) COLLATE utf8mb4_bin UNIQUE", "utf8mb4_bin", [("Ann", "Ann ")], [("Ann", "ANN")]),
    "postgresql-domain": ("postgresql", "k name_of_one UNIQUE", "citext", [("Ann", "ANN")], [("Ann", "Ann ")]),
}  # fmt: skip

INDEXED = {
    "sqlite-index": "k COLLATE NOCASE", "postgresql-lower": "lower(k)", "postgresql-upper": "upper(k)", "postgresql-exact": "k",
}  # fmt: skip


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def asked(case: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Target, Database]]:
    """A database of the case's engine with its table `t`."""
    engine, column, *_ = CASES[case]
    servers = {"postgresql": "postgres_url", "mysql": "mariadb_url"}
    url = request.getfixturevalue(servers[engine]) if engine in servers else f"{engine}:///{tmp_path}/t.db"
    database = Database(engine, url)
    if engine == "postgresql":
        database.execute("CREATE EXTENSION citext", "CREATE DOMAIN name_of_one AS citext")
    database.execute(f"CREATE TABLE t ({column}, n int)")
    if case in INDEXED:
        database.execute(f"CREATE UNIQUE INDEX i ON t ({INDEXED[case]})")
    with closing(open_target(url)) as adapter:
        yield adapter, database


def alike(adapter: Target, *texts: str | None) -> list[object]:
    (found,) = adapter.alike(T, pa.table({"k": pa.array(texts, pa.string())}))
    answer: list[object] = found.to_pylist()
    return answer


def test_the_collation_is_described(case: str, asked: tuple[Target, Database]) -> None:
    shape = asked[0].describe(T)
    assert shape is not None
    assert [column.collation for column in shape.columns] == [CASES[case][2], None]


def test_texts_are_alike_where_a_unique_index_refuses_the_second(case: str, asked: tuple[Target, Database]) -> None:
    """The law, held against the engine itself: the rows that it takes are the first of each class."""
    adapter, database = asked
    for n, text in enumerate(TEXTS):
        with suppress(
            Exception
        ):  # the second of two that are one; ON CONFLICT asks DuckDB's collation, its index does not
            database.execute(f"INSERT INTO t VALUES ('{text}', {n})")
    taken = sorted(row[0] for row in database.execute("SELECT n FROM t"))
    assert taken
    classes = alike(adapter, *TEXTS)
    assert taken == sorted({each: n for n, each in reversed(list(enumerate(classes)))}.values())
    for one, other in CASES[case][3]:
        assert classes[TEXTS.index(one)] == classes[TEXTS.index(other)], (one, other)
    for one, other in CASES[case][4]:
        assert classes[TEXTS.index(one)] != classes[TEXTS.index(other)], (one, other)


def test_a_text_is_alike_whatever_is_asked_with_it(asked: tuple[Target, Database]) -> None:
    adapter, _ = asked
    together = alike(adapter, *TEXTS)
    assert [alike(adapter, text)[0] for text in TEXTS] == together


def test_nulls_and_nul_characters_and_nothing_at_all_are_answered(asked: tuple[Target, Database]) -> None:
    adapter, _ = asked
    assert alike(adapter, None, "a")[0] is None
    first, second = alike(adapter, "a\0b", "a\0c")
    assert first != second
    assert alike(adapter) == []


def test_asking_writes_nothing_and_other_columns_come_back_as_they_are(asked: tuple[Target, Database]) -> None:
    adapter, database = asked
    rows = pa.table({"n": pa.array([1, None, 3], pa.int32()), "k": pa.array(["a", "B", None])})
    found = adapter.alike(T, rows)
    assert found[0].to_pylist() == [1, None, 3]
    assert [len(each) for each in found] == [3, 3]
    assert adapter.tables() == [T]
    assert database.execute("SELECT count(*) FROM t") == [(0,)]


def test_a_hundred_thousand_texts_are_asked_in_a_moment(asked: tuple[Target, Database]) -> None:
    adapter, _ = asked
    found = alike(adapter, *(f"Name {n}" for n in range(100_000)))
    assert len(set(found)) == 100_000

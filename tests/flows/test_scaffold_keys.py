"""Keys of tables that declare none: what the rows say, on every engine, and what a draft makes of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from databases import Database
from drafts import scaffold, untold
from hypothesis import given, settings
from hypothesis import strategies as st
from scenario import Scenario, Side, counts, pair_name

from adapters.protocol import Target
from flows.scaffold import keys as scaffold_keys
from flows.scaffold.keys import likely_key
from transforms.vocabulary import TableName

CELLS: tuple[st.SearchStrategy[Any], ...] = (
    st.one_of(st.none(), st.integers(0, 3)),
    st.sampled_from([None, "a", "A", "a ", "á", "ab", ""]),
    st.sampled_from([None, "2024-01-01", "2024-01-02"]),
    st.one_of(st.none(), st.integers(0, 2)),
)


@pytest.fixture
def side(database: Database) -> Side:
    place = database.url if database.engine in ("postgresql", "mysql") else str(database.path)
    return Side(database.engine, place, "public" if database.engine == "postgresql" else None)  # type: ignore[arg-type]


def test_a_key_tells_all_rows_apart_and_where_there_is_none_nothing_does(
    adapter: Target, side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few rows are held in memory, so that candidates are refuted by the database, round by round."""
    for name, number in (("FEW_ROWS", 2), ("MORE_ROWS", 3), ("MORE_VALUES", 1)):
        monkeypatch.setattr(scaffold_keys, name, number)
    side.execute("CREATE TABLE t (n int, code varchar(9), day date, m int)")
    shape = adapter.describe(TableName("t"))
    assert shape is not None

    @settings(max_examples=8)
    @given(st.lists(st.tuples(*CELLS), min_size=1, max_size=12))
    def holds(rows: list[tuple[Any, ...]]) -> None:
        side.execute("DELETE FROM t")
        side.insert("t", rows)
        with adapter.snapshot() as snapshot:
            for key in (("n",), ("code", "m"), shape.names):
                picked = [tuple(row[shape.names.index(name)] for name in key) for row in rows]
                often = Counter(picked)
                apart = [each for each in picked if None not in each and often[each] == 1]
                assert snapshot.count(snapshot.unkeyed(shape.name, key)) == len(rows) - len(apart)
            found = likely_key(snapshot, shape, shape.names)
        places = [shape.names.index(name) for name in found.key]
        whole = [place for place in range(4) if all(row[place] is not None for row in rows)]
        apart_by = len({tuple(row[place] for place in whole) for row in rows})
        assert bool(found.key) == (bool(whole) and apart_by == len(rows)), found
        assert set(places) <= set(whole)
        assert not found.key or len({tuple(row[place] for place in places) for row in rows}) == len(rows)

    holds()


@pytest.fixture
def legacy(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    return Scenario.make(tmp_path, getattr(request, "param", ("sqlite", "postgresql")), request)


@pytest.mark.parametrize("legacy", [("mysql", "postgresql")], indirect=True, ids=pair_name)
def test_tables_without_a_key_come_along_by_the_key_that_suggests_itself(legacy: Scenario) -> None:
    numbered = ", ".join(f"({i % 7}, {i // 7 % 5}, {i // 35}, 0.5, 'x', '2024-01-01')" for i in range(70))
    ends = [chr(97 + i) for i in range(9)]
    legacy.source.execute(
        "CREATE TABLE by_number (price decimal(9,2), item_id int, note varchar(20))",
        "INSERT INTO by_number VALUES (1, 2, 'b'), (2, 1, 'a'), (3, 3, 'c')",
        "CREATE TABLE by_pair (amount double precision, price decimal(9,2), a_id int NOT NULL, b_id int NOT NULL)",
        "INSERT INTO by_pair VALUES (1, 1, 1, 1), (2, 2, 1, 2), (3, 3, 2, 1)",
        "CREATE TABLE by_three (a int, b int, c int, d decimal(3,1), e char(1), f date)",
        f"INSERT INTO by_three VALUES {numbered}",
        "CREATE TABLE by_case (word varchar(9), n int)",
        "INSERT INTO by_case VALUES ('a', 1), ('A', 1), ('a ', 1)",
        "CREATE TABLE by_index (email varchar(20), n int, UNIQUE (email))",
        "INSERT INTO by_index VALUES ('b', 1), ('a', 2)",
        f"CREATE TABLE by_many ({', '.join(f'{each} int' for each in ends)})",
        *(f"INSERT INTO by_many VALUES ({', '.join(str(i >> bit & 1) for bit in range(9))})" for i in range(16)),
        "CREATE TABLE by_double (at double precision, words text)",
        f"INSERT INTO by_double VALUES (0.5, '{'x' * 400}'), (1.5, '{'x' * 400}')",
        "CREATE TABLE hidden_null (id int, a int NOT NULL, b int NOT NULL)",
        "INSERT INTO hidden_null VALUES (NULL, 1, 1), (2, 1, 2)",
        "CREATE TABLE empty_one (note varchar(20), empty_one_id int)",
        "CREATE TABLE empty_link (a_id int NOT NULL, b_id int NOT NULL, since date NOT NULL)",
        "CREATE TABLE twice (a int, b varchar(9))",
        "INSERT INTO twice VALUES (1, 'x'), (1, 'x'), (2, NULL)",
    )
    draft = scaffold(legacy)
    keys = {name: table.key for name, table in legacy.spec.tables.items()}
    assert keys == {
        "by_number": ["item_id"], "by_pair": ["a_id", "b_id"], "by_three": ["a", "b", "c"], "by_case": ["word"],
        "by_index": ["email"], "by_many": ["a", "b", "c", "d"], "by_double": ["at"], "hidden_null": ["b"],
        "empty_one": ["empty_one_id"], "empty_link": ["a_id", "b_id"],
    }  # fmt: skip
    noted = {
        each["table"]: each["why"] for each in draft["decisions"] if each["column"] is None and "key" in each["why"]
    }
    assert "(a, b, c): unique in the rows that are there now; not declared" in noted["by_three"]
    assert "a unique index takes nulls in it" in noted["by_index"]
    assert "a guess: the table is empty" in noted["empty_link"]
    (left_out,) = [table["left_out"] for table in draft["tables"] if "left_out" in table]
    assert "2 rows are like another one in (a), and b hold nulls, which a key does not take. Fix:" in left_out
    done = legacy.run()
    assert counts(done, "by_three") == {"source_rows": 70, "insert": 70}
    assert done.report.total.quarantined == 0
    legacy.settled()
    legacy.source.execute("INSERT INTO by_pair VALUES (9, 9, 1, 1)")
    assert counts(legacy.run(), "by_pair")["quarantined"] == 2
    assert legacy.target.count("by_pair") == 3


def test_what_refers_to_a_table_that_is_left_out_is_listed(legacy: Scenario) -> None:
    legacy.source.execute(
        "CREATE TABLE none (a INT UNIQUE)",
        "INSERT INTO none VALUES (1), (NULL)",
        "CREATE TABLE child (x INT NOT NULL UNIQUE, y INT REFERENCES none (a))",
    )
    draft = scaffold(legacy)
    assert set(legacy.spec.tables) == {"child"}
    assert any("none is left out" in what for what in untold(draft, "child"))


def test_the_key_of_a_target_that_is_there_is_taken_where_the_rows_keep_it(legacy: Scenario) -> None:
    legacy.source.execute(
        "CREATE TABLE a (id INT, code TEXT, more INT)",
        "INSERT INTO a VALUES (1, 'x', 1), (2, 'y', 2)",
        "CREATE TABLE b (id INT, code TEXT, more INT)",
        "INSERT INTO b VALUES (1, 'x', 1), (2, 'x', 2)",
    )
    legacy.target.execute(*(f"CREATE TABLE {name} (ID bigint, code text PRIMARY KEY)" for name in ("a", "b")))
    scaffold(legacy)
    assert {name: table.key for name, table in legacy.spec.tables.items()} == {"a": ["code"], "b": ["id"]}

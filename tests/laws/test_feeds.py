"""A law of feeds by triggers: of whatever statements change, the keys of all rows that are other ones now are told, or that the
table has to be compared whole."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from databases import Database
from following import Following, drained, with_triggers
from hypothesis import given
from hypothesis import strategies as st
from law_examples import examples

from adapters.registry import open_triggers

ROOT = "root (id BIGINT PRIMARY KEY, v INT)"
ITEM = (
    "item (id BIGINT PRIMARY KEY, code VARCHAR(10) UNIQUE, n INT, up BIGINT, r BIGINT,"
    " FOREIGN KEY (up) REFERENCES item (id) ON DELETE {self}, FOREIGN KEY (r) REFERENCES root (id) ON DELETE {other} ON UPDATE CASCADE)"
)
THERE = (
    "INSERT INTO root VALUES (1, 0), (2, 0), (3, 0)",
    "INSERT INTO item VALUES (1, 'a', 0, NULL, 1), (2, 'b', 1, 1, 2), (3, NULL, 2, 2, 1), (4, 'c', 0, 1, NULL)",
)
IDS, CODES, NUMBERS = st.integers(1, 6), st.sampled_from(["'a'", "'A'", "'b'", "'b '", "NULL"]), st.integers(0, 2)
REFERS = st.one_of(st.just("NULL"), IDS)
ROWS = st.tuples(IDS, CODES, NUMBERS, REFERS, REFERS).map(lambda row: f"({', '.join(map(str, row))})")
INSERTS = st.lists(ROWS, min_size=1, max_size=3).map(lambda rows: f"INSERT INTO item VALUES {', '.join(rows)}")
STATEMENTS = st.one_of(
    INSERTS,
    st.tuples(INSERTS, st.sampled_from(["REPLACE", "UPSERT"])),
    st.tuples(IDS, IDS).map(lambda ids: f"UPDATE item SET id = {ids[0]} WHERE id = {ids[1]}"),
    st.tuples(CODES, IDS).map(lambda both: f"UPDATE item SET code = {both[0]} WHERE id >= {both[1]}"),
    st.tuples(REFERS, IDS).map(lambda both: f"UPDATE item SET up = {both[0]}, n = n + 1 WHERE id = {both[1]}"),
    IDS.map(lambda each: f"DELETE FROM item WHERE id <= {each}"),
    IDS.map(lambda each: f"INSERT INTO root VALUES ({each}, 0)"),
    st.tuples(IDS, IDS).map(lambda ids: f"UPDATE root SET id = {ids[0]} WHERE id = {ids[1]}"),
    IDS.map(lambda each: f"DELETE FROM root WHERE id = {each}"),
    st.just("ROLLBACK"),
)


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def following(request: pytest.FixtureRequest, tmp_path: Path) -> Following:
    fixtures = {"postgresql": "postgres_url", "mysql": "mariadb_url"}
    Path(tmp_path, "source.db").touch()
    url = (
        request.getfixturevalue(fixtures[request.param])
        if request.param in fixtures
        else f"sqlite:///{tmp_path}/source.db"
    )
    return Following(Database(request.param, url), "trigger", with_triggers)


def spelled(following: Following, statement: Any) -> str:
    """As the engine has it."""
    if isinstance(statement, str):
        return statement
    insert, how = statement
    if how == "REPLACE" and following.engine != "postgresql":
        return f"REPLACE{insert.removeprefix('INSERT')}"
    if following.engine == "mysql":
        return f"{insert} ON DUPLICATE KEY UPDATE n = 9, code = NULL"
    return f"{insert} ON CONFLICT (id) DO UPDATE SET n = 9, code = NULL"


def tried(following: Following, statements: list[str]) -> None:
    """In one transaction, which an error takes back."""
    begin = ["PRAGMA foreign_keys = ON"] if following.engine == "sqlite" else []
    try:
        following.execute(*begin, *statements)
    except Exception as error:  # whatever the engine's driver raises where a constraint does not hold
        assert "syncline" not in str(error), error


@given(
    columns=st.sampled_from([("id",), ("code", "id"), ("r", "up"), ("n",)]),
    actions=st.tuples(st.sampled_from(["CASCADE", "SET NULL"]), st.sampled_from(["CASCADE", "SET NULL"])),
    batches=st.lists(st.lists(STATEMENTS, min_size=1, max_size=4), min_size=1, max_size=4),
    most=st.sampled_from([1, 3, 1000]),
)
@examples(8)
def test_every_row_that_is_another_one_is_told(
    following: Following, columns: tuple[str, ...], actions: tuple[str, str], batches: list[list[Any]], most: int
) -> None:
    drop = ["DROP TABLE IF EXISTS item", "DROP TABLE IF EXISTS root"]
    made = f"CREATE TABLE {ROOT}", f"CREATE TABLE {ITEM.format(self=actions[0], other=actions[1])}"
    following.execute(*drop, *made, *THERE)
    watched = following.watch("item", *columns)
    position_of = [watched.shape.names.index(name) for name in columns]
    with following.feed(watched, "root") as (feed, position):
        before = Counter(following.execute("SELECT * FROM item"))
        for batch in batches:
            for statement in batch if len(batch) % 2 else [batch]:
                tried(
                    following,
                    [spelled(following, each) for each in (statement if isinstance(statement, list) else [statement])],
                )
            after = Counter(following.execute("SELECT * FROM item"))
            told = drained(feed, position, most)
            position = told.position
            changed = {tuple(row[place] for place in position_of) for row in (before - after) + (after - before)}
            assert "item" in told.whole or changed <= told.keys.get("item", set()), batch
            before = after
    with closing(open_triggers(following.database.url, [watched], "one")) as triggers:
        triggers.execute(triggers.uninstalling())

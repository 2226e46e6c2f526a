"""`sync` beside changes of the schema: it stops as a run does, adds columns where the spec says so, and misses no value that came with one."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from scenario import Engine, Scenario
from syncing import followed, install

from flows.follow.following import Asked, Told
from flows.follow.lag import Brought
from flows.follow.sync import sync
from transforms.vocabulary import DriftError

WAYS: list[tuple[Engine, str]] = [
    ("postgresql", "log"), ("mysql", "log"), ("postgresql", "trigger"), ("mysql", "trigger"), ("sqlite", "trigger"),
]  # fmt: skip
TABLES: dict[str, Any] = {"b": {"from": "a", "columns": {"*": "*"}}}


def made(
    engine: Engine, way: str, drift: str, tmp_path: Path, request: pytest.FixtureRequest, tables: Any = TABLES
) -> Scenario:
    shop = Scenario.make(tmp_path, (engine, "sqlite"), request)
    shop.source.execute(
        "CREATE TABLE a (id int PRIMARY KEY, name varchar(20))", "INSERT INTO a VALUES (1, 'x'), (2, 'y')"
    )
    shop.target.execute("CREATE TABLE b (id int PRIMARY KEY, name varchar(20))")
    shop.write(tables, defaults={"drift": drift}, follow={"capture": way, "every": "10ms"})
    if way == "trigger":
        install(shop)
    followed(shop)
    return shop


class Then(Told):
    """Does something once the first batch is in."""

    def __init__(self, then: Any) -> None:
        self.then = then

    def brought(self, brought: Brought) -> None:
        if self.then is not None:
            self.then()
            self.then = None


@pytest.mark.parametrize(("engine", "way"), WAYS, ids=str)
def test_values_that_come_with_a_column_are_brought_over_though_no_row_is_told(
    engine: Engine, way: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(engine, way, "evolve", tmp_path, request)
    shop.source.execute("ALTER TABLE a ADD COLUMN extra int DEFAULT 5")  # while nobody follows
    followed(shop)
    assert shop.target.rows("b") == [(1, "x", 5), (2, "y", 5)]
    shop.source.execute("INSERT INTO a VALUES (3, 'z', 3)")
    more = "ALTER TABLE a ADD COLUMN more int DEFAULT 7"  # while somebody does
    outcome, _ = sync(Asked(shop.path, once=True), Then(lambda: shop.source.execute(more)))
    assert outcome is None
    followed(shop)
    assert shop.target.rows("b") == shop.source.rows("a") == [(1, "x", 5, 7), (2, "y", 5, 7), (3, "z", 3, 7)]
    shop.settled()


def test_a_poll_notices_that_columns_came_too(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.follow.following.LOOK_SECONDS", 0.0)
    shop = Scenario.make(tmp_path, ("postgresql", "sqlite"), request)
    moment = "changed timestamp NOT NULL DEFAULT clock_timestamp()"
    shop.source.execute(f"CREATE TABLE a (id int PRIMARY KEY, {moment})", "INSERT INTO a VALUES (1), (2)")
    shop.target.execute("CREATE TABLE b (id int PRIMARY KEY, changed timestamp)")
    poll = {"capture": "poll", "cursor": "changed", "every": "10ms"}
    shop.write(TABLES, defaults={"drift": "evolve"}, follow=poll)
    followed(shop)
    shop.source.execute("INSERT INTO a VALUES (3)")
    more = "ALTER TABLE a ADD COLUMN more int DEFAULT 7"
    asked = Asked(shop.path, seconds=60, stop=threading.Event())

    def has_it() -> bool:
        return [(row[0], row[2:]) for row in shop.target.rows("b")] == [(1, (7,)), (2, (7,)), (3, (7,))]

    def stops_then() -> None:
        until = time.monotonic() + 60
        while not has_it() and time.monotonic() < until:
            time.sleep(0.1)
        asked.stop.set()

    threading.Thread(target=stops_then, daemon=True).start()
    outcome, _ = sync(asked, Then(lambda: shop.source.execute(more)))
    assert outcome is None
    assert has_it()
    shop.source.execute("ALTER TABLE a ADD COLUMN most int DEFAULT 8")
    followed(shop)
    assert {row[3] for row in shop.target.rows("b")} == {8}
    shop.settled()


@pytest.mark.parametrize(("engine", "way"), [WAYS[0], WAYS[1], WAYS[4]], ids=str)
def test_a_column_that_is_renamed_stops_it_and_nothing_is_missed_once_the_spec_knows(
    engine: Engine, way: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(engine, way, "fail", tmp_path, request, {"b": {"from": "a", "columns": {"id": "id", "name": "name"}}})
    shop.source.execute("INSERT INTO a VALUES (3, 'z')")
    renamed = "ALTER TABLE a RENAME COLUMN name TO called"
    with pytest.raises(DriftError) as drifted:
        sync(Asked(shop.path, once=True), Then(lambda: shop.source.execute(renamed, "DELETE FROM a WHERE id = 1")))
    assert "called" in str(drifted.value)
    assert drifted.value.fix or "Fix" in str(drifted.value)
    shop.source.execute("UPDATE a SET called = 'new' WHERE id = 2")
    with pytest.raises(DriftError):
        followed(shop)
    assert shop.target.rows("b") == [(1, "x"), (2, "y"), (3, "z")], "nothing was written on the way"
    columns = {"b": {"from": "a", "columns": {"id": "id", "name": "called"}}}
    shop.write(columns, follow={"capture": way, "every": "10ms"})
    followed(shop)
    assert shop.target.rows("b") == [(2, "new"), (3, "z")]
    shop.settled()

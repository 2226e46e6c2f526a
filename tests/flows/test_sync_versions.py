"""`follow: {versions: {every: …}}`: batches within a time are one version of the history, and are taken back as one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from command_line import syncline
from scenario import Scenario
from syncing import install

from flows import commands
from flows.follow.following import Asked, Told
from flows.follow.lag import Brought
from flows.follow.sync import sync
from flows.history.asof import asof
from flows.history.log import difference, shown
from flows.history.prune import prune
from flows.history.version_list import listed
from flows.plan.request import trees_of
from transforms.vocabulary import SpecError

TABLES: dict[str, Any] = {
    "parent": {"from": "a", "key": ["id"], "columns": {"id": "id", "name": "name"}},
    "child": {"from": "c", "key": ["nr"], "columns": {"nr": "nr", "parent": "a", "v": "v"}},
}
FOLLOW: dict[str, Any] = {"capture": "trigger", "every": "10ms", "versions": {"every": "1h"}}


class Busy(Told):
    """Does something more after each batch, so that there is another one."""

    def __init__(self, *then: Any) -> None:
        self.then = [*then]
        self.batches: list[Brought] = []

    def brought(self, brought: Brought) -> None:
        self.batches.append(brought)
        if self.then:
            self.then.pop(0)()


def edits(side: Any, *statements: str) -> Any:
    return lambda: side.execute(*statements)


def begun(tmp_path: Path, request: pytest.FixtureRequest, **more: Any) -> Scenario:
    shop = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    shop.source.execute(
        "CREATE TABLE a (id int PRIMARY KEY, name text)",
        "CREATE TABLE c (nr int PRIMARY KEY, a int, v int)",
        "INSERT INTO a VALUES (1, 'one'), (2, 'two')",
        "INSERT INTO c VALUES (10, 1, 1), (20, 2, 2)",
    )
    shop.target.execute(
        "CREATE TABLE parent (id int PRIMARY KEY, name text UNIQUE)",
        "CREATE TABLE child (nr int PRIMARY KEY, parent int NOT NULL REFERENCES parent (id), v int)",
    )
    shop.write(TABLES, follow=FOLLOW | more.pop("follow", {}), **more)
    install(shop)
    follow(shop)
    return shop


def follow(shop: Scenario, *then: Any) -> list[Brought]:
    told = Busy(*then[1:])
    if then:
        then[0]()
    outcome, _ = sync(Asked(shop.path, once=True), told)
    assert outcome is None
    return told.batches


def numbers(shop: Scenario) -> list[Sequence[int]]:
    """The versions of each line of the history, newest first."""
    return [line.get("versions", [line["version"]]) for line in listed(shop.spec)]


def three_batches(shop: Scenario) -> list[Any]:
    """What names pass between rows in, and what comes, changes and goes again."""
    return [
        edits(shop.source, "INSERT INTO a VALUES (3, 'three')", "INSERT INTO c VALUES (30, 3, 3)", "DELETE FROM c WHERE nr = 20"),
        edits(shop.source, "UPDATE c SET v = 7, a = 3", "DELETE FROM a WHERE id = 2"),
        edits(shop.source, "UPDATE a SET name = 'two' WHERE id = 3", "INSERT INTO a VALUES (4, 'three')"),
    ]  # fmt: skip


def test_batches_within_a_time_are_one_version_and_are_taken_back_as_one(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = begun(tmp_path, request)
    before = shop.target.content()
    assert len(follow(shop, *three_batches(shop))) == 3
    after = shop.target.content()
    assert numbers(shop) == [[2, 3, 4], [1]]
    line = listed(shop.spec)[0]
    assert (line["version"], line["counts"]["insert"], line["counts"]["delete"]) == (4, 3, 2)
    assert (line["kind"], line["message"], line["tree"]) == ("run", "sync", None)
    for number in (2, 3, 4):
        facts, changes = shown(shop.spec, number)
        assert facts["versions"] == [2, 3, 4]
        assert sorted((each.table, each.op, each.key) for each in changes) == [
            ("child", "delete", "[20]"), ("child", "insert", "[30]"), ("child", "update", "[10]"),
            ("parent", "delete", "[2]"), ("parent", "insert", "[3]"), ("parent", "insert", "[4]"),
        ]  # fmt: skip
    assert shown(shop.spec, 2, "parent", ["3"])[1][0].after == {"id": "3", "name": "two"}
    assert asof(shop.spec, 2, "child").num_rows == 2, "each batch is there to be looked at by itself"
    assert len(difference(shop.spec, 2, 3)) == 2
    done = syncline("history", shop.path)
    assert "2-4" in done.output
    assert "Version 2-4" in syncline("show", shop.path, 3).output

    shop.undo(3)
    assert shop.target.content() == before
    assert numbers(shop) == [[5], [2, 3, 4], [1]]
    assert listed(shop.spec)[0]["undoes"] == [2, 3, 4]
    with pytest.raises(SpecError, match="taken back already"):
        shop.undo(4)
    shop.undo(5)
    assert shop.target.content() == after
    for roots in (["parent:4"], ["parent:3"]):
        commands.undo(shop.request("undo", trees=trees_of(shop.spec, roots)), 3)
        left = dict(shop.target.rows("parent"))
        assert (4 not in left, 3 not in left) == (True, roots == ["parent:3"]), "rows of a tree, of all that is one"
    assert shop.target.count("child") == 1, "what hangs below it goes with it"
    shop.undo(4)
    assert shop.target.content() == before, "and then the rest"
    shop.run(full=True)
    assert shop.target.content() == after
    shop.undo(2, to=True)  # what came after that version: the undo and what took it back, and no batch of it
    assert shop.target.content() == after
    shop.settled()


def test_another_version_in_between_ends_one_and_what_dies_leaves_one_of_what_is_in(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = begun(tmp_path, request)
    one, two, three = three_batches(shop)

    def killed() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(shop, one, two, killed)
    assert numbers(shop) == [[2, 3], [1]]
    new = edits(shop.source, "INSERT INTO a VALUES (9, 'nine')")
    again, end = (edits(shop.source, f"UPDATE a SET name = '{name}' WHERE id = 9") for name in ("more", "end"))
    follow(shop, three, new, lambda: [shop.undo(5), again()], end)
    assert numbers(shop)[:3] == [[7, 8], [6], [4, 5]], "one of its own beside whatever else wrote"
    before = shop.target.content()
    shop.undo(8)
    assert 9 not in dict(shop.target.rows("parent"))
    shop.undo(9)
    assert shop.target.content() == before

    shop.write(TABLES, follow=FOLLOW | {"versions": {"every": "1ms"}})
    follow(shop)
    found = len(listed(shop.spec))
    follow(shop, *[edits(shop.source, f"UPDATE a SET name = 'x{n}' WHERE id = 9") for n in range(3)])
    assert len(listed(shop.spec)) == found + 3, "the time is over with each"


def test_those_that_are_one_are_pruned_as_one(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    shop = begun(tmp_path, request)
    before = shop.target.content()
    moments: list[datetime] = []
    one, two, three = three_batches(shop)
    follow(shop, one, lambda: [moments.append(datetime.now(UTC)), two()], three)
    prune(shop.spec, moments[0])
    shop.undo(4)
    assert shop.target.content() == before, "the first of them is kept, too"
    prune(shop.spec, datetime.now(UTC) + timedelta(1))
    assert numbers(shop) == [[5], [2, 3, 4], [1]]


def test_batches_of_both_sides_are_taken_back_on_both(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    both = begun(tmp_path, request, direction="two_way", initial="policy")
    follow(
        both,
        lambda: [
            both.source.execute("UPDATE a SET name = 'S' WHERE id = 1"),
            both.target.execute("UPDATE child SET v = 9 WHERE nr = 10"),
        ],
        lambda: [
            both.source.execute("UPDATE c SET v = 8 WHERE nr = 20"),
            both.target.execute("INSERT INTO parent VALUES (7, 'T')"),
        ],
    )
    lines = listed(both.spec)
    joined = {line["side"]: line.get("versions") for line in lines if line.get("versions")}
    assert sorted(number for some in joined.values() for number in some) == [2, 3, 4, 5]
    both.undo(joined["source"][0])
    source = {"a": [(1, "S"), (2, "two")], "c": [(10, 1, 1), (20, 2, 8)]}
    target = {"child": [(10, 1, 9), (20, 2, 2)], "parent": [(1, "one"), (2, "two"), (7, "T")]}
    assert (both.source.content(), both.target.content()) == (source, target), "what people did is left on each side"
    follow(both)
    assert both.target.rows("parent") == both.source.rows("a") == [(1, "S"), (2, "two"), (7, "T")]

"""Several tables of the source that make one of the target, both ways: a client for each, and what says whose a row is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows import commands
from flows.commands import Status
from flows.plan.request import asked_for
from flows.spec.members import with_member
from transforms.vocabulary import SpecError

SHOPS = ("graz", "wien")


def execute(path: Path, *statements: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as database, database:
        return [row for each in statements for row in database.execute(each).fetchall()]


def test_rows_of_several_sources_go_back_to_the_source_that_they_are_of(tmp_path: Path) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    execute(old, *(f"CREATE TABLE items_{shop} (no integer PRIMARY KEY, name text)" for shop in SHOPS))
    execute(old, "INSERT INTO items_graz VALUES (1, 'cup'), (2, 'jug')", "INSERT INTO items_wien VALUES (1, 'mug')")
    execute(new, "CREATE TABLE item (shop text, no integer, name text, PRIMARY KEY (shop, no))")
    spec = {
        "version": 1, "name": "items", "direction": "two_way", "initial": "policy",
        "source": {"url": f"sqlite:///{old}"}, "target": {"url": f"sqlite:///{new}"},
        "state": {"url": f"sqlite:///{tmp_path}/ledger.db", "store": str(tmp_path / "store")},
        "defaults": {"delete": {"max_ratio": 1.0}},
        "clients": [{"name": shop, "variables": {"SHOP": shop}} for shop in SHOPS],
        "tables": {
            "item": {
                "from": "items_${SHOP}", "key": ["shop", "no"], "owns": "shop = '${SHOP}'",
                "columns": {"shop": {"const": "${SHOP}"}, "no": "no", "name": "name"},
            }
        },
    }  # fmt: skip
    path = tmp_path / "items.yaml"
    path.write_text(yaml.safe_dump(spec))

    def run() -> None:
        for shop in SHOPS:
            outcome = commands.run(asked_for(with_member(path, shop), "run"))
            assert outcome.status is Status.DONE, outcome.message

    def both() -> tuple[list[Any], list[Any]]:
        theirs = execute(new, "SELECT * FROM item ORDER BY shop, no")
        return [(shop, *row) for shop in SHOPS for row in execute(old, f"SELECT * FROM items_{shop}")], theirs

    run()
    execute(old, "UPDATE items_graz SET name = 'pot' WHERE no = 2", "INSERT INTO items_wien VALUES (2, 'pan')")
    execute(
        new,
        "INSERT INTO item VALUES ('wien', 3, 'lid'), ('graz', 3, 'can')",
        "UPDATE item SET name = 'tea' WHERE shop = 'wien' AND no = 1",
    )
    execute(new, "DELETE FROM item WHERE shop = 'graz' AND no = 1")
    run()
    ours, theirs = both()
    assert ours == theirs == [
        ("graz", 2, "pot"), ("graz", 3, "can"), ("wien", 1, "tea"), ("wien", 2, "pan"), ("wien", 3, "lid"),
    ]  # fmt: skip
    merged = spec["tables"] | {"item": {"from": [f"items_{shop}" for shop in SHOPS], "key": ["no"]}}
    path.write_text(yaml.safe_dump({**spec, "tables": merged}))
    with pytest.raises(SpecError, match="clients") as refused:
        commands.run(asked_for(with_member(path, "graz"), "run"))
    assert "belongs to none of them" in str(refused.value)

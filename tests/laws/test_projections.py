"""Law of projections: whoever edits the origin or what is shown of it, after one run all show the same, and no edit is lost."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from law_examples import examples
from many_clients import written

from flows import commands
from flows.commands import Outcome, Status
from flows.plan.request import asked_for

SHOWN = {"person": ("name", "salary", "age"), "open": ("name", "age"), "paid": ("name", "salary")}
LARGER = {"resolve": "merge", "delete": "delete_wins", "columns": dict.fromkeys(("name", "salary", "age"), "larger")}

edits = st.tuples(
    st.sampled_from(list(SHOWN)),
    st.sampled_from(["insert", "insert twice", "name", "salary", "age", "delete"]),
    st.integers(0, 9),
)
rounds = st.lists(st.lists(edits, max_size=6), min_size=1, max_size=3)


KEYS = {"in order": "integer", "by hash": "text COLLATE NOCASE"}


class Desk:
    """A table of persons, and two projections of it in another database."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        for table, columns in SHOWN.items():
            self.execute(
                table, f"CREATE TABLE {table} (k {key} PRIMARY KEY, {', '.join(f'{c} integer' for c in columns)})"
            )
        tables = {
            name: {
                "from": "person",
                "key": ["k"],
                "columns": {c: c for c in ("k", *SHOWN[name])},
                "conflict": rules(name),
            }
            for name in ("open", "paid")
        }
        said = {
            "version": 1, "name": "desk", "direction": "two_way", "initial": "policy",
            "source": {"url": "sqlite:///source.db"}, "target": {"url": "sqlite:///target.db"},
            "state": {"url": "sqlite:///ledger.db", "store": str(folder / "store")},
            "defaults": {"window": 2, "delete": {"max_ratio": 1.0}}, "tables": tables,
        }  # fmt: skip
        (folder / "desk.yaml").write_text(yaml.safe_dump(said))

    def execute(self, table: str, statement: str, *values: Any) -> list[Any]:
        side = "source" if table == "person" else "target"
        with closing(sqlite3.connect(self.folder / f"{side}.db")) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def rows(self, table: str) -> dict[int, dict[str, int | None]]:
        names = SHOWN[table]
        found = self.execute(table, f"SELECT k, {', '.join(names)} FROM {table}")
        return {int(key): dict(zip(names, rest, strict=True)) for key, *rest in found}

    def insert(self, table: str, key: int) -> None:
        columns = SHOWN[table]
        places = ", ".join("?" for _ in ("k", *columns))
        values = (key for _ in ("k", *columns))
        self.execute(table, f"INSERT INTO {table} (k, {', '.join(columns)}) VALUES ({places})", *values)

    def run(self) -> Outcome:
        return commands.run(asked_for(self.folder / "desk.yaml", "run"))


def rules(table: str) -> dict[str, Any]:
    return {**LARGER, "columns": dict.fromkeys(SHOWN[table], "larger")}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@examples(6)
@given(history=rounds)
def test_after_one_run_the_origin_and_all_its_projections_show_the_same(
    key: str, history: list[list[tuple[str, str, int]]]
) -> None:
    """Each edit sets a field to more than any before, and the larger value wins: so the last of each field has to be everywhere."""
    with tempfile.TemporaryDirectory() as folder:
        desk, clock = Desk(Path(folder), key), count(1)
        last: dict[int, dict[str, int | None]] = {}
        gone: set[int] = set()
        for steps in history:
            twice: set[int] = set()  # whoever deletes one of those before they met has deleted nothing of the other
            for table, act, pick in steps:
                there = list(desk.rows(table))
                if act in ("insert", "insert twice"):
                    new = next(clock)
                    tables = ("open", "paid") if act == "insert twice" else (table,)
                    twice |= {new} if len(tables) > 1 else set()
                    last[new] = dict.fromkeys(SHOWN["person"])
                    for each in tables:
                        desk.insert(each, new)
                        last[new] |= dict.fromkeys(SHOWN[each], new)
                elif there and act == "delete":
                    old = there[pick % len(there)]
                    if old in twice:
                        continue
                    desk.execute(table, f"DELETE FROM {table} WHERE k = ?", old)
                    gone.add(old)
                elif there and act in SHOWN[table]:
                    old = there[pick % len(there)]
                    last[old][act] = next(clock)
                    desk.execute(table, f"UPDATE {table} SET {act} = ? WHERE k = ?", last[old][act], old)
            assert desk.run().status is Status.DONE
            wanted = {at: each for at, each in last.items() if at not in gone}
            for table, names in SHOWN.items():
                shown = {at: {name: each[name] for name in names} for at, each in wanted.items()}
                assert desk.rows(table) == shown, table
            assert written(desk.run()) == 0

"""Law of projections: whoever edits the origin or what is shown of it, after one run all show the same, and no edit is lost."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from many_clients import written

from flows import commands
from flows.commands import Outcome, Status
from flows.plan.request import asked_for

SHOWN = {"person": ("name", "salary", "age"), "open": ("name", "age"), "paid": ("name", "salary")}
LARGER = {"resolve": "merge", "delete": "delete_wins", "columns": dict.fromkeys(("name", "salary", "age"), "larger")}

edits = st.tuples(
    st.sampled_from(list(SHOWN)), st.sampled_from(["insert", "name", "salary", "age", "delete"]), st.integers(0, 9)
)
rounds = st.lists(st.lists(edits, max_size=6), min_size=1, max_size=3)


class Desk:
    """A table of persons, and two projections of it in another database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for table, columns in SHOWN.items():
            self.execute(
                table, f"CREATE TABLE {table} (k integer PRIMARY KEY, {', '.join(f'{c} integer' for c in columns)})"
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
            "defaults": {"delete": {"max_ratio": 1.0}}, "tables": tables,
        }  # fmt: skip
        (folder / "desk.yaml").write_text(yaml.safe_dump(said))

    def execute(self, table: str, statement: str, *values: Any) -> list[Any]:
        side = "source" if table == "person" else "target"
        with closing(sqlite3.connect(self.folder / f"{side}.db")) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def rows(self, table: str) -> dict[int, dict[str, int | None]]:
        names = SHOWN[table]
        found = self.execute(table, f"SELECT k, {', '.join(names)} FROM {table}")
        return {key: dict(zip(names, rest, strict=True)) for key, *rest in found}

    def run(self) -> Outcome:
        return commands.run(asked_for(self.folder / "desk.yaml", "run"))


def rules(table: str) -> dict[str, Any]:
    return {**LARGER, "columns": dict.fromkeys(SHOWN[table], "larger")}


@settings(max_examples=20, deadline=None)
@given(rounds)
def test_after_one_run_the_origin_and_all_its_projections_show_the_same(
    history: list[list[tuple[str, str, int]]],
) -> None:
    """Each edit sets a field to more than any before, and the larger value wins: so the last of each field has to be everywhere."""
    with tempfile.TemporaryDirectory() as folder:
        desk, clock = Desk(Path(folder)), count(1)
        last: dict[int, dict[str, int | None]] = {}
        gone: set[int] = set()
        for steps in history:
            for table, act, pick in steps:
                there = list(desk.rows(table))
                if act == "insert":
                    key = next(clock)
                    last[key] = dict.fromkeys(SHOWN["person"]) | dict.fromkeys(SHOWN[table], key)
                    columns = SHOWN[table]
                    places = ", ".join("?" for _ in ("k", *columns))
                    desk.execute(
                        table,
                        f"INSERT INTO {table} (k, {', '.join(columns)}) VALUES ({places})",
                        key,
                        *(key for _ in columns),
                    )
                elif there and act == "delete":
                    key = there[pick % len(there)]
                    desk.execute(table, f"DELETE FROM {table} WHERE k = ?", key)
                    gone.add(key)
                elif there and act in SHOWN[table]:
                    key = there[pick % len(there)]
                    last[key][act] = next(clock)
                    desk.execute(table, f"UPDATE {table} SET {act} = ? WHERE k = ?", last[key][act], key)
            assert desk.run().status is Status.DONE
            wanted = {key: each for key, each in last.items() if key not in gone}
            for table, names in SHOWN.items():
                shown = {key: {name: each[name] for name in names} for key, each in wanted.items()}
                assert desk.rows(table) == shown, table
            assert written(desk.run()) == 0

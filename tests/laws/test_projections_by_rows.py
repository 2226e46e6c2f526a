"""Law of projections that split the rows of their origin (`where`, `owns`), disjoint or overlapping: after one run all show the same."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from law_examples import examples
from many_clients import written

from flows import commands
from flows.commands import Outcome, Status
from flows.plan.request import asked_for

COLUMNS = ("zone", "name", "pay")
SHOWN = {"north": COLUMNS, "south": COLUMNS[:2]}
SPLITS = {  # the remainders of the zone, of how many, that a projection shows
    "disjoint": (2, {"north": (0,), "south": (1,)}),
    "overlapping": (3, {"north": (0, 1), "south": (1, 2)}),
}

edits = st.tuples(
    st.sampled_from(["origin", *SHOWN]),
    st.sampled_from(["insert", "name", "pay", "zone", "delete"]),
    st.integers(0, 11),
)
rounds = st.lists(st.lists(edits, max_size=6), min_size=1, max_size=3)


class Row(NamedTuple):
    zone: int
    name: int | None
    pay: int | None


class Map:
    """A table of places with a secret, and two projections of some of its rows in another database."""

    def __init__(self, folder: Path, of: int, zones: dict[str, tuple[int, ...]]) -> None:
        self.folder, self.of, self.zones = folder, of, zones
        self.execute("origin", "CREATE TABLE origin (k integer PRIMARY KEY, zone int, name int, pay int, secret text)")
        for name, columns in SHOWN.items():
            self.execute(name, f"CREATE TABLE {name} (k integer PRIMARY KEY, {', '.join(f'{c} int' for c in columns)})")
        tables = {
            name: {
                "from": "origin",
                "key": ["k"],
                "where": self.condition(name),
                "owns": self.condition(name),
                "columns": {c: c for c in ("k", *columns)},
                "conflict": {"resolve": "merge", "delete": "delete_wins", "columns": dict.fromkeys(columns, "larger")},
            }
            for name, columns in SHOWN.items()
        }
        said = {
            "version": 1, "name": "map", "direction": "two_way", "initial": "policy",
            "source": {"url": "sqlite:///source.db"}, "target": {"url": "sqlite:///target.db"},
            "state": {"url": "sqlite:///ledger.db", "store": str(folder / "store")},
            "defaults": {"delete": {"max_ratio": 1.0}}, "tables": tables,
        }  # fmt: skip
        (folder / "map.yaml").write_text(yaml.safe_dump(said))

    def condition(self, name: str) -> str:
        zones = (zone for zone in range(400) if self.shows(name, zone))
        return f"zone IN ({', '.join(map(str, zones))})"

    def shows(self, name: str, zone: int) -> bool:
        return name == "origin" or zone % self.of in self.zones[name]

    def execute(self, table: str, statement: str, *values: Any) -> list[Any]:
        side = "source" if table == "origin" else "target"
        with closing(sqlite3.connect(self.folder / f"{side}.db")) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def rows(self, name: str) -> dict[int, tuple[Any, ...]]:
        """What somebody shows: its rows, by their key."""
        columns = SHOWN.get(name, COLUMNS)
        shown = "" if name == "origin" else f" WHERE {self.condition(name)}"
        return {key: rest for key, *rest in self.execute(name, f"SELECT k, {', '.join(columns)} FROM {name}{shown}")}

    def run(self) -> Outcome:
        return commands.run(asked_for(self.folder / "map.yaml", "run"))


class Edited:
    """What was done to a map, and what all have to show once it is everywhere."""

    def __init__(self, map_: Map) -> None:
        self.map, self.clock = map_, count(1)
        self.last: dict[int, Row] = {}
        self.secrets: dict[int, str | None] = {}

    def do(self, steps: list[tuple[str, str, int]]) -> None:
        """Each edit sets a field to more than any before. A row is not moved and deleted at once, and one that is born on a projection is
        shown by it when it is met: else it is somebody else's."""
        moved, gone, born = set[int](), set[int](), dict[int, str]()
        for name, act, pick in steps:
            there = [key for key in self.map.rows(name) if key not in gone]
            if act == "insert":
                born[self._insert(name, self._zone(name, pick))] = name
            elif act in ("name", "pay", "zone", "delete") and there and (act == "delete" or act in self._columns(name)):
                key = there[pick % len(there)]
                if act == "delete" and key not in moved:
                    self.map.execute(name, f"DELETE FROM {name} WHERE k = ?", key)
                    gone.add(key)
                elif act != "delete":
                    moved |= {key} if act == "zone" else set()
                    self._set(
                        name, key, act, self._zone(born.get(key, "origin"), pick) if act == "zone" else next(self.clock)
                    )
        for key in gone:
            self.last.pop(key)
            self.secrets.pop(key)

    def _columns(self, name: str) -> tuple[str, ...]:
        return SHOWN.get(name, COLUMNS)

    def _zone(self, name: str, pick: int) -> int:
        """A zone that is more than any before, and that somebody shows."""
        zones = [at for at in range(self.map.of) if self.map.shows(name, at)]
        return next(self.clock) * self.map.of + zones[pick % len(zones)]

    def _insert(self, name: str, zone: int) -> int:
        key = next(self.clock)
        row = Row(zone, key, key if "pay" in self._columns(name) else None)
        secret = f"s{key}" if name == "origin" else None
        values = {column: getattr(row, column) for column in self._columns(name)}
        values |= {"secret": secret} if name == "origin" else {}
        places = ", ".join("?" for _ in ("k", *values))
        self.map.execute(name, f"INSERT INTO {name} (k, {', '.join(values)}) VALUES ({places})", key, *values.values())
        self.last[key], self.secrets[key] = row, secret
        return key

    def _set(self, name: str, key: int, column: str, value: int) -> None:
        self.map.execute(name, f"UPDATE {name} SET {column} = ? WHERE k = ?", value, key)
        self.last[key] = self.last[key]._replace(**{column: value})


@pytest.mark.parametrize("split", SPLITS)
@examples(5)
@given(history=rounds)
def test_after_one_run_all_show_the_rows_that_they_share_with_their_origin(
    split: str, history: list[list[tuple[str, str, int]]]
) -> None:
    """The larger value wins: so the last of each field has to be wherever its row is shown, and what nobody shows stays as it is."""
    with tempfile.TemporaryDirectory() as folder:
        edited = Edited(Map(Path(folder), *SPLITS[split]))
        for steps in history:
            edited.do(steps)
            assert edited.map.run().status is Status.DONE
            assert edited.map.rows("origin") == {key: list(row) for key, row in edited.last.items()}
            for name, columns in SHOWN.items():
                shown = {
                    key: list(row[: len(columns)])
                    for key, row in edited.last.items()
                    if edited.map.shows(name, row.zone)
                }
                assert edited.map.rows(name) == shown, name
            secrets = dict(edited.map.execute("origin", "SELECT k, secret FROM origin"))
            assert secrets == edited.secrets
            assert written(edited.map.run()) == 0

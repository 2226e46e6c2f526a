"""One source and many targets in SQLite files: what they hold, and the spec of all of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

REGIONS = {"graz": "AT", "york": "O'Brien", "kyiv": 'it\'s 🐈 \\ "x" -- ; DROP TABLE item'}
WRITTEN = [{"name": name, "url": f"sqlite:///{name}.db", "variables": {"region": REGIONS[name]}} for name in REGIONS]
ITEM = "CREATE TABLE item (id integer PRIMARY KEY, name text, region text)"


@dataclass(frozen=True)
class Centre:
    """A source with rows of several regions, and a SQLite file for each target in `folder`."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "centre.yaml"

    def execute(self, where: str, statement: str, rows: Iterable[Sequence[Any]] = ((),)) -> None:
        with closing(sqlite3.connect(self.folder / f"{where}.db")) as connection, connection:
            connection.executemany(statement, rows) if "?" in statement else connection.execute(statement)

    def ask(self, where: str, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.folder / f"{where}.db")) as connection:
            return connection.execute(query).fetchall()

    def rows(self, where: str) -> list[Any]:
        return self.ask(where, "SELECT id, name, region FROM item ORDER BY id")

    def write(self, targets: Any = WRITTEN, **said: Any) -> Path:
        table = {
            "from": "item", "key": ["id"], "where": "region = ${target.region}", "owns": "region = ${target.region}",
            "columns": {"id": "id", "name": {"expr": "name || ${target.name}"}, "region": {"const": "${target.region}"}},
        } | said.pop("item", {})  # fmt: skip
        whole = {
            "version": 1, "name": "centre", "source": {"url": "sqlite:///source.db"}, "target": {}, "targets": targets,
            "state": {"url": "sqlite:///ledger.db", "store": "store"},
            "tables": {"item": {each: said_of for each, said_of in table.items() if said_of is not None}},
        }  # fmt: skip
        self.path.write_text(yaml.safe_dump(whole | said, allow_unicode=True))
        return self.path

    def listed(self, *rows: Sequence[Any]) -> dict[str, str]:
        """Targets by a query of the source."""
        self.execute("source", "DROP TABLE IF EXISTS shop")
        self.execute("source", "CREATE TABLE shop (name, url, region)")
        self.execute("source", "INSERT INTO shop VALUES (?, ?, ?)", rows)
        return {"query": "SELECT * FROM shop ORDER BY name"}

    @classmethod
    def make(cls, folder: Path) -> Centre:
        """With two rows of each region in the source."""
        made = cls(folder)
        for each in ("source", *REGIONS):
            made.execute(each, ITEM)
        rows = [(number, f"n{number}", region) for number, region in enumerate([*REGIONS.values()] * 2)]
        made.execute("source", "INSERT INTO item VALUES (?, ?, ?)", rows)
        return made


def own_rows(name: str) -> list[Any]:
    place = list(REGIONS).index(name)
    return [(number, f"n{number}{name}", REGIONS[name]) for number in (place, place + 3)]

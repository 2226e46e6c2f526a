"""One server and clients that come and go, in SQLite files: what they hold, and runs of one or all of them."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from flows import commands
from flows.commands import Outcome
from flows.plan.request import asked_for
from flows.session.stores import store_of
from flows.spec.members import with_member
from flows.spec.model import Spec, load_spec

SERVER = "server"
TABLE = "CREATE TABLE t (k varchar(20) NOT NULL PRIMARY KEY, n integer, m integer)"
Row = tuple[str, int | None, int | None]


@dataclass(frozen=True)
class Office:
    """A server and its clients, each a SQLite file of its name in `folder`."""

    folder: Path
    names: tuple[str, ...]

    @classmethod
    def make(cls, folder: Path, names: Sequence[str], **more: Any) -> Office:
        made = cls(folder, tuple(names))
        for each in (SERVER, *names):
            made.execute(each, TABLE)
        made.write({"clients": [{"name": name, "url": f"sqlite:///{name}.db"} for name in names], **more})
        return made

    @property
    def path(self) -> Path:
        return self.folder / "crm.yaml"

    def write(self, said: dict[str, Any]) -> None:
        whole: dict[str, Any] = {
            "version": 1, "name": "crm", "direction": "two_way", "initial": "policy", "conflict": {"resolve": "merge"},
            "target": {"url": f"sqlite:///{SERVER}.db"}, "source": {},
            "state": {"url": "sqlite:///ledger.db", "store": str(self.folder / "store")},
            "defaults": {"delete": {"max_ratio": 1.0}},
            "tables": {"t": {"from": "t"}},
        }  # fmt: skip
        self.path.write_text(yaml.safe_dump(whole | said))

    def spec(self, client: str) -> Spec:
        return load_spec(with_member(self.path, client))

    def run(self, client: str) -> Outcome:
        return commands.run(asked_for(with_member(self.path, client), "run"))

    def run_all(self) -> list[Outcome]:
        return [self.run(name) for name in self.names]

    def lose(self, client: str) -> None:
        """What the client and the server agreed on is gone."""
        shutil.rmtree(store_of(self.spec(client)).agreed(self.spec(client).name), ignore_errors=True)

    def execute(self, where: str, statement: str, rows: Iterable[Sequence[Any]] = ((),)) -> None:
        with closing(sqlite3.connect(self.folder / f"{where}.db")) as connection, connection:
            connection.executemany(statement, rows) if "?" in statement else connection.execute(statement)

    def rows(self, where: str) -> list[Row]:
        with closing(sqlite3.connect(self.folder / f"{where}.db")) as connection:
            return connection.execute("SELECT k, n, m FROM t ORDER BY k").fetchall()


def written(outcome: Outcome) -> int:
    """How many rows a run wrote, on both sides."""
    back = sum(told.back.changes for told in outcome.report.tables if told.back is not None)
    return outcome.report.total.changes + back

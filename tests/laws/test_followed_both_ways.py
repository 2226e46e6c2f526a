"""Law of following two ways: batches of what feeds tell of bring both sides to where whole runs would, and leave nothing to do."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st
from law_examples import slow_examples

from flows import commands
from flows.commands import Status
from flows.follow.following import Asked
from flows.follow.sync import sync
from flows.follow.triggers import to_install
from flows.plan.request import asked_for
from flows.spec.model import load_spec

SOURCE = {
    "person": "id integer PRIMARY KEY, name integer, age integer",
    "pet": "id integer PRIMARY KEY, owner integer REFERENCES person (id), tag integer, kind integer",
    "kind": "id integer PRIMARY KEY, word integer",
}
TARGET = {
    "people": "id integer PRIMARY KEY, name integer, age integer",
    "cards": "id integer PRIMARY KEY, name integer",
    "pets": "id integer PRIMARY KEY, owner integer REFERENCES people (id), tag integer UNIQUE, word integer",
}
WRITTEN: Mapping[str, tuple[str, ...]] = {
    "person": ("name", "age"), "pet": ("owner", "tag", "kind"), "kind": ("word",),
    "people": ("name", "age"), "cards": ("name",), "pets": ("owner", "tag"),
}  # fmt: skip
TABLES: dict[str, Any] = {
    "people": {"from": "person", "key": ["id"], "columns": {"id": "id", "name": "name", "age": "age"}},
    "cards": {"from": "person", "key": ["id"], "columns": {"id": "id", "name": "name"}},
    "pets": {
        "from": "pet", "key": ["id"],
        "columns": {
            "id": "id", "owner": "owner", "tag": "tag",
            "word": {"lookup": {"side": "source", "table": "kind", "match": {"id": "kind"}, "take": "word"}},
        },
    },
}  # fmt: skip
POLICIES: dict[str, dict[str, Any]] = {
    "the source": {"resolve": "source_wins"},
    "the target": {"resolve": "target_wins", "delete": "update_wins"},
    "field by field": {"resolve": "target_wins", "by": "field", "delete": "delete_wins"},
    "by hand": {"resolve": "manual"},
}

edits = st.tuples(
    st.sampled_from(list(WRITTEN)),
    st.sampled_from(["insert", "insert", "update", "update", "delete"]),
    st.integers(1, 4),
    st.tuples(*[st.integers(1, 3)] * 3),
)
histories = st.lists(st.lists(edits, max_size=6), min_size=1, max_size=4)


class Office:
    """A source and a target in a folder of their own."""

    def __init__(self, folder: Path, policy: str) -> None:
        self.folder, self.spec = folder, folder / "office.yaml"
        folder.mkdir()
        for table, columns in {**SOURCE, **TARGET}.items():
            self.execute(table, f"CREATE TABLE {table} ({columns})")
        for table in ("person", "kind"):
            width = len(WRITTEN[table])
            for key in (1, 2):
                self.execute(table, f"INSERT INTO {table} VALUES (?{', ?' * width})", key, *[key] * width)
        said = {
            "version": 1, "name": "office", "direction": "two_way", "initial": "policy", "conflict": POLICIES[policy],
            "source": {"url": "sqlite:///source.db"}, "target": {"url": "sqlite:///target.db"},
            "state": {"url": "sqlite:///ledger.db", "store": str(folder / "store")},
            "follow": {"capture": "trigger", "every": "1ms"},
            "defaults": {"window": 2, "delete": {"max_ratio": 1.0}, "quarantine": {"max_ratio": 1.0}},
            "tables": TABLES,
        }  # fmt: skip
        self.spec.write_text(yaml.safe_dump(said))

    def execute(self, table: str, statement: str, *values: Any) -> list[Any]:
        side = "source" if table in SOURCE else "target"
        with closing(sqlite3.connect(self.folder / f"{side}.db")) as connection, connection:
            connection.execute("PRAGMA foreign_keys = ON")
            return connection.execute(statement, values).fetchall()

    def edit(self, table: str, what: str, key: int, values: tuple[int, ...]) -> None:
        """What a person does, unless the side refuses it."""
        names = WRITTEN[table]
        given = values[: len(names)]
        with suppress(sqlite3.IntegrityError):
            if what == "insert":
                marks = ", ".join("?" for _ in ("id", *names))
                self.execute(table, f"INSERT INTO {table} (id, {', '.join(names)}) VALUES ({marks})", key, *given)
            elif what == "update":
                sets = ", ".join(f"{name} = ?" for name in names[:2])
                self.execute(table, f"UPDATE {table} SET {sets} WHERE id = ?", *given[:2], key)
            else:
                self.execute(table, f"DELETE FROM {table} WHERE id = ?", key)

    def rows(self) -> dict[str, list[Any]]:
        return {table: self.execute(table, f"SELECT * FROM {table} ORDER BY id") for table in (*SOURCE, *TARGET)}

    def run(self) -> None:
        for _ in range(5):
            outcome = commands.run(asked_for(self.spec, "run"))
            assert outcome.status in (Status.DONE, Status.CONFLICTS), outcome.message
            if not outcome.report.total.changes and not outcome.report.back_changes:
                return
        raise AssertionError("runs do not come to an end")

    def follow(self) -> None:
        outcome, _ = sync(Asked(self.spec, once=True))
        assert outcome is None, outcome

    def install(self) -> None:
        with to_install(load_spec(self.spec), None) as triggers:
            triggers.execute(triggers.installing())


@slow_examples(3)
@given(st.sampled_from(sorted(POLICIES)), histories)
def test_batches_bring_both_sides_to_where_whole_runs_would(
    policy: str, history: list[list[tuple[str, str, int, tuple[int, ...]]]]
) -> None:
    with tempfile.TemporaryDirectory(prefix="syncline-law-") as folder:
        followed, whole = Office(Path(folder) / "followed", policy), Office(Path(folder) / "whole", policy)
        followed.install()
        followed.follow()
        whole.run()
        for round_ in history:
            for each in round_:
                followed.edit(*each)
                whole.edit(*each)
            followed.follow()
            whole.run()
            assert followed.rows() == whole.rows()
            left = commands.plan(asked_for(followed.spec, "plan"))
            assert not left.report.pending, [table.samples for table in left.report.tables]

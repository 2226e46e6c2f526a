"""The law of cursors: whatever is edited, in whatever order it comes to light within the overlap, runs of what is new make of the target
what runs of all rows make of it, but for rows that are gone from the source; and a run of all rows settles those."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from law_examples import slow_examples
from scenario import Scenario, Side

OVERLAP = 10
STEP = st.tuples(
    st.sampled_from(["put", "put", "put", "twin", "delete", "group"]),
    st.integers(0, 6),  # the row
    st.sampled_from(["a", "b", "ä"]),
    st.integers(0, 4),  # its group, of which there may be none, and its boss
    st.one_of(st.none(), st.integers(0, OVERLAP)),  # how late it comes to light
)
RUNS = st.lists(st.lists(STEP, max_size=6), min_size=2, max_size=5)


class Edited(Scenario):
    """People of groups, each under a boss, with a stamp; groups come and never change. `unique`: no two rows have one number."""

    def create(self, *, unique: bool, numbers: bool) -> None:
        kind = "INTEGER" if numbers else "DATETIME"
        self.source.execute(
            f"CREATE TABLE people (id INTEGER {'PRIMARY KEY' if unique else ''}, name TEXT, grp TEXT, boss INTEGER, stamp {kind})",
            f"CREATE TABLE groups (id INTEGER PRIMARY KEY, name TEXT, stamp {kind})",
        )

    def edit(self, steps: list[Any], clock: int, *, unique: bool, numbers: bool) -> None:
        for what, number, name, group, late in steps:
            at = None if late is None else clock - late
            stamp = at if at is None or numbers else f"2026-01-01 {at // 60:02}:{at % 60:02}:00"
            if what == "group":
                self.source.execute(f"DELETE FROM groups WHERE id = {group}")
                self.source.insert("groups", [(group, f"g{group}", stamp)])
                continue
            if what == "delete" and source_refers(self.source, number):
                continue  # who refers to a row that is gone is not stamped for that
            if what != "twin" or unique:
                self.source.execute(f"DELETE FROM people WHERE id = {number}")
            if what != "delete":
                self.source.insert("people", [(number, name, f"g{group}", group if group < number else None, stamp)])


def source_refers(source: Side, number: int) -> bool:
    return bool(source.ask(f"SELECT 1 FROM people WHERE boss = {number}"))


def made(folder: Path, source: Side, cursor: Any) -> Edited:
    folder.mkdir()
    shop = Edited(folder, source, Side("sqlite", str(folder / "core.db")))
    shop.target.execute(
        "CREATE TABLE grp (id INTEGER NOT NULL PRIMARY KEY, name TEXT)",
        "CREATE TABLE person (id INTEGER NOT NULL PRIMARY KEY, name TEXT, grp INTEGER REFERENCES grp (id), "
        "boss INTEGER REFERENCES person (id))",
    )
    looked = {"lookup": {"table": "grp", "match": {"name": "grp"}, "take": "id"}, "missing": "quarantine"}
    tables = {
        "grp": {"from": "groups", "columns": {"id": "id", "name": "name"}},
        "person": {
            "from": "people",
            "key": "id",
            "columns": {"id": "id", "name": "name", "grp": looked, "boss": "boss"},
        },
    }
    defaults = {"delete": {"max_ratio": 1.0}, "quarantine": {"max_ratio": 1.0}, "cursor": cursor, "window": {"rows": 2}}
    shop.write(tables, defaults=defaults, source={**source.endpoint, "time_zone": "UTC"})
    return shop


@slow_examples(3)
@given(runs=RUNS, unique=st.booleans(), numbers=st.booleans())
def test_runs_of_what_is_new_are_runs_of_all_but_for_rows_that_are_gone(
    runs: list[list[Any]], unique: bool, numbers: bool
) -> None:
    with TemporaryDirectory() as name:
        source = Side("sqlite", str(Path(name) / "legacy.db"))
        cursor = {"column": "stamp", "overlap": OVERLAP if numbers else f"{OVERLAP}m"}
        new, whole = made(Path(name) / "new", source, cursor), made(Path(name) / "whole", source, "off")
        new.create(unique=unique, numbers=numbers)
        for number, steps in enumerate(runs):
            new.edit(steps, 60 + 7 * number, unique=unique, numbers=numbers)
            new.run()
            whole.run()
            there = {row[0] for row in source.ask("SELECT id FROM people")}
            for table in ("grp", "person"):
                all_rows = whole.target.rows(table)
                some = [row for row in new.target.rows(table) if table == "grp" or row[0] in there]
                assert some == [row for row in all_rows if table == "grp" or row[0] in there]
        new.run(full=True)
        whole.run()
        assert new.target.content() == whole.target.content()
        assert new.verify().report.total == whole.verify().report.total

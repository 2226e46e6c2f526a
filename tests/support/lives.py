"""Migrations that live a whole life, in processes that may be killed at any time, and the law of what history says of them.

The law: of whatever runs, kills and reruns, (a) inserts less deletes of all versions are the rows that came; (b) a table as of a
version is what the target held right after it; (c) the life of a row agrees with that; (d) taking all versions back gives
what was there before the first one, in columns that nobody maps, too.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crashing import server
from scenario import Rows, Scenario

from adapters.ledger.ledger import Ledger
from flows import commands
from flows.history import quarantine
from flows.history.asof import asof
from flows.history.log import LEFT, life
from flows.history.prune import prune
from flows.history.version_list import listed
from flows.history.versions import AppliedVersion, opened_version
from flows.plan.request import asked_for
from flows.session.stores import ledger_of, store_of
from flows.spec.model import Spec

PEOPLE, SALES = 40, 60
WINDOW = 10
KEYS = {"customer": "customer_id", "sale": "no"}
COLUMNS = {"customer": "customer_id, name, born", "sale": "no, customer_id, cents"}
WHOLE = "whole.txt"  # the target before the first run, with all columns
REFERENCE = {"columns": "customer_id", "table": "customer", "refers": "customer_id"}  # Parquet has none
OPS = ("run", "run", "apply", "undo", "undo to", "backfill", "retry", "prune")


def born(scenario: Scenario, chance: random.Random, *, there: bool) -> Scenario:
    """People and their sales, some of whom cannot be mapped. The target is empty, or `there` with rows and columns of its own."""
    scenario.source.execute(
        "CREATE TABLE people (id integer PRIMARY KEY, name varchar(40), born varchar(20))",
        "CREATE TABLE sales (no integer PRIMARY KEY, person integer, cents integer)",
    )
    scenario.source.insert(
        "people", [(i, f"Ünï {i}", "no day" if i % 9 == 0 else _birth(chance)) for i in range(PEOPLE)]
    )
    scenario.source.insert("sales", [(i, chance.randrange(PEOPLE) if i else 1, i) for i in range(SALES)])
    if there:
        more = (
            ""
            if scenario.target.engine == "parquet"
            else " DEFAULT 'new', FOREIGN KEY (customer_id) REFERENCES customer (customer_id)"
        )
        scenario.target.execute(
            "CREATE TABLE customer (customer_id integer PRIMARY KEY, name varchar(40), born date, note varchar(9))",
            f"CREATE TABLE sale (no integer PRIMARY KEY, customer_id integer, cents integer, remark varchar(9){more})",
        )
        customers = [(i, f"Ünï {i}", None, f"note {i}") for i in range(5, 15)]
        scenario.target.insert("customer", [*customers, (700, "old", None, None)])
        scenario.target.insert("sale", [(0, 6, 3, "own"), (800, 700, 8, None), (801, 7, 9, "new")])
        (scenario.folder / WHOLE).write_text(str(scenario.target.content()))
    tables = {
        "customer": {
            "from": "people",
            "key": "customer_id",
            "columns": {"customer_id": "id", "name": "name", "born": {"from": "born", "cast": "date"}},
        },
        "sale": {
            "from": "sales",
            "key": "no",
            "columns": {
                "no": "no",
                "customer_id": {
                    "lookup": {"table": "customer", "match": {"customer_id": "person"}, "take": "customer_id"},
                    "missing": "quarantine",
                },
                "cents": "cents",
            },
            "create": {} if scenario.target.engine == "parquet" else {"foreign_keys": [REFERENCE]},
        },
    }
    scenario.write(tables, defaults={"window": WINDOW, "delete": {"max_ratio": 1.0}})
    return scenario


def _birth(chance: random.Random) -> str:
    return f"19{chance.randrange(10, 99)}-0{chance.randrange(1, 9)}-11"


def grown(scenario: Scenario, chance: random.Random) -> None:
    """Some edits of the source: rows of both tables come, change and go."""
    people, sales = (
        sorted(scenario.source.ask(f"SELECT {key} FROM {t}")) for t, key in (("people", "id"), ("sales", "no"))
    )
    gone = [no for (no,) in chance.sample(people, min(len(people), chance.randrange(6)))]
    less = [no for (no,) in chance.sample(sales, min(len(sales), chance.randrange(8)))]
    new = chance.randrange(1000, 10**6)
    statements = [f"DELETE FROM people WHERE id = {no}" for no in gone]
    # sales of nobody stay where their person may not go
    statements += [f"DELETE FROM sales WHERE person = {no}" for no in gone if chance.random() < 0.7]
    statements += [f"DELETE FROM sales WHERE no = {no}" for no in less]
    statements += [f"UPDATE people SET name = 'n{new}', born = '{_birth(chance)}' WHERE id % 7 = {chance.randrange(7)}"]
    statements += [f"UPDATE sales SET cents = {new}, person = {new + 1} WHERE no % 9 = {chance.randrange(9)}"]
    statements += [f"INSERT INTO people VALUES ({new + i}, 'born {i}', '{_birth(chance)}')" for i in range(4)]
    statements += [f"INSERT INTO sales VALUES ({new + i}, {new + i % 4}, {i})" for i in range(6)]
    scenario.source.execute(*statements)


# In the process that may die


def act(scenario: Scenario, what: str, number: int) -> None:
    """One command, which leaves a picture of the target beside every version that it makes."""
    with Path(os.devnull).open("w") as nowhere:  # a killed process's traceback is no news
        os.dup2(nowhere.fileno(), 2)
    _picturing(scenario)
    try:
        _acted(scenario, what, number)
    except BaseException as error:
        (scenario.folder / "error").write_text(f"{type(error).__name__}: {error}")
        raise


def _acted(scenario: Scenario, what: str, number: int) -> None:
    def asked(kind: Any, **more: Any) -> Any:
        return replace(asked_for(scenario.path, kind, wait=20, **more), workers=1 + number % 2)

    match what:
        case "run":
            commands.run(asked("run"))
        case "apply":
            planned = commands.plan(asked("plan"))
            commands.apply_plan(Path(str(planned.report.plan)), wait=20)
        case "undo":
            commands.undo(asked("undo"), number)
        case "undo to":
            commands.undo(asked("undo"), number, to=True)
        case "backfill":
            commands.backfill(asked("backfill", ranges=["customer.customer_id:0..40"]), "10")
        case "retry":
            request = quarantine.retry(asked("retry"), quarantine.Filter())
            if request is not None:
                commands.run(request)
        case "prune":
            prune(scenario.spec, datetime.now(UTC), wait=20)


def _picturing(scenario: Scenario) -> None:
    original = Ledger.add_version

    def add_version(ledger: Ledger, *given: Any, **more: Any) -> int:
        picture = taken(scenario)
        number = original(ledger, *given, **more)
        place = scenario.folder / "pictures" / f"{number}.json"
        place.parent.mkdir(exist_ok=True)
        place.with_suffix(".part").write_text(json.dumps(picture))
        place.with_suffix(".part").rename(place)
        return number

    Ledger.add_version = add_version  # type: ignore[method-assign]


def taken(scenario: Scenario) -> dict[str, Rows]:
    """The rows of both tables, as texts."""
    there = scenario.target.content()
    return {
        table: [_texts(row) for row in scenario.target.rows(table, columns)] if table in there else []
        for table, columns in COLUMNS.items()
    }


# In the process that watches


def acted(scenario: Scenario, what: str, number: int, within: float | None, stop: signal.Signals) -> tuple[bool, str]:
    """One command in another process, killed after so many seconds where it is alive then; whether it was, and its error."""
    with suppress(FileNotFoundError):
        (scenario.folder / "error").unlink()
    process = server().Process(target=act, args=(scenario, what, number))
    process.start()
    process.join(within)
    killed = process.is_alive()
    if killed and process.pid is not None:
        os.kill(process.pid, stop)
    process.join(240)
    assert not process.is_alive(), f"{what} does not end after {stop.name}"
    error = scenario.folder / "error"
    return killed, error.read_text() if error.exists() else ""


REFUSALS = ("SpecError", "PlanError")  # of what cannot be undone any more
NARROW = "DataError"  # a backfill of parents alone, whose children are still there


def lived(scenario: Scenario, chance: random.Random, kills: int, say: Callable[[str], None] = lambda _: None) -> int:
    """A life with so many commands, of which most are killed; then a run comes to its end. How many were killed."""
    killed, takes = 0, 1.0
    for _ in range(kills):
        if chance.random() < 0.7:
            grown(scenario, chance)
        what = chance.choice(OPS)
        versions = len(listed(scenario.spec))
        if what in ("undo", "undo to") and not versions:
            what = "run"
        numbers = {"undo": range(1, versions + 1), "undo to": range(versions)}.get(what, range(2))
        number = chance.choice(numbers)
        stop = signal.SIGKILL if chance.random() < 0.75 else signal.SIGINT
        within = None if chance.random() < 0.25 else chance.uniform(0.05, takes)
        began = time.monotonic()
        dead, error = acted(scenario, what, number, within, stop)
        if within is None:
            takes = max(0.3, 0.5 * takes + 0.5 * (time.monotonic() - began))
        killed += dead
        say(f"{what} {number} {'killed by ' + stop.name if dead else 'ended'} {error[:300]}")
        expected = (*REFUSALS, NARROW) if what == "backfill" else REFUSALS
        assert dead or not error or error.startswith(expected), f"{what} {number}: {error}"
    grown(scenario, chance)
    _, error = acted(scenario, "run", 0, None, signal.SIGKILL)
    assert not error, error
    return killed


@dataclass(frozen=True)
class Past:
    """What history can say after a life: versions since the newest that was pruned, and pictures of the target by version."""

    spec: Spec
    oldest: int
    versions: list[AppliedVersion]
    bases: set[str]
    pictures: dict[int, dict[str, Rows]]

    @classmethod
    def of(cls, scenario: Scenario, first: dict[str, Rows]) -> Past:
        spec, pictures = scenario.spec, {0: first}
        with ledger_of(spec) as ledger:
            known = sorted(ledger.versions(spec.name), key=lambda version: version.version)
            bases = set(ledger.bases(spec.name, "target"))
        for version in known:
            place = scenario.folder / "pictures" / f"{version.version}.json"
            if place.exists():  # else it was killed just before it was taken
                pictures[version.version] = json.loads(place.read_text())
        oldest = max((v.version for v in known if "pruned" in (v.kept or {}).values()), default=0)
        kept = [opened_version(store_of(spec), v) for v in known if v.version > oldest]
        return cls(spec, oldest, kept, bases, {n: each for n, each in pictures.items() if n >= oldest})


def assert_law(scenario: Scenario, first: dict[str, Rows], chance: random.Random) -> None:
    """Hold history to the law, and take everything back. The last run has come to its end."""
    past, now = Past.of(scenario, first), taken(scenario)
    came = sum(v["counts"]["insert"] - v["counts"]["delete"] for v in listed(past.spec))
    assert came == sum(len(now[table]) - len(first[table]) for table in now), "(a)"
    for table in COLUMNS:
        if past.oldest in past.pictures:
            _assert_sum(past, table, now[table])
        if str(past.spec.target_table(table)) in past.bases:
            for number, picture in past.pictures.items():
                _assert_as_of(past, table, number, picture[table])
        known = sorted({row[0] for picture in past.pictures.values() for row in picture[table]}, key=str)
        for key in chance.sample(known, min(len(known), 8)):
            _assert_life(past, table, key)
    if past.oldest in past.pictures and past.versions:
        commands.undo(scenario.request("undo"), past.oldest, to=True)
        assert taken(scenario) == past.pictures[past.oldest], "(d)"
        if not past.oldest and (scenario.folder / WHOLE).exists():
            assert str(scenario.target.content()) == (scenario.folder / WHOLE).read_text(), "(d) whole"


def _assert_sum(past: Past, table: str, now: Rows) -> None:
    parts = [part for each in past.versions for part in each.parts(past.spec.target_table(table))]
    came = sum(part.counts["insert"] - part.counts["delete"] for part in parts)
    assert len(past.pictures[past.oldest][table]) + came == len(now), f"(a) {table} since version {past.oldest}"


def _assert_as_of(past: Past, table: str, number: int, picture: Rows) -> None:
    found = asof(past.spec, number, table)
    rows = found.select(COLUMNS[table].split(", ")).to_pylist() if found.num_columns else []
    texts = [_texts(row.values()) for row in rows]
    assert sorted(texts, key=str) == sorted(picture, key=str), (
        f"(b) {table} as of {number}: only history has {[row for row in texts if row not in picture]}, and only the target had "
        f"{[row for row in picture if row not in texts]}"
    )


def _assert_life(past: Past, table: str, key: str) -> None:
    names = COLUMNS[table].split(", ")
    lines = [line for line in life(past.spec, table, key) if line["version"] and line["why"] != LEFT]
    for number, picture in past.pictures.items():
        row = next((dict(zip(names, each, strict=True)) for each in picture[table] if each[0] == key), None)
        last = next((line for line in reversed(lines) if past.oldest < line["version"] <= number), None)
        about = f"(c) {table} {key} at version {number}: {last}, and {row} was there"
        if last is None:
            before = next((each for each in past.pictures.get(past.oldest, picture)[table] if each[0] == key), None)
            assert row == (before and dict(zip(names, before, strict=True))), about
        elif last["op"] == "delete":
            assert row is None, about
        else:
            assert row is not None, about
            known = (
                last["after"].keys() & row.keys()
            )  # of a row that came back, columns that the spec does not map, too
            assert {name: row[name] for name in known} == {name: last["after"][name] for name in known}, about


def _texts(values: Iterable[Any]) -> list[str | None]:
    return [None if value is None else str(value) for value in values]

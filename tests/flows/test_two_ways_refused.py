"""Rows that a side of two ways does not take: open, for what it holds against them, and as they are on both sides."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from click.testing import CliRunner
from scenario import Engine, Scenario, Side, pair_name
from triggers import refusing

from flows.apply import both_ways
from flows.cli.main import main
from flows.commands import Status
from flows.session.stores import ledger_of

MANY = 4_000


def test_many_rows_that_a_side_refuses_take_no_longer_than_few(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """One at a time, as many took a minute and a half; more than 1,000 that a side refuses while it writes would end the run."""
    made = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    made.source.execute(
        "CREATE TABLE t (id integer PRIMARY KEY, mail varchar(40) UNIQUE, n integer)",
        "CREATE TABLE part (id integer PRIMARY KEY, t integer REFERENCES t (id))",
    )
    made.target.execute(
        "CREATE TABLE t (id integer PRIMARY KEY, mail varchar(40) UNIQUE, n integer CHECK (n < 10))",
        "CREATE TABLE part (id integer PRIMARY KEY, t integer REFERENCES t (id))",
    )
    made.write(
        {"t": {"from": "t"}, "part": {"from": "part"}},
        direction="two_way",
        initial="policy",
        conflict={"resolve": "merge"},
        defaults={"window": 3_000},
    )
    made.source.insert("t", [(number, f"{number}@x", 1) for number in range(MANY)])
    assert made.run().status is Status.DONE
    made.source.execute("UPDATE t SET n = id + 10")
    made.target.execute("UPDATE t SET n = 2 WHERE id = 1")
    made.source.insert("t", [(MANY + number, f"new {number}", 1) for number in range(MANY)])
    made.target.insert("t", [(2 * MANY + number, f"new {number}", 1) for number in range(MANY)])
    made.source.insert("part", [(number, MANY + number) for number in range(MANY)])
    before = made.source.content(), made.target.content()

    began = perf_counter()
    outcome = made.run()

    assert perf_counter() - began < 20
    assert outcome.status is Status.CONFLICTS
    kinds = Counter((table, kind, *fields) for table, _, kind, fields in open_rows(made))
    assert kinds == {
        ("t", "check", "n"): MANY - 1,
        ("t", "update/update", "n"): 1,
        ("t", "unique", "mail"): 2 * MANY,
        ("part", "foreign_key", "t"): MANY,
    }
    assert (made.source.content(), made.target.content()) == before


def open_rows(made: Scenario) -> list[tuple[str, str, str, list[str]]]:
    """What is open: table, key, kind and fields."""
    with ledger_of(made.spec) as ledger:
        found = [
            (name, row["key"], row["kind"], row["fields"])
            for name in made.spec.tables
            for rows in ledger.open_rows.rows(made.spec.name, name)
            for row in rows.to_pylist()
        ]
    return sorted(found)


def content(made: Scenario) -> dict[str, list[dict[Any, tuple[Any, ...]]]]:
    """Of each table the rows of both sides, by key; amounts as texts."""

    def rows(side: Side, table: str) -> dict[Any, tuple[Any, ...]]:
        found = side.rows(table, "id, name, n, amount")
        return {row[0]: (row[1], row[2], row[3] if isinstance(row[3], str) else f"{row[3]:.2f}") for row in found}

    return {table: [rows(side, table) for side in (made.source, made.target)] for table in ("here", "there")}


def command(name: str, made: Scenario, *given: str) -> None:
    done = CliRunner().invoke(main, [name, str(made.path), *given])
    assert done.exit_code in (0, 5), done.output


@pytest.mark.parametrize(
    "pair", [("mysql", "postgresql"), ("postgresql", "duckdb"), ("duckdb", "mysql")], ids=pair_name
)
def test_a_value_that_a_side_cannot_hold_leaves_its_row_open_on_either_side(
    pair: tuple[Engine, Engine], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Whether it is null, of another range, or no value of the type at all; the rest of the table goes on."""
    made = Scenario.make(tmp_path, pair, request)
    wide = "(id integer PRIMARY KEY, name varchar(60), n bigint, amount varchar(20))"
    narrow = "(id integer PRIMARY KEY, name varchar(60) NOT NULL, n integer, amount decimal(6,2))"
    made.source.execute(f"CREATE TABLE here {wide}", f"CREATE TABLE there {narrow}")
    made.target.execute(f"CREATE TABLE here {narrow}", f"CREATE TABLE there {wide}")
    as_it_is = {"id": "id", "name": "name", "n": "n"}
    made.write(
        {
            "here": {"from": "here", "columns": {**as_it_is, "amount": {"from": "amount", "cast": "decimal(6,2)"}}},
            "there": {"from": "there", "columns": {**as_it_is, "amount": {"from": "amount", "cast": "text"}}},
        },
        direction="two_way",
        initial="policy",
        conflict={"resolve": "merge"},
    )
    rows = [(number, "a", 1, "1.50") for number in range(1, 7)]
    made.source.insert("here", rows)
    made.source.insert("there", rows)
    assert made.run().status is Status.DONE

    for side, table in ((made.source, "here"), (made.target, "there")):
        side.execute(
            f"UPDATE {table} SET name = NULL WHERE id = 1",
            f"UPDATE {table} SET amount = 'abc' WHERE id = 3",
            f"UPDATE {table} SET amount = '12345.00' WHERE id = 4",
            f"UPDATE {table} SET name = 'b' WHERE id = 5",
            f"UPDATE {table} SET n = 5000000000 WHERE id = 2",
            f"INSERT INTO {table} VALUES (7, NULL, 1, '1.00'), (8, 'new', 1, '2.00'), (9, 'new', 1, 'abc')",
        )
    made.target.execute("UPDATE here SET amount = 2.5 WHERE id = 3", "UPDATE here SET n = 6 WHERE id = 5")
    before = content(made)
    assert made.run().status is Status.CONFLICTS

    kinds = {
        1: ("not_null", "name"),
        2: ("check", "n"),
        4: ("check", "amount"),
        7: ("not_null", "name"),
        9: ("check", "amount"),
    }
    here = [
        ("here", f"[{key}]", kind, [field]) for key, (kind, field) in {**kinds, 3: ("update/update", "amount")}.items()
    ]
    there = [("there", f"[{key}]", kind, [field]) for key, (kind, field) in {**kinds, 3: ("check", "amount")}.items()]
    assert open_rows(made) == sorted([*here, *there])
    after = content(made)
    for table, kept in before.items():
        for side, rows in enumerate(kept):
            assert {key: after[table][side].get(key) for key in kinds} == {key: rows.get(key) for key in kinds}
    assert [[rows[key] for key in (5, 6, 8)] for rows in after["here"]] == [
        [("b", 6, "1.50"), ("a", 1, "1.50"), ("new", 1, "2.00")]
    ] * 2
    again = made.run()
    assert (again.status, again.report.pending, content(made)) == (Status.CONFLICTS, False, after)

    for table, taken in (("here", "target"), ("there", "source")):
        command("conflicts", made, "resolve", "--table", table, "--key", "2", "--take", taken)
    assert made.run().status is Status.CONFLICTS
    assert [rows[2] for side in content(made).values() for rows in side] == [("a", 1, "1.50")] * 4
    for side, table in ((made.source, "here"), (made.target, "there")):
        side.execute(
            f"UPDATE {table} SET name = 'mended' WHERE id IN (1, 7)",
            f"UPDATE {table} SET amount = '2.50' WHERE id IN (3, 4, 9)",
        )
    assert made.run().status is Status.DONE
    assert all(one == other for one, other in content(made).values())


MERGED = [("sqlite", "postgresql"), ("mysql", "sqlite"), ("postgresql", "mysql")]


@pytest.mark.parametrize("killed", [False, True], ids=["undisturbed", "killed between the commits"])
@pytest.mark.parametrize("pair", MERGED, ids=pair_name)
def test_a_row_that_both_sides_changed_is_written_on_both_or_on_neither(
    pair: tuple[Engine, Engine],
    killed: bool,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where a trigger refuses a part of it, of which no plan knows."""
    made = Scenario.make(tmp_path, pair, request)
    for side in (made.source, made.target):
        side.execute("CREATE TABLE t (id integer PRIMARY KEY, v varchar(20), w varchar(20))")
    made.write(
        {"t": {"from": "t"}},
        direction="two_way",
        initial="policy",
        conflict={"resolve": "merge"},
        defaults={"window": 3},
    )
    made.source.insert("t", [(number, "v", "w") for number in range(1, 9)])
    assert made.run().status is Status.DONE
    made.source.execute(*refusing(pair[0], "new.w = 'no'"))
    made.target.execute(*refusing(pair[1], "new.v = 'no'"))
    made.source.execute("UPDATE t SET v = 'ours' WHERE id IN (1, 2)", "UPDATE t SET v = 'no' WHERE id IN (3, 4, 6)")
    made.target.execute("UPDATE t SET w = 'theirs' WHERE id IN (1, 3)", "UPDATE t SET w = 'no' WHERE id IN (2, 5, 6)")
    before = [side.rows("t") for side in (made.source, made.target)]
    if killed:
        with monkeypatch.context() as patch, pytest.raises(Killed):
            die_after_the_target(patch)
            made.run()
    assert made.run().status is Status.CONFLICTS

    ours, theirs = ({row[0]: row for row in side.rows("t")} for side in (made.source, made.target))
    assert ours[1] == theirs[1] == (1, "ours", "theirs")
    assert open_rows(made) == [("t", f"[{number}]", "check", []) for number in range(2, 7)]
    for rows, then in zip((ours, theirs), before, strict=True):
        assert {number: rows[number] for number in range(2, 7)} == {row[0]: row for row in then if 2 <= row[0] <= 6}
    again = made.run()
    assert again.status is Status.CONFLICTS
    assert [side.rows("t") for side in (made.source, made.target)] == [sorted(ours.values()), sorted(theirs.values())]
    assert open_rows(made) == [("t", f"[{number}]", "check", []) for number in range(2, 7)]
    made.source.execute("UPDATE t SET v = 'yes' WHERE v = 'no'")
    made.target.execute("UPDATE t SET w = 'yes' WHERE w = 'no'")
    assert made.run().status is Status.DONE
    assert made.source.rows("t") == made.target.rows("t")
    assert made.source.rows("t")[1:6] == [
        (2, "ours", "yes"), (3, "yes", "theirs"), (4, "yes", "w"), (5, "v", "yes"), (6, "yes", "yes"),
    ]  # fmt: skip


@pytest.mark.parametrize("pair", [("sqlite", "sqlite"), ("mysql", "postgresql")], ids=pair_name)
def test_in_a_circle_of_references_rows_below_an_open_one_stay_open_too(
    pair: tuple[Engine, Engine], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    made = Scenario.make(tmp_path, pair, request)
    sides = made.source, made.target
    for side in sides:
        own = " REFERENCES b (id)" * (side.engine == "sqlite")
        side.execute(
            f"CREATE TABLE a (id integer PRIMARY KEY, b integer{own}, v integer)",
            "CREATE TABLE b (id integer PRIMARY KEY, a integer, FOREIGN KEY (a) REFERENCES a (id))",
        )
        if side.engine != "sqlite":
            side.execute("ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b (id)")
    made.write(
        {"a": {"from": "a"}, "b": {"from": "b"}},
        direction="two_way",
        initial="policy",
        conflict={"resolve": "merge"},
        defaults={"window": 2, "delete": {"max_ratio": 1.0}},
    )

    def circle(side: Side, number: int, v: int = 1) -> None:
        side.execute(
            f"INSERT INTO a VALUES ({number}, NULL, {v})",
            f"INSERT INTO b VALUES ({number}, {number})",
            f"UPDATE a SET b = {number} WHERE id = {number}",
        )

    circle(made.source, 1)
    assert made.run().status is Status.DONE
    circle(made.source, 2)
    circle(made.target, 3)
    circle(made.source, 5)
    circle(made.target, 5, 2)
    made.source.execute("INSERT INTO b VALUES (10, 5)", "INSERT INTO a VALUES (11, 10, 1)")
    before = [side.content() for side in sides]
    assert made.run().status is Status.CONFLICTS
    assert [(table, key, kind) for table, key, kind, _ in open_rows(made)] == [
        ("a", "[11]", "foreign_key"), ("a", "[5]", "insert/insert"), ("b", "[10]", "foreign_key"),
    ]  # fmt: skip
    assert all((2, 2, 1) in side.rows("a") and (3, 3, 1) in side.rows("a") for side in sides)
    assert (10, 5) in made.source.rows("b") and (11, 10, 1) in made.source.rows("a")
    assert made.target.count("b") == len(before[1]["b"]) + 1
    assert not made.run().report.pending
    made.target.execute("UPDATE a SET v = 1 WHERE id = 5")
    assert made.run().status is Status.DONE
    assert [made.source.rows(table) for table in "ab"] == [made.target.rows(table) for table in "ab"]


class Killed(BaseException):
    pass


def die_after_the_target(patch: pytest.MonkeyPatch) -> None:
    """The process is gone once the target is written, before the first row of the source is."""

    def dying(*_: object) -> None:
        raise Killed

    patch.setattr(both_ways, "refused_by_target", dying)

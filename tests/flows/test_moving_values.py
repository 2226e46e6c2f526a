"""Unique values that move: along a chain, round a circle, between windows, from a row that goes to one that comes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from scenario import RING, Scenario, Side, counts, pair_name

from flows import commands
from flows.commands import Status
from flows.history.asof import asof
from flows.session.meter import Meter
from transforms.vocabulary import PlanError

everywhere = pytest.mark.parametrize("shop", RING, indirect=True, ids=pair_name)

PERSON = "CREATE TABLE person (id integer PRIMARY KEY, mail varchar(20) UNIQUE, town varchar(9) NOT NULL, seat smallint NOT NULL"
PURCHASE = "CREATE TABLE purchase (id integer PRIMARY KEY, person integer"
Person = tuple[int, str | None, str, int]


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """People with unique addresses, seats that are unique in their town, and orders of some of them."""
    made = Scenario.make(tmp_path, getattr(request, "param", RING[0]), request)
    made.source.execute(f"{PERSON})", f"{PURCHASE})")
    made.target.execute(f"{PERSON}, UNIQUE (town, seat))", f"{PURCHASE}, FOREIGN KEY (person) REFERENCES person (id))")
    return made


def written(shop: Scenario, window: int) -> None:
    shop.write(
        {"person": {"from": "person"}, "purchase": {"from": "purchase"}},
        defaults={"window": window, "delete": {"max_ratio": 1.0}},
    )


def entered(shop: Scenario, people: Sequence[Person], purchases: Sequence[tuple[int, int]] = ()) -> None:
    shop.source.execute("DELETE FROM purchase", "DELETE FROM person")
    shop.source.insert("person", people)
    shop.source.insert("purchase", purchases)


@everywhere
def test_whatever_values_move_where_they_move_in_one_run_and_are_taken_back(shop: Scenario) -> None:
    chance = random.Random(shop.target.engine)
    values = [(f"p{n}@x", "Wien" if n % 2 else "Graz", n // 2) for n in range(5)] + [
        (None, "Linz", n) for n in range(2)
    ]

    def state() -> tuple[list[Person], list[tuple[int, int]]]:
        ids = sorted(chance.sample(range(1, 9), chance.randint(3, 6)))
        chosen = chance.sample(values, len(ids))
        # DuckDB changes no unique value of a row that others refer to
        referred = [] if shop.target.engine == "duckdb" else chance.sample(ids, 2)
        return [(id_, *row) for id_, row in zip(ids, chosen, strict=True)], list(enumerate(referred))

    written(shop, 2)
    entered(shop, *state())
    shop.run()
    for _ in range(2):
        written(shop, chance.randint(1, 3))
        before = shop.target.content()
        people, purchases = state()
        entered(shop, people, purchases)
        done = shop.run()
        assert done.status == Status.DONE, (before, people, purchases)
        total = done.report.total
        assert total.insert + total.update + total.unchanged == len(people) + len(purchases)
        assert shop.target.content() == shop.source.content()
        shop.settled()
        number = done.report.version
        assert number is not None
        undone = shop.undo(number)
        assert undone.status == Status.DONE
        back = undone.report.total
        assert (back.insert, back.update, back.delete) == (total.delete, total.update, total.insert)
        assert shop.target.content() == before


class Cut(Meter):
    """A run that ends when it is about to write for the second time."""

    def __init__(self) -> None:
        self.stages = 0

    def expect(self, table: str, what: str, rows: int) -> None:
        self.stages += what == "apply"
        if self.stages == 2:
            raise ConnectionAbortedError


def halfway(shop: Scenario) -> Path:
    """The plan of two people who trade addresses, each in a window of its own: only the step on the way is in."""
    written(shop, 1)
    entered(shop, [(1, "a@x", "Wien", 1), (2, "b@x", "Wien", 2), (3, "c@x", "Graz", 1)], [(7, 3)])
    shop.run()
    entered(shop, [(1, "b@x", "Wien", 2), (2, "a@x", "Wien", 1), (3, "c@x", "Graz", 1)], [(7, 3)])
    plan = shop.plan()
    assert counts(plan, "person") == {"source_rows": 3, "update": 2, "unchanged": 1}
    folder = Path(str(plan.report.plan))
    with pytest.raises(ConnectionAbortedError):
        commands.apply_plan(folder, meter=Cut())
    assert not {(1, "a@x"), (2, "b@x")} & set(shop.target.rows("person", "id, mail"))
    return folder


@everywhere
def test_a_run_that_dies_between_the_steps_is_brought_to_its_end(shop: Scenario) -> None:
    halfway(shop)
    shop.run()
    assert shop.target.content() == shop.source.content()
    shop.settled()
    if shop.target.engine in ("postgresql", "sqlite"):  # others let them trade in one window
        with pytest.raises(ConnectionAbortedError):
            commands.undo(shop.request("undo"), 2, meter=Cut())
        assert not {(1, "b@x"), (2, "a@x")} & set(shop.target.rows("person", "id, mail"))
        commands.run(
            shop.request("run", ranges=["purchase.id:100..200"])
        )  # which brings the undo to its end, and no row
    else:
        assert shop.undo(2).status == Status.DONE
    assert shop.target.rows("person", "id, mail, seat") == [(1, "a@x", 1), (2, "b@x", 2), (3, "c@x", 1)]


@everywhere
def test_a_row_that_somebody_edits_between_its_steps_is_one_conflict_and_keeps_the_edit(shop: Scenario) -> None:
    folder = halfway(shop)
    shop.target.execute("UPDATE person SET town = 'Linz' WHERE id = 1")
    done = shop.apply(folder)
    assert (done.status, counts(done, "person")) == (
        Status.CONFLICTS,
        {"source_rows": 3, "update": 1, "unchanged": 1, "conflicts": 1},
    )
    assert [each.key for each in done.report.met] == ["[1]"]
    assert shop.target.rows("person", "id, town")[0] == (1, "Linz")
    assert (2, "a@x") in shop.target.rows("person", "id, mail")
    there = shop.target.rows("person")
    assert sorted(asof(shop.spec, 2, "person").select(["id", "town"]).to_pylist(), key=str) == [
        {"id": id_, "town": town} for id_, _, town, _ in there
    ]
    assert shop.run().status == Status.DONE
    assert shop.target.content() == shop.source.content()


TYPES: dict[str, tuple[str, str, str]] = {
    "code": ("varchar(3)", "'ABC'", "'XYZ'"),
    "letters": ("char(2)", "'de'", "'fr'"),
    "title": ("varchar(200)", "'one'", "'two'"),
    "place": ("smallint", "1", "2"),
    "big": ("bigint", "9223372036854775807", "-9223372036854775808"),
    "price": ("decimal(3, 1)", "99.9", "-99.9"),
    "day": ("date", "'2020-02-29'", "'1999-12-31'"),
    "moment": ("timestamp", "'2020-02-29 12:00:00'", "'2021-02-28 12:00:01'"),
    "hour": ("time", "'12:00:00'", "'23:59:59'"),
    "x": ("double precision", "1.5", "-2.5"),
    "two": ("integer", "1", "2"),
}
CHECKS = ("code BETWEEN 'AAA' AND 'ZZZ'", "letters = lower(letters)", "place > 0", "two BETWEEN 1 AND 1000")
UUIDS = ("'00000000-0000-4000-8000-000000000001'", "'00000000-0000-4000-8000-000000000002'")


@everywhere
def test_values_of_any_type_change_places_and_pass_every_check_meanwhile(shop: Scenario) -> None:
    types = dict(TYPES)
    if shop.target.engine in ("postgresql", "duckdb"):
        types["id4"] = ("uuid", *UUIDS)

    def columns(side: Side, more: str) -> str:
        kinds = {"timestamp": "datetime"} if side.engine == "mysql" else {}
        kinds |= {"uuid": "varchar(36)"} if side == shop.source else {}
        return ", ".join(f"{name} {kinds.get(kind, kind)} {more}" for name, (kind, *_) in types.items())

    checks = ", ".join(f"CHECK ({each})" for each in CHECKS)
    refers = shop.target.engine != "duckdb"  # which changes no unique value of such a row
    shop.target.execute(
        f"CREATE TABLE t (id integer PRIMARY KEY, {columns(shop.target, 'NOT NULL UNIQUE')}, {checks})",
        f"CREATE TABLE c (id integer PRIMARY KEY{', t integer REFERENCES t (id)' if refers else ''})",
    )
    shop.target.execute("INSERT INTO c VALUES (1, NULL)" if refers else "INSERT INTO c VALUES (1)")
    shop.source.execute(f"CREATE TABLE t (id integer PRIMARY KEY, {columns(shop.source, 'NOT NULL')})")
    shop.write({"t": {"from": "t"}}, defaults={"window": 1, "delete": {"max_ratio": 1.0}})

    def enter(*rows: int) -> None:
        shop.source.execute("DELETE FROM t")
        for id_, which in enumerate(rows):
            values = ", ".join(each[which] for each in types.values())
            shop.source.execute(f"INSERT INTO t VALUES ({id_}, {values})")

    enter(1, 2)
    assert shop.run().status == Status.DONE
    before = shop.target.content()
    enter(2, 1)
    done = shop.run()
    assert (done.status, counts(done, "t")) == (Status.DONE, {"source_rows": 2, "update": 2})
    shop.settled()
    assert shop.undo(2).status == Status.DONE
    assert shop.target.content() == before


def test_what_can_hold_no_other_value_meanwhile_is_refused_with_the_row(shop: Scenario) -> None:
    shop.target.execute(
        "CREATE TABLE t (id integer PRIMARY KEY, flag boolean NOT NULL UNIQUE)",
        "CREATE TABLE c (id integer PRIMARY KEY, t integer REFERENCES t (id))",
    )
    shop.source.execute("CREATE TABLE t (id integer PRIMARY KEY, flag boolean)")
    shop.source.insert("t", [(1, True), (2, False)])
    shop.write({"t": {"from": "t"}}, defaults={"window": 1})
    shop.run()
    before = shop.target.content()
    shop.source.execute("UPDATE t SET flag = NOT flag")
    with pytest.raises(PlanError, match=r"t: row \[1\] gives up a unique value \(flag\)") as error:
        shop.run()
    assert "let flag be null" in error.value.fix
    assert shop.target.content() == before

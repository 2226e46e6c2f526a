"""Unique values that move: along a chain, round a circle, between windows, from a row that goes to one that comes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from scenario import RING, Scenario, pair_name

from flows.commands import Status

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
        after = shop.target.content()
        assert after == shop.source.content()
        shop.settled()
        number = done.report.version
        assert number is not None
        undone = shop.undo(number)
        assert undone.status == Status.DONE
        assert shop.target.content() == before
        assert shop.undo(number + 1).status == Status.DONE
        assert shop.target.content() == after

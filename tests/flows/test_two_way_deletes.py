"""Limits on deletes guard both sides: what is suddenly empty, or half gone, takes nothing away from the other, and the plan says which is which."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario import RING, Scenario, pair_name

from flows.commands import Status
from transforms.vocabulary import PlanError, SideName


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Twenty rows on both sides, under names of their own, that have met."""
    made = Scenario.make(tmp_path, getattr(request, "param", ("sqlite", "duckdb")), request)
    made.source.execute("CREATE TABLE old (no integer PRIMARY KEY, v varchar(9))")
    made.target.execute("CREATE TABLE t (id integer PRIMARY KEY, v varchar(9))")
    write(made)
    made.source.insert("old", [(n, f"v{n}") for n in range(20)])
    assert made.run().status is Status.DONE
    return made


def write(shop: Scenario, name: str = "shop", **more: str) -> None:
    entry = {"from": "old", "columns": {"id": "no", "v": "v"}, **more}
    shop.write({"t": entry}, name=name, direction="two_way", initial="policy", defaults={"delete": {"max_ratio": 0.5}})


@pytest.mark.parametrize("shop", RING, indirect=True, ids=pair_name)
def test_a_side_that_is_emptied_or_half_gone_takes_no_rows_from_the_other(shop: Scenario) -> None:
    before = shop.source.rows("old"), shop.target.rows("t")
    sides: tuple[tuple[SideName, SideName, str], ...] = (("source", "target", "t"), ("target", "source", "old"))
    for wiped, other, _ in sides:
        place, table, key = (shop.source, "old", "no") if wiped == "source" else (shop.target, "t", "id")
        place.execute(f"DELETE FROM {table} WHERE {key} > 5")
        with pytest.raises(
            PlanError, match=rf"t: This plan would delete 14 of 20 {other} rows \(70 %\).*look at the {wiped};"
        ):
            shop.run()
        place.execute(f"DELETE FROM {table}")
        with pytest.raises(
            PlanError, match=rf"t: The {wiped} has no rows at all\. This plan would delete 20 of 20 {other} rows"
        ):
            shop.run()
        assert (shop.source.rows("old"), shop.target.rows("t")) == tuple(
            [] if side == wiped else rows for side, rows in zip(("source", "target"), before, strict=True)
        )
        place.insert(table, before[0])
    shop.target.execute("DELETE FROM t WHERE id > 5")
    assert shop.run(allow_deletes=True).status is Status.DONE
    assert len(shop.source.rows("old")) == len(shop.target.rows("t")) == 6


def test_rows_of_the_source_that_another_migration_writes_too_go_only_where_the_spec_says_whose_they_are(
    shop: Scenario,
) -> None:
    shop.target.execute(
        "CREATE TABLE other (id integer PRIMARY KEY, v varchar(9))", "INSERT INTO other VALUES (1, 'x')"
    )
    shop.write(
        {"o": {"from": "old", "target": "other", "columns": {"id": "no", "v": "v"}}},
        name="other",
        direction="two_way",
        initial="target",
    )
    shop.run()
    write(shop)
    shop.target.execute("DELETE FROM t WHERE id = 3")
    with pytest.raises(
        PlanError, match=r"would delete 1 rows of old in the source, which other writes to as well.*`where:`"
    ):
        shop.run()
    assert shop.run(allow_deletes=True).status is Status.DONE
    write(shop, where="1 = 1", owns="1 = 1")
    shop.run()
    shop.target.execute("DELETE FROM t WHERE id = 4")
    assert shop.run().status is Status.DONE
    assert (4, "v4") not in shop.source.rows("old")

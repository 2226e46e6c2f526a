"""`scaffold`: a draft that plans, loads and verifies as it is, with all that the target can say and a list of the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from drafts import fill, scaffold, shape, untold
from scenario import RING, Engine, Rows, Scenario, Side, empty_mariadb, pair_name

from flows.commands import Outcome, Status
from transforms.vocabulary import TableShape

# Each engine is read for two or three others and written from as many; servers also both ways, and each to its own kind
# but DuckDB. What a type of one becomes on each other one, tests/laws/test_type_matrix.py says for all pairs.
PAIRS: tuple[tuple[Engine, Engine], ...] = (
    *RING,
    ("sqlite", "sqlite"),
    ("postgresql", "postgresql"),
    ("mysql", "mysql"),
    ("postgresql", "mysql"),
    ("mysql", "postgresql"),
    ("duckdb", "postgresql"),
)


@dataclass
class Moved:
    """A shop that was moved by its draft: what the draft says, and what came of it."""

    scenario: Scenario
    draft: dict[str, Any]
    staff: Rows
    outcomes: list[Outcome] = field(default_factory=list)
    made: dict[str, TableShape] = field(default_factory=dict)


@pytest.fixture(scope="module", params=PAIRS, ids=pair_name)
def moved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moved]:
    """From every engine to every engine, once: planned, run, planned again and verified."""
    folder: Path = tmp_path_factory.mktemp("shop")

    def side(engine: Engine, name: str) -> Side:
        own = f"{name}_{uuid4().hex[:12]}"
        if engine == "postgresql":
            return Side(engine, request.getfixturevalue("postgres_server"), own)
        if engine == "mysql":
            return empty_mariadb(request.getfixturevalue("mariadb_server"), own)
        return Side(engine, str(folder / f"{name}.db"))

    source, target = (side(*each) for each in zip(request.param, ("legacy", "core"), strict=True))
    shop = Scenario(folder, source, target)
    for each in (source, target):
        if each.engine == "postgresql":
            each.execute()
    fill(source)
    done = Moved(shop, {}, source.rows("staff"))
    done.draft = scaffold(shop)
    done.outcomes = [shop.plan(), shop.run(), shop.plan(), shop.verify()]
    done.made = {name: shape(target, name) for name in target.tables()}
    yield done
    for each in (source, target):
        if each.engine == "postgresql":
            each.execute(f"DROP SCHEMA {each.schema} CASCADE")


def test_a_draft_plans_loads_and_verifies_as_it_is(moved: Moved) -> None:
    planned, done, again, verified = moved.outcomes
    shop = moved.scenario
    assert {table["name"] for table in moved.draft["tables"]} == {*shop.spec.tables} == {
        "country", "store", "staff", "product", 'Odd: "name" & co', "blank",
    }  # fmt: skip
    assert planned.status == Status.CHANGES
    assert all(table.ddl for table in planned.report.tables)
    assert (done.status, done.report.total.quarantined, done.report.total.insert) == (Status.DONE, 0, 10)
    assert (again.status, verified.status) == (Status.DONE, Status.DONE)
    assert not any(table.ddl or table.after_load for table in again.report.tables)
    assert shop.source.rows("staff") == moved.staff


def test_keys_generated_columns_and_not_null_are_made(moved: Moved) -> None:
    made, source, target = moved.made, moved.scenario.source.engine, moved.scenario.target.engine
    keys = {name: {key.refers.name for key in each.foreign_keys} for name, each in made.items() if each.foreign_keys}
    circle = {"store": {"country"}} if source == "duckdb" else {"store": {"staff", "country"}, "staff": {"store"}}
    assert keys == ({} if target == "duckdb" else circle)
    assert made["country"].primary_key == ("code",)
    assert made['Odd: "name" & co'].primary_key == ("select", "a.b")
    assert frozenset({"name"}) in made["country"].uniques
    assert [column.name for column in made["product"].columns if column.generated][:1] == ["total"]
    assert not made["staff"].column("name").nullable  # type: ignore[union-attr]


def test_what_the_source_fills_in_numbers_and_forbids_the_target_does_too(moved: Moved) -> None:
    source, target = moved.scenario.source, moved.scenario.target
    target.execute("INSERT INTO staff (store) VALUES (1)")
    assert target.ask("SELECT id, name FROM staff ORDER BY id")[-1] == (21, "O'Hara: 100%")
    local = target.engine == "sqlite" != source.engine  # the time of the session, which SQLite does not tell
    assert target.ask("SELECT count(*) FROM staff WHERE since IS NOT NULL") == [(2 if local else 3,)]
    target.execute("INSERT INTO product (id, number) VALUES (99, 3)")
    assert float(target.ask("SELECT total FROM product WHERE id = 99")[0][0]) == 1.5
    for wrong in (
        "INSERT INTO product (id, price) VALUES (100, -1)",
        "INSERT INTO staff (id, store, kind) VALUES (100, 1, 'cook')",
        "INSERT INTO country (code, name) VALUES ('DE', 'Austria')",
        "INSERT INTO country (code) VALUES ('DE')",
    ):
        with pytest.raises(Exception, match=r"(?i)check|unique|null|constraint `.*` failed|duplicate|default value"):
            target.execute(wrong)


def test_what_does_not_translate_is_listed_in_the_draft_and_by_the_command(moved: Moved) -> None:
    draft, source, target = moved.draft, moved.scenario.source.engine, moved.scenario.target.engine
    assert any("index half" in what for what in untold(draft, "staff"))
    if "duckdb" not in (source, target):
        made = moved.made["staff"].foreign_keys
        assert [key.on_delete for key in made if key.refers.name == "store"] == ["CASCADE"]
    if source != target:
        assert any("generated column low" in what and "LOWER" in what for what in untold(draft, "product"))
    if target == "duckdb":
        assert any("foreign key (country) to country: DuckDB checks it" in what for what in untold(draft, "store"))
    flat = " ".join(moved.scenario.path.read_text().replace("#", " ").split())
    for each in draft["untranslated"]:
        assert f"Not translated ({each['severity']}): " + " ".join(each["what"].split()) in flat


def test_tables_come_after_those_that_they_refer_to_and_circles_are_named(moved: Moved) -> None:
    names = [table["name"] for table in moved.draft["tables"]]
    assert names.index("country") < names.index("store")
    written = " ".join(moved.scenario.path.read_text().split())
    circle = "refer to each other: their foreign keys hold once the rows of both are in" in written
    assert circle == (moved.scenario.source.engine != "duckdb" and moved.scenario.target.engine != "duckdb")

"""Tables that go both ways, bound to both sides: the policy, the ways back, the key of the source, and what it is written by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from scenario import RING, Scenario, pair_name

from flows.bind.mirror import mirrored
from flows.session.session import Session, connect, with_binding
from transforms.vocabulary import Problem, SpecError

SOURCE = (
    "CREATE TABLE airports (faa varchar(3) PRIMARY KEY, name varchar(40), alt double precision, kind varchar(1),"
    " changed_at timestamp, made_by varchar(9) NOT NULL, note varchar(20))"
)
TARGET = (
    "CREATE TABLE airport (code varchar(3) PRIMARY KEY, name varchar(40), alt_m double precision, kind varchar(9),"
    " updated_at timestamp)"
)
AIRPORT: dict[str, Any] = {
    "from": "airports",
    "columns": {
        "code": "faa",
        "name": "name",
        "alt_m": {"expr": "alt * 0.5", "inverse": {"alt": "alt_m / 0.5"}},
        "kind": {"from": "kind", "map": {"A": "large", "B": "small"}},
        "updated_at": "changed_at",
    },
    "on_source": {"made_by": {"const": "sync"}},
    "key": ["code"],
}


@contextmanager
def bound_of(scenario: Scenario, tables: dict[str, Any], **rest: Any) -> Iterator[Session]:
    scenario.write(tables, **{"direction": "two_way", **rest})
    with connect(scenario.spec) as session:
        yield with_binding(session)


def problems_of(scenario: Scenario, tables: dict[str, Any], **rest: Any) -> tuple[Problem, ...]:
    with pytest.raises(SpecError) as caught, bound_of(scenario, tables, **rest):
        pass
    for each in caught.value.problems:
        assert each.what.endswith("."), each
    return caught.value.problems


def texts(problems: tuple[Problem, ...]) -> str:
    return "\n".join(map(str, problems))


@pytest.fixture
def airports(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    made = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    made.source.execute(SOURCE)
    made.target.execute(TARGET)
    return made


@pytest.mark.parametrize("pair", RING, ids=pair_name)
def test_a_table_and_its_mirror_know_how_rows_go_back(
    pair: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    scenario = Scenario.make(tmp_path, pair, request)
    for side, made in ((scenario.source, SOURCE), (scenario.target, TARGET)):
        side.execute(made.replace("timestamp", "datetime(6)") if side.engine == "mysql" else made)
    conflict = {"resolve": "newer_wins", "clock": {"source": "changed_at", "target": "updated_at"}, "skew": "5s"}
    with bound_of(
        scenario, {"airport": {**AIRPORT, "conflict": {"columns": {"alt_m": "larger"}}}}, conflict=conflict
    ) as at:
        bound = at.bound.table("airport")
        two_way = bound.two_way
        assert two_way is not None
        clock = two_way.policy.clock
        assert clock is not None
        assert (clock.names, clock.skew, clock.tie) == (("updated_at", "updated_at"), timedelta(seconds=5), "manual")
        assert (two_way.policy.resolve, two_way.policy.rule("alt_m").kind) == ("newer_wins", "larger")
        assert {name: way.writes for name, way in two_way.ways.items() if not way.why_not} == {
            "code": ("faa",), "name": ("name",), "alt_m": ("alt",), "kind": ("kind",), "updated_at": ("changed_at",),
        }  # fmt: skip
        assert two_way.source_key == ("faa",)
        assert two_way.reads == ("faa", "name", "alt", "kind", "changed_at")
        rows = pa.table(
            {
                name: pa.nulls(2, kind)
                for name, kind in zip(bound.mapping.schema.names, bound.mapping.schema.types, strict=True)
            }
        )
        assert two_way.given(rows).to_pydict() == {"made_by": ["sync", "sync"]}
        source = at.sides.written("source").adapter
        mirror = mirrored(at.spec, at.bound, source, ["airport"]).table("airport")
        assert mirror.shape.name == bound.source.table
        assert mirror.key == ("faa",)
        assert mirror.images == ("faa", "name", "alt", "kind", "changed_at", "made_by")
        assert (mirror.unwritable, mirror.delete, mirror.lookups, mirror.two_way) == (None, "hard", {}, None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"key": ["name"]}, "the key goes back to (name) of the source, which has no unique constraint on exactly these columns"),
        ({"columns": {**AIRPORT["columns"], "code": {"expr": "upper(faa)"}}}, "the key column code is made by an expression without an `inverse`"),
        ({"on_source": {}}, "airports.made_by takes no nulls, has no default, and no column goes back to it. Fix: say what it gets in tables.airport.on_source"),
        ({"on_source": {"made_by": {"const": None}}}, "on_source.made_by: None"),
        ({"on_source": {"made_by": {"expr": "updated_at"}}}, "on_source.made_by: `updated_at` is timestamp"),
        ({"on_source": {"made_by": {"expr": "nowhere"}}}, "on_source.made_by: airport has no mapped column nowhere. Known:"),
        ({"on_source": {"made_by": {"const": "x"}, "by": {"const": 1}}}, "on_source.by: the source has no column by. Known:"),
        ({"on_source": {"made_by": {"const": "x"}, "name": {"const": "y"}}}, "on_source.name is written back from a column of the target"),
        ({"delete": "ignore"}, "`delete: ignore` keeps rows on the target that the source lost"),
        ({"where": "alt > 1"}, "nothing says which of the target belong to it. Fix: add `owns:`"),
        ({"from": {"query": "SELECT * FROM airports"}}, "its rows come from a query, which cannot be written. Fix: name a table"),
        ({"from": ["airports", "airports"], "key": ["code"]}, "its rows come from several sources"),
        ({"columns": {**AIRPORT["columns"], "alt_m": {"expr": "alt", "inverse": {"high": "alt_m"}}}}, "alt_m: inverse: the source has no column high."),
        ({"columns": {**AIRPORT["columns"], "alt_m": {"expr": "alt", "inverse": {"alt": "altitude"}}}}, "alt_m: inverse of alt: airport has no mapped column altitude. Known: "),
        ({"conflict": {"columns": {"code": "longer"}}}, "code is part of the key, by which rows are matched."),
        ({"conflict": {"columns": {"size": "sum"}}}, "there is no column size that both sides have. Fix: name one of"),
        ({"conflict": {"columns": {"name": "sum"}}}, "name is text: a sum is of numbers. Fix: choose another rule"),
        ({"conflict": {"columns": {"name": {"python": "nowhere.merge"}}}}, "name: python: nowhere cannot be imported"),
        ({"conflict": {"clock": "seen"}}, "the source has no column seen and the target has no column seen for the clock."),
        ({"conflict": {"clock": "name"}}, "name is text, and no clock. Fix: name a date"),
        ({"conflict": {"clock": {"source": "alt", "target": "updated_at"}}}, "and no clock."),
        ({"initial": "newer"}, "`initial: newer` needs a clock."),
        ({"conflict": {"clock": "updated_at", "skew": "5s"}, "columns": {**AIRPORT["columns"], "updated_at": None}}, "clock"),
    ],
)  # fmt: skip
def test_what_cannot_go_both_ways_is_said_with_what_to_write(
    airports: Scenario, change: dict[str, Any], said: str
) -> None:
    table = {**AIRPORT, **change}
    table["columns"] = {name: column for name, column in table["columns"].items() if column is not None}
    problems = problems_of(airports, {"airport": table})
    assert said in texts(problems)
    assert {each.table for each in problems} == {"airport"}
    assert all("spec.yaml:" in each.where for each in problems)


def test_all_problems_of_a_table_are_said_at_once(airports: Scenario) -> None:
    table = {
        **AIRPORT,
        "key": ["name"],
        "on_source": {"made_by": {"const": None}},
        "conflict": {"columns": {"name": "sum"}},
    }
    assert len(problems_of(airports, {"airport": table})) == 4


def test_a_view_of_the_source_cannot_be_written(airports: Scenario) -> None:
    airports.source.execute("CREATE VIEW seen AS SELECT * FROM airports")
    assert "name the table where it is a view" in texts(problems_of(airports, {"airport": {**AIRPORT, "from": "seen"}}))


def test_several_tables_may_be_made_of_one_of_the_source_and_have_one_mirror(airports: Scenario) -> None:
    airports.target.execute(TARGET.replace("airport", "port"))
    with bound_of(airports, {"airport": AIRPORT, "port": AIRPORT}) as at:
        source = at.sides.written("source").adapter
        for name in ("airport", "port"):
            (mirror,) = mirrored(at.spec, at.bound, source, [name]).tables
            assert (mirror.name, mirror.shape.name) == ("airport", at.bound.table(name).source.table)


def test_local_clocks_of_different_zones_are_refused(airports: Scenario) -> None:
    clock = {**AIRPORT, "conflict": {"clock": {"source": "changed_at", "target": "updated_at"}}}
    zones = {
        "source": {**airports.source.endpoint, "time_zone": "Europe/Vienna"},
        "target": {**airports.target.endpoint, "time_zone": "America/New_York"},
    }
    found = problems_of(airports, {"airport": clock}, **zones)
    assert "local times of different zones: Europe/Vienna on the source and America/New_York on the target" in texts(
        found
    )
    zones["target"]["time_zone"] = "Europe/Vienna"
    with bound_of(airports, {"airport": clock}, **zones):
        pass


def test_a_clock_of_the_source_that_is_not_mapped_is_read_for_itself(airports: Scenario) -> None:
    airports.source.execute("ALTER TABLE airports ADD COLUMN touched timestamp")
    table = {**AIRPORT, "conflict": {"clock": {"source": "touched", "target": "updated_at"}}}
    with bound_of(airports, {"airport": table}) as at:
        two_way = at.bound.table("airport").two_way
        assert two_way is not None
        assert two_way.policy.clock is not None
        assert two_way.policy.clock.source == "touched"
        assert "touched" in two_way.reads
        assert "touched" not in two_way.writes


def test_functions_of_rules_are_loaded_from_beside_the_spec(airports: Scenario) -> None:
    (airports.folder / "merging.py").write_text("def both(base, source, target): return source + target\n")
    table = {**AIRPORT, "conflict": {"columns": {"name": {"python": "merging.both"}, "kind": {"joined": "/"}}}}
    with bound_of(airports, {"airport": table}) as at:
        two_way = at.bound.table("airport").two_way
        assert two_way is not None
        rule = two_way.policy.rule("name")
        assert (rule.kind, rule.name, rule.function and rule.function(None, 1, 2)) == ("python", "merging.both", 3)  # type: ignore[arg-type]
        assert (two_way.policy.rule("kind").kind, two_way.policy.rule("kind").separator) == ("joined", "/")


def test_names_of_settings_are_taken_in_any_case_that_the_engines_take(airports: Scenario) -> None:
    table = {
        **AIRPORT,
        "on_source": {"MADE_BY": {"expr": "'sync'"}},
        "conflict": {"clock": {"source": "Changed_At", "target": "Updated_At"}, "columns": {"NAME": "longer"}},
    }
    with bound_of(airports, {"airport": table}) as at:
        two_way = at.bound.table("airport").two_way
        assert two_way is not None
        assert (list(two_way.on_source), list(two_way.policy.columns)) == (["made_by"], ["name"])
        assert two_way.policy.clock is not None
        assert two_way.policy.clock.names == ("updated_at", "updated_at")

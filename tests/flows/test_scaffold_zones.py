"""Drafts between instants and local times: a zone for each side that needs one, filled in and marked as a guess."""

from __future__ import annotations

from pathlib import Path

import pytest
from drafts import scaffold
from scenario import Engine, Scenario, counts, pair_name

from adapters.registry import open_target
from flows.scaffold.zones import guessed_zone

TYPES: dict[Engine, tuple[str, str]] = {
    "mysql": ("TIMESTAMP(6)", "DATETIME(6)"),
    "postgresql": ("timestamptz", "timestamp"),
    "duckdb": ("TIMESTAMPTZ", "TIMESTAMP"),
    "sqlite": ("TIMESTAMPTZ", "TIMESTAMP"),
}
"""Of each engine what holds an instant, and what a local time."""


@pytest.fixture
def crossed(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    return Scenario.make(tmp_path, request.param, request)


@pytest.mark.parametrize(
    "crossed",
    [("mysql", "postgresql"), ("postgresql", "mysql"), ("sqlite", "duckdb"), ("duckdb", "sqlite")],
    indirect=True,
    ids=pair_name,
)
def test_instants_and_local_times_cross_over_in_the_zones_that_the_draft_guesses(crossed: Scenario) -> None:
    here, there = TYPES[crossed.source.engine], TYPES[crossed.target.engine]
    tables = {
        "outward": (here[0], there[1]),
        "homeward": (here[1], there[0]),
        "instants": (here[0], there[0]),
        "days": ("date", there[0]),
    }
    text = "2024-07-01 10:00:00"
    for name, (own, other) in tables.items():
        instant = own == here[0] and crossed.source.engine != "mysql"
        value = text[:10] if own == "date" else f"{text}+00:00" if instant else text
        crossed.source.execute(
            f"CREATE TABLE {name} (id int PRIMARY KEY, since {own})",
            f"INSERT INTO {name} VALUES (1, '{value}'), (2, NULL)",
        )
        crossed.target.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, since {other} NULL)")
    draft = scaffold(crossed)
    assert not [table for table in draft["tables"] if "left_out" in table]
    spec = crossed.spec
    zones = {}
    for end, side in (("source", crossed.source), ("target", crossed.target)):
        adapter = open_target(side.url)
        zones[end], about = guessed_zone(adapter)
        adapter.close()
        assert f"{end}: time_zone {zones[end]} is where" in " ".join(crossed.path.read_text().replace("#", "").split())
        assert about.startswith("a guess")
    assert (spec.source.time_zone, spec.target.time_zone) == (zones["source"], zones["target"])
    done = crossed.run()
    assert all(counts(done, name) == {"source_rows": 2, "insert": 2} for name in tables)
    crossed.settled()


def test_no_zone_is_written_where_nothing_crosses_over(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    plain = Scenario.make(tmp_path, ("duckdb", "sqlite"), request)
    plain.source.execute("CREATE TABLE t (id int PRIMARY KEY, since TIMESTAMPTZ, local TIMESTAMP)")
    plain.target.execute("CREATE TABLE t (id int PRIMARY KEY, since TIMESTAMPTZ, local TIMESTAMP)")
    scaffold(plain)
    assert (plain.spec.source.time_zone, plain.spec.target.time_zone) == (None, None)


@pytest.mark.parametrize(
    ("setting", "zone"),
    [
        ("SET time_zone = '+02:00'", "UTC"),
        ("SET time_zone = 'SYSTEM'", None),
        ("SET timezone = 'Asia/Tokyo'", "Asia/Tokyo"),
    ],
)
def test_the_zone_is_what_the_server_says_and_not_the_session(
    setting: str, zone: str | None, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Syncline's own sessions are in UTC. A name that a spec does not take is told of."""
    engine: Engine = "postgresql" if "timezone" in setting else "mysql"
    side = Scenario.make(tmp_path, (engine, "sqlite"), request).source
    before = side.ask("SELECT @@global.time_zone")[0][0] if engine == "mysql" else None
    if engine == "mysql":
        side.execute(setting.replace("SET", "SET GLOBAL"))
    else:
        name = side.ask("SELECT current_database()")[0][0]
        side.execute(f"ALTER DATABASE {name} {setting}")
    adapter = open_target(side.url)
    try:
        found, about = guessed_zone(adapter)
        named = adapter.usual_zone()
    finally:
        adapter.close()
        if before is not None:
            side.execute(f"SET GLOBAL time_zone = '{before}'")
    assert named
    if zone is not None:
        assert found == zone
        assert ("+02:00" in about) == (zone == "UTC")

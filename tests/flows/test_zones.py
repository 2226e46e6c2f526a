"""Where naive timestamps are, and spans of time that an expression makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario import RING, Engine, Scenario, pair_name, quarantine

from transforms.vocabulary import SpecError

AWARE = {"sqlite": "TIMESTAMPTZ", "duckdb": "TIMESTAMPTZ", "postgresql": "timestamptz", "mysql": "timestamp(6) NULL"}
NAIVE = {"sqlite": "TIMESTAMP", "duckdb": "TIMESTAMP", "postgresql": "timestamp", "mysql": "datetime(6)"}
SPAN = {"sqlite": "INTERVAL", "duckdb": "INTERVAL", "postgresql": "interval", "mysql": "time(6)"}


@pytest.fixture(params=RING, ids=pair_name)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    return Scenario.make(tmp_path, request.param, request)


def zoned(
    pair: Scenario, columns: dict[str, Any], source: str | None = None, target: str | None = None, **rest: Any
) -> None:
    """The spec of table `event`, with the zones of both sides."""
    sides = {name: side.endpoint | ({"time_zone": zone} if zone else {})
             for name, side, zone in (("source", pair.source, source), ("target", pair.target, target))}  # fmt: skip
    pair.write({"event": {"from": "event", "key": ["id"], "columns": {"id": "id"} | columns}} | rest, **sides)


def moment(engine: Engine, text: str) -> str:
    return f"'{text}'" if engine == "mysql" else f"'{text}+00'" if engine != "sqlite" else f"'{text}+00:00'"


def test_an_instant_becomes_the_local_time_of_the_target(pair: Scenario) -> None:
    source, target = pair.source.engine, pair.target.engine
    pair.source.execute(
        f"CREATE TABLE event (id integer PRIMARY KEY, seen {AWARE[source]}, since {AWARE[source]})",
        f"INSERT INTO event VALUES (1, {moment(source, '2021-07-01 22:30:00')}, {moment(source, '2021-06-30 22:00:00')})",
        f"INSERT INTO event VALUES (2, {moment(source, '2021-01-01 12:00:00.5')}, {moment(source, '2021-01-01 00:00:00')})",
        "INSERT INTO event VALUES (3, NULL, NULL)",
    )
    pair.target.execute(f"CREATE TABLE event (id integer PRIMARY KEY, seen {NAIVE[target]}, since date)")
    columns: dict[str, Any] = {
        "seen": {"from": "seen", "cast": "timestamp"},
        "since": {"from": "since", "cast": "date"},
    }
    zoned(pair, columns, source="America/New_York")
    with pytest.raises(SpecError, match="add `time_zone:` to the cast or to the target"):
        pair.plan()
    zoned(pair, columns, source="America/New_York", target="Europe/Vienna")
    pair.run()
    assert [reason for _, _, reason in quarantine(pair)] == ["timestamp with time zone that is no date without loss"]
    found = [(row[0], str(row[1])[:21], str(row[2])[:10]) for row in pair.target.ask("SELECT * FROM event ORDER BY id")]
    assert found == [(1, "2021-07-02 00:30:00", "2021-07-01"), (3, "None", "None")]
    pair.settled()
    columns["seen"] = {"from": "seen", "cast": {"type": "timestamp", "time_zone": "UTC"}}
    zoned(pair, columns, target="Europe/Vienna")  # a cast that names its zone means it
    assert pair.plan().report.total.update == 1


def test_a_local_time_is_in_the_zone_of_the_side_that_it_is_read_from(pair: Scenario) -> None:
    source, target = pair.source.engine, pair.target.engine
    pair.source.execute(f"CREATE TABLE event (id integer PRIMARY KEY, seen {NAIVE[source]}, place integer)")
    pair.source.execute("INSERT INTO event VALUES (1, '2021-07-01 12:00:00', 7)")
    pair.target.execute(f"CREATE TABLE place (id integer PRIMARY KEY, opened {NAIVE[target]})")
    pair.target.execute("INSERT INTO place VALUES (7, '2021-07-01 12:00:00')")
    lookup = {"lookup": {"table": "place", "match": {"id": "place"}, "take": "opened"}, "cast": "timestamptz"}
    columns = {"seen": {"from": "seen", "cast": "timestamptz"}, "opened": lookup}
    zoned(pair, columns, source="America/New_York")
    with pytest.raises(SpecError, match="add `time_zone:` to the cast or to the target"):
        pair.plan()
    zoned(pair, columns, target="Europe/Vienna")
    with pytest.raises(SpecError, match="add `time_zone:` to the cast or to the source"):
        pair.plan()
    zoned(pair, columns, source="America/New_York", target="Europe/Vienna")
    pair.run()
    hours = {"postgresql": "extract(hour FROM {} AT TIME ZONE 'UTC')", "duckdb": "hour({} AT TIME ZONE 'UTC')",
             "mysql": "hour({})", "sqlite": "strftime('%H', {})"}[target]  # fmt: skip
    ((at, opened),) = pair.target.ask(f"SELECT {hours.format('seen')}, {hours.format('opened')} FROM event")
    assert (int(at), int(opened)) == (16, 10)
    pair.settled()


def test_an_expression_gives_a_span_of_time(pair: Scenario) -> None:
    kind = SPAN[pair.target.engine]
    pair.source.execute("CREATE TABLE event (id integer PRIMARY KEY, ms integer)")
    pair.source.execute("INSERT INTO event VALUES (1, 343719), (2, -1), (3, NULL), (4, 90000000)")
    pair.target.execute(
        f"CREATE TABLE event (id integer PRIMARY KEY, span {kind}, cast_span {kind}, words varchar(40))"
    )
    span = "to_milliseconds(ms)"
    words = {"expr": "to_days(-1) + to_hours(id) + to_months(1)", "cast": "text"}
    zoned(pair, {"span": span_of(span), "cast_span": span_of(span, cast="interval"), "words": words})
    pair.run()
    pair.settled()
    rows = pair.target.ask("SELECT span, cast_span, words FROM event ORDER BY id")
    assert [row[0] for row in rows] == [row[1] for row in rows]
    assert ["43.719" in str(rows[0][0]), "5:43" in str(rows[0][0]), rows[2][0]] == [True, True, None]
    assert [row[2] for row in rows] == [f"1 mon -1 days +0{hour}:00:00" for hour in (1, 2, 3, 4)]


def span_of(sql: str, **more: str) -> dict[str, str]:
    return {"expr": sql} | more

"""What a check says of tables that go both ways, and that nothing is written to a source that nobody asked to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
from assessing import checked
from command_line import answer, syncline
from scenario import Scenario, Side

from flows.check.assess import assess
from flows.commands import Status

ROWS = [(1, 12.0, "a"), (2, 7.0, "b")]
HEIGHT: dict[str, Any] = {"expr": "alt * 0.5", "inverse": {"alt": "alt_m / 0.5"}}


@pytest.fixture
def hills(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    made = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    made.source.execute("CREATE TABLE hill (k integer PRIMARY KEY, alt double precision, name text)")
    made.source.insert("hill", ROWS)
    made.target.execute(
        "CREATE TABLE hill (k integer PRIMARY KEY, alt_m double precision, name text, shout text, fixed text)"
    )
    return made


def write(scenario: Scenario, **columns: Any) -> None:
    made = {"k": "k", "alt_m": HEIGHT, "name": "name", **columns}
    scenario.write({"hill": {"from": "hill", "columns": made}}, direction="two_way")


def test_a_check_says_of_every_column_whether_it_goes_back_and_why_not(hills: Scenario) -> None:
    write(hills, shout={"expr": "upper(name)"}, fixed={"const": "x"})
    found = checked(hills)
    assert found.status == 0
    (table,) = (
        found.as_dict()["tables"].values() if isinstance(found.as_dict()["tables"], dict) else found.as_dict()["tables"]
    )
    assert {column["name"]: column["back"] for column in table["columns"]} == {
        "k": {"writes": ["k"], "why_not": ""},
        "alt_m": {"writes": ["alt"], "why_not": ""},
        "name": {"writes": ["name"], "why_not": ""},
        "shout": {"writes": [], "why_not": "is made by an expression without an `inverse`"},
        "fixed": {"writes": [], "why_not": "is a constant"},
    }
    assert [(each.level, each.columns, each.code) for each in found.tables[0].findings] == [
        ("note", ("shout",), "no_inverse"),
        ("note", ("fixed",), "no_inverse"),
    ]
    shown = syncline("check", hills.path).stdout
    assert "Written back: k to k, alt_m to alt, name to name, shout not, fixed not." in shown
    assert "Fix: add `inverse:`" in shown or "add `inverse:`" in shown


def test_a_check_says_what_a_run_needs_on_the_source(hills: Scenario) -> None:
    write(hills)
    for noticed in (answer("check", hills.path, "--schema-only")["notices"], checked(hills).as_dict()["notices"]):
        (needed,) = noticed
        assert (needed["code"], needed["facts"]) == (
            "writes_source",
            {"tables": ["hill"], "rights": ["SELECT", "INSERT", "UPDATE", "DELETE"], "marker": "syncline_marker"},
        )


def test_an_inverse_that_is_none_is_found_by_the_data_with_the_row(hills: Scenario) -> None:
    write(hills, alt_m={"expr": "alt * 0.5", "inverse": {"alt": "alt_m * 0.5"}})
    found = checked(hills)
    assert found.status == 1
    (finding,) = found.tables[0].findings
    assert (finding.level, finding.columns, finding.code, finding.rows) == ("error", ("alt_m",), "inverse_differs", 2)
    assert [(each.key, each.value) for each in finding.samples] == [("[1]", "6.0"), ("[2]", "3.5")]
    assert "inverse" in finding.fix


def test_an_inverse_of_another_value_that_is_mapped_alike_is_a_note(hills: Scenario) -> None:
    hills.source.insert("hill", [(3, 8.5, "Hill")])
    write(hills, name={"expr": "lower(name)", "inverse": {"name": "name"}})
    found = checked(hills)
    assert found.status == 0
    assert [(each.level, each.columns, each.rows) for each in found.tables[0].findings] == [("note", ("name",), 1)]


def test_rows_that_only_the_target_has_are_none_to_delete(hills: Scenario) -> None:
    hills.target.execute("INSERT INTO hill VALUES (7, 1.0, 'here', NULL, NULL)")
    write(hills)
    found = checked(hills)
    assert found.tables[0].counts is not None
    assert (found.status, found.tables[0].counts.delete) == (0, 0)
    assert hills.target.count("hill") == 1


def test_without_two_ways_a_user_who_may_only_read_the_source_is_enough(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    scenario = Scenario.make(tmp_path, ("postgresql", "sqlite"), request)
    scenario.source.execute("CREATE TABLE t (k bigint PRIMARY KEY, v text)")
    scenario.source.insert("t", [(1, "a"), (2, "b")])
    schema, place = scenario.source.schema, urlsplit(scenario.source.url)
    role = f"reader_{uuid4().hex[:8]}"
    with scenario.source.connected() as run:
        run(f"CREATE ROLE {role} LOGIN PASSWORD 'only-reads'")
        run(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        run(f"GRANT SELECT ON t TO {role}")
    reader = urlunsplit(place._replace(netloc=f"{role}:only-reads@{place.netloc.rpartition('@')[2]}"))
    before = written(scenario.source)
    try:
        scenario.write({"t": {"from": "t", "key": "k"}}, source={"url": reader, "schema": schema})
        assert assess(scenario.spec, scenario.request("plan").at).status == 0
        assert scenario.run().status == Status.DONE
        scenario.settled()
        scenario.source.execute("UPDATE t SET v = 'c' WHERE k = 2")
        assert scenario.run().status == Status.DONE
        assert scenario.undo(2).status == Status.DONE
        assert written(scenario.source) == before + 1  # the test's own update
        assert scenario.source.ask(f"SELECT tablename FROM pg_tables WHERE schemaname = '{schema}'") == [("t",)]
    finally:
        with scenario.source.connected() as run:
            run(f"DROP OWNED BY {role}")
            run(f"DROP ROLE {role}")


def written(side: Side) -> int:
    """How many row versions anybody ever wrote to the tables of a schema."""
    with side.connected() as run:
        run("SELECT pg_stat_force_next_flush()")
    ((count,),) = side.ask(
        f"SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables WHERE schemaname = '{side.schema}'"
    )
    return int(count)

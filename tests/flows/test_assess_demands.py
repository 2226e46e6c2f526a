"""What `check` says of checks, domains, generated columns and indexes of expressions is what a run then does."""

from __future__ import annotations

from pathlib import Path

import pytest
from assessing import checked
from scenario import Engine, Scenario, quarantine

from flows.commands import Status

SOURCE = "CREATE TABLE s (k integer PRIMARY KEY, v integer, w text)"
ROWS = [(1, 1, "a"), (2, -5, "bb"), (3, None, None), (4, 50, "ccc"), (5, 7, "x")]
COLUMNS = "k int PRIMARY KEY, v int, w varchar(20)"
DEMANDS: dict[Engine, dict[str, tuple[int, ...]]] = {
    "sqlite": {
        "CHECK (json_extract('[' || w, '$') IS NULL)": (1, 2, 4, 5),
        "g AS (v * 2) CHECK (g < 90)": (4,),
        "CONSTRAINT \"odd name\" CHECK (w NOT GLOB 'b*'), CONSTRAINT two CHECK (v <> 7)": (2, 5),
    },
    "duckdb": {
        "CHECK (regexp_matches(w, '^[abc]+$'))": (5,),
        "CHECK (CAST(w AS int) > 3)": (1, 2, 4, 5),
        "g int AS (v * 100000000)": (4,),
        "@ CREATE INDEX computed ON {table} ((CAST(w AS int)))": (1, 2, 4, 5),
    },
    "mysql": {
        "CHECK (w REGEXP '^[ab]+$')": (4, 5),
        "g tinyint AS (v * 20) STORED, CHECK (g <> 20)": (1, 4, 5),
        "CHECK (json_valid(concat('[', w, ']')))": (1, 2, 4, 5),
        "most int DEFAULT 10, CHECK (v < most)": (4,),
    },
    "postgresql": {
        "CHECK (odd(v))": (4, 5),
        "d small GENERATED ALWAYS AS (v) STORED": (2, 4),
        "g int GENERATED ALWAYS AS (100 / (v - 7)) STORED, CHECK (g > -10)": (1, 5),
        "@ ALTER TABLE {table} ADD CONSTRAINT later CHECK (v > 0) NOT VALID": (2,),
        "@ CREATE INDEX ON {table} ((100 / (v - 7)))": (5,),
        "@ ALTER TABLE {table} ALTER v TYPE small": (2, 4),
    },
}
"""Of each engine demands of a table, and the rows that they refuse. Behind `@` is a statement."""
EVERYWHERE = {
    "CHECK (v > 0 OR length(w) > 2)": (2,),
    "CHECK (v > 0 AND w <> 'x')": (2, 5),
    "CHECK (v IS NOT NULL)": (3,),
}
MADE: dict[Engine, tuple[str, ...]] = {
    "postgresql": (
        "CREATE DOMAIN above AS int CHECK (value > 0)",
        "CREATE DOMAIN small AS above CHECK (value < 10)",
        "CREATE FUNCTION odd(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS "
        "$$ BEGIN IF $1 = 50 THEN RAISE EXCEPTION 'no'; END IF; RETURN $1 <> 7; END $$",
    ),
}


@pytest.mark.parametrize("engine", DEMANDS)
def test_what_is_said_to_be_refused_is_what_a_run_sets_aside(
    engine: Engine, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    small = Scenario.make(tmp_path, ("sqlite", engine), request)
    small.source.execute(SOURCE)
    small.source.insert("s", ROWS)
    small.target.execute(*MADE.get(engine, ()))
    wanted = {f"t{number}": each for number, each in enumerate({**EVERYWHERE, **DEMANDS[engine]}.items())}
    for name, (demand, _) in wanted.items():
        inside, _, then = demand.partition("@")
        small.target.execute(f"CREATE TABLE {name} ({COLUMNS}{', ' if inside else ''}{inside})")
        small.target.execute(*([then.format(table=name)] if then else []))
    mapped = {"from": "s", "key": ["k"], "columns": {"k": "k", "v": "v", "w": "w"}}
    small.write(dict.fromkeys(wanted, mapped) | {"new": {**mapped, "create": {"checks": ["k <> 4", "v > 0"]}}})
    said = checked(small)
    assert said.verdict.startswith("A run would succeed")
    assert all(finding.code for table in said.tables for finding in table.findings)
    done = small.run()
    assert (done.status, done.message) == (Status.DONE, ""), "nothing is refused while rows are written"
    aside = {name: tuple(key for table, (key,), _ in quarantine(small) if table == name) for name in [*wanted, "new"]}
    assert aside == {name: rows for name, (_, rows) in wanted.items()} | {"new": (2, 4)}
    assert {table.name: table.counts.quarantined for table in said.tables if table.counts} == {
        name: len(rows) for name, rows in aside.items()
    }


def test_what_cannot_be_tried_out_is_not_said_to_succeed(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A check of whole rows, which no temporary table can have."""
    small = Scenario.make(tmp_path, ("sqlite", "postgresql"), request)
    small.source.execute(SOURCE)
    small.source.insert("s", ROWS)
    small.target.execute(
        f"CREATE TABLE t ({COLUMNS})",
        "CREATE FUNCTION fits(t) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1.v > 0'",
        "ALTER TABLE t ADD CONSTRAINT whole CHECK (fits(t))",
    )
    small.write({"t": {"from": "s"}})
    said = checked(small)
    assert "succeed" not in said.verdict and "t may refuse" in said.verdict
    assert [w.code for w in said.warnings] == ["untried"]
    assert [key for _, (key,), _ in quarantine(small)] == []
    assert small.run().report.total.quarantined == 1

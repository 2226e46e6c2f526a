"""Triggers of the target that change what was written: named in that very run, true in history, and no harm to undo."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario import Engine, Scenario, counts

from flows.commands import Outcome, Status
from flows.history.log import asof, life

ENGINES: tuple[Engine, ...] = ("sqlite", "postgresql", "mysql")
TABLE = "CREATE TABLE t (k int PRIMARY KEY, v varchar(9), w varchar(9))"


def making(engine: Engine, column: str, value: str, table: str = "t", when: str = "BEFORE") -> list[str]:
    """Triggers that set a column to an expression over `new` on each insert and update."""
    name = f"{table}_{column}"
    if engine == "sqlite":
        return [
            f"CREATE TRIGGER {name}_{op} AFTER {op} ON {table} WHEN new.{column} IS NOT ({value}) "
            f"BEGIN UPDATE {table} SET {column} = {value} WHERE k = new.k; END"
            for op in ("insert", "update")
        ]
    if engine == "mysql":
        return [
            f"CREATE TRIGGER {name}_{op} BEFORE {op} ON {table} FOR EACH ROW SET new.{column} = {value}"
            for op in ("insert", "update")
        ]
    change = f"new.{column} := {value}; RETURN new;"
    if when != "BEFORE":
        change = (
            f"UPDATE {table} SET {column} = {value} WHERE k = new.k AND {column} IS DISTINCT FROM {value}; RETURN NULL;"
        )
    return [
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN {change} END $$",
        f"CREATE {when} INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()".replace(
            "CREATE BEFORE", f"CREATE TRIGGER {name} BEFORE"
        ).replace("CREATE AFTER", f"CREATE TRIGGER {name} AFTER"),
    ]


def unstable(outcome: Outcome) -> dict[str, tuple[int, str]]:
    """Of each column that is named as unstable the rows and the key; every one is named once."""
    told = [w for w in outcome.report.warnings if w.code == "unstable_column"]
    found = {f"{w.table}.{w.facts['column']}": (w.facts["rows"], w.facts.get("key", "")) for w in told}
    assert len(found) == len(told)
    return found


@pytest.fixture(params=ENGINES)
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    made = Scenario.make(tmp_path, ("sqlite", request.param), request)
    for side in (made.source, made.target):
        side.execute(TABLE)
    made.source.insert("t", [(1, "one", "a"), (2, "TWO", "b"), (3, "three", "c")])
    made.write({"t": {"from": "t", "key": ["k"]}})
    return made


def test_what_a_trigger_made_of_rows_is_named_by_the_run_and_true_in_history(small: Scenario) -> None:
    small.target.insert("t", [(2, "OLD", "b"), (9, "GONE", "z")])
    small.target.execute(*making(small.target.engine, "v", "upper(new.v)"))
    before = small.target.rows("t")
    done = small.run()
    assert done.status == Status.DONE
    assert counts(done, "t") == {"source_rows": 3, "insert": 2, "update": 1, "delete": 1}
    assert unstable(done) == {"t.v": (2, "[1]")}
    (notice,) = done.report.warnings
    assert "'one' was written, and 'ONE' is there" in notice.text
    assert notice.facts["by"] and all("trigger" in each for each in notice.facts["by"])
    assert small.target.rows("t", "v") == [("ONE",), ("THREE",), ("TWO",)]
    assert sorted(asof(small.spec, 1, "t").to_pylist(), key=lambda row: row["k"])[0] == {"k": 1, "v": "ONE", "w": "a"}
    (born,) = life(small.spec, "t", "1")
    assert born["after"]["v"] == "ONE"
    assert small.verify().report.pending
    again = small.run()  # the source's value wins, and the target's trigger again
    assert counts(again, "t") == {"source_rows": 3, "update": 2, "unchanged": 1}
    assert unstable(again) == {"t.v": (2, "[1]")}
    undone = small.undo(1)
    assert undone.status == Status.DONE, undone.message
    assert small.target.rows("t") == before

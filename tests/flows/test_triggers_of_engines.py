"""What engines do of their own beside plain triggers, and a kill between a rewritten window and its commit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario import Scenario, counts
from triggers import ENGINES, making, unstable

from flows.apply.windows import Notes
from flows.commands import Status
from flows.history.asof import asof
from flows.history.log import shown

TABLE = "CREATE TABLE t (k int PRIMARY KEY, v varchar(9))"


@pytest.fixture(params=ENGINES)
def loud(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Into a table whose trigger makes `v` loud."""
    made = Scenario.make(tmp_path, ("sqlite", request.param), request)
    for side in (made.source, made.target):
        side.execute(TABLE)
    made.source.insert("t", [(n, f"v{n}") for n in range(1, 7)])
    made.target.execute(*making(request.param, "v", "upper(new.v)"))
    return made


@pytest.mark.parametrize(("marker", "committed"), [(True, False), (False, True)])
def test_a_kill_at_the_commit_of_a_rewritten_window_leaves_the_history_of_an_undisturbed_run(
    loud: Scenario, marker: bool, committed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = loud
    state = {"url": "sqlite:///ledger.db", "store": "store", "marker": marker}
    small.write({"t": {"from": "t"}}, state=state, defaults={"window": 2, "delete": {"max_ratio": 1.0}})
    take, kept = Notes.take, Notes.not_written

    def killed(notes: Notes, *noted: Any, **marked: Any) -> Any:
        if not committed:
            take(notes, *noted, **marked)
        if notes.window == 1:
            raise KeyboardInterrupt
        return kept(notes) if committed else None

    with monkeypatch.context() as patch:
        patch.setattr(Notes, "not_written" if committed else "take", killed)
        with pytest.raises(KeyboardInterrupt):
            small.run()
    assert 0 < small.target.count("t") < 6
    small.source.execute("DELETE FROM t WHERE k > 4")  # the plan that was begun is finished first
    done = small.run()
    assert done.report.version == 2
    assert {change.after["v"] for change in shown(small.spec, 1, "t")[1] if change.after} == {
        f"V{n}" for n in range(1, 7)
    }
    assert small.target.rows("t") == [(n, f"V{n}") for n in range(1, 5)]
    assert sorted(row["v"] for row in asof(small.spec, 1, "t").to_pylist()) == [f"V{n}" for n in range(1, 7)]
    assert small.undo(1).status == Status.DONE
    assert small.target.count("t") == 0


def test_flags_of_deleted_rows_that_a_trigger_rewrites_and_columns_that_it_fills_are_undone(loud: Scenario) -> None:
    small, engine = loud, loud.target.engine
    small.target.execute(
        "CREATE TABLE s (k int PRIMARY KEY, v varchar(9), gone timestamp NULL, note varchar(40))",
        "INSERT INTO s VALUES (9, 'OLD', NULL, 'mine')",
        *making(engine, "gone", "CASE WHEN new.gone IS NULL THEN NULL ELSE '2024-02-29 00:00:00' END", "s"),
        *making(engine, "note", "'filled'", "s"),
    )
    before = small.target.rows("s")
    deletes = {"policy": "soft", "column": "gone", "max_ratio": 1.0}
    small.write({"s": {"from": "t", "columns": {"k": "k", "v": "v"}, "delete": deletes}})
    done = small.run()
    assert counts(done, "s") == {"source_rows": 6, "insert": 6, "delete": 1}
    assert unstable(done) == {"s.gone": (1, "[9]")}
    assert small.run().report.version is None, "a row that is flagged is not flagged again"
    assert small.undo(1).status == Status.DONE
    assert [row[:3] for row in small.target.rows("s")] == [row[:3] for row in before]


def test_rows_that_a_trigger_changes_between_two_steps_of_their_way_are_written_and_undone(loud: Scenario) -> None:
    """Unique values that change places in a table that others refer to take two steps: the second expects what the first left."""
    small = loud
    small.source.execute("CREATE TABLE n (k int PRIMARY KEY, u int, v varchar(9))")
    small.target.execute(
        "CREATE TABLE n (k int PRIMARY KEY, u int NOT NULL UNIQUE, v varchar(9))",
        "CREATE TABLE child (k int PRIMARY KEY, n int, FOREIGN KEY (n) REFERENCES n (k))",
        *making(small.target.engine, "v", "upper(new.v)", "n"),
    )
    small.source.insert("n", [(1, 20, "aa"), (2, 10, "bb"), (3, 30, "C"), (4, 40, "dd")])
    small.target.insert("n", [(1, 10, "A"), (2, 20, "B"), (3, 30, "C")])
    small.target.insert("child", [(1, 1), (2, 2), (3, 3)])
    before = small.target.rows("n")
    small.write({"n": {"from": "n"}})
    done = small.run()
    assert counts(done, "n") == {"source_rows": 4, "insert": 1, "update": 2, "unchanged": 1}
    assert unstable(done) == {"n.v": (3, "[1]")}
    assert small.target.rows("n") == [(1, 20, "AA"), (2, 10, "BB"), (3, 30, "C"), (4, 40, "DD")]
    assert small.undo(1).status == Status.DONE
    assert small.target.rows("n") == before


@pytest.mark.parametrize("when", ["AFTER", "DEFERRED"])
def test_triggers_that_fire_later_and_those_of_a_partition_are_seen_too(
    when: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    small = Scenario.make(tmp_path, ("sqlite", "postgresql"), request)
    small.source.execute(TABLE)
    small.source.insert("t", [(1, "one"), (2, "TWO"), (7, "seven")])
    small.target.execute(
        "CREATE TABLE t (k int PRIMARY KEY, v varchar(9)) PARTITION BY RANGE (k)",
        "CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (5)",
        "CREATE TABLE high PARTITION OF t FOR VALUES FROM (5) TO (10)",
        *making("postgresql", "v", "upper(new.v)", "low", when),
    )
    small.write({"t": {"from": "t"}})
    assert unstable(small.run()) == {"t.v": (1, "[1]")}
    assert small.target.rows("t") == [(1, "ONE"), (2, "TWO"), (7, "seven")]
    assert small.undo(1).status == Status.DONE
    assert small.target.count("t") == 0


def test_a_time_that_mariadb_renews_by_itself_is_the_sources_where_it_is_mapped(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    small = Scenario.make(tmp_path, ("mysql", "mysql"), request)
    table = "CREATE TABLE t (k int PRIMARY KEY, v varchar(9), at timestamp(6) NULL {on}, own timestamp(6) NULL {on})"
    small.source.execute(table.format(on=""))
    small.target.execute(table.format(on="DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)"))
    small.source.insert("t", [(n, "a", "2020-01-01 00:00:00.5", None) for n in (1, 2, 3)])
    small.write({"t": {"from": "t", "columns": {"k": "k", "v": "v", "at": "at"}}})
    small.run()
    first = small.target.rows("t")
    small.source.execute("UPDATE t SET v = 'b' WHERE k < 3")
    done = small.run()
    assert counts(done, "t") == {"source_rows": 3, "update": 2, "unchanged": 1}
    assert unstable(done) == {}
    assert small.run().report.version is None
    small.settled()
    assert small.undo(2).status == Status.DONE
    assert [row[:3] for row in small.target.rows("t")] == [row[:3] for row in first]
    assert small.undo(1).status == Status.DONE
    assert small.target.count("t") == 0


def test_a_row_that_a_trigger_makes_unreadable_is_set_aside(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    small = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    for side in (small.source, small.target):
        side.execute("CREATE TABLE t (k integer PRIMARY KEY, a0 integer, k0 varchar(9))")
    small.source.insert("t", [(1, 1, "a"), (2, 2, "b"), (3, None, "c")])
    small.target.execute(
        "CREATE TRIGGER odd AFTER INSERT ON t WHEN new.k = 2 BEGIN UPDATE t SET a0 = 'abc' WHERE k = 2; END"
    )
    small.write({"t": {"from": "t"}})
    assert counts(small.run(), "t") == {"source_rows": 3, "insert": 2, "quarantined": 1}
    assert small.target.rows("t", "k") == [(1,), (3,)]
    assert small.run().report.version is None

"""What apply refuses, what it creates, and how rows leave: plans on disk, missing tables, delete policies, settings."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from scenario import PAIRS, RING, Scenario, counts, pair_name, quarantine

from flows.commands import Status
from flows.session.session import connect
from transforms.vocabulary import DataError, PlanError, SpecError, SynclineError

everywhere = pytest.mark.parametrize("small", RING, indirect=True, ids=pair_name)
T: dict[str, Any] = {"t": {"from": "t", "key": ["k"]}}


@pytest.fixture
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Ten rows in the source's table t, and a target that has the table, empty."""
    made = Scenario.make(tmp_path, getattr(request, "param", PAIRS[0]), request)
    for side in (made.source, made.target):
        side.execute("CREATE TABLE t (k bigint PRIMARY KEY, v text)")
    made.source.insert("t", [(n, f"v{n}") for n in range(10)])
    made.write(T)
    return made


def refused(scenario: Scenario, folder: Any, match: str) -> None:
    before = scenario.target.content()
    with pytest.raises(PlanError, match=match) as caught:
        scenario.apply(folder)
    assert len(str(caught.value).splitlines()) <= 2
    assert "Fix:" in str(caught.value)
    assert scenario.target.content() == before


def test_an_edited_plan_is_refused(small: Scenario, tmp_path: Path) -> None:
    folder = Path(str(small.plan().report.plan))
    (change,) = folder.glob("changes/**/*.parquet")

    def edited(name: str) -> Path:
        copy = tmp_path / name
        shutil.copytree(folder, copy)
        return copy

    one = edited("manifest")
    text = (one / "manifest.json").read_text()
    (one / "manifest.json").write_text(text.replace('"insert": 10', '"insert": 11'))
    refused(small, one, "was changed after planning")
    two = edited("change-set")
    file = two / change.relative_to(folder)
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    refused(small, two, "was changed after planning")
    three = edited("removed")
    (three / change.relative_to(folder)).unlink()
    refused(small, three, "was changed after planning")
    four = edited("added")
    shutil.copy(change, four / "changes" / "more.parquet")
    refused(small, four, "was changed after planning")
    refused(small, tmp_path / "nowhere", "holds no finished plan")
    assert small.apply(folder).status == Status.DONE


def test_a_plan_of_a_spec_that_was_changed_since_is_refused(small: Scenario) -> None:
    folder = small.plan().report.plan
    small.write({"t": {**T["t"], "where": "k < 5"}})
    refused(small, folder, "was changed since")
    small.path.write_text("# only a comment\n" + small.write(T).read_text())
    assert small.apply(folder).status == Status.DONE


def test_a_plan_for_another_target_than_the_spec_names_now_is_refused(
    small: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The spec is the same text; what ${TARGET} stands for is not."""
    small.write(T, target={"url": "sqlite:///${TARGET}"})
    monkeypatch.setenv("TARGET", small.target.place)
    folder = small.plan().report.plan
    other = Scenario(small.folder, small.source, type(small.target)("sqlite", str(small.folder / "other.db")))
    other.target.execute("CREATE TABLE t (k bigint PRIMARY KEY, v text)")
    monkeypatch.setenv("TARGET", other.target.place)
    refused(other, folder, "other.db")


@pytest.mark.parametrize(
    "change",
    ["ALTER TABLE t RENAME COLUMN v TO w", "DROP TABLE t", "ALTER TABLE t ADD COLUMN more text NOT NULL DEFAULT 'x'"],
)
def test_a_target_table_that_was_altered_since_is_refused_or_unharmed(small: Scenario, change: str) -> None:
    folder = small.plan().report.plan
    small.target.execute(change)
    if "ADD COLUMN" in change:  # a column that the plan does not write does not matter
        assert small.apply(folder).status == Status.DONE
        return
    before = small.target.content()
    with pytest.raises(SynclineError) as caught:
        small.apply(folder)
    assert re.search("has no column v|plan again", str(caught.value))
    assert small.target.content() == before


@pytest.mark.parametrize("small", [PAIRS[2]], indirect=True, ids=pair_name)
def test_a_target_column_of_another_type_since_is_refused(small: Scenario) -> None:
    folder = small.plan().report.plan
    small.target.execute("ALTER TABLE t ALTER k TYPE integer")
    refused(small, folder, "has changed since")


@everywhere
def test_a_missing_table_is_shown_by_plan_and_created_by_run_and_then_left_as_it_is(small: Scenario) -> None:
    native = {"postgresql": "timestamptz"}.get(small.source.engine, "text")
    small.source.execute(
        "CREATE TABLE wide (a integer, b varchar(9), c smallint, d numeric(9,3), e double precision, f date,"
        f" g boolean, h {native}, i uuid, j bigint NOT NULL, PRIMARY KEY (a, b))"
    )
    small.source.insert(
        "wide",
        [
            (1, "x", 2, "1.250", 0.5, "2024-02-29", True, None, "00000000-0000-0000-0000-00000000000a", 7),
            (2, "", None, None, None, None, None, None, None, 8),
        ],
    )
    small.write({"fresh": {"from": "wide"}})
    planned = small.plan()
    (report,) = planned.report.tables
    assert any("CREATE TABLE" in statement.upper() for statement in report.ddl)
    assert "fresh" not in small.target.tables()
    done = small.run()
    assert counts(done, "fresh") == {"source_rows": 2, "insert": 2}
    assert small.target.count("fresh") == 2
    small.settled()
    # never altered once it is there
    small.source.execute("ALTER TABLE wide ADD COLUMN k text")
    with pytest.raises(SpecError, match="has no column k"):
        small.run()
    small.write({"fresh": {"from": "wide", "columns": {n: n for n in "abcdefghij"}}})
    small.settled()


@everywhere
def test_a_missing_table_with_numbers_of_its_own_is_created(small: Scenario) -> None:
    small.write({"fresh": {"from": "t", "key": ["code"], "columns": {"id": {"generate": "identity"}, "code": "v"}}})
    planned = small.plan()
    assert small.apply(planned.report.plan).status == Status.DONE
    small.settled()
    small.source.insert("t", [(99, "a first one")])
    small.run()
    assert sorted(number for (number,) in small.target.ask("SELECT id FROM fresh")) == list(range(1, 12))
    small.settled()
    if small.target.engine != "duckdb":
        small.target.execute("INSERT INTO fresh (code) VALUES ('by hand')")
        assert small.target.ask("SELECT id FROM fresh WHERE code = 'by hand'") == [(12,)]


def test_a_plan_that_creates_a_table_is_applied_after_a_half_done_first_try(small: Scenario) -> None:
    small.source.execute("CREATE TABLE wide (a integer PRIMARY KEY, b smallint)")
    small.source.insert("wide", [(1, 2)])
    small.write({"fresh": {"from": "wide"}})
    planned = small.plan()
    with connect(small.spec) as session:
        session.sides.target.adapter.execute_ddl(planned.report.tables[0].ddl)  # then it was killed
    assert small.apply(planned.report.plan).status == Status.DONE
    assert small.target.rows("fresh") == [(1, 2)]


def test_a_plan_in_a_folder_of_choice_is_applied_from_there(small: Scenario, tmp_path: Path) -> None:
    folder = tmp_path / "my plan"
    assert small.plan(folder=folder).report.plan == str(folder)
    with pytest.raises(PlanError, match="holds a finished plan"):
        small.plan(folder=folder)
    assert small.apply(folder).status == Status.DONE
    # the folder may travel
    small.source.execute("DELETE FROM t WHERE k = 1")
    moved = tmp_path / "moved"
    shutil.move(Path(str(small.plan().report.plan)), moved)
    assert small.apply(moved).status == Status.DONE
    small.settled()


def test_a_manifest_says_what_was_planned_and_no_secret(small: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_FOLDER", str(small.folder))
    small.write(T, source={"url": "sqlite:///${SECRET_FOLDER}/legacy.db"})
    folder = Path(str(small.plan().report.plan))
    manifest = json.loads((folder / "manifest.json").read_text())["manifest"]
    assert manifest["spec"]["document"]["source"]["url"] == "sqlite:///${SECRET_FOLDER}/legacy.db"
    assert manifest["tables"][0]["counts"]["insert"] == 10
    assert sorted(path.name for path in folder.iterdir()) == ["changes", "manifest.json"]


# --- deletes


@everywhere
def test_hard_deletes_delete_and_ignored_ones_stay(small: Scenario) -> None:
    small.target.insert("t", [(99, "mine")])
    small.write({"t": {**T["t"], "delete": "ignore"}})
    assert counts(small.run(), "t") == {"source_rows": 10, "insert": 10, "unproved": 1}
    assert small.target.count("t") == 11
    small.settled()
    small.write(T)
    assert counts(small.run(), "t") == {"source_rows": 10, "delete": 1, "unchanged": 10}
    assert small.target.count("t") == 10


@everywhere
def test_soft_deletes_flag_rows_and_take_the_flag_back(small: Scenario) -> None:
    kinds = {"by_flag": "boolean DEFAULT false", "by_time": "timestamp"}
    small.target.execute(*(f"CREATE TABLE {name} (k bigint PRIMARY KEY, v text, gone {kinds[name]})" for name in kinds))
    soft = {**T["t"], "columns": {"k": "k", "v": "v"}, "delete": {"policy": "soft", "column": "gone"}}
    small.write(dict.fromkeys(kinds, soft))
    small.run()
    small.source.execute("DELETE FROM t WHERE k < 3")
    before = datetime.now(UTC)
    done = small.run()
    for name in kinds:
        assert counts(done, name) == {"source_rows": 7, "delete": 3, "unchanged": 7}
        flags = dict(small.target.ask(f"SELECT k, gone FROM {name}"))
        assert [key for key, flag in sorted(flags.items()) if flag] == [0, 1, 2]
        if name == "by_time":
            assert str(flags[0])[:10] in (str(before)[:10], str(datetime.now(UTC))[:10])
    small.settled()
    small.source.insert("t", [(1, "back")])
    again = small.run()
    for name in kinds:
        assert counts(again, name) == {"source_rows": 8, "update": 1, "unchanged": 7, "unproved": 2}
        row = small.target.ask(f"SELECT v, gone FROM {name} WHERE k = 1")[0]
        assert row[0] == "back"
        assert not row[1]
    small.settled()


def test_deleting_more_than_max_ratio_stops_the_plan_with_nothing_written(small: Scenario) -> None:
    small.run()
    before = small.target.content()
    small.source.execute("DELETE FROM t WHERE k < 3", "INSERT INTO t VALUES (50, 'new')")
    small.write({"t": {**T["t"], "delete": {"max_ratio": 0.2}}})
    for attempt in (small.plan, small.run):
        with pytest.raises(PlanError, match="delete 3 of 10 target rows") as caught:
            attempt()
        assert "max_ratio" in str(caught.value)
    assert small.target.content() == before
    small.write({"t": {**T["t"], "delete": {"max_ratio": 0.3}}})
    assert small.run().status == Status.DONE


@pytest.mark.parametrize("policy", [{"policy": "hard"}, {"policy": "soft", "column": "gone"}])
def test_a_source_that_is_suddenly_empty_stops_the_plan(small: Scenario, policy: dict[str, Any]) -> None:
    small.target.execute("ALTER TABLE t ADD COLUMN gone boolean")
    small.write({"t": {**T["t"], "columns": {"k": "k", "v": "v"}, "delete": policy}}, defaults={"delete": {}})
    small.run()
    before = small.target.content()
    small.source.execute("DELETE FROM t")
    for attempt in (small.plan, small.run):
        with pytest.raises(PlanError, match="The source has no rows at all"):
            attempt()
    assert small.target.content() == before
    assert small.verify().status == Status.CHANGES  # looking is allowed


def test_rows_that_were_flagged_long_ago_do_not_count_for_max_ratio(small: Scenario) -> None:
    small.target.execute("ALTER TABLE t ADD COLUMN gone boolean")
    soft = {"policy": "soft", "column": "gone", "max_ratio": 0.2}
    small.write({"t": {**T["t"], "columns": {"k": "k", "v": "v"}, "delete": soft}})
    small.run()
    for key in range(4):
        small.source.execute(f"DELETE FROM t WHERE k = {key}")
        assert small.run().status == Status.DONE
    small.settled()


# --- settings of tables and columns


def test_ignored_columns_are_written_but_never_compared(small: Scenario) -> None:
    small.write({"t": {"from": "t", "key": ["k"], "columns": {"k": "k", "v": "v"}, "ignore": ["v"]}})
    small.run()
    assert small.target.ask("SELECT v FROM t WHERE k = 3") == [("v3",)]
    small.source.execute("UPDATE t SET v = 'changed'")
    small.settled()


@everywhere
def test_an_ignored_column_does_not_make_a_conflict(small: Scenario) -> None:
    for side in (small.source, small.target):
        side.execute("ALTER TABLE t ADD COLUMN w text")
    small.write({"t": {"from": "t", "key": ["k"], "ignore": ["v"]}})
    small.run()
    small.source.execute("UPDATE t SET w = 'new', v = 'newer' WHERE k = 3", "DELETE FROM t WHERE k = 4")
    planned = small.plan()
    small.target.execute("UPDATE t SET v = 'touched by a trigger'")
    assert small.apply(planned.report.plan).status == Status.DONE
    assert small.target.ask("SELECT v, w FROM t WHERE k = 3") == [("newer", "new")]
    small.settled()


@pytest.mark.parametrize("native", ["double precision", "numeric(12,4)"])
def test_numbers_within_the_tolerance_are_equal(small: Scenario, native: str) -> None:
    small.source.execute(f"CREATE TABLE n (k bigint PRIMARY KEY, x {native})")
    small.target.execute(f"CREATE TABLE n (k bigint PRIMARY KEY, x {native})")
    small.source.insert("n", [(1, 1.0), (2, 1.0), (3, None), (4, 5)])
    small.target.insert("n", [(1, 1.005), (2, 1.5), (3, 0), (4, None)])
    columns = {"k": "k", "x": {"from": "x", "tolerance": 0.01}}
    small.write({"n": {"from": "n", "key": ["k"], "columns": columns}})
    assert counts(small.plan(), "n") == {"source_rows": 4, "update": 3, "unchanged": 1}


def test_a_condition_of_the_source_decides_which_rows_are_wanted(small: Scenario) -> None:
    small.run()
    small.write({"t": {**T["t"], "where": "k % 2 = 0 AND v <> 'v4'"}})
    assert counts(small.run(), "t") == {"source_rows": 4, "delete": 6, "unchanged": 4}
    small.settled()


@everywhere
def test_a_query_is_a_source_like_a_table(small: Scenario) -> None:
    name = f"{small.source.schema}.t" if small.source.schema else "t"
    half = {"mysql": "k DIV 2", "duckdb": "k // 2"}.get(small.source.engine, "k / 2")
    query = f"SELECT {half} AS half, count(*) AS n, min(v) AS v FROM {name} GROUP BY {half}; "
    small.target.execute("CREATE TABLE halves (half bigint PRIMARY KEY, n bigint, v text)")
    small.write({"halves": {"from": {"query": query}, "key": ["half"], "where": "n > 1"}})
    assert counts(small.run(), "halves") == {"source_rows": 5, "insert": 5}
    small.settled()


def test_on_invalid_fail_stops_before_anything_is_written_and_says_where(small: Scenario) -> None:
    small.source.execute("CREATE TABLE u (k bigint PRIMARY KEY, n text)")
    small.source.insert("u", [(1, "1"), (2, "two"), (3, "three")])
    small.target.execute("CREATE TABLE u (k bigint PRIMARY KEY, n bigint)")
    columns = {"k": "k", "n": {"from": "n", "cast": "bigint"}}
    tables = {**T, "u": {"from": "u", "key": ["k"], "columns": columns, "on_invalid": "fail"}}
    small.write(tables)
    with pytest.raises(DataError, match=r"u\.n.*key \[2\].*'two'") as caught:
        small.run()
    assert len(str(caught.value).splitlines()) <= 2
    assert small.target.content() == {"t": [], "u": []}
    small.write({**tables, "u": {**tables["u"], "on_invalid": "quarantine"}})
    assert counts(small.run(), "u") == {"source_rows": 3, "insert": 1, "quarantined": 2}


def test_a_mended_row_leaves_the_quarantine_at_the_next_run(small: Scenario) -> None:
    small.source.execute("CREATE TABLE u (k bigint PRIMARY KEY, n text)")
    small.source.insert("u", [(1, "1"), (2, "two"), (3, "three")])
    columns = {"k": "k", "n": {"from": "n", "cast": "bigint"}}
    small.write({"u": {"from": "u", "key": ["k"], "columns": columns}})
    small.run()
    assert [key for _, key, _ in quarantine(small)] == [[2], [3]]
    small.source.execute("UPDATE u SET n = '2' WHERE k = 2", "DELETE FROM u WHERE k = 3")
    assert counts(small.run(), "u") == {"source_rows": 2, "insert": 1, "unchanged": 1}
    assert quarantine(small) == []


def test_sqlite_values_that_are_not_of_their_columns_type_are_quarantined(small: Scenario) -> None:
    small.source.execute("CREATE TABLE m (k integer PRIMARY KEY, n integer)")
    small.source.execute("INSERT INTO m VALUES (1, 5), (2, 'five'), (3, 5.5), (4, NULL)")
    small.write({"m": {"from": "m"}})
    done = small.run()
    assert counts(done, "m") == {"source_rows": 4, "insert": 2, "quarantined": 2}
    small.settled()


@everywhere
def test_a_table_that_refers_to_itself_loads_with_its_constraint_on(small: Scenario) -> None:
    for side in (small.source, small.target):
        side.execute("CREATE TABLE staff (k bigint PRIMARY KEY, boss bigint REFERENCES staff (k))")
    people = [(1, None), (4, 1), (3, 4), (2, 3), (5, 2)]
    small.source.insert("staff", people)
    small.write({"staff": {"from": "staff", "key": ["k"]}})
    assert small.run().status == Status.DONE
    small.settled()
    if small.target.engine != "duckdb":
        small.source.execute(*(f"DELETE FROM staff WHERE k = {k}" for k in (5, 2, 3)))
        assert counts(small.run(), "staff") == {"source_rows": 2, "delete": 3, "unchanged": 2}
        small.settled()

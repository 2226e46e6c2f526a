"""What verify and plan prove, what they cannot, and how much may be set aside or deleted before they stop."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from assessing import checked
from click.testing import CliRunner, Result
from scenario import PAIRS, RING, Engine, Scenario, counts, pair_name, quarantine

from adapters.sql.refused import FIX
from adapters.store.plans import Plan
from flows.cli.main import main
from flows.commands import Status
from flows.session.session import connect, with_binding
from transforms.vocabulary import DataError, PlanError, SpecError

everywhere = pytest.mark.parametrize("small", RING, indirect=True, ids=pair_name)


@pytest.fixture
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    made = Scenario.make(tmp_path, getattr(request, "param", PAIRS[0]), request)
    made.source.execute("CREATE TABLE t (k bigint, v text)")
    made.target.execute("CREATE TABLE t (k bigint, v text)")
    return made


def written(small: Scenario, table: dict[str, Any] | None = None, **defaults: Any) -> None:
    small.write({"t": {"from": "t", "key": ["k"], **(table or {})}}, defaults=defaults)


def unique(small: Scenario) -> None:
    small.target.execute("DROP TABLE t", "CREATE TABLE t (k bigint PRIMARY KEY, v text)")


# --- what is proved


@everywhere
@pytest.mark.parametrize(
    ("wanted", "found", "status", "expected"),
    [
        ([(1, "a"), (1, "b")], [(1, "z")], Status.QUARANTINE, {"quarantined": 2, "unproved": 1}),
        ([(1, "a"), (2, "b")], [], Status.CHANGES, {"insert": 2}),
        ([], [], Status.DONE, {}),
        ([(1, "a"), (2, "b")], [(1, "a"), (2, "b")], Status.DONE, {"unchanged": 2}),
    ],
)
def test_rows_that_nothing_was_compared_with_are_not_equal(
    small: Scenario, wanted: list[Any], found: list[Any], status: Status, expected: dict[str, int]
) -> None:
    unique(small)
    written(small, delete={"max_ratio": 1}, quarantine={})
    small.source.insert("t", wanted)
    small.target.insert("t", found)
    done = small.verify()
    assert done.status == status
    assert counts(done, "t") == {**({"source_rows": len(wanted)} if wanted else {}), **expected}
    assert done.message.startswith("Equal") is (done.report.total.unchanged > 0)


def test_a_target_whose_rows_wait_for_quarantine_alone_is_not_proved(small: Scenario) -> None:
    """However much may be set aside: a table of which no row was compared is not equal to anything."""
    unique(small)
    written(small, quarantine={"max_ratio": 1})
    small.source.insert("t", [(1, "a"), (1, "b"), (2, "c"), (2, "d")])
    small.target.insert("t", [(1, "z"), (2, "q")])
    done = small.verify()
    assert (done.status, done.report.tables[0].unproved) == (Status.CHANGES, {"quarantined": 2})
    assert "2 target rows" in done.message
    small.source.insert("t", [(n, "same") for n in range(10, 20)])
    small.target.insert("t", [(n, "same") for n in range(10, 20)])
    done = small.verify()  # now some of it is, and the rest is said
    assert (done.status, done.report.total.unproved) == (Status.DONE, 2)


def test_rows_that_the_spec_leaves_in_the_target_are_counted_and_no_difference(small: Scenario) -> None:
    unique(small)
    written(small, {"delete": "ignore"})
    small.target.insert("t", [(1, "theirs"), (2, "theirs")])
    assert small.verify().status == Status.CHANGES  # an empty source proves nothing
    small.source.insert("t", [(2, "theirs")])
    done = small.verify()
    assert (done.status, done.report.tables[0].unproved) == (Status.DONE, {"ignored": 1})


@pytest.mark.parametrize("ranged", [None, "t.k:0..50"])
def test_the_quarantine_limit_holds_in_plan_and_verify(small: Scenario, ranged: str | None) -> None:
    unique(small)
    written(small, quarantine={"max_rows": 1})
    small.source.insert("t", [(1, "a"), (1, "b"), *((n, "v") for n in range(10, 40))])
    asked = {"ranges": [ranged]} if ranged else {}
    for done in (small.plan(**asked), small.verify(**asked), small.run(**asked)):
        assert done.status == Status.QUARANTINE
        assert "the limit is 1" in done.message
    assert not small.target.count("t")


# --- keys without a constraint


@everywhere
@pytest.mark.parametrize("relation", ["table", "view"])
def test_what_is_unique_in_fact_is_compared_and_not_written(small: Scenario, relation: str) -> None:
    name = "t"
    if relation == "view":
        name = "w"
        small.target.execute(f"CREATE VIEW {_there(small, 'w')} AS SELECT * FROM {_there(small, 't')}")
    small.write({"t": {"from": "t", "target": name, "key": ["k"]}})
    rows = [(1, "a"), (2, "b"), (3, "c")]
    small.source.insert("t", rows)
    small.target.insert("t", rows)
    assert small.verify().status == small.plan().status == Status.DONE
    small.source.execute("UPDATE t SET v = 'x' WHERE k = 1")
    assert counts(small.verify(), "t") == {"source_rows": 3, "update": 1, "unchanged": 2}
    before = small.target.content()
    with pytest.raises(SpecError, match="Fix: "):
        small.run()
    with pytest.raises(SpecError, match="Fix: "):
        small.apply(small.plan().report.plan)
    assert small.target.content() == before


@pytest.mark.parametrize(
    ("engine", "made", "said"),
    [
        ("mysql", ["CREATE TABLE t (k bigint PRIMARY KEY, v text) ENGINE = MyISAM"], "ENGINE = InnoDB"),
        (
            "sqlite",
            ["CREATE TABLE p (v text)", "CREATE TABLE t (k bigint PRIMARY KEY, v text REFERENCES p (v))"],
            r"no unique index over \(v\)",
        ),
        (
            "postgresql",
            [
                "CREATE MATERIALIZED VIEW t AS SELECT 1::bigint AS k, 'b' AS v WHERE false",
                "CREATE UNIQUE INDEX u ON t (k)",
            ],
            "a materialized view",
        ),
    ],
)
def test_what_the_engine_would_not_write_is_compared_and_refused_before_a_run(
    engine: Engine, made: list[str], said: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A table without transactions, one of which SQLite refuses every row for how its foreign key was declared, a stored query."""
    small = Scenario.make(tmp_path, ("sqlite", engine), request)
    small.source.execute("CREATE TABLE t (k bigint PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'a')")
    small.target.execute(*made)
    small.write({"t": {"from": "t"}})
    done = small.verify()
    assert done.status == Status.CHANGES
    assert any("Fix: " in warning for warning in done.report.warning_texts)
    for refused in (small.run, lambda: checked(small)):
        with pytest.raises(SpecError, match=said):
            refused()
    assert small.target.count("t") == 0


def test_a_foreign_key_that_sqlite_cannot_check_disturbs_no_other_table(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    small = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    small.source.execute("CREATE TABLE t (k bigint PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    small.target.execute(
        "CREATE TABLE p (v text)",
        "CREATE TABLE odd (k bigint PRIMARY KEY, v text REFERENCES p (v))",
        "CREATE TABLE t (k bigint PRIMARY KEY, v text)",
        "CREATE TRIGGER no BEFORE INSERT ON t WHEN new.v = 'b' BEGIN SELECT RAISE(ABORT, 'not b'); END",
    )
    small.write({"t": {"from": "t"}})
    assert counts(small.run(), "t") == {"source_rows": 2, "insert": 1, "quarantined": 1}


@everywhere
def test_keys_of_the_target_that_are_double_or_null_are_named(small: Scenario) -> None:
    written(small, quarantine={"max_ratio": 1})
    small.source.insert("t", [(1, "a"), (2, "b"), (3, "c")])
    small.target.insert("t", [(1, "a"), (2, "b"), (2, "b"), (9, "x"), (9, "y"), (None, "n"), (None, "m")])
    done = small.verify()
    assert done.status == Status.CHANGES
    assert counts(done, "t") == {"source_rows": 3, "insert": 1, "unchanged": 1, "quarantined": 1, "unproved": 6}
    assert done.report.tables[0].unproved == {"double_key": 4, "null_key": 2}
    said = " ".join((done.message, *done.report.warning_texts))
    assert "[2]" in said
    assert "[null]" in said


@everywhere
def test_a_view_of_the_source_is_read_like_a_table(small: Scenario) -> None:
    unique(small)
    small.source.insert("t", [(1, "a"), (2, "b")])
    small.source.execute(
        f"CREATE VIEW {_there(small, 'w', source=True)} AS SELECT * FROM {_there(small, 't', source=True)}"
    )
    written(small, {"from": "w"})
    assert small.run().status == Status.DONE
    small.settled()


def _there(small: Scenario, name: str, *, source: bool = False) -> str:
    side = small.source if source else small.target
    return f"{side.schema}.{name}" if side.schema else name


# --- floors


@pytest.mark.parametrize(
    ("rows", "bad", "limit", "stops"),
    [
        (4, 1, {}, False),  # a quarter of a few
        (40, 9, {}, False),
        (40, 10, {}, True),
        (100, 20, {}, False),
        (100, 21, {}, True),
        (3, 3, {}, True),  # none is left
        (3, 3, {"max_ratio": 1}, False),
        (4, 1, {"max_ratio": 0.2}, True),  # what was written holds from the first row
        (4, 1, {"max_ratio": 0.2, "at_least": 2}, False),
        (4, 2, {"max_ratio": 0.2, "at_least": 2}, True),
        (100, 2, {"max_rows": 1}, True),
    ],
)
@pytest.mark.parametrize("own", [False, True])
def test_a_share_stops_a_run_from_the_floor_on(
    small: Scenario, rows: int, bad: int, limit: dict[str, Any], stops: bool, own: bool
) -> None:
    """Quarantine and deletes by the same rule: above the share, and as many as the floor, or all."""
    unique(small)
    columns = {"k": "k", "v": {"from": "v", "cast": "integer"}}
    unfit = {"quarantine": limit} if own else {}
    written(small, {"columns": columns, **unfit}, **({"quarantine": {}} if own else {"quarantine": limit}), delete={})
    small.target.execute("DROP TABLE t", "CREATE TABLE t (k bigint PRIMARY KEY, v integer)")
    small.source.insert("t", [(n, "bad" if n < bad else "7") for n in range(rows)])
    done = small.run()
    assert done.status == (Status.QUARANTINE if stops else Status.DONE)
    assert small.target.count("t") == (0 if stops else rows - bad)
    if "max_rows" in limit:
        return
    written(small, {"columns": columns, "delete": limit}, delete={})
    small.target.execute("DELETE FROM t")
    small.target.insert("t", [(n, 7) for n in range(rows)])
    small.source.execute("DELETE FROM t WHERE v = 'bad'")
    if stops:
        with pytest.raises(PlanError, match="--allow-deletes"):
            small.run()
        assert small.target.count("t") == rows
        assert small.run(allow_deletes=True).status == Status.DONE
    else:
        assert small.run().status == Status.DONE
    assert small.target.count("t") == rows - bad


def test_an_empty_source_stops_the_smallest_plan(small: Scenario) -> None:
    unique(small)
    written(small, delete={})
    small.target.insert("t", [(1, "a")])
    with pytest.raises(PlanError, match="The source has no rows at all"):
        small.run()


# --- rows and columns by name


def test_every_row_that_differs_is_named_in_each_form_and_counted_by_column(small: Scenario, tmp_path: Path) -> None:
    """The forms say the same as the plan, whatever its windows; a null is no empty text."""
    small.target.execute("DROP TABLE t", "CREATE TABLE t (k bigint PRIMARY KEY, v text, w text)")
    small.source.execute("DROP TABLE t", "CREATE TABLE t (k bigint PRIMARY KEY, v text, w text)")
    many = 5_000  # more than are made into texts at once
    small.source.insert("t", [(n, "new", "") for n in range(many)])
    small.target.insert("t", [(n, "old", None if n % 2 else "") for n in range(many - 2)])
    small.target.insert("t", [(9_000, 'say "so", twice\nor once', None)])
    written(small, {"columns": {"k": "k", "v": "v", "w": "w"}}, window={"rows": 1_000})
    found = small.verify()
    assert dict(found.report.tables[0].differing) == {"v": many - 2, "w": (many - 2) // 2}
    file = tmp_path / "rows"
    expected = {"insert": {many - 2, many - 1}, "update": set(range(many - 2)), "delete": {9_000}}

    named(small, "verify", "--format", "json", "-o", file)
    rows = json.loads(file.read_text())
    assert {op: {row["key"][0] for row in rows if row["op"] == op} for op in expected} == expected
    assert next(row for row in rows if row["key"] == [1])["before"] == {"v": "old", "w": None}
    assert file.stat().st_mode & 0o077 == 0

    named(small, "verify", "--format", "csv", "-o", file)
    lines = list(csv.reader(io.StringIO(file.read_text())))
    assert {op: {json.loads(line[2])[0] for line in lines if line[1] == op} for op in expected} == expected
    assert [line[4:] for line in lines if line[1] == "delete"] == [
        ["9000", ""],
        ['say "so", twice\nor once', ""],
        ["", ""],
    ]
    assert '"update","[1]","w",,""' in file.read_text()

    text = named(small, "verify", "--rows").stdout
    assert sum(line.startswith(("+ t", "~ t", "- t")) for line in text.splitlines()) == many + 1
    told = json.loads(named(small, "plan", "--json", "--limit", "7").stdout)
    assert (len(told["rows"]), told["rows_left_off"], told["tables"]["t"]["differing"]["v"]) == (7, many - 6, many - 2)
    told = json.loads(named(small, "verify", "--json", "--rows").stdout)
    assert (len(told["rows"]), told["rows_left_off"]) == (many + 1, 0)
    half = {"column": "w", "rows": many // 2 - 1, "of": many - 2, "match": 0.5}
    assert told["tables"]["t"]["by_column"] == [{"column": "v", "rows": many - 2, "of": many - 2, "match": 0.0}, half]
    assert named(small, "plan", "--format", "json", "--limit", "2").stdout.count('"op"') == 2
    lines_of_json = named(small, "plan", "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines_of_json] == rows
    assert "… and 4,988 to update: --rows names them all." in named(small, "plan").stdout

    # and the same as a comparison without a spec
    sides = [f"{side.url}#{f'{side.schema}.' if side.schema else ''}t" for side in (small.source, small.target)]
    compared = json.loads(CliRunner().invoke(main, ["diff-tables", *sides, "--json", "--rows"]).stdout)
    assert [compared[name] for name in ("only_left", "different", "only_right")] == [2, many - 2, 1]
    assert {name: told["different"] for name, told in compared["columns"].items()} == dict(
        found.report.tables[0].differing
    )
    ops = {"only_left": "insert", "different": "update", "only_right": "delete"}
    for before, row in zip(sorted(rows, key=by_key), sorted(compared["rows"], key=by_key), strict=True):
        assert (before["op"], before["after"], before["before"]) == (ops[row["kind"]], row["left"], row["right"])


def by_key(row: dict[str, Any]) -> Any:
    return row["key"]


def named(small: Scenario, command: str, *options: Any) -> Result:
    done = CliRunner().invoke(main, [command, str(small.path), *map(str, options)])
    assert done.exit_code == 2, done.output
    return done


# --- what to do


@everywhere
def test_an_error_of_order_does_not_ask_to_correct_the_row(small: Scenario) -> None:
    """A child whose parent is yet to come is as good as any: it is the order that wants mending."""
    for side in (small.source, small.target):
        side.execute("CREATE TABLE parent (id bigint PRIMARY KEY)", "DROP TABLE t")
    small.source.execute("CREATE TABLE t (k bigint PRIMARY KEY, parent bigint)")
    small.target.execute(
        f"CREATE TABLE t (k bigint PRIMARY KEY, parent bigint, FOREIGN KEY (parent) REFERENCES {_there(small, 'parent')} (id))"
    )
    small.source.insert("parent", [(1,)])
    small.source.insert("t", [(1, 1)])
    small.write({"parent": {"from": "parent", "key": ["id"]}, "t": {"from": "t", "key": ["k"]}})
    small.target.insert("parent", [(1,)])
    plan = Plan.open(Path(str(small.plan(tables=["t"]).report.plan)))
    small.target.execute("DELETE FROM parent")
    (window,) = plan.windows()
    with connect(small.spec) as session, pytest.raises(DataError) as caught:
        session.sides.target.adapter.apply(plan.changes(window), with_binding(session).bound.table("t").shape, None)
    assert FIX["reference"] in str(caught.value)
    assert "quarantine the row" not in str(caught.value)
    done = small.run(tables=["t"])
    assert counts(done, "t") == {"source_rows": 1, "quarantined": 1}
    assert "correct" not in done.message
    assert small.target.count("t") == 0
    assert small.run().status == Status.DONE
    assert (small.target.count("t"), quarantine(small)) == (1, [])

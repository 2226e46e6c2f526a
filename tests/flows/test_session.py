"""What a run works with is known at its start and handed on: nobody's work changes what another one holds."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from scenario import PAIRS, Scenario

from adapters.sqlite.adapter import SqliteAdapter
from flows.plan.build import begun
from flows.plan.request import Request, new_run_id
from flows.session.memory import PlannedChanges
from flows.session.session import connect, with_binding
from transforms.vocabulary import ChangeSet, TableName

AT = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def lines(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    """Lines whose table in the target is yet to be made, and numbers them."""
    made = Scenario.make(tmp_path, PAIRS[0], request)
    made.source.execute("CREATE TABLE lines (code text PRIMARY KEY)")
    made.source.insert("lines", [("a",), ("b",)])
    columns = {"id": {"generate": "identity"}, "code": "code"}
    made.write({"line": {"from": "lines", "key": ["code"], "columns": columns}})
    return made


def request_of(scenario: Scenario) -> Request:
    return Request(scenario.spec, new_run_id(AT), AT, folder=scenario.folder / new_run_id(AT))


def test_a_binding_made_anew_leaves_the_one_that_others_hold(lines: Scenario) -> None:
    with connect(lines.spec) as session:
        before = with_binding(session)
        ddl = before.bound.table("line").ddl
        before.sides.target.adapter.execute_ddl(ddl)
        after = with_binding(before)
        assert (session.binding, before.bound.table("line").ddl) == (None, ddl)
        assert ddl
        assert after.bound.table("line").ddl == ()


def test_a_run_that_makes_tables_keys_and_indexes_looks_at_the_source_once(
    lines: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str, str]] = []
    for name in ("named", "describe"):
        real = getattr(SqliteAdapter, name)

        def asking(self: SqliteAdapter, table: TableName, name: str = name, real: Any = real) -> Any:
            asked.append((name, Path(self.url).stem, table.name))
            return real(self, table)

        monkeypatch.setattr(SqliteAdapter, name, asking)
    entry = {"from": "lines", "key": ["code"], "columns": {"code": "code", "text": "code"}}
    made = {"columns": {"code": "varchar(9)", "text": "varchar(9)"}, "primary_key": ["code"], "indexes": [["text"]]}
    lines.write({"line": {**entry, "create": made}})
    lines.run()
    of = Counter(asked)
    assert (of["named", "legacy", "lines"], of["describe", "legacy", "lines"]) == (1, 1)
    # before the plan, before and after the table is made, and before and after its index is added
    assert (of["named", "core", "line"], of["describe", "core", "line"]) == (4, 5)
    lines.settled()


def test_two_plans_of_one_session_share_neither_numbers_nor_snapshots(lines: Scenario) -> None:
    with connect(lines.spec) as opened:
        session = with_binding(opened)
        with begun(request_of(lines), session, lines.folder / "one") as (one, job):
            with begun(request_of(lines), session, lines.folder / "other") as (other, _):
                one.numbers.start("line", 1)
                other.numbers.start("line", 1)
                assert [one.numbers.reserve("line", 5), other.numbers.reserve("line", 2)] == [1, 1]
                assert one.sides.source.snapshot is not other.sides.source.snapshot
            route = one.route(job, "line")
            assert route.reads.snapshot is one.sides.source.snapshot
            assert route.writes.snapshot is one.sides.target.snapshot
        assert session.sides.source.opened is None


def test_a_route_reads_one_side_and_writes_the_other(lines: Scenario) -> None:
    with connect(lines.spec) as opened:
        session = with_binding(opened)
        with begun(request_of(lines), session, lines.folder / "plan") as (planning, job):
            route = planning.route(job, "line")
    assert (route.reads.name, route.writes.name, route.table.name) == ("source", "target", "line")


def changes(*codes: str) -> ChangeSet:
    rows = pa.table({"code": pa.array(codes, pa.string())})
    return ChangeSet(
        TableName("line"), ("code",), ("code",), rows, rows.slice(0, 0), rows.slice(0, 0), rows.slice(0, 0)
    )


def test_planned_changes_are_taken_once_and_the_latest_try_counts() -> None:
    kept, latest = PlannedChanges(), changes("b")
    kept.keep("line", 0, changes("a"))
    kept.keep("line", 0, latest)
    assert kept.take("line", 0) is latest
    assert kept.take("line", 0) is None


def test_planned_changes_beyond_the_budget_are_read_from_the_plan() -> None:
    first, second = changes("a" * 100), changes("b" * 100)
    kept = PlannedChanges(most_bytes=first.nbytes + 1)
    kept.keep("line", 0, first)
    kept.keep("line", 1, second)
    assert kept.take("line", 1) is None
    assert kept.take("line", 0) is first
    kept.keep("line", 1, second)
    assert kept.take("line", 1) is second, "what was taken makes room"

"""The stages of a plan: one order, decided in one place, that keeps every constraint; whoever applies a plan follows it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from graphlib import CycleError
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from manifests import planned
from scenario import PAIRS, Scenario

from adapters.store.manifest import PlannedTable
from adapters.store.plan_files import FileEntry
from adapters.store.plans import Plan, PlanWriter
from flows import commands
from flows.cli.main import main
from flows.plan.order.stages import WRITES, Step, stages_of
from flows.session.meter import Meter
from transforms.vocabulary import Marker, Op, Stage, TableName

OPS: tuple[Op, ...] = ("insert", "update", "delete")
PLACES = {"create": 0, "add_columns": 1, "write": 2, "number": 3, "constrain": 4, "drop": 5}


@dataclass(frozen=True)
class Case:
    """Tables, parents first, with (child, parent) of each foreign key, and what the windows of each hold."""

    tables: tuple[PlannedTable, ...]
    keys: tuple[tuple[TableName, TableName], ...]
    files: tuple[FileEntry, ...]

    @property
    def referred(self) -> set[TableName]:
        return {parent for _, parent in self.keys}

    @property
    def stages(self) -> tuple[Stage, ...]:
        return stages_of(self.tables, self.files, self.referred)

    def at(self, table: TableName, op: Op) -> list[int]:
        """The stages that write such changes of a table, but for windows that come first."""
        first = {(each.table, window) for each in self.tables for window in each.first}
        late = {each.window for each in self.files if each.table == table and each.counts[op]}
        late -= {window for name, window in first if name == table}
        return [
            place
            for place, stage in enumerate(self.stages)
            if stage.table == table and op in WRITES[stage.phase] and late & set(stage.windows)
        ]


def table_of(
    number: int,
    *,
    ddl: bool,
    adds: bool,
    after: bool,
    drop: bool,
    first: tuple[int, ...],
    late: tuple[int, ...],
) -> PlannedTable:
    return planned(
        TableName(f"t{number}"),
        ddl=("CREATE",) if ddl else (),
        adds=(("c", "ALTER"),) if adds else (),
        after_load=("ADD",) if after else (),
        drop=("DROP",) if drop else (),
        first=first,
        late=late,
    )


def file_of(table: TableName, window: int, counts: dict[Op, int]) -> FileEntry:
    return FileEntry("changes", table, window, f"{table}/{window}", "", 0, {str(op): n for op, n in counts.items()})


COUNTS = st.fixed_dictionaries({op: st.sampled_from([0, 3]) for op in OPS}).filter(lambda counts: any(counts.values()))
FLAGS = st.fixed_dictionaries({name: st.booleans() for name in ("ddl", "adds", "after", "drop")})


@st.composite
def cases(draw: st.DrawFn) -> Case:
    numbers = range(draw(st.integers(1, 5)))
    windows = [draw(st.lists(COUNTS, max_size=4)) for _ in numbers]
    firsts = [
        tuple(window for window, counts in enumerate(some) if counts["insert"] + counts["update"] == 0 and draw(st.booleans()))
        for some in windows
    ]  # fmt: skip
    lates = [
        tuple(draw(st.permutations([window for window in range(len(windows[n])) if window not in firsts[n] and draw(st.booleans())])))
        for n in numbers
    ]  # fmt: skip
    tables = tuple(table_of(n, first=firsts[n], late=lates[n], **draw(FLAGS)) for n in numbers)
    links = [(child, parent) for child in numbers for parent in range(child)]
    chosen = draw(st.lists(st.sampled_from(links), unique=True)) if links else []
    files = [file_of(tables[n].table, window, counts) for n in numbers for window, counts in enumerate(windows[n])]
    keys = tuple((tables[child].table, tables[parent].table) for child, parent in chosen)
    return Case(tables, keys, tuple(draw(st.permutations(files))))


@settings(max_examples=60)
@given(cases())
def test_the_order_of_stages_keeps_every_constraint(case: Case) -> None:
    stages = case.stages
    assert [PLACES[each.do] for each in stages] == sorted(PLACES[each.do] for each in stages)
    for child, parent in case.keys:
        for op in ("insert", "update"):
            assert max(case.at(parent, op), default=-1) < min(case.at(child, "insert"), default=99)
        assert max(case.at(child, "delete"), default=-1) < min(case.at(parent, "delete"), default=99)
    early = {(each.table, window) for each in case.tables for window in each.first}
    writes = [each for each in stages if each.do == "write"]
    firsts = [{(each.table, window) for window in each.windows} <= early for each in writes]
    assert firsts == sorted(firsts, reverse=True)
    dropped = [each.table for each in stages if each.do == "drop"]
    assert dropped == [each.table for each in reversed(case.tables) if each.drop]


@settings(max_examples=40)
@given(cases())
def test_each_change_of_each_window_is_written_once(case: Case) -> None:
    written = [
        (stage.table, window, op)
        for stage in case.stages
        if stage.do == "write"
        for window in stage.windows
        for op in WRITES[stage.phase]
    ]
    assert len(written) == len(set(written))
    assert {(each.table, each.window, op) for each in case.files for op in OPS if each.counts[op]} <= set(written)


@settings(max_examples=40)
@given(cases())
def test_late_windows_come_behind_the_others_of_their_table_one_after_the_other(case: Case) -> None:
    writes = [each for each in case.stages if each.do == "write"]
    for table in case.tables:
        late = set(table.late)
        mine = [each for each in writes if each.table == table.table and not set(each.windows) & set(table.first)]
        for phase, order in (("all", table.late), ("upsert", table.late), ("delete", table.late[::-1])):
            stages = [each for each in mine if each.phase == phase]
            behind = [bool(set(each.windows) & late) for each in stages]
            assert behind in ([], [False], [True], [False, True])
            assert [each.in_turn for each in stages] == behind
            written = [window for each in stages if each.in_turn for window in each.windows]
            assert written == [window for window in order if window in written]


@settings(max_examples=40)
@given(cases(), st.data())
def test_what_rows_need_of_each_other_comes_before_how_tables_stand(case: Case, data: st.DataObject) -> None:
    steps = list(dict.fromkeys(Step(each.table, each.phase) for each in case.stages if each.do == "write"))
    wanted = data.draw(st.permutations(steps))
    needs = list(pairwise(wanted))
    plain = tuple(replace(each, first=(), late=()) for each in case.tables)
    stages = stages_of(plain, case.files, case.referred, needs=needs)
    assert [Step(each.table, each.phase) for each in stages if each.do == "write"] == wanted
    if len(wanted) > 1:
        with pytest.raises(CycleError):
            stages_of(plain, case.files, case.referred, needs=[*needs, (wanted[-1], wanted[0])])


def test_a_table_that_was_begun_in_one_way_goes_on_so_whatever_refers_to_it_now() -> None:
    parent, child = TableName("parent"), TableName("child")
    tables = (planned(parent), planned(child))
    files = [file_of(name, 0, {"insert": 1, "update": 0, "delete": 1}) for name in (parent, child)]

    def phases(referred: set[TableName], *markers: Marker) -> list[tuple[str, str]]:
        stages = stages_of(tables, files, referred, marked=markers)
        return [(str(each.table), each.phase) for each in stages if each.do == "write"]

    whole = Marker("m", "run-1", "parent", 0, "all")
    apart = Marker("m", "run-1", "parent", 0, "upsert")
    in_two = [("parent", "upsert"), ("child", "all"), ("parent", "delete")]
    assert phases({parent}) == phases({parent}, apart) == phases(set(), apart) == in_two
    assert phases(set()) == phases(set(), whole) == phases({parent}, whole) == [("parent", "all"), ("child", "all")]


def test_what_completes_rows_comes_behind_all_inserts_and_updates_and_before_deletes() -> None:
    parent, child = TableName("parent"), TableName("child")
    every, update = {"insert": 1, "update": 1, "delete": 1}, {"insert": 0, "update": 1, "delete": 0}
    tables = (planned(parent, completing=(1,), interim=(1,)), planned(child, first=(1,), interim=(1,)))
    files = [file_of(name, window, counts) for name in (parent, child) for window, counts in enumerate((every, update))]
    stages = stages_of(tables, files, {parent, child})
    assert [(str(each.table), each.phase, each.windows) for each in stages if each.do == "write"] == [
        ("child", "upsert", (1,)),
        ("parent", "upsert", (0,)),
        ("child", "upsert", (0,)),
        ("parent", "upsert", (1,)),
        ("child", "delete", (0,)),
        ("parent", "delete", (0,)),
    ]


KEYS = {"foreign_keys": [{"columns": "customer", "table": "customer", "refers": "id"}]}
SHOP = {
    "purchase": {
        "from": "orders", "key": ["number"], "columns": {"number": "number", "customer": "customer"}, "create": KEYS,
    },
    "customer": {"from": "customers", "key": ["id"], "columns": {"id": "id", "name": "name"}},
}  # fmt: skip


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    made = Scenario.make(tmp_path, PAIRS[0], request)
    made.source.execute("CREATE TABLE customers (id bigint PRIMARY KEY, name text)")
    made.source.execute("CREATE TABLE orders (number bigint PRIMARY KEY, customer bigint)")
    made.source.insert("customers", [(1, "Ada"), (2, "Grace")])
    made.source.insert("orders", [(10, 1), (11, 2)])
    made.write(SHOP)
    return made


def test_plan_shows_its_stages_in_json(shop: Scenario) -> None:
    def shown() -> list[dict[str, object]]:
        done = CliRunner().invoke(main, ["plan", str(shop.path), "--json"])
        found: list[dict[str, object]] = json.loads(done.stdout)["stages"]
        return found

    made = [(each["do"], each["table"]) for each in shown()]
    assert made == [(do, table) for do in ("create", "write", "number") for table in ("customer", "purchase")]
    shop.run()
    shop.source.execute("DELETE FROM orders WHERE number = 11")
    shop.source.execute("DELETE FROM customers WHERE id = 2")
    write = {"do": "write", "windows": 1, "in_turn": False}
    assert [each for each in shown() if each["do"] == "write"] == [
        {**write, "table": "purchase", "phase": "all"},
        {**write, "table": "customer", "phase": "delete"},
    ]


class Order(Meter):
    """Which tables are written, in order."""

    def __init__(self) -> None:
        self.tables: list[str] = []

    def expect(self, table: str, what: str, rows: int) -> None:
        if what == "apply":
            self.tables.append(table)


def test_who_applies_a_plan_follows_the_stages_that_it_says(shop: Scenario) -> None:
    shop.write({name: {**table, "create": {}} for name, table in SHOP.items()})
    plan = Plan.open(Path(str(shop.plan().report.plan)))
    assert plan.manifest.stages is not None
    rows = [each for each in plan.manifest.stages if each.do == "write"]
    (plan.folder / "manifest.json").unlink()
    stages = (*(each for each in plan.manifest.stages if each.do == "create"), *reversed(rows))
    PlanWriter(plan.folder, begun=True).finish(replace(plan.manifest, stages=stages), plan.files)
    order = Order()
    commands.apply_plan(plan.folder, meter=order)
    assert order.tables == [each.table.name for each in reversed(rows)]
    assert shop.target.count("customer") == shop.target.count("purchase") == 2
    shop.settled()

"""Laws of every migration, over random schemas and values of each pair of engines.

What was written reads back equal, or is set aside with its reason; the second plan is empty; `verify` agrees; an edit
of the source is planned exactly; a range touches nothing outside of it. What should come out is reckoned here from
what the engines' own drivers tell, never by Syncline.

A few examples of each pair run with all other tests. Many more: `LAW_EXAMPLES=1000 pytest tests/laws/test_between_engines.py`.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st
from law_cases import NUMBER, Case, Row, Table, cases
from law_states import State, in_spec, range_of
from law_types import SETUP
from scenario import Engine, Scenario, Side, empty_mariadb, pair_name
from type_values import quoted

from flows.commands import Status
from flows.history import quarantine
from transforms.vocabulary import SpecError

ENGINES: tuple[Engine, ...] = ("sqlite", "duckdb", "postgresql", "mysql")
PAIRS = tuple(product(ENGINES, ENGINES))
EXAMPLES = int(os.environ.get("LAW_EXAMPLES", "2"))


@dataclass
class Bench:
    """Two databases that all examples of a pair use, one after the other; each example has its own migration."""

    scenario: Scenario
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def prepared(self, case: Case) -> Scenario:
        for side in (self.scenario.source, self.scenario.target):
            side.execute(*(f"DROP TABLE {quoted(name)}" for name in side.tables()))
        shutil.rmtree(self.scenario.folder / "store", ignore_errors=True)
        for table in case.tables:
            self.scenario.source.execute(creation(table, self.scenario.source.engine))
            if case.made != "by Syncline":
                self.scenario.target.execute(
                    creation(table, self.scenario.target.engine, own=case.made == "by hand", keyed=True)
                )
            fill(self.scenario.source, table, table.rows)
        tables = {
            in_spec(table.name): {"from": in_spec(table.name), "key": [column.name for column in table.keys]}
            for table in case.tables
        }
        self.scenario.write(tables, name=f"laws{next(self.numbers)}", defaults={"window": {"rows": case.window}})
        return self.scenario


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Callable[..., Bench]:
    known: dict[tuple[Engine, Engine], Bench] = {}

    def side(folder: Path, engine: Engine, name: str) -> Side:
        made, own = Side(engine, str(folder / f"{name}.db")), f"{folder.name}_{name}".replace("-", "_")
        if engine == "postgresql":
            made = Side(engine, request.getfixturevalue("law_database"), own)
        if engine == "mysql":
            made = empty_mariadb(request.getfixturevalue("mariadb_server"), own)
        made.execute(*SETUP[engine])
        return made

    def bench(pair: tuple[Engine, Engine]) -> Bench:
        if pair not in known:
            folder = tmp_path_factory.mktemp(pair_name(pair), numbered=False)
            known[pair] = Bench(Scenario(folder, side(folder, pair[0], "old"), side(folder, pair[1], "new")))
        return known[pair]

    return bench


@pytest.fixture(scope="module")
def law_database(postgres_server: str) -> Iterator[str]:
    import psycopg

    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE laws")
        yield postgres_server.replace("/postgres?", "/laws?")
        connection.execute("DROP DATABASE laws WITH (FORCE)")


@pytest.mark.parametrize("pair", PAIRS, ids=pair_name)
@settings(
    max_examples=EXAMPLES,
    derandomize="LAW_EXAMPLES" not in os.environ,
    suppress_health_check=[*HealthCheck],
    print_blob=True,
)
@given(data=st.data())
def test_what_is_written_reads_back_equal_or_is_set_aside(
    pair: tuple[Engine, Engine], benches: Callable[..., Bench], data: st.DataObject
) -> None:
    case = data.draw(cases(pair))
    hold_laws(benches(pair).prepared(case), case)


def hold_laws(scenario: Scenario, case: Case) -> None:
    """All laws of one migration, from an empty target over an edit of the source to rest."""
    before = {table.name: State.of(scenario, table, case, table.rows) for table in case.tables}
    try:
        outcome = scenario.run()
    except SpecError as error:
        event(f"{case.made}: refused")
        note(str(error))
        assert case.made == "by hand", str(error)
        return
    event(case.made)
    for state in before.values():
        state.look_again()  # Syncline may have made the table
        state.check(outcome, {})
    at_rest(scenario, before)

    for table in case.tables:
        scenario.source.execute(f"DELETE FROM {quoted(table.name)}")
        fill(scenario.source, table, table.edited)
    after = {table.name: State.of(scenario, table, case, table.edited) for table in case.tables}
    found = {name: state.target_rows() for name, state in after.items()}
    if ranged := range_of(case.tables[0], after, found, case.between):
        first = after[case.tables[0].name]
        text, inside = ranged
        with suppress(SpecError):  # numbers in texts have no order
            outcome = scenario.run(ranges=[text])
            event("ranges")
            first.check(outcome, found[first.table.name], inside)
            found[first.table.name] = first.target_rows()
    try:
        planned = scenario.plan()
    except SpecError as error:
        # PostgreSQL's numeric(p,s) travels as text while it holds NaN, and a table made then has a text for it
        assert case.made == "by Syncline" and "is decimal128" in str(error) and "`cast: text`" in str(error), str(error)
        event("NaN has left: refused")
        return
    for name, state in after.items():
        state.check(planned, found[name], written=False)
    outcome = scenario.run()
    for name, state in after.items():
        state.check(outcome, found[name])
    at_rest(scenario, after)


def at_rest(scenario: Scenario, states: dict[str, State]) -> None:
    """A second plan is empty, nothing is written by it, and `verify` agrees; what is set aside is in the ledger.

    Of a table whose target rows all wait for rows in quarantine nothing was compared: `verify` does not call it equal.
    """
    again, verified = scenario.plan(), scenario.verify()
    waiting = any(table.counts.unproved and not table.counts.unchanged for table in verified.report.tables)
    for outcome, status in ((again, Status.DONE), (verified, Status.CHANGES if waiting else Status.DONE)):
        assert outcome.status is status, [(table.name, table.samples) for table in outcome.report.tables]
        assert outcome.report.total.changes == 0
    listed, totals = quarantine.listed(scenario.spec, quarantine.Filter(), 1000)
    counted = {table.name: table.counts.quarantined for table in again.report.tables if table.counts.quarantined}
    assert totals == counted
    assert all(row["reason"] for row in listed)


def creation(table: Table, engine: Engine, *, own: bool = False, keyed: bool | None = None) -> str:
    columns = [f"{NUMBER} integer NOT NULL"]
    for place, column in enumerate(table.columns):
        native = column.target if own else column.kind.native
        free = column.nullable and not (keyed and place < table.key)
        columns.append(f"{quoted(column.name)} {native} {'NULL' if free else 'NOT NULL'}")
    if table.keyed if keyed is None else keyed:
        columns.append(f"PRIMARY KEY ({', '.join(quoted(column.name) for column in table.keys)})")
    return f"CREATE TABLE {quoted(table.name)} ({', '.join(columns)})"


def fill(side: Side, table: Table, rows: dict[int, Row]) -> None:
    """Insert the rows. Those whose key is there already are passed over: which keys are one, the source knows best."""
    if not rows:
        return
    told = ", ".join(f"({', '.join([str(number), *(cell.sql for cell in row)])})" for number, row in rows.items())
    if side.engine in ("postgresql", "duckdb"):
        side.execute(f"INSERT INTO {quoted(table.name)} VALUES {told}" + " ON CONFLICT DO NOTHING" * table.keyed)
    else:
        ignored = {"sqlite": "OR IGNORE", "mysql": "IGNORE"}[side.engine] if table.keyed else ""
        side.execute(f"INSERT {ignored} INTO {quoted(table.name)} VALUES {told}")

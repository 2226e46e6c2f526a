"""A law of two ways between databases that hold on to constraints: whatever people do on both sides, a run ends, brings together what
either side takes, and leaves all else as it is on both, by name."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from law_examples import examples, slow_examples
from scenario import Engine, Scenario, Side, pair_name
from two_ways import empty

from flows.commands import Outcome, Status
from flows.session.stores import ledger_of

NUMBERS, MAILS, TEXTS = (1, 2, 3, 4), (None, "a@x", "b@x", "c@x"), (None, "x", "y")
POLICIES = ("merge", "manual", "source_wins", "target_wins")
TABLES = {"orders": ("nr", "mail", "n", "note"), "line": ("id", "nr", "above")}


def sql(value: Any) -> str:
    return "NULL" if value is None else f"'{value}'" if isinstance(value, str) else str(value)


@st.composite
def statements(draw: st.DrawFn) -> str:
    """Something that somebody does on a side, which may refuse it."""
    number = draw(st.sampled_from(NUMBERS))
    mail, text, n, other = (draw(st.sampled_from(each)) for each in (MAILS, TEXTS, (1, 9, 10, 11), (None, *NUMBERS)))
    return draw(
        st.sampled_from(
            [
                f"INSERT INTO orders VALUES ({number}, {sql(mail)}, {n}, {sql(text)})",
                f"UPDATE orders SET mail = {sql(mail)} WHERE nr = {number}",
                f"UPDATE orders SET n = {n} WHERE nr = {number}",
                f"UPDATE orders SET note = {sql(text)} WHERE nr = {number}",
                f"DELETE FROM orders WHERE nr = {number}",
                f"INSERT INTO line VALUES ({number}, {sql(other)}, NULL)",
                f"UPDATE line SET nr = {sql(other)} WHERE id = {number}",
                f"UPDATE line SET above = {sql(other)} WHERE id = {number}",
                f"DELETE FROM line WHERE id = {number}",
            ]
        )
    )


@dataclass(frozen=True)
class Life:
    """What each side holds on to, what people do on either, round by round, and what decides."""

    rules: tuple[Sequence[str], Sequence[str]]
    cascade: tuple[bool, bool]
    rounds: tuple[tuple[Sequence[str], Sequence[str]], ...]
    policy: str


some_statements = st.lists(statements(), min_size=4, max_size=12)
rules = st.lists(st.sampled_from(["CHECK (n < 10)", "CHECK (note <> 'y')", "UNIQUE (mail)"]), unique=True).map(tuple)
lives = st.builds(
    Life,
    st.tuples(rules, rules),
    st.tuples(st.booleans(), st.booleans()),
    st.lists(st.tuples(some_statements, some_statements), min_size=2, max_size=4).map(tuple),
    st.sampled_from(POLICIES),
)


def create(side: Side, life: Life, number: int) -> None:
    """DuckDB holds on to what others refer to more than it should (`docs/limits.md`): there, less is unique, and no line is above one."""
    duckdb = side.engine == "duckdb"
    rules = [rule for rule in life.rules[number] if not (duckdb and rule.startswith("UNIQUE"))]
    cascade = " ON DELETE CASCADE" if life.cascade[number] and not duckdb else ""
    above = "" if duckdb else ", FOREIGN KEY (above) REFERENCES line (id)"
    columns = "nr integer PRIMARY KEY, mail varchar(9), n integer NOT NULL, note varchar(9)"
    side.execute(
        f"CREATE TABLE orders ({', '.join([columns, *rules])})",
        "CREATE TABLE line (id integer PRIMARY KEY, nr integer, above integer, "
        f"FOREIGN KEY (nr) REFERENCES orders (nr){cascade}{above})",
    )


def do(side: Side, some: Sequence[str]) -> None:
    for statement in some:
        with suppress(Exception):  # the side itself refuses it
            side.execute(statement)


def content(made: Scenario) -> list[dict[tuple[str, Any], Any]]:
    return [
        {(name, row[0]): row for name, columns in TABLES.items() for row in side.rows(name, ", ".join(columns))}
        for side in (made.source, made.target)
    ]


def open_rows(made: Scenario) -> dict[tuple[str, Any], str]:
    with ledger_of(made.spec) as ledger:
        return {
            (each.table_name, int(each.key.strip("[]"))): str(each.kind) for each in ledger.conflicts(made.spec.name)
        }


def lived(life: Life, pair: tuple[Engine, Engine], request: pytest.FixtureRequest) -> None:
    with tempfile.TemporaryDirectory(prefix="syncline-law-") as folder:
        made = empty(Path(folder), pair, request)
        for number, side in enumerate((made.source, made.target)):
            create(side, life, number)
        made.write(
            {"orders": {"from": "orders"}, "line": {"from": "line"}},
            direction="two_way",
            initial="policy",
            conflict={"resolve": life.policy},
            defaults={"window": 2, "delete": {"max_ratio": 1.0}},
        )
        for ours, theirs in life.rounds:
            do(made.source, ours)
            do(made.target, theirs)
            before = content(made)
            holds(made, before, made.run())
            after, left = content(made), open_rows(made)
            again = made.run()
            assert not again.report.pending, [(t.name, t.counts, t.back) for t in again.report.tables]
            assert (content(made), open_rows(made)) == (after, left)
            assert again.status == (Status.CONFLICTS if left else Status.DONE)
        if not left:
            made.settled()


def holds(made: Scenario, before: list[dict[Any, Any]], outcome: Outcome) -> None:
    """A row that is not open is the same on both sides; one that is open is as it was on either."""
    left, after = open_rows(made), content(made)
    assert outcome.status == (Status.CONFLICTS if left else Status.DONE), outcome.message
    assert sum(each.counts.conflicts for each in outcome.report.tables) == len(left)
    assert not sum(each.counts.quarantined for each in outcome.report.tables)
    for key in {*before[0], *before[1]}:
        found = [side.get(key) for side in after]
        if key in left:
            assert found == [side.get(key) for side in before], (key, left[key])
        else:
            assert found[0] == found[1], (key, left)


@examples(3)
@given(life=lives)
def test_a_run_between_constraints_leaves_open_what_a_side_refuses_and_nothing_else(
    request: pytest.FixtureRequest, life: Life
) -> None:
    lived(life, ("sqlite", "sqlite"), request)


@pytest.mark.parametrize("pair", [("duckdb", "postgresql"), ("postgresql", "mysql")], ids=pair_name)
@slow_examples(1)
@given(life=lives)
def test_so_it_does_between_servers(pair: tuple[Engine, Engine], request: pytest.FixtureRequest, life: Life) -> None:
    pytest.importorskip("psycopg")
    lived(life, pair, request)

"""The law of sealed windows: whatever is edited on either side, a plan with them is the plan of who reads everything."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from law_examples import examples
from scenario import Scenario, Side, changes

from flows.commands import Outcome

IDS = st.integers(1, 30)
NAMES = st.sampled_from(["NULL", "''", "'a'", "'A'", "'a '", "'gone'"])
AMOUNTS = st.sampled_from(["0.0", "-0.0", "1.5", "'nan'", "NULL", "1e300"])
TABLES = {
    "party": {"from": "parties", "key": ["code"], "columns": {"code": "code", "name": "name"}},
    "sale": {
        "from": "sales",
        "key": ["id"],
        "window": 4,
        "columns": {
            "id": "id",
            "who": "who",
            "label": {"expr": "upper(who) || 'x'"},
            "amount": "amount",
            "name": {"lookup": {"table": "party", "match": {"code": "who"}, "take": "name"}, "missing": "quarantine"},
            "kind": {"lookup": {"table": "kinds", "side": "target", "match": {"code": "who"}, "take": "kind"}, "missing": "null"},
        },
    },
}  # fmt: skip


@st.composite
def edits(draw: st.DrawFn, side: str) -> tuple[str, str]:
    """A side and what somebody does there."""
    sales = "sales" if side == "source" else "sale"
    row, who, amount = draw(IDS), draw(NAMES), draw(AMOUNTS)
    statements = [
        f"DELETE FROM {sales} WHERE id = {row}",
        f"DELETE FROM {sales} WHERE id BETWEEN {row} AND {row + 8}",
        f"UPDATE {sales} SET amount = {amount} WHERE id = {row}",
        f"UPDATE {sales} SET who = {who} WHERE id = {row}",
        f"INSERT INTO {sales} (id, who, amount) VALUES ({row}, {who}, {amount}) ON CONFLICT DO NOTHING",
        f"INSERT INTO {sales} (id, who, amount) SELECT n, {who}, {amount} FROM range({row * 3}, {row * 3 + 12}) t(n) "
        "ON CONFLICT DO NOTHING",
        f"UPDATE {sales} a SET who = b.who FROM {sales} b WHERE a.id IN ({row}, {row + 1}) AND b.id = 2 * {row} + 1 - a.id",
        f"UPDATE {sales} SET who = who",
    ]
    if side == "source":
        statements += [f"UPDATE parties SET name = {who} WHERE code = 'a'", "DELETE FROM parties WHERE code = 'A'"]
    else:
        statements += [
            f"UPDATE kinds SET kind = {who} WHERE code = 'a'",
            f"UPDATE party SET name = {who} WHERE code = 'A'",
        ]
    return side, draw(st.sampled_from(statements))


def told(outcome: Outcome) -> dict[str, Any]:
    """What a plan or a proof says of each table, but for what was not read."""
    tables = {table.name: table.as_dict() for table in outcome.report.tables}
    for table in tables.values():
        table.pop("sealed", None)
    totals = [(each.table, each.source, each.kept, each.target) for each in outcome.report.reconciled]
    return {"status": outcome.status, "tables": tables, "totals": str(totals), "notices": outcome.report.warning_texts}


def both(shop: Scenario, kind: str) -> tuple[Outcome, Outcome]:
    """The same with seals and without; the seals are left as the first one has them."""
    store, aside = shop.folder / "store" / "seals", shop.folder / "seals"
    done = getattr(shop, kind)()
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(store, aside)
    afresh = getattr(shop, kind)(afresh=True)
    shutil.rmtree(store)
    shutil.copytree(aside, store)
    return done, afresh


@examples(3)
@given(
    steps=st.lists(st.tuples(edits("source"), edits("target"), edits("target"), st.booleans()), min_size=2, max_size=2)
)
def test_a_plan_is_the_same_with_sealed_windows_and_without(steps: list[Any]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        shop = Scenario(folder, Side("duckdb", str(folder / "legacy.db")), Side("duckdb", str(folder / "core.db")))
        shop.source.execute(
            "CREATE TABLE parties (code varchar PRIMARY KEY, name varchar)",
            "CREATE TABLE sales (id bigint PRIMARY KEY, who varchar, amount double)",
            "INSERT INTO parties VALUES ('', 'nobody'), ('a', 'small'), ('A', 'large'), ('a ', 'wide')",
            "INSERT INTO sales SELECT n, CASE n % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'A' END, n / 2 FROM range(1, 25) t(n)",
        )
        shop.target.execute(
            "CREATE TABLE kinds (code varchar PRIMARY KEY, kind varchar)",
            "INSERT INTO kinds VALUES ('a', 'x'), ('A', 'y')",
            "CREATE TABLE sale (id bigint PRIMARY KEY, who varchar, label varchar, amount double, name varchar, kind varchar)",
        )
        shop.write(TABLES, defaults={"seal": True})
        shop.run()
        shop.run()
        for *some, run in steps:
            for side, statement in some:
                getattr(shop, side).execute(statement)
            done, afresh = both(shop, "plan")
            assert told(done) == told(afresh)
            assert changes(done) == changes(afresh)
            if run:
                shop.run()
        done, afresh = both(shop, "verify")
        assert told(done) == told(afresh)

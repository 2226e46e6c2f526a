"""Sealed windows: what both sides left as it was when nothing was to do is not read, and the plan is the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import answer, syncline
from scenario import RING, Scenario, changes, pair_name

from flows.commands import Outcome, Status

KEYS = range(1, 61)
SALES = {
    "from": "sales",
    "key": ["id"],
    "columns": {"id": "id", "who": {"expr": "upper(who)"}, "amount": "amount"},
}


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    pair = getattr(request, "param", ("duckdb", "duckdb"))
    made = Scenario.make(tmp_path, pair, request)
    made.source.execute('CREATE TABLE "sales" ("id" bigint PRIMARY KEY, "who" varchar(20), "amount" integer)')
    made.source.execute(f'INSERT INTO "sales" VALUES {", ".join(f"({n}, {chr(39)}w{n}{chr(39)}, {n})" for n in KEYS)}')
    return made


def write(shop: Scenario, sales: Any = SALES, **tables: Any) -> None:
    shop.write({"sales": {**sales, "window": 10}, **tables}, defaults={"seal": True})


def sealed(outcome: Outcome, table: str = "sales") -> tuple[int, int, int] | None:
    found = next(each for each in outcome.report.tables if each.name == table).sealed
    return None if found is None else (found.windows, found.of, found.rows)


def kept(shop: Scenario) -> None:
    """Bring the target up to date, and seal it."""
    assert shop.run().status == Status.DONE
    assert shop.run().status == Status.DONE


@pytest.mark.parametrize("shop", RING, indirect=True, ids=pair_name)
def test_what_both_sides_left_as_it_was_is_not_read(shop: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    whole_files = "sqlite" in (shop.source.engine, shop.target.engine)  # any change is one of all windows
    write(shop)
    assert sealed(shop.run()) is None  # nothing was there
    assert sealed(shop.run()) == (0, 6, 0)
    plan = shop.plan()
    assert plan.status == Status.DONE
    assert sealed(plan) == (6, 6, 60)
    assert plan.report.tables[0].counts.as_dict()["unchanged"] == 60
    assert plan.report.as_dict()["tables"]["sales"]["sealed"] == {"windows": 6, "of": 6, "rows": 60}
    proof = shop.verify()
    assert proof.status == Status.DONE
    assert sealed(proof) == (6, 6, 60)
    assert sealed(shop.verify(afresh=True)) == (0, 6, 0)
    (told,) = shop.run().report.reconciled
    (afresh,) = shop.run(afresh=True).report.reconciled
    assert told == afresh
    shop.source.execute('UPDATE "sales" SET "amount" = 0 WHERE "id" = 15')
    shop.target.execute('DELETE FROM "sales" WHERE "id" = 35')
    plan = shop.plan()
    assert sealed(plan) == (0 if whole_files else 4, 6, 0 if whole_files else 40)
    assert changes(plan) == changes(shop.plan(afresh=True))
    done = shop.run()
    assert (done.report.total.update, done.report.total.insert) == (1, 1)
    whole_files = shop.target.engine == "sqlite"  # of the source's the plans before have proved what is there now
    assert sealed(shop.run()) == (0 if whole_files else 4, 6, 0 if whole_files else 40)
    assert sealed(shop.run()) == (6, 6, 60)
    shop.settled(afresh=True)


def test_an_edit_that_is_taken_back_finds_the_seal_again(shop: Scenario) -> None:
    write(shop)
    kept(shop)
    shop.source.execute("UPDATE sales SET amount = 7 WHERE id = 1")
    shop.target.execute("UPDATE sales SET amount = 7 WHERE id = 1")
    assert sealed(shop.plan()) == (5, 6, 50)  # both sides are equal, and not as they were
    assert sealed(shop.plan()) == (6, 6, 60)
    shop.target.execute("UPDATE sales SET amount = 8 WHERE id = 1")
    assert shop.plan().status == Status.CHANGES
    shop.target.execute("UPDATE sales SET amount = 7 WHERE id = 1")
    assert shop.plan().status == Status.DONE


def test_windows_that_grow_are_cut_and_rows_at_both_ends_are_seen(shop: Scenario) -> None:
    write(shop)
    kept(shop)
    new = ", ".join(f"({n}, 'w', {n})" for n in (*range(-30, 0), *range(1000, 1035)))
    shop.source.execute(f"INSERT INTO sales VALUES {new}")
    done = shop.run()
    assert done.report.total.insert == 65
    assert sealed(done) == (4, 13, 40)
    assert sealed(shop.run()) == (6, 13, 60)  # of what was cut two parts had no new rows
    assert sealed(shop.run()) == (13, 13, 125)
    shop.source.execute("DELETE FROM sales WHERE id <> 5")
    shop.run()
    shop.run()
    assert sealed(shop.run()) == (1, 1, 1)  # without a seal that is left, windows are cut anew
    shop.settled(afresh=True)


def test_rows_that_are_told_of_each_time_keep_their_window_open(shop: Scenario) -> None:
    """In quarantine, kept in the target though the source lacks them."""
    shop.source.execute("INSERT INTO sales VALUES (61, 'w61', 999999)")
    sales = {**SALES, "columns": {"id": "id", "amount": {"expr": "amount::TINYINT"}}}
    write(shop, sales)
    kept(shop)
    again = shop.run()
    assert again.report.total.quarantined == 1
    assert sealed(again) == (6, 7, 60)
    write(shop, {**sales, "delete": {"policy": "ignore"}})
    shop.source.execute("DELETE FROM sales WHERE id IN (5, 61)")
    kept(shop)
    again = shop.run()
    assert again.report.tables[0].unproved == {"ignored": 1}
    assert sealed(again) == (5, 6, 50)


def test_another_spec_another_lookup_or_another_mapping_is_read(shop: Scenario) -> None:
    shop.source.execute("CREATE TABLE names (code varchar PRIMARY KEY, name varchar, note varchar)")
    shop.source.execute("INSERT INTO names SELECT who, 'n' || id, '' FROM sales")
    lookup = {
        "lookup": {"table": "names", "side": "source", "match": {"code": "who"}, "take": "name"},
        "missing": "null",
    }
    sales = {**SALES, "columns": {**SALES["columns"], "name": lookup}}  # type: ignore[dict-item]
    write(shop, sales)
    kept(shop)
    assert sealed(shop.run()) == (6, 6, 60)
    shop.source.execute("UPDATE names SET note = 'x'")  # which nobody looks up
    assert sealed(shop.run()) == (6, 6, 60)
    shop.source.execute("UPDATE names SET name = 'other' WHERE code = 'w33'")
    done = shop.run()
    assert sealed(done) == (0, 6, 0)
    assert done.report.total.update == 1
    kept(shop)
    write(shop, {**sales, "columns": {**sales["columns"], "amount": {"expr": "amount * 2"}}})
    plan = shop.plan()
    assert sealed(plan) == (0, 6, 0)
    assert plan.report.total.update == 60
    shop.write({"sales": {**sales, "window": 10, "seal": False}}, defaults={"seal": True})
    assert sealed(shop.plan()) is None


@pytest.mark.parametrize("shop", RING[1:3], indirect=True, ids=pair_name)
def test_rows_that_a_plain_condition_leaves_out_may_change(shop: Scenario) -> None:
    write(shop, {**SALES, "where": "amount > 30 AND id <> 7"})
    kept(shop)
    assert sealed(shop.run()) == (3, 3, 30)
    shop.source.execute('UPDATE "sales" SET "amount" = "amount" - 1 WHERE "amount" < 30')
    assert sealed(shop.run()) == (3, 3, 30)
    shop.source.execute('UPDATE "sales" SET "amount" = 31 WHERE "id" = 9')
    plan = shop.plan()
    assert plan.report.total.insert == 1
    assert changes(plan) == changes(shop.plan(afresh=True))
    shop.source.execute('UPDATE "sales" SET "amount" = 3 WHERE "id" = 55')
    plan = shop.plan()
    assert (plan.report.total.insert, plan.report.total.delete) == (1, 1)


@pytest.mark.parametrize(
    "column",
    [
        {"expr": "who || CASE WHEN now() > TIMESTAMPTZ '2000-01-01' THEN '' ELSE 'x' END"},
        {"expr": "CASE WHEN random() < 2 THEN who END"},
        {"python": "made.of", "columns": ["who"], "cast": "text"},
    ],
    ids=["clock", "random", "python"],
)
def test_what_may_be_another_value_tomorrow_is_never_sealed(shop: Scenario, column: Any) -> None:
    (shop.folder / "made.py").write_text("def of(rows):\n    return rows['who']\n")
    write(shop, {**SALES, "columns": {"id": "id", "who": column}})
    kept(shop)
    assert sealed(shop.run()) is None


@pytest.mark.parametrize(
    "more",
    [
        {"where": "amount > length(who) - 5"},
        {"where": "amount > 0 OR who = 'now'"},
        {"from": {"query": "SELECT * FROM sales"}},
        {"from": "seen"},
        {"owns": "amount > 0"},
        {
            "expect": [{"type": "expect_column_values_to_be_unique", "column": "who", "severity": "warning"}],
            "checkpoint": {"max_rows": 1},
        },
    ],
    ids=["where", "today", "query", "view", "owns", "across rows"],
)
def test_what_no_checksum_stands_for_is_never_sealed(shop: Scenario, more: dict[str, Any]) -> None:
    shop.source.execute("CREATE VIEW seen AS SELECT * FROM sales")
    write(shop, {**SALES, **more})
    kept(shop)
    assert sealed(shop.run()) in (None, (0, 6, 0), (0, 1, 0))


def test_tables_that_go_both_ways_are_never_sealed(shop: Scenario) -> None:
    write(shop, {**SALES, "direction": "two_way", "initial": "source", "columns": {"id": "id", "amount": "amount"}})
    kept(shop)
    assert sealed(shop.run()) is None
    assert sealed(shop.verify()) is None


def test_a_window_that_a_trigger_changes_is_read_until_it_stays(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    shop = Scenario.make(tmp_path, ("duckdb", "postgresql"), request)
    shop.source.execute("CREATE TABLE sales (id bigint PRIMARY KEY, who varchar, amount integer)")
    shop.source.execute("INSERT INTO sales SELECT n, 'w', n FROM range(1, 61) t(n)")
    write(shop)
    kept(shop)
    shop.target.execute(
        "CREATE FUNCTION core.more() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.amount := NEW.amount + 1; RETURN NEW; END'",
        'CREATE TRIGGER more BEFORE UPDATE ON "sales" FOR EACH ROW EXECUTE FUNCTION core.more()',
    )
    shop.source.execute("UPDATE sales SET amount = 1000 WHERE id = 5")
    for _ in range(3):
        done = shop.run()
        assert done.report.total.update == 1
        assert sealed(done) == (5, 6, 50)


def test_seals_that_are_lost_or_damaged_cost_reading_alone(shop: Scenario) -> None:
    write(shop)
    kept(shop)
    (file,) = (shop.folder / "store" / "seals").rglob("*.arrow")
    whole = file.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"x" * 200):
        file.write_bytes(damaged)
        assert sealed(shop.plan()) == (0, 6, 0)
        assert sealed(shop.plan()) == (6, 6, 60)
    assert file.stat().st_mode & 0o077 == 0


def test_another_process_finds_the_seals(shop: Scenario) -> None:
    """In which sets have another order."""
    shop.source.execute(
        "CREATE TABLE coded (id bigint PRIMARY KEY, a varchar UNIQUE, b varchar UNIQUE, c varchar UNIQUE)"
    )
    shop.source.execute("INSERT INTO coded VALUES (1, 'a', 'b', 'c')")
    shop.target.execute(
        "CREATE TABLE coded (id bigint PRIMARY KEY, a varchar UNIQUE, b varchar UNIQUE, c varchar UNIQUE)"
    )
    shop.write({"coded": {"from": "coded", "key": ["id"]}}, defaults={"seal": True})
    shop.run()
    found = []
    for seed in ("1", "2", "3"):
        command = [sys.executable, "-m", "flows.cli.main", "plan", str(shop.path), "--json"]
        done = subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True)
        found.append(json.loads(done.stdout)["tables"]["coded"]["sealed"]["windows"])
    assert found == [0, 1, 1]


def test_the_share_that_was_not_read_is_told_and_who_asks_reads_it_all(shop: Scenario) -> None:
    write(shop)
    kept(shop)
    line = "sales: 6 of 6 windows were as sealed, with 60 rows, and not read."
    for command in ("plan", "verify"):
        assert line in syncline(command, shop.path).output
        assert "as sealed" not in syncline(command, shop.path, "--afresh").output
    done = answer("run", shop.path, "--direct")
    assert done["tables"]["sales"]["sealed"] == {"windows": 6, "of": 6, "rows": 60}
    assert "6 of 6 windows were as sealed, with 60 rows, and not read" in Path(done["report"]).read_text()
    assert answer("run", shop.path, "--direct", "--afresh")["tables"]["sales"]["sealed"]["rows"] == 0
    assert sealed(shop.plan(ranges=["sales.id:1..20"])) is None
    assert sealed(shop.plan()) == (6, 6, 60)

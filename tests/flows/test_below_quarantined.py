"""Rows that refer to one in quarantine by a plain foreign key of the target are set aside when they are planned, at any depth."""

from __future__ import annotations

from pathlib import Path

import pytest
from assessing import checked
from scenario import Engine, Scenario, counts, quarantine

from flows.commands import Status

ENGINES: tuple[Engine, ...] = ("sqlite", "duckdb", "postgresql", "mysql")
DATED = {"day": {"from": "day", "cast": "date"}}


def made(folder: Path, engine: Engine, request: pytest.FixtureRequest) -> Scenario:
    """Regions, sites and devices, each of which refers to the one above; regions have dates."""
    shop = Scenario.make(folder, ("sqlite", engine), request)
    shop.source.execute(
        "CREATE TABLE region (no integer PRIMARY KEY, code varchar(9), day varchar(20))",
        "CREATE TABLE site (no integer PRIMARY KEY, region varchar(9), name varchar(20))",
        "CREATE TABLE device (no integer PRIMARY KEY, site integer)",
    )
    shop.target.execute(
        "CREATE TABLE region (no integer PRIMARY KEY, code varchar(9) NOT NULL UNIQUE, day date)",
        "CREATE TABLE site (no integer PRIMARY KEY, region varchar(9), name varchar(20), "
        "FOREIGN KEY (region) REFERENCES region (code))",
        "CREATE TABLE device (no integer PRIMARY KEY, site integer NOT NULL, FOREIGN KEY (site) REFERENCES site (no))",
    )
    shop.source.insert("region", [(1, "a", "2020-02-02"), (2, "b", "never"), (3, "c", "2020-02-02")])
    shop.source.insert("site", [(1, "a", "x"), (2, "b", "x"), (3, None, "x"), (4, "b", "x")])
    shop.source.insert("device", [(1, 1), (2, 2), (3, 3), (4, 4)])
    tables = {name: {"from": name, "key": "no"} for name in ("site", "device")}
    region = {"from": "region", "key": "no", "columns": {"no": "no", "code": "code", **DATED}}
    shop.write({"region": region, **tables}, defaults={"quarantine": {"max_ratio": 1.0}})
    return shop


@pytest.mark.parametrize("engine", ENGINES)
def test_what_hangs_below_a_row_in_quarantine_is_set_aside_with_it(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(tmp_path, engine, request)
    looked = checked(shop)
    expected = {"region": 1, "site": 2, "device": 2}
    for outcome in (shop.plan(), shop.run()):
        assert {name: counts(outcome, name)["quarantined"] for name in expected} == expected
    assert {each.name: each.counts.quarantined for each in looked.tables} == expected
    why = {(table, *key): reason for table, key, reason in quarantine(shop)}
    assert why["site", 2] == "its region is in quarantine"
    assert why["device", 4] == "its site is in quarantine"
    assert shop.target.rows("site") == [(1, "a", "x"), (3, None, "x")]
    assert shop.target.rows("device") == [(1, 1), (3, 3)]
    assert shop.run().report.total.insert == 0
    shop.source.execute("UPDATE region SET day = '2021-01-01' WHERE no = 2")
    assert shop.run().report.total.insert == 5
    assert quarantine(shop) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_row_that_the_target_has_is_a_parent_whatever_becomes_of_its_new_state(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(tmp_path, engine, request)
    shop.target.insert("region", [(2, "b", "2019-09-09"), (3, "c", "2019-09-09")])
    shop.source.execute(
        "UPDATE region SET code = 'd', day = 'never' WHERE no = 3", "INSERT INTO site VALUES (5, 'd', 'x')",
        "INSERT INTO site VALUES (6, 'c', 'x')",
    )  # fmt: skip
    assert counts(shop.run(), "site")["insert"] == 5
    assert [key for table, key, _ in quarantine(shop) if table == "site"] == [[5]]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("window", [2, 1000])
def test_branches_of_a_table_that_refers_to_itself_fall_with_their_root(
    engine: Engine, window: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", engine), request)
    columns = "no integer PRIMARY KEY, up integer, day"
    shop.source.execute(f"CREATE TABLE node ({columns} varchar(20))")
    shop.target.execute(f"CREATE TABLE node ({columns} date, FOREIGN KEY (up) REFERENCES node (no))")
    good, bad = "2020-02-02", "never"
    shop.source.insert(
        "node",
        [
            (1, 7, good),
            (2, 1, good),
            (3, None, good),
            (4, 3, good),
            (5, 2, good),
            (6, 5, bad),
            (7, None, bad),
            (8, 6, good),
        ],
    )
    node = {"from": "node", "key": "no", "columns": {"no": "no", "up": "up", **DATED}}
    shop.write({"node": node}, defaults={"quarantine": {"max_ratio": 1.0}, "window": window})
    looked, done = checked(shop), shop.run()
    assert counts(done, "node")["insert"] == 2
    assert looked.tables[0].counts == done.report.tables[0].counts
    assert sorted(key for _, key, _ in quarantine(shop)) == [[n] for n in (1, 2, 5, 6, 7, 8)]
    assert {reason for _, key, reason in quarantine(shop) if key not in ([6], [7])} == {"its node is in quarantine"}
    shop.source.execute("UPDATE node SET day = '2020-02-02'")
    assert shop.run().report.total.insert == 6


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_many_rows_below_one_in_quarantine_stop_no_run(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(tmp_path, engine, request)
    shop.source.execute(
        "INSERT INTO site WITH RECURSIVE n (i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 2009) "
        "SELECT i, 'b', 'x' FROM n"
    )
    assert counts(shop.plan(), "site")["quarantined"] == 2002
    done = shop.run()
    assert done.status == Status.DONE
    assert counts(done, "site")["quarantined"] == 2002

"""Values that rows refer to, beside the key, pass from one row to another: who refers to them lets go first, and comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from scenario import Engine, Scenario, counts, quarantine

from flows.commands import Status
from transforms.vocabulary import PlanError

ENGINES: tuple[Engine, ...] = ("sqlite", "duckdb", "postgresql", "mysql")
State = Mapping[str, Sequence[tuple[Any, ...]]]
SITE = "no integer PRIMARY KEY, code varchar(9) NOT NULL UNIQUE, name varchar(9)"
DEVICE = "no integer PRIMARY KEY, site varchar(9), name varchar(9), FOREIGN KEY (site) REFERENCES site (code)"


def hold(shop: Scenario, state: State) -> None:
    for table, rows in state.items():
        shop.source.execute(f"DELETE FROM {table}")
        shop.source.insert(table, rows)


def there(shop: Scenario, state: State) -> dict[str, list[tuple[Any, ...]]]:
    return {table: shop.target.rows(table) for table in state}


def goes(shop: Scenario, tables: Mapping[str, str], first: State, then: State, window: int = 1000) -> None:
    """The target goes from one state to the other, and back."""
    for table, columns in tables.items():
        shop.source.execute(f"CREATE TABLE {table} ({columns.partition(', FOREIGN KEY')[0]})")
        shop.target.execute(f"CREATE TABLE {table} ({columns})")
    defaults = {"delete": {"max_ratio": 1.0}, "window": window}
    shop.write({table: {"from": table, "key": "no"} for table in tables}, defaults=defaults)
    hold(shop, first)
    assert shop.run().status == Status.DONE
    before = there(shop, first)
    hold(shop, then)
    done = shop.run()
    assert there(shop, then) == {table: sorted(rows, key=str) for table, rows in then.items()}
    assert done.status == Status.DONE
    assert quarantine(shop) == []
    assert shop.plan().status == Status.DONE
    assert shop.undo(2).status == Status.DONE
    assert there(shop, first) == before


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("window", [2, 1000])
def test_rows_come_change_and_go_while_a_value_passes_to_a_new_row(
    engine: Engine, window: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    goes(
        Scenario.make(tmp_path, ("sqlite", engine), request),
        {"site": SITE, "device": DEVICE},
        {
            "site": [(1, "a", "x"), (2, "b", "x"), (3, "c", "x")],
            "device": [(1, "b", "stays"), (2, "b", "changes"), (3, "b", "goes"), (4, "b", "moves"), (5, "c", "comes"), (6, None, "")],
        },
        {
            "site": [(1, "a", "y"), (3, "c", "x"), (4, "b", "new")],
            "device": [(1, "b", "stays"), (2, "b", "changed"), (4, "a", "moves"), (5, "b", "comes"), (6, "b", ""), (7, "b", "new")],
        },
        window,
    )  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_come_to_refer_to_a_value_that_passes_though_none_did(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Its new rows follow a value that goes to another row, and the undo gives it back to the first one."""
    goes(
        Scenario.make(tmp_path, ("sqlite", engine), request),
        {"site": SITE, "device": DEVICE},
        {"site": [(1, "a", "x"), (3, "c", "x")], "device": [(1, "a", "follows"), (2, "a", "goes"), (3, "c", "moves")]},
        {"site": [(1, "d", "x"), (2, "a", "x"), (3, "c", "x")], "device": [(1, "d", "follows"), (3, "d", "moves"), (4, "d", "")]},
    )  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_a_row_lets_go_of_a_value_that_passes_and_comes_to_refer_to_a_new_one(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    goes(
        Scenario.make(tmp_path, ("sqlite", engine), request),
        {"site": SITE, "device": DEVICE},
        {"site": [(1, "a", "x"), (2, "b", "x")], "device": [(1, "b", "moves")]},
        {"site": [(1, "d", "x"), (2, "a", "x")], "device": [(1, "a", "moves"), (2, "d", "new")]},
        window=1,
    )


@pytest.mark.parametrize("engine", ["sqlite", "postgresql", "mysql"])
def test_what_rows_that_may_not_be_null_refer_to_passes_in_one_transaction_or_not_at_all(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", engine), request)
    waits = "" if engine == "mysql" else " DEFERRABLE"
    shop.source.execute(
        "CREATE TABLE site (no integer PRIMARY KEY, code varchar(9))",
        "CREATE TABLE device (no integer PRIMARY KEY, site varchar(9))",
    )
    shop.target.execute(
        "CREATE TABLE site (no integer PRIMARY KEY, code varchar(9) NOT NULL UNIQUE)",
        f"CREATE TABLE device (no integer PRIMARY KEY, site varchar(9) NOT NULL, "
        f"FOREIGN KEY (site) REFERENCES site (code){waits})",
    )
    shop.write({table: {"from": table, "key": "no"} for table in ("site", "device")})
    first: State = {"site": [(1, "a")], "device": [(1, "a")]}
    then: State = {"site": [(1, "x"), (2, "a")], "device": [(1, "x")]}
    hold(shop, first)
    shop.run()
    hold(shop, then)
    if engine == "mysql":
        with pytest.raises(PlanError, match="need each other"):
            shop.run()
        assert there(shop, first) == first
        return
    assert shop.run().status == Status.DONE
    assert there(shop, then) == then
    assert shop.undo(2).status == Status.DONE
    assert there(shop, first) == first


@pytest.mark.parametrize("engine", ENGINES)
def test_values_change_places_between_rows_that_stay(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    goes(
        Scenario.make(tmp_path, ("sqlite", engine), request),
        {"site": SITE, "device": DEVICE},
        {"site": [(1, "a", "x"), (2, "b", "x"), (3, "c", "x")], "device": [(1, "a", ""), (2, "b", ""), (3, "c", "")]},
        {"site": [(1, "b", "x"), (2, "a", "x"), (3, "d", "x"), (4, "c", "x")], "device": [(1, "a", ""), (2, "a", ""), (3, "c", "")]},
    )  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_values_of_several_columns_pass_and_so_do_those_of_rows_below(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    goes(
        Scenario.make(tmp_path, ("sqlite", engine), request),
        {
            "site": "no integer PRIMARY KEY, a varchar(9), b varchar(9), UNIQUE (a, b)",
            "device": "no integer PRIMARY KEY, a varchar(9), b varchar(9), tag varchar(9) UNIQUE, FOREIGN KEY (a, b) REFERENCES site (a, b)",
            "part": "no integer PRIMARY KEY, tag varchar(9), FOREIGN KEY (tag) REFERENCES device (tag)",
        },
        {
            "site": [(1, "a", "x"), (2, "b", "x"), (3, None, "x")],
            "device": [(1, "b", "x", "t1"), (2, "b", None, "t2"), (3, "a", "x", None)],
            "part": [(1, "t1"), (2, "t2"), (3, None)],
        },
        {
            "site": [(1, "a", "x"), (3, "b", "x")],
            "device": [(2, "b", None, "t2"), (3, "a", "x", None), (4, "b", "x", "t1")],
            "part": [(1, "t1"), (2, "t1"), (3, "t2")],
        },
    )  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_a_value_stays_where_its_rows_may_not_let_go_of_it(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", engine), request)
    tables = {"site": SITE, "device": DEVICE.replace("site varchar(9)", "site varchar(9) NOT NULL")}
    first = {"site": [(1, "a", "x")], "device": [(1, "a", "")]}
    then = {"site": [(2, "a", "x")], "device": [(1, "a", "")]}
    for table, columns in tables.items():
        shop.source.execute(f"CREATE TABLE {table} ({columns.partition(', FOREIGN KEY')[0]})")
        shop.target.execute(f"CREATE TABLE {table} ({columns})")
    defaults = {"delete": {"max_ratio": 1.0}, "quarantine": {"max_ratio": 1.0}}
    shop.write({table: {"from": table, "key": "no"} for table in tables}, defaults=defaults)
    hold(shop, first)
    shop.run()
    hold(shop, then)
    done = shop.run()
    assert there(shop, first) == first
    assert counts(done, "site") == {"source_rows": 1, "quarantined": 1, "unproved": 1}
    assert {notice.code for notice in done.report.warnings} >= {"rows_stay"}

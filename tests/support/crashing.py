"""Processes that die at a named point of a run: what tests of crashes start, and the migration that they start it on."""

from __future__ import annotations

import copy
import functools
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest
from scenario import Scenario

PEOPLE, SALES = 60, 80
WINDOW = 20

# where a run dies, and on which of the three runs of `migration`: 1 makes the tables, 2 changes rows, 3 is an undo
POINTS: dict[str, tuple[int, str]] = {
    "reading the source": (1, "flows.plan.reading.window_reader.map_source"),
    "spooling to local files": (1, "adapters.store.spill.Spill.add"),
    "writing change sets": (1, "adapters.store.plans.PlanWriter.add"),
    "before the plan is whole": (1, "adapters.store.plans.PlanWriter.finish"),
    "after the plan is whole": (1, "flows.apply.both_ways.write"),
    "between two CREATE TABLE": (1, "execute_ddl"),
    "before the COMMIT of a first load": (1, "flows.apply.windows.archive.note"),
    "after staging": (2, "stage"),
    "before the COMMIT of a window": (2, "flows.apply.windows.archive.note"),
    "after the COMMIT of a window": (2, "apply"),
    "all windows in, before the ledger": (2, "flows.apply.load.record"),
    "before the version": (2, "adapters.ledger.ledger.Ledger.add_version"),
    "after the version": (2, "flows.apply.load.finish"),
    "before foreign keys and indexes": (1, "flows.apply.load.constrained"),
    "reading for an undo": (3, "flows.history.undo_order.look_at_references"),
    "after an undo is planned": (3, "flows.commands.apply_plan"),
    "after the COMMIT of an undone window": (3, "apply"),
    "before the version of an undo": (3, "adapters.ledger.ledger.Ledger.add_version"),
}
# at the second call, so that something is done and something is not
SECOND = {"adapters.store.plans.PlanWriter.add", "flows.apply.windows.archive.note", "apply", "stage"}
STAGING = {
    "sqlite": "adapters.sqlite.writer.Window.stage",
    "duckdb": "adapters.duckdb.writer.Window.stage",
    "postgresql": "adapters.postgres.writer.Window._stage",
    "mysql": "adapters.mysql.writer.Window._stage",
    "parquet": "adapters.duckdb.writer.Window.stage",  # in memory
}
ADAPTERS = {
    "sqlite": "adapters.sqlite.adapter.SqliteAdapter",
    "duckdb": "adapters.duckdb.adapter.DuckdbAdapter",
    "postgresql": "adapters.postgres.adapter.PostgresAdapter",
    "mysql": "adapters.mysql.adapter.MysqlAdapter",
    "parquet": "adapters.parquet.adapter.ParquetAdapter",
}
BEFORE = {  # these are not even begun
    "adapters.store.plans.PlanWriter.finish", "flows.apply.both_ways.write", "flows.apply.load.record", "flows.apply.windows.archive.note",
    "adapters.ledger.ledger.Ledger.add_version", "flows.apply.load.finish", "flows.apply.load.constrained", "flows.commands.apply_plan",
}  # fmt: skip

SPEC: dict[str, Any] = {
    "customer": {"from": "people", "key": "customer_id", "columns": {"customer_id": "id", "name": "name"}},
    "sale": {
        "from": "sales",
        "key": ["label"],  # computed: both sides are spilled
        "columns": {"label": {"expr": "'no ' || no::varchar"}, "customer_id": "person", "cents": "cents"},
        "create": {
            "columns": {"label": {"type": "varchar(40)", "nullable": False}},
            "primary_key": ["label"],
            "foreign_keys": [{"columns": "customer_id", "table": "customer", "refers": "customer_id"}],
            "indexes": [["cents"]],
        },
    },
}


def migration(scenario: Scenario) -> Scenario:
    """People and their sales, and a target without tables."""
    scenario.source.execute(
        "CREATE TABLE people (id bigint PRIMARY KEY, name varchar(40))",
        "CREATE TABLE sales (no bigint PRIMARY KEY, person bigint, cents integer)",
    )
    scenario.source.insert("people", [(i, None if i % 7 == 0 else f"Ünï {i}") for i in range(PEOPLE)])
    scenario.source.insert("sales", [(i, i % PEOPLE, i * 3) for i in range(SALES)])
    spec = copy.deepcopy(SPEC)
    if scenario.target.engine == "parquet":  # which has neither
        del spec["sale"]["create"]["foreign_keys"], spec["sale"]["create"]["indexes"]
    scenario.write(spec, defaults={"window": WINDOW, "delete": {"max_ratio": 1.0}})
    return scenario


def edit(scenario: Scenario) -> None:
    """What changes between the first and the second run, in both tables and of each kind."""
    scenario.source.execute(
        "DELETE FROM sales WHERE person >= 55",
        "DELETE FROM people WHERE id >= 55",
        "UPDATE people SET name = 'renamed' WHERE id < 30",
        "UPDATE sales SET cents = 1 WHERE no < 45",
        "INSERT INTO people VALUES (500, 'new')",
        "INSERT INTO sales VALUES (900, 500, 5), (901, 3, NULL)",
    )


def outcome_of(scenario: Scenario) -> dict[str, Any]:
    """All that a crash must not change: rows, versions with their counts, and what history says of them."""
    from flows.history.log import shown
    from flows.history.version_list import listed

    versions = []
    for version in listed(scenario.spec):
        kinds = {name: version["counts"][name] for name in ("insert", "update", "delete")}
        changes = sorted(
            (c.table, c.op, c.key, str(c.before), str(c.after)) for c in shown(scenario.spec, version["version"])[1]
        )
        versions.append((version["version"], version["kind"], version["undoes"], kinds, changes))
    return {"rows": scenario.target.content(), "versions": versions}


def left_behind(scenario: Scenario, *, but_plans: bool = False) -> list[str]:
    """What nobody needs any more: working files, plans of no run, runs that never ended, staging tables.

    `but_plans`: plans were made that nobody applied.
    """
    from flows.session.stores import ledger_of

    store = scenario.folder / "store"
    with ledger_of(scenario.spec) as ledger:
        found = [f"run {run.run_id} is {run.status}" for run in ledger.cut_off("shop")]
        known = {store / plan.folder for run in ledger.runs("shop", None) for plan in run.plans}
    plans = set((store / "plans").glob("*"))
    found += [f"plan {folder.name} that was begun" for folder in plans if not (folder / "manifest.json").exists()]
    if not but_plans:
        found += [f"plan {folder.name} of no run" for folder in plans - known]
    found += [str(path) for path in store.rglob("*") if path.name == "work" or path.name.startswith(".")]
    if scenario.target.engine == "parquet":
        states = (Path(scenario.target.place) / ".syncline" / "tables").iterdir()
        found += [f"states of {table.name}" for table in states if len(list(table.iterdir())) > 2]
    return found + [name for name in _all_tables(scenario) if "syncline" in name and name != "syncline_marker"]


def _all_tables(scenario: Scenario) -> set[str]:
    side = scenario.target
    if side.engine == "sqlite":
        asked = "SELECT name FROM sqlite_schema WHERE type = 'table'"
    elif side.engine in ("duckdb", "parquet"):
        asked = "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()"
    elif side.engine == "mysql":
        asked = "SELECT table_name FROM information_schema.tables WHERE table_schema = database()"
    else:
        asked = "SELECT tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    return {name for (name,) in side.ask(asked)}


# In the process that dies


def work(path: str, turn: int, trees: Sequence[str] = ()) -> None:
    """One run of the migration, as a process of its own; `turn` 3 undoes version 2, or what it did to rows of some trees."""
    from flows import commands

    request = _one_by_one(path, "undo" if turn == 3 else "run", trees=trees)
    if turn == 3:
        commands.undo(request, 2)
    else:
        commands.run(request)


def _dying(path: str, turn: int, target: str, point: str, trees: Sequence[str]) -> None:
    _die_at(POINTS[point][1], target)
    work(path, turn, trees)


def fill(path: str, text: str, every: str) -> None:
    """A backfill, as a process of its own."""
    from flows import commands

    commands.backfill(_one_by_one(path, "backfill", [text]), every)


def _one_by_one(path: str, kind: Any, ranges: Sequence[str] = (), trees: Sequence[str] = ()) -> Any:
    """What is asked for: windows one after the other, so that a point is always the same."""
    from flows.plan.request import asked_for

    return replace(asked_for(Path(path), kind, ranges=ranges, wait=20, trees=trees), workers=1)


def _dying_in_step(path: str, text: str, every: str, target: str, step: int) -> None:
    from flows import commands

    original, calls = commands._run, 0

    def counted(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == step:
            _die_at("flows.plan.reading.window_reader.map_source", target)
        return original(*given)

    commands._run = counted
    fill(path, text, every)


def _die_at(place: str, engine: str) -> None:
    import importlib

    whole = {
        "stage": STAGING[engine],
        "apply": f"{ADAPTERS[engine]}.apply",
        "execute_ddl": f"{ADAPTERS[engine]}.execute_ddl",
    }
    parts = whole.get(place, place).split(".")
    for length in range(len(parts) - 1, 0, -1):
        with suppress(ImportError):
            holder: Any = importlib.import_module(".".join(parts[:length]))
            break
    for name in parts[length:-1]:
        holder = getattr(holder, name)
    original: Callable[..., Any] = getattr(holder, parts[-1])
    calls = 0

    @functools.wraps(original)
    def dying(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < (2 if place in SECOND else 1):
            return original(*args, **options)
        if place in BEFORE:
            _die()
        answer = original(*args, **options)
        if place == "flows.plan.reading.window_reader.map_source":
            return _first_of(answer)
        return _die()

    setattr(holder, parts[-1], dying)
    if place == "flows.plan.reading.window_reader.map_source":
        import flows.plan.decide

        flows.plan.decide.map_source = dying  # type: ignore[attr-defined]


def _first_of(batches: Iterator[Any]) -> Iterator[Any]:
    for batch in batches:
        yield batch
        _die()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


# In the process that watches


@functools.cache
def server() -> Any:
    """Forks of a process that has imported everything: a tenth of a second each, not one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["crashing_preload"])
    with pytest.MonkeyPatch.context() as patch:  # it finds no module by this process's sys.path
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        forkserver.ensure_running()
    return context


def killed_at(scenario: Scenario, point: str, *trees: str) -> bool:
    """Run in another process until it dies at a point, an undo of some trees alone; False where it came to its end without meeting it."""
    turn, _ = POINTS[point]
    return _killed(_dying, str(scenario.path), turn, scenario.target.engine, point, trees)


def killed_in_step(scenario: Scenario, text: str, every: str, step: int) -> bool:
    """Fill a range in another process until it dies at a step, while it reads its rows."""
    return _killed(_dying_in_step, str(scenario.path), text, every, scenario.target.engine, step, within=None)


def _killed(target: Callable[..., None], *given: Any, within: float | None = 120) -> bool:
    process = server().Process(target=target, args=given)
    process.start()
    process.join(within)
    return bool(process.exitcode == -signal.SIGKILL)

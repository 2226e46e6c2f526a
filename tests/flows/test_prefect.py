"""The Prefect room, against a real Prefect API: names, states, artifacts, retries, events, deployments, secrets."""

from __future__ import annotations

import json
import os
import re
import threading
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from canary import everything_said, files_of, leaks, opened_by_canary, write_spec
from prefect import settings
from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient as Api
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.concurrency.sync import concurrency
from prefect.flow_engine import run_flow
from prefect_shop import (
    ROWS,
    WINDOWS,
    Patch,
    Shop,
    artifacts_of,
    ask,
    elsewhere,
    eventually,
    fail,
    flow_run_of,
    logs_of,
    request_of,
    tasks_of,
)
from prefect_shop import api as api
from prefect_shop import shop as shop

from adapters.expectations.run import Checked
from adapters.sqlite.adapter import SqliteAdapter
from adapters.sqlite.snapshot import SqliteSnapshot
from flows import commands as runs
from flows.apply.windows import apply_windows
from flows.backfill import backfill
from flows.cli import launch
from flows.migrate import migrate
from flows.orchestration import tasks
from flows.orchestration.artifacts import RunMeter, checked_rows, progress_shown
from flows.plan.request import Request
from flows.results.checkpoint import Checkpoint
from flows.results.tables import Report
from flows.session import retry
from flows.session.locking import sole_writer
from flows.session.meter import Meter
from flows.session.retry import POLICY, GaveUp
from flows.session.session import connect
from flows.session.stores import ledger_of
from flows.spec.model import load_spec
from flows.undo import undo
from flows.verify import verify
from transforms.vocabulary import DataError, PlanError, SnapshotLost, TransientError


def test_a_run_is_named_after_its_migration_and_range_and_its_tasks_after_their_windows(api: Api, shop: Shop) -> None:
    whole = migrate(shop.spec, return_state=True)
    part = backfill(shop.spec, "item.sold_on:2013-01-01..2013-02-01", return_state=True)
    assert flow_run_of(api, whole).name == "migrate/Corner_shop"
    assert flow_run_of(api, part).name == "backfill/Corner_shop/item/2013-01-01..2013-02-01"
    keys = ["… to 10", "10 to 20", "20 to 30", "30 to …"]
    names = {f"plan item, window {number}, keys {keys[number]}" for number in range(WINDOWS)}
    names |= {f"write item, window {number}" for number in range(WINDOWS)}
    assert set(tasks_of(api, whole, len(names))) == names
    assert whole.message == "Version 1: 40 inserted, 0 updated, 0 deleted, 0 unchanged."
    assert len(shop.rows) == ROWS


def test_a_table_whose_keys_the_target_numbers_has_tasks_too_one_after_the_other(api: Api, shop: Shop) -> None:
    spec = Path(shop.spec)
    shop.at("target", "CREATE TABLE item (no INTEGER PRIMARY KEY, id int UNIQUE NOT NULL, label text, sold_on text)")
    spec.write_text(spec.read_text().replace("columns: {id: id,", "columns: {no: {generate: identity}, id: id,"))
    state = migrate(shop.spec, return_state=True)
    assert state.is_completed(), state.message
    assert sum(name.startswith("plan item, window") for name in tasks_of(api, state, 2 * WINDOWS)) == WINDOWS
    assert shop.at("target", "SELECT no - id FROM item GROUP BY 1") == [(1,)]


def test_a_run_shows_its_progress_its_counts_and_its_report(api: Api, shop: Shop) -> None:
    state = migrate(shop.spec, return_state=True)
    shown = artifacts_of(api, state)
    assert set(shown) == {f"corner-shop-{name}" for name in ("progress", "counts", "report")}
    assert shown["corner-shop-progress"]["data"] == 100
    assert "| item | plan | 40 | 40 |" in shown["corner-shop-counts"]["data"]
    assert "rows a second" in shown["corner-shop-counts"]["data"]
    page = shown["corner-shop-report"]["data"]
    assert page.startswith("**Version 1: 40 inserted") and "### What to do next" in page
    assert "| table | insert | source rows |\n| --- | ---: | ---: |\n| item | 40 | 40 |" in page
    assert f"To take version 1 back: `syncline undo {shop.spec} 1`" in page
    assert "n17" not in str(shown)  # keys are shown, values are not


def test_a_checkpoint_is_a_table_and_a_critical_failure_the_final_state(api: Api, shop: Shop) -> None:
    rule = "{type: expect_column_values_to_be_between, column: id, max_value: 37}"
    spec = Path(shop.spec)
    spec.write_text(spec.read_text().replace("key: [id],", f"key: [id], expect: [{rule}],"))
    state = migrate(shop.spec, return_state=True)
    assert (state.is_failed(), state.name) == (True, "Checkpoint")
    assert "item: id: expect_column_values_to_be_between fails in 2 rows, such as id=38, id=39" in str(state.message)
    (line,) = json.loads(artifacts_of(api, state)["corner-shop-checkpoints"]["data"])
    assert (line["checkpoint"], line["table"], line["result"], line["failing rows"]) == ("planned", "item", "failed", 2)
    assert shop.at("target", "SELECT name FROM sqlite_schema") == []


def test_checks_that_failed_stand_first_with_what_came_of_them() -> None:
    passed = Checked(0, "expect_a", {}, "critical", True, 9, 0, None, (), (), "compiled rule")
    failed = Checked(1, "expect_b", {}, "critical", False, 9, 2, None, (), ("a=1, b=2", "a=1, b=3"), "compiled rule")
    points = (Checkpoint("planned", "item", 9, (passed,)), Checkpoint("planned", "line", 9, (passed, failed)))
    first, *others = checked_rows(Report("shop", "RUN", None, None, 1.0, (), checkpoints=points))
    assert list(first.items())[:3] == [("result", "failed"), ("table", "line"), ("failing rows", 2)]
    assert first["such as"] == "(a=1, b=2), (a=1, b=3)"
    assert [line["result"] for line in others] == ["passed", "passed"]


def test_the_flow_makes_data_docs_where_it_is_asked_to(shop: Shop) -> None:
    spec = Path(shop.spec)
    rule = "{type: expect_column_values_to_not_be_null, column: id}"
    spec.write_text(spec.read_text().replace("key: [id],", f"key: [id], expect: [{rule}],"))
    state = migrate(shop.spec, data_docs=True, return_state=True)
    assert Path(state.result()["data_docs"]).name == "index.html" and Path(state.result()["data_docs"]).exists()


def test_progress_is_published_while_the_work_goes_on_and_adds_up_over_threads(api: Api) -> None:
    heard: list[int] = []

    class Ear(Meter):
        def advance(self, table: str, what: str, rows: int) -> None:
            heard.append(rows)

    meter = RunMeter(Ear())
    meter.expect("item", "plan", 2000)
    with progress_shown("in-between", None, meter, every=0.05):
        crew = [
            threading.Thread(target=lambda: [meter.advance("item", "plan", 1) for _ in range(250)]) for _ in range(4)
        ]
        [worker.start() for worker in crew]
        [worker.join() for worker in crew]

        def progress() -> Any:
            key = {"key": {"any_": ["in-between-progress"]}}
            return [float(artifact["data"]) for artifact in ask(api, "/artifacts/filter", artifacts=key)]

        assert eventually(progress, lambda found: found == [50.0]) == [50.0]
    assert progress() == [100.0]
    assert sum(heard) == 1000


def test_a_window_that_fails_fails_the_run_and_the_others_are_in(api: Api, shop: Shop, monkeypatch: Patch) -> None:
    tried = fail(monkeypatch, DataError("row 23 is refused"), window=2, times=99)
    state = migrate(shop.spec, return_state=True)
    assert state.is_failed()
    assert state.message == (
        "1/4 windows failed: item: row 23 is refused. In the target are: item 3 of 4 windows (30 inserted). They stay; the next "
        "run goes on from there."
    )
    assert len(shop.rows) == ROWS * 3 // 4
    assert tried == [2]  # what is wrong stays wrong: no second try
    tasks = tasks_of(api, state, 2 * WINDOWS)
    assert [name for name, task in tasks.items() if task["state_type"] == "FAILED"] == ["write item, window 2"]
    logs = eventually(
        lambda: logs_of(api, state),
        lambda found: "row 23 is refused" in found.splitlines() and "Finished in state Failed('1/4" in found,
    )
    assert "Traceback" not in logs and "exception" not in logs


def test_a_fault_that_may_pass_is_tried_again(api: Api, shop: Shop, monkeypatch: Patch) -> None:
    tried = fail(monkeypatch, TransientError("the connection was lost"), window=1, times=1)
    state = migrate(shop.spec, return_state=True)
    assert state.is_completed()
    assert tried == [1, 1]
    assert len(shop.rows) == ROWS
    assert tasks_of(api, state, 2 * WINDOWS)["write item, window 1"]["run_count"] == 2


def test_a_fault_that_does_not_pass_says_how_often_it_was_tried(shop: Shop, monkeypatch: Patch) -> None:
    monkeypatch.setitem(tasks.HERE, apply_windows, tasks.HERE[apply_windows].with_options(retry_delay_seconds=0))
    tried = fail(monkeypatch, TransientError("Writing item: the connection was lost"), window=1, times=99)
    state = migrate(shop.spec, return_state=True)
    assert state.is_failed()
    assert tried == [1] * POLICY.attempts
    assert str(state.message).startswith(
        f"1/4 windows failed: item: Tried {POLICY.attempts} times: Writing item: the connection was lost. Fix: "
    )
    assert len(shop.rows) == ROWS * 3 // 4
    with pytest.raises(GaveUp, match=r"^Tried"):
        launch.run_in_prefect(request_of(shop), Meter())


def test_a_plan_whose_snapshot_is_lost_in_a_task_is_made_again(api: Api, shop: Shop, monkeypatch: Patch) -> None:
    real, tried = SqliteSnapshot.scan, list[int]()
    shop.at("source", "PRAGMA journal_mode = wal")  # so that others can write while a snapshot is open

    def losing(self: SqliteSnapshot, *given: Any, **how: Any) -> Any:
        tried.append(id(self))
        if len(tried) == 3:
            elsewhere(shop, "DELETE FROM things WHERE id = 39")
            raise SnapshotLost("the session that held it was ended")
        return real(self, *given, **how)

    monkeypatch.setattr(SqliteSnapshot, "scan", losing)
    monkeypatch.setattr(retry, "POLICY", replace(retry.POLICY, pause=0.01))
    state = migrate(shop.spec, return_state=True)
    assert state.is_completed(), state.message
    assert len(set(tried)) > 1
    assert [row[0] for row in shop.rows] == list(range(39))
    report = artifacts_of(api, state)["corner-shop-report"]["data"]
    assert "| item | 39 | 39 |" in report


def test_a_run_of_trees_is_named_after_their_roots_and_proves_their_rows_alone(api: Api, shop: Shop) -> None:
    state = migrate(shop.spec, tree=["item:7", "item:[9]"], verify=True, return_state=True)
    assert flow_run_of(api, state).name == "migrate/Corner_shop/item:7/item:[9]"
    assert "Version 1: 2 inserted" in str(state.message)
    assert "Verified: both sides are equal" in str(state.message)
    assert [row[0] for row in shop.rows] == [7, 9]
    shop.at("source", "DELETE FROM things WHERE id = 7")
    assert verify(shop.spec, tree=["item:7"], return_state=True).name == "Difference"
    gone = migrate(shop.spec, tree=["item:7"], verify=True, return_state=True)
    assert gone.is_completed(), gone.message
    assert [row[0] for row in shop.rows] == [9]


def test_a_dry_run_reports_and_writes_nothing(api: Api, shop: Shop) -> None:
    state = migrate(shop.spec, dry_run=True, return_state=True)
    assert (state.name, state.is_completed()) == ("Planned", True)
    assert state.message == "Dry run, nothing was written: 40 to insert, 0 to update, 0 to delete, 0 unchanged."
    page = artifacts_of(api, state)["corner-shop-report"]["data"]
    assert "| item | 40 | 40 |" in page and "To write exactly this: `syncline apply " in page
    part = backfill(shop.spec, "item.id:0..10", dry_run=True, return_state=True)
    assert "10 to insert" in str(part.message)
    assert shop.at("target", "SELECT name FROM sqlite_schema") == []


def test_quarantined_rows_are_told_and_too_many_fail_the_run(shop: Shop) -> None:
    shop.at("source", "INSERT INTO things VALUES (NULL, 'nobody', '2013-01-01')")
    some = migrate(shop.spec, return_state=True)
    assert some.is_completed()
    assert "; 1 source rows in quarantine (2 %)." in str(some.message)
    shop.write("quarantine: {max_rows: 0}")
    shop.at("source", "UPDATE things SET name = 'changed' WHERE id = 7")
    many = migrate(shop.spec, return_state=True)
    assert (many.name, many.is_failed()) == ("Quarantine", True)
    assert "the limit is 0" in str(many.message)
    assert launch.run_in_prefect(request_of(shop), Meter()).status is runs.Status.QUARANTINE
    assert shop.rows[7][1] == "n7"


def test_a_row_that_changed_since_planning_ends_the_run_in_conflicts(shop: Shop, monkeypatch: Patch) -> None:
    migrate(shop.spec)
    shop.at("source", "UPDATE things SET name = 'ours' WHERE id IN (7, 8)")
    real = SqliteAdapter.apply

    def late(self: SqliteAdapter, *given: Any, **how: Any) -> Any:
        shop.at("target", "UPDATE item SET label = 'theirs' WHERE id = 7")
        return real(self, *given, **how)

    monkeypatch.setattr(SqliteAdapter, "apply", late)
    state = migrate(shop.spec, return_state=True)
    assert (state.name, state.is_failed()) == ("Conflicts", True)
    assert str(state.message).startswith("1 conflict. ")
    assert [shop.rows[7][1], shop.rows[8][1]] == ["theirs", "ours"]


def test_a_backfill_goes_step_by_step_and_passes_over_what_is_done(shop: Shop) -> None:
    first = backfill(shop.spec, "item.id:0..20", every="10", return_state=True)
    assert "Version 2: 20 inserted" in str(first.message)
    again = backfill(shop.spec, "item.id:0..20", every="10", verify=True, return_state=True)
    assert "2 of 2 steps were done before." in str(again.message)
    assert "Verified: both sides are equal." in str(again.message)
    assert [row[0] for row in shop.rows] == list(range(20))


def test_verify_announces_equal_sides_and_differences(api: Api, shop: Shop) -> None:
    done = migrate(shop.spec, verify=True, return_state=True)
    assert str(done.message).endswith("Verified: both sides are equal.")
    equal = verify(shop.spec, return_state=True)
    assert equal.is_completed()
    shop.at("target", "UPDATE item SET label = 'x' WHERE id = 3", "DELETE FROM item WHERE id = 4")
    differing = verify(shop.spec, return_state=True)
    assert (differing.name, differing.is_failed()) == ("Difference", True)
    assert differing.message == "Not equal: 2 rows differ (1 missing, 1 different, 0 too many)."
    assert "to update, such as `3`" in artifacts_of(api, differing)["corner-shop-report"]["data"]
    assert shop.rows[3][1] == "x"

    def emitted() -> dict[str, str]:
        events = ask(api, "/events/filter", filter={"event": {"prefix": ["syncline."]}}, limit=50)["events"]
        assert all(e["resource"]["prefect.resource.id"] == "syncline.migration.Corner_shop" for e in events)
        ends = [e for e in events if e["event"] != "syncline.run.done"]
        return {related["prefect.resource.id"]: e["event"] for e in ends for related in e["related"]}

    wanted = {done: "syncline.run.verified", equal: "syncline.run.verified", differing: "syncline.difference.found"}
    named = {f"prefect.flow-run.{state.state_details.flow_run_id}": event for state, event in wanted.items()}
    found = eventually(emitted, lambda events: named.keys() <= events.keys())
    assert {name: found.get(name) for name in named} == named


def test_two_worker_processes_do_what_threads_do(shop: Shop, tmp_path: Path) -> None:
    pytest.importorskip("prefect_dask", reason="prefect-dask is not installed")
    migrate(shop.spec)
    threads = shop.rows
    (tmp_path / "target.db").unlink()
    for file in tmp_path.glob("target.db-*"):
        file.unlink()
    shop.write("runner: {dask: {workers: 2}}")
    state = migrate(shop.spec, verify=True, return_state=True)
    assert state.is_completed(), state.message
    assert "Verified: both sides are equal." in str(state.message)
    assert shop.rows == threads


def test_a_wrong_spec_fails_the_run_with_its_one_line_and_without_a_traceback(api: Api, shop: Shop) -> None:
    state = migrate(shop.spec, tables=["itme"], return_state=True)
    assert state.is_failed()
    assert "The spec has no table itme" in str(state.message)
    assert flow_run_of(api, state).name == "migrate/Corner_shop/itme"
    missing = migrate("no/such/spec.yaml", return_state=True)
    assert missing.is_failed()
    assert flow_run_of(api, missing).name == "migrate/spec"
    logs = eventually(lambda: logs_of(api, state), lambda found: "Finished" in found)
    assert "The spec has no table itme" in logs
    assert "Traceback" not in logs


def scheduled(api: Api, shop: Shop) -> FlowRun:
    """A run of a deployment that the server starts each second: one that was due a moment ago."""
    every = DeploymentScheduleCreate(schedule=IntervalSchedule(interval=timedelta(seconds=1)))
    of = api.create_flow_from_name("migrate")
    deployment = api.create_deployment(
        of, "each second", schedules=[every], parameters={"spec": shop.spec}, paused=False
    )
    due = {"start_time": (datetime.now(UTC) - timedelta(seconds=5)).isoformat(), "min_runs": 1}
    api.request("POST", "/deployments/{id}/schedule", path_params={"id": deployment}, json=due)
    earliest = {"sort": "EXPECTED_START_TIME_ASC", "limit": 1}
    (run,) = ask(api, "/flow_runs/filter", deployments={"id": {"any_": [str(deployment)]}}, **earliest)
    return api.read_flow_run(UUID(run["id"]))


@pytest.mark.parametrize("by_schedule", [True, False])
def test_a_run_that_finds_another_one_at_work_is_skipped_where_its_schedule_started_it(
    api: Api, shop: Shop, by_schedule: bool
) -> None:
    made = scheduled(api, shop) if by_schedule else api.create_flow_run(migrate, parameters={"spec": shop.spec})
    spec = load_spec(Path(shop.spec))
    with connect(spec) as session, ledger_of(spec) as ledger, sole_writer(session, ledger, "other", runs.utc_now, 0):
        state = run_flow(migrate, made, {"spec": shop.spec}, return_type="state")
    if by_schedule:
        api.delete_deployment(UUID(str(made.deployment_id)))
    assert (state.name, state.is_completed()) == (("Skipped", True) if by_schedule else ("Failed", False))
    assert "is in use by other" in str(state.message)
    assert migrate(shop.spec, return_state=True).is_completed()


def test_runs_of_all_deployments_of_a_migration_are_one_at_a_time(api: Api, shop: Shop) -> None:
    """By Prefect's own limit: the second one is skipped where its schedule started it, or waits as its parameters say."""
    due = scheduled(api, shop)
    of = api.create_flow_from_name("migrate")
    other = api.create_flow_run_from_deployment(api.create_deployment(of, "by hand", parameters={"spec": shop.spec}))
    given = {"spec": shop.spec}
    api.upsert_global_concurrency_limit_by_name("syncline-Corner_shop", 1)
    with concurrency("syncline-Corner_shop", strict=True):
        skipped = run_flow(migrate, due, given, return_type="state")
    api.delete_deployment(UUID(str(due.deployment_id)))
    assert (skipped.name, skipped.is_completed()) == ("Skipped", True)
    assert "another run of its deployments" in str(skipped.message) and not (shop.folder / "target.db").exists()
    with ExitStack() as held:
        held.enter_context(concurrency("syncline-Corner_shop", strict=True))
        leaving = threading.Timer(2, copy_context().run, (held.close,))
        leaving.start()
        waited = run_flow(migrate, other, {**given, "wait": 30}, return_type="state")
        leaving.join()
    assert waited.is_completed(), waited.message
    assert api.read_global_concurrency_limit_by_name("syncline-Corner_shop").active_slots == 0


def test_commands_get_the_outcome_the_error_itself_or_the_way_around_prefect(shop: Shop, monkeypatch: Patch) -> None:
    outcome = launch.run_in_prefect(request_of(shop), Meter())
    assert (outcome.status, outcome.report.version, outcome.report.total.insert) == (runs.Status.DONE, 1, ROWS)
    shop.at("source", "UPDATE things SET name = 'new'")
    planned = runs.plan(request_of(shop))
    refused = DataError("row 23 is refused")
    with monkeypatch.context() as patch:
        fail(patch, refused, window=2, times=99)
        with pytest.raises(DataError, match=r"^row 23 is refused$"):
            launch.apply_in_prefect(Path(str(planned.report.plan)), Meter())
    applied = launch.apply_in_prefect(Path(str(planned.report.plan)), Meter())
    assert (applied.status, applied.report.run_id) == (runs.Status.DONE, planned.report.run_id)
    again = launch.backfill_in_prefect(request_of(shop, "item.id:0..20"), "10", Meter())
    assert again.report.total.unchanged == 20
    nobody = settings.temporary_settings({settings.PREFECT_API_URL: "http://someone:hunter2@127.0.0.1:9/api"})
    with nobody, pytest.raises(launch.PrefectUnreachable, match="--direct") as caught:
        launch.run_in_prefect(request_of(shop), Meter())
    assert "hunter2" not in str(caught.value)


def test_a_secret_reaches_the_database_and_nothing_else(api: Api, shop: Shop, postgres_server: str) -> None:
    import psycopg

    name = f"clerk{os.getpid()}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'hunter2'")
        connection.execute(f"CREATE SCHEMA {name} AUTHORIZATION {name}")
        connection.execute(f"CREATE TABLE {name}.things AS SELECT 1::bigint AS id, 'one' AS name, '2013-01-01' AS day")
        connection.execute(f"ALTER TABLE {name}.things OWNER TO {name}")
        connection.execute(f"ANALYZE {name}.things")
    url = re.sub(r"//[^@/]*@?", f"//{name}:hunter2@", postgres_server, count=1)
    Secret(value=url).save("shop-source", overwrite=True)
    Secret(value=f"postgresql://{name}:hunter2@127.0.0.1:9/shop").save("shop-nowhere", overwrite=True)
    for block in ("shop-source", "shop-nowhere"):
        shop.write(source=f"{{secret: {block}}}, schema: {name}")
        state = migrate(shop.spec, verify=True, return_state=True)
        assert state.is_completed() == (block == "shop-source"), state.message
        logs = eventually(lambda state=state: logs_of(api, state), lambda found: "Finished" in found)
        told = [state.message, flow_run_of(api, state).model_dump_json(), artifacts_of(api, state), logs]
        told += [file.read_bytes() for file in shop.folder.glob(".syncline/**/*") if file.is_file()]
        assert "hunter2" not in str(told)
    assert shop.rows == [(1, "one", "2013-01-01")]


def test_an_undo_is_a_flow_run_of_its_own(api: Api, shop: Shop) -> None:
    migrate(shop.spec, return_state=True)
    assert len(shop.rows) == ROWS
    state = undo(shop.spec, 1, return_state=True)
    assert state.is_completed()
    assert str(state.message).startswith(f"Version 2: 0 inserted, 0 updated, {ROWS} deleted")
    assert flow_run_of(api, state).name == "undo/Corner_shop/1"
    assert shop.rows == []
    back = undo(shop.spec, 1, to=True, return_state=True)
    assert flow_run_of(api, back).name == "undo/Corner_shop/to-1"
    assert len(shop.rows) == ROWS


def test_an_undo_of_trees_takes_back_their_rows_alone(api: Api, shop: Shop) -> None:
    migrate(shop.spec, return_state=True)
    state = undo(shop.spec, 1, tree=["item:7", "item:[9]"], return_state=True)
    assert state.is_completed(), state.message
    assert str(state.message).startswith("Version 2: 0 inserted, 0 updated, 2 deleted")
    assert [row[0] for row in shop.rows] == [at for at in range(ROWS) if at not in (7, 9)]
    wrong = undo(shop.spec, 1, tree=["item:nobody"], return_state=True)
    assert wrong.is_failed()
    assert "is no value of item.id" in str(wrong.message)


def test_a_backfill_that_prefect_tries_again_begins_with_the_step_that_failed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[str] = []
    plan = runs.build.plan

    def failing(request: Request, *args: Any, **options: Any) -> Any:
        planned.append(str(request.ranges[0]))
        if len(planned) == 3:
            raise PlanError("the store is full")
        return plan(request, *args, **options)

    monkeypatch.setattr(runs.build, "plan", failing)
    again = backfill.with_options(retries=1, retry_delay_seconds=0)
    state = again(shop.spec, f"item.id:0..{ROWS}", str(ROWS // 4), return_state=True)
    assert state.is_completed(), state.message
    step = ROWS // 4
    steps = [f"item.id:{number * step}..{(number + 1) * step}" for number in range(4)]
    assert planned == [*steps[:3], *steps[2:]]
    assert len(shop.rows) == ROWS


def test_schema_drift_is_told_in_the_state_of_the_run_that_stopped_at_it(shop: Shop) -> None:
    migrate(shop.spec, return_state=True)
    shop.at("source", "ALTER TABLE things ADD COLUMN mail TEXT")
    state = migrate(shop.spec, return_state=True)
    assert state.is_failed()
    assert "column mail (" in str(state.message)


def test_a_password_in_a_secret_block_is_nowhere_in_prefect(
    mariadb_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from prefect.blocks.system import Secret

    file, said = tmp_path / "spec.yaml", []
    with opened_by_canary(mariadb_url) as (url, execute):
        Secret(value=url).save("canary", overwrite=True)  # type: ignore[call-arg]
        for kind in ("bigint", "nothing"):
            write_spec(file, {"secret": "canary"}, kind)
            said.append(everything_said(("run", file, "--debug"), caplog))
        write_spec(file, {"secret": "canary"})
        execute("ALTER USER 'canary' IDENTIFIED BY 'another'")
        said.append(everything_said(("run", file, "--debug"), caplog))
    assert "Version 1" in said[0]
    assert "denied" in said[2]
    database = Path(str(settings.PREFECT_API_DATABASE_CONNECTION_URL.value()).rpartition("sqlite+aiosqlite:///")[2])
    kept = [text for path, text in files_of(database.parent) if path.name.startswith(database.name)]
    assert any("migrate/canary" in text for text in kept)
    said += kept + [text for _, text in files_of(tmp_path)]
    assert [(leaks(text), text[:1500]) for text in said if leaks(text)] == []

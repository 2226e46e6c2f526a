"""A migration that runs as Prefect flows, and what the Prefect API tells of its runs."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from prefect import settings
from prefect.client.orchestration import SyncPrefectClient as Api
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.testing.utilities import prefect_test_harness

from adapters.sqlite.adapter import SqliteAdapter
from flows import commands
from flows.bind.ranges import parse_range
from flows.plan.request import Request, new_run_id
from flows.spec.model import load_spec

Patch = pytest.MonkeyPatch
ROOT = Path(__file__).parents[2]
ROWS, WINDOWS = 40, 4
SOON = {
    settings.PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,  # joining its thread costs a second a flow
    settings.PREFECT_LOGGING_TO_API_BATCH_INTERVAL: 0.2,
    settings.PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL: 1,
}


@pytest.fixture(scope="module", autouse=True)
def api() -> Iterator[Api]:
    """One Prefect API for all tests of a module, with whole logs."""
    for name in ("flow_runs", "task_runs"):
        logging.getLogger(f"prefect.{name}").setLevel(logging.INFO)
    with (
        settings.temporary_settings(SOON),
        prefect_test_harness(server_startup_timeout=120),
        get_client(sync_client=True) as client,
    ):
        yield client


@dataclass(frozen=True)
class Shop:
    """A migration of four windows between two SQLite files."""

    folder: Path

    @property
    def spec(self) -> str:
        return str(self.folder / "spec.yaml")

    def write(self, defaults: str = "runner: {threads: {workers: 4}}", source: str = '"sqlite:///source.db"') -> Shop:
        (self.folder / "spec.yaml").write_text(
            f"version: 1\nname: Corner_shop\nsource: {{url: {source}}}\ntarget: {{url: 'sqlite:///target.db'}}\n"
            f"defaults: {{window: {{rows: {ROWS // WINDOWS}}}, {defaults}}}\n"
            "tables:\n  item: {from: things, key: [id], columns: {id: id, label: name, sold_on: day}}\n"
        )
        return self

    def at(self, side: str, *statements: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.folder / f"{side}.db") as connection:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        connection.close()
        return rows

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        return self.at("target", "SELECT id, label, sold_on FROM item ORDER BY id")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    made = Shop(tmp_path).write()
    rows = [f"({number}, 'n{number}', '2013-01-{number % 28 + 1:02d}')" for number in range(ROWS)]
    made.at(
        "source",
        "CREATE TABLE things (id INTEGER UNIQUE, name TEXT, day TEXT)",
        f"INSERT INTO things VALUES {', '.join(rows)}",
    )
    return made


def flow_run_of(api: Api, state: State[Any]) -> FlowRun:
    assert state.state_details.flow_run_id is not None
    return api.read_flow_run(state.state_details.flow_run_id)


def ask(api: Api, path: str, **body: Any) -> Any:
    return api.request("POST", path, json=body).json()  # type: ignore[arg-type]


def asked(api: Api, path: str, state: State[Any]) -> list[dict[str, Any]]:
    """Everything of a kind that belongs to a flow run, as the API tells it."""
    found: list[dict[str, Any]] = ask(api, path, flow_runs={"id": {"any_": [str(state.state_details.flow_run_id)]}})
    return found


def artifacts_of(api: Api, state: State[Any]) -> dict[str, dict[str, Any]]:
    return {artifact["key"]: artifact for artifact in asked(api, "/artifacts/filter", state)}


def tasks_of(api: Api, state: State[Any], count: int) -> dict[str, dict[str, Any]]:
    """Task runs reach the API a moment after the flow ended."""
    return eventually(
        lambda: {task["name"]: task for task in asked(api, "/task_runs/filter", state)},
        lambda found: (
            len(found) >= count and all(task["state_type"] in ("COMPLETED", "FAILED") for task in found.values())
        ),
    )


def eventually(look: Callable[[], Any], enough: Callable[[Any], bool], seconds: float = 120) -> Any:
    until = monotonic() + seconds
    while not enough(found := look()) and monotonic() < until:
        sleep(0.1)
    return found


def elsewhere(shop: Shop, statement: str) -> None:
    """In another process: two SQLite libraries in one do not see each other's locks."""
    script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()"
    subprocess.run([sys.executable, "-c", script, str(shop.folder / "source.db"), statement], check=True)


def fail(monkeypatch: Patch, error: Exception, window: int, times: int) -> list[int]:
    """Let the target refuse one window some times; the list grows with every try of that window."""
    real, tried = SqliteAdapter.apply, list[int]()

    def refusing(self: SqliteAdapter, changes: Any, shape: Any, marker: Any, **how: Any) -> Any:
        if marker.window == window:
            tried.append(window)
            if len(tried) <= times:
                raise error
        return real(self, changes, shape, marker, **how)

    monkeypatch.setattr(SqliteAdapter, "apply", refusing)
    return tried


def logs_of(api: Api, state: State[Any]) -> str:
    of = {"flow_run_id": {"any_": [str(state.state_details.flow_run_id)]}}
    return "\n".join(log["message"] for log in ask(api, "/logs/filter", logs=of, limit=200))


def request_of(shop: Shop, *ranges: str) -> Request:
    spec, at = load_spec(Path(shop.spec)), commands.utc_now()
    parsed = tuple(parse_range(text, spec) for text in ranges)
    return Request(spec, new_run_id(at), at, "run", ranges=parsed, workers=4)


@pytest.fixture(scope="module")
def deployed(api: Api) -> dict[str, Any]:
    """The deployments of prefect.yaml, as `prefect deploy --all` makes them."""
    ask(api, "/work_pools/", name="syncline", type="process")
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    there = {**os.environ, "PREFECT_API_URL": str(settings.PREFECT_API_URL.value())}
    done = subprocess.run(command, cwd=ROOT, env=there, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return {deployment.name: deployment for deployment in api.read_deployments()}

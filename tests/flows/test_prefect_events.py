"""Deployments and events: what runs tell automations, and runs that start because a source says that it has changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from command_line import answer
from many_clients import SERVER, Office
from prefect import settings
from prefect.flows import load_flow_from_entrypoint
from prefect_shop import Api, Shop, ask, eventually
from prefect_shop import api as api
from prefect_shop import deployed as deployed
from prefect_shop import shop as shop

from flows.migrate import migrate
from flows.page import page
from flows.sync import sync

ROOT = Path(__file__).parents[2]
PLACES = {"NYC_SOURCE": "sqlite:///legacy.db", "NYC_TARGET": "sqlite:///new.db", "NYC_STATE": "state"}


def told(api: Api, name: str, count: int = 1) -> list[dict[str, Any]]:
    """What events of a name said of the shop, latest first."""
    asked = {"event": {"name": [name]}, "resource": {"id": ["syncline.migration.Corner_shop"]}}

    def look() -> list[dict[str, Any]]:
        return [each["payload"] for each in ask(api, "/events/filter", filter=asked)["events"]]

    found: list[dict[str, Any]] = eventually(look, lambda events: len(events) >= count, 30)
    return found


def test_a_run_tells_how_it_ended_and_what_it_set_aside(api: Api, shop: Shop) -> None:
    shop.write("quarantine: {max_ratio: 1}")
    shop.at("source", "UPDATE things SET day = 'no day' WHERE id < 2")
    shop.at("target", "CREATE TABLE item (id int PRIMARY KEY, label text, sold_on text CHECK (sold_on LIKE '2013%'))")
    state = migrate(shop.spec, return_state=True)
    assert state.is_completed(), state.message
    (done,) = told(api, "syncline.run.done")
    assert done["total"]["insert"] == 38
    (aside,) = told(api, "syncline.quarantine.rows")
    assert (aside["table"], aside["rows"], [each["rows"] for each in aside["reasons"]]) == ("item", 2, [2])


def test_a_run_that_fails_tells_why(api: Api, shop: Shop) -> None:
    shop.write(source='"sqlite:///nothing.db"')
    migrate(shop.spec, return_state=True)
    assert told(api, "syncline.run.failed")[0]["message"]


def test_a_flow_follows_and_tells_its_lag(api: Api, shop: Shop) -> None:
    spec = Path(shop.spec)
    spec.write_text(spec.read_text() + "follow: {capture: poll, cursor: number, every: 50ms}\n")
    shop.at("source", "ALTER TABLE things ADD COLUMN number integer NOT NULL DEFAULT 1")
    state = sync(shop.spec, once=True, return_state=True)
    assert state.is_completed(), state.message
    shop.at("source", "INSERT INTO things VALUES (99, 'new', '2013-02-01', 2)")
    state = sync(shop.spec, once=True, return_state=True)
    assert state.message is not None
    assert "1 rows written" in state.message
    assert [each["insert"] for each in told(api, "syncline.lag", 2)] == [1, 0]
    assert (99, "new", "2013-02-01") in shop.rows


def notified(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows.cli.main", "notify", "examples/nycflights/spec.yaml", *arguments]
    there = {**os.environ, "PREFECT_API_URL": str(settings.PREFECT_API_URL.value()), **PLACES}
    return subprocess.run(command, cwd=ROOT, env=there, capture_output=True, text=True, check=False)


def test_the_flow_follows_all_clients_and_fails_where_one_does(tmp_path: Path) -> None:
    office = Office.make(tmp_path, ("graz", "linz", "wien"), follow={"capture": "trigger", "every": "20ms"})
    answer("follow", "install", office.path, "--yes")
    office.execute("wien", "INSERT INTO t VALUES ('w', 1, 1)")
    state = sync(str(office.path), once=True, return_state=True)
    assert state.is_completed(), state.message
    office.execute("graz", "ALTER TABLE t RENAME COLUMN n TO renamed")
    office.execute("linz", "INSERT INTO t VALUES ('l', 1, 1)")
    state = sync(str(office.path), once=True, clients=["graz", "linz"], return_state=True)
    assert state.is_failed()
    assert "graz: " in str(state.message)
    assert ("l", 1, 1) in office.rows(SERVER)


def test_the_deployments_deploy(deployed: dict[str, Any]) -> None:
    made = deployed
    scheduled, others = ["migrate", "full", "backfill", "verify"], ["resolve-conflicts", "on-change", "page"]
    assert set(made) == {f"nycflights-{name}" for name in scheduled + others}
    for deployment in made.values():
        flow = load_flow_from_entrypoint(str(deployment.entrypoint), use_placeholder_flow=False)
        flow.validate_parameters(deployment.parameters)
        assert deployment.work_pool_name == "syncline"
        assert deployment.description
        if deployment.name == "nycflights-page":  # which is about no spec, and may be called twice at once
            continue
        assert (ROOT / deployment.parameters["spec"]).exists()
        assert deployment.global_concurrency_limit is not None
        assert deployment.global_concurrency_limit.limit == 1
        assert deployment.concurrency_options is not None
    assert [len(made[f"nycflights-{name}"].schedules) for name in scheduled] == [1, 1, 0, 1]
    assert made["nycflights-full"].parameters["full"] is True


def test_the_server_schedules_runs_of_a_deployment(api: Api, deployed: dict[str, Any]) -> None:
    """With SQLAlchemy 2.1 the scheduler of Prefect 3.8 fails at its insert, and nothing ever runs on a schedule."""
    migrate = str(deployed["nycflights-migrate"].id)
    api.request("POST", f"/deployments/{migrate}/schedule", json={"min_runs": 2})  # type: ignore[arg-type]
    runs = ask(api, "/flow_runs/filter", deployments={"id": {"any_": [migrate]}})
    assert [run["state_name"] for run in runs][:2] == ["Scheduled", "Scheduled"]


def test_a_source_that_says_so_starts_a_run_of_what_it_named(api: Api, deployed: dict[str, Any]) -> None:
    done = notified("flight", "--key", "7", "--key", "8")
    assert done.returncode == 0, done.stderr
    runs = {"deployments": {"id": {"any_": [str(deployed["nycflights-on-change"].id)]}}}
    (run,) = eventually(lambda: ask(api, "/flow_runs/filter", **runs), bool, 60)
    assert run["parameters"]["changed"] == ["flight:7", "flight:8"]
    assert run["parameters"]["tables"] == []


def test_a_notice_that_names_nothing_that_is_there_is_refused(api: Api) -> None:
    done = notified("nothing")
    assert done.returncode == 1
    assert "nothing" in done.stderr


@pytest.fixture
def pager() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that takes messages: its URL, and what came."""
    came: list[dict[str, Any]] = []

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Taking)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", came
    server.shutdown()


def test_drift_pages_somebody(api: Api, deployed: dict[str, Any], pager: tuple[str, list[dict[str, Any]]]) -> None:
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from prefect.events import emit_event

    url, came = pager
    block = CustomWebhookNotificationBlock(
        name="on-call", url=url, json_data={"subject": "{{subject}}", "body": "{{body}}"}, allow_private_urls=True
    )
    block.save("on-call", overwrite=True)
    resource = {"prefect.resource.id": "syncline.migration.nycflights", "prefect.resource.name": "nycflights"}
    emit_event(event="syncline.difference.found", resource=resource, payload={"changes": 3})
    runs = {"deployments": {"id": {"any_": [str(deployed["nycflights-page"].id)]}}}
    (run,) = eventually(lambda: ask(api, "/flow_runs/filter", **runs), bool, 60)
    assert run["parameters"]["body"] == "3 rows differ"
    page(**run["parameters"])
    assert came == [{"subject": "nycflights: syncline.difference.found", "body": "3 rows differ"}]


def test_blocks_are_told_how_a_run_ended_and_one_that_is_not_there_is_named(
    api: Api, shop: Shop, pager: tuple[str, list[dict[str, Any]]]
) -> None:
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from prefect.blocks.webhook import Webhook

    url, came = pager
    CustomWebhookNotificationBlock(
        name="told", url=url, json_data={"subject": "{{subject}}", "body": "{{body}}"}, allow_private_urls=True
    ).save("told", overwrite=True)
    Webhook(url=url, allow_private_urls=True).save("told", overwrite=True)
    hooks = "after: [{block: custom-webhook/told}, {block: webhook/told}, {block: webhook/none}]\n"
    Path(shop.spec).write_text(Path(shop.spec).read_text() + hooks)
    state = migrate(shop.spec, return_state=True)
    assert (state.name, len(shop.rows)) == ("Hook", 40)
    assert "The hook after: block webhook/none could not be told: ValueError: Unable to find block" in str(
        state.message
    )
    told, whole = came
    assert told["subject"] == whole["subject"] == "Corner_shop: run done"
    assert told["body"] == "Corner_shop: run done: 40 inserted, 0 updated, 0 deleted, 0 in quarantine."
    assert (whole["version"], whole["tables"]["item"]["insert"]) == (1, 40)

"""Runs that do not come to their own end: each leaves its page, and its state says first why."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from prefect import settings
from prefect.client.orchestration import SyncPrefectClient as Api
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelling
from prefect_shop import Patch, Shop, artifacts_of, ask, eventually, fail, flow_run_of, logs_of
from prefect_shop import api as api
from prefect_shop import shop as shop

from flows import commands
from flows.migrate import migrate
from flows.orchestration import stopped
from transforms.vocabulary import DataError

ROOT = Path(__file__).parents[2]
SUPPORT = ROOT / "tests" / "support"


def begun(shop: Shop, *command: str) -> subprocess.Popen[str]:
    there = {
        **os.environ, "PREFECT_API_URL": str(settings.PREFECT_API_URL.value()), "PYTHONPATH": f"{ROOT}:{SUPPORT}",
        "PREFECT_LOGGING_LEVEL": "INFO", "IN_THE_MIDDLE": str(shop.folder / "in-the-middle"), "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.2",
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=shop.folder,
        env=there,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def deployed_run(api: Api, shop: Shop) -> FlowRun:
    of = api.create_flow_from_name("migrate")
    entry = f"{SUPPORT / 'slow_shop.py'}:migrate"
    made = api.create_deployment(of, "slow", parameters={"spec": shop.spec}, entrypoint=entry, path=str(shop.folder))
    return api.create_flow_run_from_deployment(made)


def page(api: Api, run_id: str) -> str:
    found = ask(
        api, "/artifacts/filter", flow_runs={"id": {"any_": [run_id]}}, artifacts={"type": {"any_": ["markdown"]}}
    )
    (text,) = [each["data"] for each in found if each["key"].endswith("-report")]
    return str(text)


def errors(api: Api, run_id: str) -> list[str]:
    of = {"flow_run_id": {"any_": [run_id]}, "level": {"ge_": 40}}
    found = eventually(lambda: ask(api, "/logs/filter", logs=of, sort="TIMESTAMP_ASC"), bool, 20)
    return [line["message"] for line in found]


def test_a_run_that_is_cancelled_says_so_and_one_that_is_killed_what_is_in_the_target(api: Api, shop: Shop) -> None:
    shop.write("runner: {threads: {workers: 1}}")
    other = Shop(Path(shutil.copytree(shop.folder, shop.folder / "other")))
    run = deployed_run(api, shop)
    processes = [
        begun(shop, "-m", "prefect", "flow-run", "execute", str(run.id)),
        begun(other, "-c", f"from slow_shop import migrate; migrate({other.spec!r}, return_state=True)"),
    ]
    for each in (shop, other):
        assert eventually((each.folder / "in-the-middle").exists, bool, 60)
    api.set_flow_run_state(run.id, Cancelling(), force=True)
    processes[1].send_signal(signal.SIGTERM)
    out, more = (each.communicate(timeout=60)[0] for each in processes)
    runs = {each["state_type"]: each for each in ask(api, "/flow_runs/filter")}
    assert runs.keys() >= {"CANCELLED", "CRASHED"}, out + more

    for word, end in (("Cancelled", "CANCELLED"), ("Terminated", "CRASHED")):
        run_id = runs[end]["id"]
        message = errors(api, run_id)[-1]
        assert (
            message
            == f"{word}. In the target are: item 3 of 4 windows (30 inserted). They stay; the next run goes on from there."
        )
        assert (
            runs[end]["state"]["message"] == message or end == "CANCELLED"
        )  # to which the runner adds a state of its own
        shown = page(api, run_id)
        assert shown.startswith(f"**{word}. ") and stopped.GO_ON in shown
        assert "The whole report" in shown and "| item | apply |" in shown
    assert "Traceback" not in out + more and "unexpected exception" not in out + more
    state = migrate(shop.spec, return_state=True)
    assert state.is_completed() and len(shop.rows) == 40


def test_a_run_that_fails_in_the_middle_leaves_its_page_with_what_is_in(
    api: Api, shop: Shop, monkeypatch: Patch
) -> None:
    fail(monkeypatch, DataError("row 23 is refused.", fix="mend row 23."), window=2, times=99)
    state = migrate(shop.spec, return_state=True)
    shown = artifacts_of(api, state)["corner-shop-report"]["data"]
    assert state.is_failed() and shown.startswith("**1/4 windows failed: item: row 23 is refused.")
    assert "- Mend row 23." in shown
    assert "The whole report" in shown and "| item | apply | 30 |" in shown
    assert "Traceback" not in logs_of(api, state)


def test_a_defect_leaves_a_page_too(api: Api, shop: Shop, monkeypatch: Patch) -> None:
    monkeypatch.setattr(commands.build, "plan", lambda *_, **__: 1 / 0)
    state = migrate(shop.spec, return_state=True)
    shown = artifacts_of(api, state)["corner-shop-report"]["data"]
    assert state.is_failed() and "please report it" in shown
    assert flow_run_of(api, state).name == "migrate/Corner_shop"

"""Pictures of Prefect's UI for docs/prefect.md: `make pictures`.

Starts a Prefect server of its own, deploys nycflights, lets runs come to nine kinds of moments, and takes each with headless Chromium
into docs/pictures/. Nothing is drawn or staged but the edits that bring a moment about: look at the pictures before they are committed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from pathlib import Path
from typing import Any, Final

from examples.nycflights.demo import stricter
from examples.nycflights.edit import edit_legacy
from examples.nycflights.legacy import make_legacy
from examples.story import ROOT, quiet_prefect, serving_prefect

PLACE: Final = ROOT / ".demo" / "pictures"
TARGET: Final = PLACE / "new.duckdb"
SPEC: Final = "examples/nycflights/spec.yaml"
PICTURES: Final = ROOT / "docs" / "pictures"
WIDTH: Final = 1280
PAGE: Final = 20  # seconds that a page has to draw itself, of the browser's own time
MOMENTS: Final = {
    "deployments": "The deployments of a migration",
    "running": "A run that goes on",
    "done": "A run that is done",
    "quarantine": "Rows that were set aside",
    "backfill": "A backfill, step by step",
    "difference": "A difference that `verify` found",
    "failed": "A run that a rule stopped",
    "conflicts": "Rows that changed after planning",
    "skipped": "A run that found another one at work",
}


def taken(url: str, name: str, height: int = 900) -> None:
    """Take the picture of a page, in fewer colours where there is pngquant."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("Chromium is not installed.")
    path = PICTURES / f"{name}.png"
    command = [
        browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-prefers-reduced-motion",
        "--run-all-compositor-stages-before-draw", f"--window-size={WIDTH},{height}", f"--virtual-time-budget={PAGE * 1000}",
        f"--screenshot={path}", url,
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    if quantizer := shutil.which("pngquant"):
        subprocess.run([quantizer, "--force", "--strip", "--ext", ".png", "64", path], check=True)
    print(f"{path.relative_to(ROOT)}: {MOMENTS[name]}, {path.stat().st_size // 1000} kB")


def prepared() -> None:
    """The legacy database, and the empty redesigned schema in DuckDB."""
    import duckdb

    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    PICTURES.mkdir(exist_ok=True)
    make_legacy(PLACE / "legacy.db")
    with duckdb.connect(TARGET) as database:
        database.execute((ROOT / "examples/nycflights/target_duckdb.sql").read_text())
    os.environ.update(
        NYC_SOURCE=f"sqlite:///{PLACE}/legacy.db", NYC_TARGET=f"duckdb:///{TARGET}", NYC_STATE=str(PLACE / "state")
    )


def edited(*statements: str) -> None:
    """Somebody edits the target by hand."""
    import duckdb

    with duckdb.connect(TARGET) as database:
        for statement in statements:
            database.execute(statement)


def shown_as(path: Path) -> str:
    """Without the place of this machine: pictures go round."""
    return str(path.relative_to(ROOT))


class Story:
    """Runs on a server, and its pages. Prefect is imported once its environment is set."""

    def __init__(self, api: str) -> None:
        from prefect.client.orchestration import get_client

        self.ui = f"{api.removesuffix('/api')}/v2"
        self.client = get_client(sync_client=True)

    def asked(self, path: str, **body: Any) -> Any:
        return self.client.request("POST", path, json=body).json()  # type: ignore[arg-type]

    def run_page(self, state: Any) -> str:
        return f"{self.ui}/runs/flow-run/{state.state_details.flow_run_id}"

    def artifact_page(self, run_id: Any, end: str = "-report") -> str | None:
        found = self.asked("/artifacts/filter", flow_runs={"id": {"any_": [str(run_id)]}})
        ids = [each["id"] for each in found if each["key"].endswith(end)]
        return f"{self.ui}/artifacts/artifact/{ids[-1]}" if ids else None

    def report(self, state: Any) -> str:
        return str(self.artifact_page(state.state_details.flow_run_id))

    def deployed(self) -> None:
        self.asked("/work_pools/", name="syncline", type="process")
        subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )

    @contextmanager
    def working(self) -> Iterator[None]:
        """A worker is there, as the server has noticed."""
        worker = subprocess.Popen(
            [sys.executable, "-m", "prefect", "worker", "start", "--pool", "syncline"],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        until = time.monotonic() + 60
        while time.monotonic() < until and any(each["status"] != "READY" for each in self.asked("/deployments/filter")):
            time.sleep(1)
        try:
            yield
        finally:
            worker.terminate()
            worker.wait()

    def while_running(self, flow: Callable[..., Any], *given: Any) -> Any:
        """The state of a run, of which a picture is taken while it writes."""
        ended: list[Any] = []
        runner = threading.Thread(
            target=copy_context().run, args=(lambda: ended.append(flow(*given, return_state=True)),)
        )
        runner.start()
        page = None
        while page is None and runner.is_alive():
            time.sleep(0.5)
            for run in self.asked("/flow_runs/filter", flow_runs={"state": {"type": {"any_": ["RUNNING"]}}}):
                page = self.artifact_page(run["id"], "-counts")
        time.sleep(5)
        taken(str(page), "running")
        runner.join()
        return ended[0]

    def skipped(self, flow: Callable[..., Any]) -> Any:
        """The state of a run of a schedule that finds another one at work."""
        from prefect.concurrency.sync import concurrency
        from prefect.flow_engine import run_flow
        from prefect.states import Scheduled

        deployment = self.client.read_deployment_by_name("migrate/nycflights-migrate")
        of = {"deployments": {"id": {"any_": [str(deployment.id)]}}}
        (run,) = self.asked("/flow_runs/filter", **of, sort="EXPECTED_START_TIME_ASC", limit=1)
        self.client.set_flow_run_state(run["id"], Scheduled(), force=True)  # it is due now
        self.client.upsert_global_concurrency_limit_by_name("syncline-nycflights", 1)
        with concurrency("syncline-nycflights", strict=True):
            return run_flow(flow, self.client.read_flow_run(run["id"]), {"spec": SPEC}, return_type="state")  # type: ignore[arg-type]


def main() -> None:
    os.chdir(ROOT)
    prepared()
    os.environ.update(quiet_prefect(PLACE / "prefect"), PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT="false")
    with serving_prefect(PLACE / "prefect", ui=True) as url:
        os.environ["PREFECT_API_URL"] = url()
        told(Story(os.environ["PREFECT_API_URL"]))


def told(story: Story) -> None:
    """Bring each moment about, and take it."""
    from flows.backfill import backfill
    from flows.cli.main import main as syncline
    from flows.migrate import apply, migrate
    from flows.verify import verify

    story.deployed()
    with story.working():
        taken(f"{story.ui}/deployments", "deployments", 680)
    done = story.while_running(migrate, SPEC)
    taken(story.run_page(done), "done")
    taken(story.report(done), "quarantine", 1150)
    edited(
        "UPDATE core.flight SET arrival_delay = 0 WHERE number = 1545",
        "DELETE FROM core.weather WHERE origin = 'LGA' AND humidity_pct > 99",
    )
    taken(story.report(verify(SPEC, return_state=True)), "difference", 1150)
    january = "flight.departed_on:2013-01-01..2013-02-01"
    taken(story.run_page(backfill(SPEC, january, "1w", again=True, return_state=True)), "backfill")
    migrate(SPEC, return_state=True)
    edit_legacy(PLACE / "legacy.db")
    stricter(PLACE / "strict.yaml")
    taken(story.report(migrate(shown_as(PLACE / "strict.yaml"), return_state=True)), "failed", 1150)
    with suppress(SystemExit):
        syncline(["plan", SPEC, "-o", shown_as(PLACE / "plan")], standalone_mode=True)
    edited("UPDATE core.airport SET name = 'Las Vegas' WHERE faa IN ('LAS', 'DVT')")
    taken(story.report(apply(shown_as(PLACE / "plan"), return_state=True)), "conflicts", 1150)
    taken(story.run_page(story.skipped(migrate)), "skipped")


if __name__ == "__main__":
    main()

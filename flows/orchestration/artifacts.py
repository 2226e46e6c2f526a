"""What a run shows in the Prefect UI: progress while it works, and its report. Counts and names, no values of rows."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from time import monotonic
from typing import Any, Final
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate

from flows.commands import Outcome
from flows.history.aside import set_aside
from flows.orchestration.page import Ended, Page
from flows.proof.checkpoints import some_keys
from flows.results.conflicts import Met, open_columns, values, verdict_text
from flows.results.shares import counted
from flows.results.tables import Report
from flows.results.visible import in_markdown, visible
from flows.session.meter import Meter
from flows.session.progress import Part, Progress
from flows.spec.model import Spec

EVERY_SECONDS: Final = 2.0
ABOUT_REPORT: Final = "How the run ended, what to do next, and what it did."
ABOUT_CONFLICTS: Final = "Rows that somebody changed after planning. They were left as they are."
ABOUT_OPEN: Final = (
    "Rows that both sides changed, or that one cannot take. They stay as they are until somebody decides."
)
NAMES: Final = ("table", "key", "kind", "column", "base", "source", "target", "decided")
log = logging.getLogger(__name__)


class RunMeter(Progress):
    """Adds up what threads report, logs each phase of a table as it ends, and passes it all on to the meter of a terminal."""

    def __init__(self, inner: Meter | None = None) -> None:
        super().__init__()
        self._inner = inner or Meter()
        self._began = monotonic()

    def foresee(self, what: str, tables: Mapping[str, int]) -> None:
        super().foresee(what, tables)
        self._inner.foresee(what, tables)

    def expect(self, table: str, what: str, rows: int) -> None:
        super().expect(table, what, rows)
        self._inner.expect(table, what, rows)

    def advance(self, table: str, what: str, rows: int) -> None:
        super().advance(table, what, rows)
        self._inner.advance(table, what, rows)

    def finish(self, table: str, what: str) -> None:
        super().finish(table, what)
        self._inner.finish(table, what)

    def changed(self, part: Part | None) -> None:
        if part is not None and part.finished:
            get_run_logger().info("%s %s: %s in %.1f s", part.what, part.table, counted(part.done, "row"), part.seconds)

    def step(self, number: int, of: int, what: str) -> None:
        super().step(number, of, what)
        get_run_logger().info(str(self.now))
        self._inner.step(number, of, what)

    def notice(self, text: str) -> None:
        get_run_logger().info(text)
        self._inner.notice(text)

    def again(self) -> None:
        super().again()
        self._inner.again()

    def approves(self, question: str) -> bool:
        return self._inner.approves(question)

    @property
    def percent(self) -> float:
        """Of the rows that are known to come; below 100 until the end, since what is to be written is known only once it is planned."""
        return min(99.0, 100 * self.share)

    def markdown(self) -> str:
        """A table of what is through by table and kind of work, and the rate."""
        seconds, parts = max(monotonic() - self._began, 0.001), self.parts
        step = [f"{in_markdown(str(self.now).capitalize())}.", ""] if self.now is not None else []
        lines = [*step, "| table | work | rows done | of about |", "|---|---|---:|---:|"]
        lines += [
            f"| {in_markdown(part.table)} | {part.what} | {part.done:,} | {f'{part.of:,}' if part.of else ''} |"
            for part in parts
        ]
        planned, applied = (sum(part.done for part in parts if part.what == each) for each in ("plan", "apply"))
        rate = f"{planned / seconds:,.0f} rows a second"
        return "\n".join([*lines, "", f"{planned:,} rows planned and {applied:,} applied in {seconds:,.1f} s: {rate}."])


@contextmanager
def progress_shown(name: str, flow_run: UUID | None, meter: RunMeter, every: float = EVERY_SECONDS) -> Iterator[None]:
    """Publish the meter every couple of seconds while the block works, and once at its end.

    A thread of its own does it: rows never wait for Prefect, and a fault of Prefect's never fails a run.
    """
    stop = threading.Event()

    def publish() -> None:
        with get_client(sync_client=True) as client:
            shown = _Shown(client, name, flow_run)
            while not stop.wait(every):
                shown.show(meter.percent, meter.markdown())
            shown.show(100.0 if finished else meter.percent, meter.markdown())

    def quietly() -> None:
        try:
            publish()
        except Exception as error:
            log.warning("Progress could not be shown in Prefect: %s", error)

    finished = False
    thread = threading.Thread(target=copy_context().run, args=(quietly,), name="progress", daemon=True)
    thread.start()
    try:
        yield
        finished = True
    finally:
        stop.set()
        thread.join(timeout=30)


class _Shown:
    """A progress and a markdown artifact of one flow run, made at the first call and updated by later ones."""

    def __init__(self, client: SyncPrefectClient, name: str, flow_run: UUID | None) -> None:
        self._client = client
        self._key = artifact_key(name)
        self._flow_run = flow_run
        self._ids: dict[str, UUID] = {}

    def show(self, percent: float, markdown: str) -> None:
        for kind, data in (("progress", round(percent, 1)), ("markdown", markdown)):
            known = self._ids.get(kind)
            if known is not None:
                self._client.update_artifact(known, ArtifactUpdate(data=data))
                continue
            key = f"{self._key}-progress" if kind == "progress" else f"{self._key}-counts"
            about = "Rows read, planned and applied." if kind == "progress" else "Rows done by table."
            made = self._client.create_artifact(
                ArtifactCreate(key=key, type=kind, description=about, data=data, flow_run_id=self._flow_run)
            )
            self._ids[kind] = made.id


def show_report(spec: Spec, outcome: Outcome, said: str) -> None:
    """The page of a run as a markdown artifact; what came of checks, and rows in conflict, as tables beside it.

    The rows are in by now: a fault of Prefect's is a warning.
    """
    report, key = outcome.report, artifact_key(outcome.report.migration)
    try:
        page = Page(outcome, said, set_aside(spec, report), spec.state.reports, named(spec))
        create_markdown_artifact(markdown=str(page), key=f"{key}-report", description=ABOUT_REPORT)
        if report.checkpoints:
            about = "\n".join(f"- {in_markdown(str(each))}" for each in report.checkpoints)
            create_table_artifact(table=checked_rows(report), key=f"{key}-checkpoints", description=about)
        if late := conflict_rows(report):
            create_table_artifact(table=late, key=f"{key}-conflicts", description=ABOUT_CONFLICTS)
        if unsettled := [met for met in report.met if met.kind is not None]:
            create_table_artifact(table=open_lines(unsettled), key=f"{key}-open", description=ABOUT_OPEN)
    except Exception as error:
        log.warning("The report could not be shown in Prefect: %s", error)


def named(spec: Spec) -> str:
    """The spec's file as commands name it: from the folder that the flow runs in, where it lies below that."""
    path = spec.path.absolute()
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else spec.path)


def show_end(name: str, page: Ended) -> None:
    """The page of a run that did not come to its own end."""
    try:
        create_markdown_artifact(markdown=str(page), key=f"{artifact_key(name)}-report", description=ABOUT_REPORT)
    except Exception as error:
        log.warning("The end could not be shown in Prefect: %s", error)


def open_lines(met: Sequence[Met]) -> list[dict[str, Any]]:
    """A line for each open column of each row, and one for a row that is open as a whole."""
    lines = []
    for each in met:
        first, decided = (each.table, each.key, str(each.kind)), "; ".join(map(verdict_text, each.decided))
        lines += [dict(zip(NAMES, (*first, *values, decided), strict=True)) for values in open_columns(each)]
    return [{name: visible(value) for name, value in line.items()} for line in lines]


def conflict_rows(report: Report) -> list[dict[str, Any]]:
    """A line for each column in which a row was not as planned: these values, and no others."""
    names = ("planned before", "planned after", "found")
    return [
        {
            "table": visible(met.table),
            "key": visible(met.key),
            "column": visible(each.column),
            **dict(zip(names, map(visible, values(met, each)), strict=True)),
            "next": met.next_run,
        }
        for met in report.met
        for each in met.columns
    ]


def checked_rows(report: Report) -> list[dict[str, Any]]:
    """A line for each check of each checkpoint, those that failed first. Keys of failing rows are in it, other values of
    rows are not.

    What came of a check stands in front: the UI shows a table's first columns and hides the rest behind a scroll bar.
    """
    lines = [
        {
            "result": "passed" if each.passed else "failed",
            "table": checkpoint.table,
            "failing rows": each.unexpected,
            "severity": each.severity,
            "check": each.type,
            "arguments": visible(
                " ".join(", ".join(f"{name} {value}" for name, value in each.arguments.items()).split())
            ),
            "such as": visible(some_keys(each)),
            "checkpoint": checkpoint.name,
            "by": each.by,
        }
        for checkpoint in report.checkpoints
        for each in checkpoint.results
    ]
    return sorted(lines, key=lambda line: line["result"] == "passed")


def artifact_key(name: str) -> str:
    """A migration's name as Prefect takes keys: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "syncline"

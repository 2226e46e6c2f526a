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
from prefect.artifacts import create_link_artifact, create_table_artifact
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate

from flows.commands import Outcome
from flows.evidence.server import link
from flows.proof.checkpoints import some_keys
from flows.results import cursors
from flows.results.conflicts import Met, open_columns, values, verdict_text
from flows.results.shares import counted
from flows.results.tables import Report, TableReport
from flows.results.visible import as_code, in_markdown, visible
from flows.session.meter import Meter
from flows.session.progress import Part, Progress
from transforms.vocabulary import OPS

EVERY_SECONDS: Final = 2.0
SHOWN_KEYS: Final = 3  # of each kind of change
# browsers do not follow a link from a site to a file: the address is the text, to be copied
ABOUT_PAGE: Final = "The report as a page, on the machine that ran. Copy the address into a browser there."
ABOUT_SERVED: Final = (
    "The report as a page, where `syncline serve` or a web server shows the store (`state: {reports: …}`)."
)
ABOUT_CONFLICTS: Final = "Rows that somebody changed after planning. They were left as they are."
ABOUT_OPEN: Final = (
    "Rows that both sides changed, or that one cannot take. They stay as they are until somebody decides."
)
NAMES: Final = ("table", "key", "kind", "column", "base", "source", "target", "decided")
FIRST: Final = ("insert", "update", "delete", "conflicts", "quarantined", "unchanged")
"""The counts that stand in front: the UI shows a table's first columns and hides the rest behind a scroll bar."""
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


def show_report(outcome: Outcome, said: str, reports: str | None = None) -> None:
    """The counts of every table as a table artifact; why rows were set aside, and keys of changes, beside it. `reports`: where the
    store's reports are served, so that a link leads there.

    The rows are in by now: a fault of Prefect's is a warning.
    """
    report = outcome.report
    counted = [*((table.title, table.counts) for table in report.tables), ("all tables", report.total)]
    rows: list[dict[str, Any]] = [
        {"table": title, **{name: counts.as_dict()[name] for name in FIRST}, **counts.as_dict()}
        for title, counts in counted
    ]
    try:
        create_table_artifact(
            table=rows, key=f"{artifact_key(report.migration)}-report", description=report_markdown(outcome, said)
        )
        if report.checkpoints:
            about = "\n".join(f"- {in_markdown(str(each))}" for each in report.checkpoints)
            key = f"{artifact_key(report.migration)}-checkpoints"
            create_table_artifact(table=checked_rows(report), key=key, description=about)
        if late := conflict_rows(report):
            key = f"{artifact_key(report.migration)}-conflicts"
            create_table_artifact(table=late, key=key, description=ABOUT_CONFLICTS)
        if unsettled := [met for met in report.met if met.kind is not None]:
            key = f"{artifact_key(report.migration)}-open"
            create_table_artifact(table=open_lines(unsettled), key=key, description=ABOUT_OPEN)
        if report.page:
            key = f"{artifact_key(report.migration)}-page"
            page = Path(report.page).absolute()
            if reports:
                there = link(reports, page.parent.name)
                create_link_artifact(link=there, link_text="The report as a page", key=key, description=ABOUT_SERVED)
            else:
                create_link_artifact(link=page.as_uri(), link_text=page.as_uri(), key=key, description=ABOUT_PAGE)
    except Exception as error:
        log.warning("The report could not be shown in Prefect: %s", error)


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


def report_markdown(outcome: Outcome, said: str) -> str:
    """The report in words. Keys and column names are in it, other values of rows are not."""
    report = outcome.report
    lines = [f"**{in_markdown(said)}**", "", f"Run `{report.run_id}` of `{report.migration}`, {report.seconds:,.1f} s."]
    if report.plan:
        lines.append(f"Plan: {as_code(report.plan)}")
    lines += [f"- warning: {in_markdown(warning)}" for warning in report.warning_texts]
    for table in report.tables:
        some = [
            f"{count:,} quarantined: {in_markdown(why)}"
            for why, count in sorted(table.reason_texts.items(), key=_by_count)[:8]
        ]
        if table.cursor is not None:
            some.append(in_markdown(cursors.line(table.cursor)))
        if table.by_column:
            named = [f"{in_markdown(each.column)} ({each.rows:,}, {each.rate} the same)" for each in table.by_column]
            some.append(f"columns that differ: {', '.join(named[:12])}")
        for op in OPS:
            keys = [as_code(sample.key) for sample in table.samples if sample.op == op][:SHOWN_KEYS]
            if keys and not report.applied:  # what was applied is counted in the table below
                some.append(f"to {op}, such as {'; '.join(keys)}")
        if table.back is not None:
            some += _both_ways(table, applied=report.applied)
        if table.ddl:
            some.append("the table was not there, and was created" if report.applied else "the table is to be created")
        if table.adds:
            added = ", ".join(in_markdown(column) for column, _ in table.adds)
            some.append(f"columns that {'were' if report.applied else 'are to be'} added: {added}")
        if table.after_load:
            some.append("after its rows: " + "; ".join(as_code(statement) for statement in table.after_load))
        if some:
            lines += ["", f"**{in_markdown(table.name)}**", "", *(f"- {line}" for line in some)]
    return "\n".join(lines)


def _both_ways(table: TableReport, *, applied: bool) -> Iterator[str]:
    """What happens to the source's rows of a table, and what became of edits of both sides."""
    assert table.back is not None
    done = (
        {"insert": "inserted", "update": "updated", "delete": "deleted"} if applied else {op: f"to {op}" for op in OPS}
    )
    yield f"in the source: {', '.join(f'{getattr(table.back, op):,} {done[op]}' for op in OPS)}"
    if table.merged:
        yield f"{table.merged:,} with edits of both sides"
    if table.overruled:
        keys = "; ".join(as_code(key) for key in dict.fromkeys(each.key for each in table.overruled_edits))
        yield f"{table.overruled:,} with an edit that lost{f', such as {keys}' if keys else ''}"


def artifact_key(name: str) -> str:
    """A migration's name as Prefect takes keys: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "syncline"


def _by_count(item: tuple[str, int]) -> int:
    return -item[1]

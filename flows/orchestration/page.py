"""The page of a run in Prefect's UI, as Markdown: how it ended, what to do next, and what it did, in tables that fit 1,280 pixels.

It holds the essentials by itself, since whoever looks at the UI may not reach the machine that ran. Keys are in it, and values of
rows only where they are in conflict.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.expectations.run import Checked
from flows.evidence.server import link
from flows.history.aside import NOTHING, SetAside
from flows.orchestration.next_steps import next_steps
from flows.proof.checkpoints import some_keys
from flows.results import cursors
from flows.results.conflicts import Met, open_columns, values
from flows.results.outcome import Outcome
from flows.results.shares import DONE_TO, counted
from flows.results.tables import Report, TableReport
from flows.results.visible import as_code, in_markdown
from transforms.vocabulary import OPS, Counts

COUNTS: Final = (
    "insert", "update", "delete", "conflicts", "quarantined", "unproved", "unchanged", "source_rows", "target_rows",
)  # fmt: skip
SHOWN_KEYS: Final = 3  # of each kind of change
MOST_TABLES: Final = 30
MOST_DETAILS: Final = 10  # tables of which more is told than counts
MOST_ROWS: Final = 20  # of a table of conflicts, or of failed checks
LONGEST: Final = 40  # characters of a value or a key
NUMBER: Final = "---:"


@dataclass(frozen=True, slots=True)
class Page:
    """What a page is made of. `said`: how it ended, in a sentence; `reports`: where the store's reports are served, if anywhere;
    `spec`: the spec's file, as commands name it."""

    outcome: Outcome
    said: str
    aside: SetAside = NOTHING
    reports: str | None = None
    spec: str = "SPEC"

    def __str__(self) -> str:
        report = self.outcome.report
        about = f"Run `{report.run_id}` of {as_code(report.migration, cell=False)}, {report.seconds:,.1f} s."
        lines = [f"**{in_markdown(self.said)}**", "", about]
        lines += ["", "### What to do next", "", *(f"- {step}" for step in next_steps(self.outcome, self.spec))]
        lines += [f"- {_report_at(Path(report.page).parent.name, self.reports, self.spec)}"] if report.page else []
        lines += _section("Conflicts", _conflicts(report))
        lines += _section("Checks that failed", _failed_checks(report))
        lines += _section("Quarantine", _quarantine(self.aside))
        lines += _section("Rows", _counts(report))
        lines += _section("Warnings", [f"- {in_markdown(text)}" for text in report.warning_texts])
        lines += _section("Tables", _details(report))
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Ended:
    """The page of a run that failed, was stopped or was cancelled. `next`: what to do, in a sentence; `progress`: how far it was, in
    Markdown; `report`: the run whose page is in the store."""

    said: str
    next: str
    progress: str = ""
    report: str | None = None
    reports: str | None = None
    spec: str = "SPEC"

    def __str__(self) -> str:
        lines = [f"**{in_markdown(self.said)}**", "", "### What to do next", ""]
        lines += [f"- {in_markdown(self.next)}"] if self.next else []
        lines += [f"- {_report_at(self.report, self.reports, self.spec)}"] if self.report is not None else []
        lines += _section("How far it was", [self.progress] if self.progress else [])
        return "\n".join(lines)


def _report_at(run_id: str, reports: str | None, spec: str) -> str:
    """Where the whole report is. A path of the machine that ran would be of no use in a browser, and too long for a page."""
    if reports:
        return f"[The whole report]({link(reports, run_id)})"
    return f"The whole report is `{run_id}` in {as_code(f'syncline serve {spec}', cell=False)}, where the store can be reached."


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return ["", f"### {title}", "", *lines] if lines else []


def table(names: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()) -> list[str]:
    """A table in Markdown. In: cells that are Markdown already; `numbers`: the columns that stand to the right."""
    rules = (NUMBER if name in numbers else "---" for name in names)
    return [f"| {' | '.join(cells)} |" for cells in (names, list(rules), *rows)]


def short(text: str) -> str:
    """A value or key as code of a cell, cut where it is long."""
    line = " ".join(text.split())
    return as_code(line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…") if line else ""


def _more(of: int, shown: int, what: str) -> list[str]:
    return ["", f"… and {counted(of - shown, what)} more."] if of > shown else []


def _counts(report: Report) -> list[str]:
    """A line for each table in which something was found or done, and one for the others; columns of zeros are left out."""
    busy = [each for each in report.tables if each.busy]
    shown = busy[:MOST_TABLES]
    names = [name for name in COUNTS if any(getattr(each.counts, name) for each in shown)]
    lines = []
    if shown:
        rows = [(each.title, each.counts) for each in shown]
        rows += [("all tables", report.total)] if len(report.tables) > 1 else []
        cells = [[in_markdown(title), *(_count(counts, name) for name in names)] for title, counts in rows]
        words = [name.replace("_", " ") for name in names]
        lines += table(["table", *words], cells, words)
        lines += _more(len(busy), len(shown), "table")
    if idle := [each for each in report.tables if not each.busy]:
        rows_of = sum(max(each.counts.source_rows, each.counts.target_rows) for each in idle)
        which = in_markdown(idle[0].title) if len(idle) == 1 else counted(len(idle), "table")
        lines += ["", f"{which} without changes: {counted(rows_of, 'row')}."]
    return lines


def _count(counts: Counts, name: str) -> str:
    count = getattr(counts, name)
    return f"{count:,}" if count else ""


def _quarantine(aside: SetAside) -> list[str]:
    """Why rows were set aside, with the first keys of each reason."""
    rows = []
    for each in aside.shown:
        keys = ", ".join(map(short, each.keys))
        more = f" and {each.rows - len(each.keys):,} more" if keys and each.rows > len(each.keys) else ""
        rows.append([in_markdown(each.table), in_markdown(each.reason), f"{each.rows:,}", f"{keys}{more}"])
    more_reasons = _more(aside.more, 0, "reason")
    return [*table(("table", "reason", "rows", "keys"), rows, ("rows",)), *more_reasons] if rows else []


def _conflicts(report: Report) -> list[str]:
    """The fields of rows that are open between both sides, and those of rows that changed after planning."""
    late, unsettled = _late(report.met), _open(report.met)
    total = max(report.total.conflicts, len(report.met))
    lines = [f"{counted(total, 'row')}:", ""] if report.met else []
    lines += table(("table", "key", "column", "base", "source", "target"), unsettled[:MOST_ROWS]) if unsettled else []
    lines += [""] if late and unsettled else []
    lines += table(("table", "key", "column", "planned", "found"), late[:MOST_ROWS]) if late else []
    return [*lines, *_more(total, len(report.met[:MOST_ROWS]), "row")] if lines else []


def _open(met: Sequence[Met]) -> list[list[str]]:
    return [
        [in_markdown(each.table), short(each.key), *map(short, cells)]
        for each in met
        if each.kind is not None
        for cells in open_columns(each)
    ]


def _late(met: Sequence[Met]) -> list[list[str]]:
    rows = []
    for each in met:
        for column in each.columns:
            before, after, found = map(short, values(each, column))
            rows.append([in_markdown(each.table), short(each.key), short(column.column), f"{before} → {after}", found])
    return rows


def _failed_checks(report: Report) -> list[str]:
    """The checks that failed, with keys of failing rows."""
    rows = [
        [
            in_markdown(point.table),
            _check(each),
            f"{each.unexpected or 0:,}",
            each.severity,
            in_markdown(some_keys(each)),
        ]
        for point in report.checkpoints
        for each in point.failed
    ]
    shown = table(("table", "check", "failing rows", "severity", "such as"), rows[:MOST_ROWS], ("failing rows",))
    return [*shown, *_more(len(rows), len(rows[:MOST_ROWS]), "check")] if rows else []


def _check(failed: Checked) -> str:
    column = failed.arguments.get("column")
    return as_code(f"{column}: {failed.type}" if column else failed.type)


def _details(report: Report) -> list[str]:
    """What is to be told of single tables besides counts."""
    told = [(each, list(_of_table(each, report))) for each in report.tables]
    busy = [(each, lines) for each, lines in told if lines]
    lines: list[str] = []
    for each, some in busy[:MOST_DETAILS]:
        lines += ["", f"**{in_markdown(each.name)}**", "", *(f"- {line}" for line in some)]
    return [*lines[1:], *_more(len(busy), MOST_DETAILS, "table")]


def _of_table(told: TableReport, report: Report) -> Iterator[str]:
    if told.cursor is not None:
        yield in_markdown(cursors.line(told.cursor))
    if told.by_column:
        named = [f"{in_markdown(each.column)} ({each.rows:,}, {each.rate} the same)" for each in told.by_column]
        yield f"columns that differ: {', '.join(named[:12])}"
    for op in OPS:
        keys = [as_code(sample.key) for sample in told.samples if sample.op == op][:SHOWN_KEYS]
        if keys and not report.applied:  # what was applied is counted in the table above
            yield f"to {op}, such as {'; '.join(keys)}"
    if told.back is not None:
        yield from _both_ways(told, applied=report.applied)
    if told.ddl:
        yield "the table was not there, and was created" if report.applied else "the table is to be created"
    if told.adds:
        added = ", ".join(in_markdown(column) for column, _ in told.adds)
        yield f"columns that {'were' if report.applied else 'are to be'} added: {added}"
    if told.after_load:
        yield "after its rows: " + "; ".join(as_code(statement) for statement in told.after_load)


def _both_ways(told: TableReport, *, applied: bool) -> Iterator[str]:
    """What happens to the source's rows of a table, and what became of edits of both sides."""
    assert told.back is not None
    done = DONE_TO if applied else {op: f"to {op}" for op in OPS}
    yield f"in the source: {', '.join(f'{getattr(told.back, op):,} {done[op]}' for op in OPS)}"
    if told.merged:
        yield f"{told.merged:,} with edits of both sides"
    if told.overruled:
        keys = "; ".join(as_code(key) for key in dict.fromkeys(each.key for each in told.overruled_edits))
        yield f"{told.overruled:,} with an edit that lost{f', such as {keys}' if keys else ''}"

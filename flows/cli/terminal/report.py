"""What people see of a run: tables on a terminal, plain lines in a pipe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

from flows.cli.terminal.counts import COLORS, show_counts
from flows.cli.terminal.rows import console
from flows.results import cursors, overruled
from flows.results.by_column import ColumnDifference
from flows.results.conflicts import Met, beside, values, values_beside, verdict_text
from flows.results.shares import counted, percent
from flows.results.stands import in_words
from flows.results.tables import BESIDE, Report, TableReport
from flows.results.visible import near, visible
from flows.session.hooks import name_of
from transforms.vocabulary import OPS, Counts, Sample

_WIDTH = 60  # characters of a value in a sample
Words = Mapping[tuple[str, str], str]
"""What a key stands for, by the table and the key as a sample has it."""
MOST_DETAILS = 10  # tables of which more is shown than counts


def show_report(
    report: Report,
    *,
    samples: bool,
    rows: bool = False,
    every: bool = False,
    out: Console | None = None,
    words: Words | None = None,
) -> None:
    """Counts of each table, what is to be created, why rows were set aside, and a few changes, old beside new.

    `words`: what keys of samples stand for. `rows`: all changes are shown elsewhere.
    `every`: tables without changes too, and the details of however many.
    """
    out = out or console()
    show_counts(out, report, every=every)
    if report.of_spec != report.tables:
        out.print(BESIDE, markup=False)
    for warning in report.warnings:
        out.print(f"warning: {warning}", style="yellow", markup=False)
    for table in report.tables:
        if table.cursor is not None:
            out.print(f"\n{table.name}: {cursors.line(table.cursor)}.", markup=False)
        if table.sealed is not None and table.sealed.windows:
            out.print(f"{table.name}: {table.sealed}.", markup=False)
    busy = [table for table in report.tables if table.busy]
    for table in busy if every else busy[:MOST_DETAILS]:
        _show_schema(out, table, planned=samples, applied=report.applied)
        _show_reasons(out, report, table)
        if samples:
            _show_both_sides(out, table, words or {}, rows=rows)
        _show_overruled(out, table)
    if len(busy) > MOST_DETAILS and not every:
        out.print(
            f"\n… and more of {counted(len(busy) - MOST_DETAILS, 'table')}: --all shows it.", markup=False, style="dim"
        )
    _show_conflicts(out, report, planned=samples)
    _show_hooks(out, report, planned=samples)
    if report.checkpoints:
        out.print()
    for checkpoint in report.checkpoints:
        out.print(str(checkpoint), markup=False, style="red" if checkpoint.critical else "")
    if report.page:
        out.print(f"\nReport: {near(report.page)}", markup=False)
    if report.data_docs:
        out.print(f"Data Docs: {report.data_docs}", markup=False)


def _show_hooks(out: Console, report: Report, *, planned: bool) -> None:
    """What else happens where the plan is applied; a run has said it already."""
    if not planned or not report.hooks:
        return
    out.print("\nHooks, which an undo does not take back:", markup=False)
    for each in report.hooks:
        ends = f" (on {', '.join(each.on)})" if each.on else ""
        style = "yellow" if each.does == "source" else ""
        out.print(Text(f"  {visible(' '.join(name_of(each).split()))}{ends}", style=style))


def _show_schema(out: Console, table: TableReport, *, planned: bool, applied: bool) -> None:
    """What a table is made by, or was."""
    if table.ddl and not planned:
        what = "was not there, and was created" if applied else "is not there, and was not created"
        out.print(f"\n{table.name}: the table {what}.", markup=False)
    for statement in table.ddl if planned else ():
        out.print(f"\n{table.name} will be created:", markup=False)
        sql = statement.expandtabs(4)
        out.print(Syntax(sql, "sql", background_color="default") if out.is_terminal else Text(sql))
    if table.adds and not planned:
        out.print(f"\n{table.name}: added {', '.join(column for column, _ in table.adds)}.", markup=False)
    elif table.adds:
        out.print(f"\n{table.name} will get columns:", markup=False)
        for _, statement in table.adds:
            out.print(Text(statement))
    if table.after_load and planned:
        out.print(f"\n{table.name}, once its rows are in:", markup=False)
        for statement in table.after_load:
            out.print(Text(f"  {statement}"))


def _show_reasons(out: Console, report: Report, table: TableReport) -> None:
    """Why rows were set aside, most rows first."""
    if not table.reasons:
        return
    of = report.shares[table.name].source_rows
    share = "" if report.chosen else f" ({percent(table.counts.quarantined, of)})"
    out.print(f"\n{table.name}: {table.counts.quarantined:,} quarantined{share}", markup=False)
    for reason, count in sorted(table.reason_texts.items(), key=lambda item: -item[1])[:8]:
        out.print(f"  {count:>9,}  {reason}", markup=False)


def _show_both_sides(out: Console, table: TableReport, words: Words, *, rows: bool) -> None:
    """What changes in a table, and in that of the source where changes go both ways."""
    _show_changes(out, table.name, table.counts, table.by_column, () if rows else table.samples, words)
    back = () if rows else table.back_samples
    if table.back is not None and (table.back_differing or back):
        out.print(f"\nin the source, {table.back_table}:", style="bold", markup=False)
        _show_changes(out, table.back_table, table.back, table.back_by_column, back, apart=False)


def _show_conflicts(out: Console, report: Report, *, planned: bool) -> None:
    if not report.met:
        return
    total = report.total.conflicts
    what = "open between both sides" if any(met.kind for met in report.met) else "not as planned, and left as found"
    out.print(f"\nConflicts: {counted(total, 'row')} {what}", style="bold red", markup=False)
    for met in report.met:
        for line in conflict_lines(met):
            out.print(Text(f"  {line}"))
    if total > len(report.met):
        where = "once they are met" if planned else "has them all"  # the ledger knows of those that a run met
        out.print(f"  … and {total - len(report.met):,} more: `syncline conflicts SPEC list` {where}.", markup=False)


def conflict_lines(met: Met) -> Iterator[str]:
    """A conflict as people read it: what was planned, what was found, and what a run would do next."""
    yield f"! {met.table} {met.key}" + (f" {met.kind}" if met.kind else "")
    if words := in_words(met.stands_for):
        yield f"    {visible(words)}"
    for line in beside(met) if met.kind else ():
        base, source, target = (_value(text) for text in values_beside(met, line))
        mark = "" if line.open else ", not in conflict"
        yield f"    {line.column}: base {base}, source {source}, target {target}{mark}"
    for made in met.decided:
        why = f": {_value(made.why)}" if made.why else ""
        yield f"    decided by {made.by} at {made.at}: {_value(verdict_text(made))}{why}"
    for each in met.columns:
        before, after, found = (_value(text) for text in values(met, each))
        yield f"    {each.column}: planned {before} -> {after}, found {found}"
    yield f"    {met.next_run}"


def _show_changes(
    out: Console,
    name: str,
    counts: Counts,
    differing: Sequence[ColumnDifference],
    samples: Sequence[Sample],
    words: Words | None = None,
    *,
    apart: bool = True,
) -> None:
    """What changes in a table of one side: the updates by column, and a few rows. `apart`: behind an empty line each."""
    if differing:
        if apart:
            out.print()
        out.print(f"{name}: {counts.update:,} to update, by what differs", markup=False)
        for each in differing[:12]:
            out.print(f"  {each.rows:>9,}  {each.column} ({each.rate} the same)", markup=False)
        if len(differing) > 12:
            out.print(f"  … and {len(differing) - 12:,} more columns: --json has them all.", style="dim")
    if samples:
        if apart or differing:
            out.print()
        _show_samples(out, name, samples, words or {})
        _say_more(out, counts, samples)


def _show_overruled(out: Console, table: TableReport) -> None:
    """In how many rows edits of both sides came together, and which of them lost."""
    if table.merged:
        out.print(f"\n{table.name}: edits of both sides come together in {counted(table.merged, 'row')}.", markup=False)
    if not table.overruled:
        return
    out.print(f"\n{table.name}: {counted(table.overruled, 'row')} with an edit that loses", markup=False)
    for each in table.overruled_edits:
        out.print(Text(visible(f"  ! {each.table} {each.key} {overruled.line(each.as_dict())}")))
    if table.overruled > len(told := {each.key for each in table.overruled_edits}):
        out.print(f"  … and {table.overruled - len(told):,} more rows.", markup=False, style="dim")


def _show_samples(out: Console, name: str, samples: Sequence[Sample], words: Words) -> None:
    for sample in samples:
        sign = {"insert": "+", "update": "~", "delete": "-"}[sample.op]
        head = "  ".join(filter(None, (f"{sign} {name} {sample.key}", visible(words.get((name, sample.key), "")))))
        out.print(Text(head, style=COLORS[sample.op]))
        out.print(Text("    " + _changes_text(sample)))


def _say_more(out: Console, counts: Counts, samples: Sequence[Sample]) -> None:
    """How many changes there are beside those that are shown."""
    shown = Counter(sample.op for sample in samples)
    left = {op: getattr(counts, op) - shown[op] for op in OPS}
    more = [f"{count:,} to {op}" for op, count in left.items() if count > 0]
    if more:
        out.print(f"… and {', '.join(more)}: --rows names them all.", markup=False, style="dim")


def _changes_text(sample: Sample) -> str:
    before, after = sample.before, sample.after
    if before is not None and after is not None:
        return "; ".join(f"{column}: {_value(before[column])} -> {_value(after[column])}" for column in after)
    row: Mapping[str, str | None] = after or before or {}
    listed = [f"{column}={_value(value)}" for column, value in row.items()]
    return ", ".join(listed[:8]) + (f", … {len(listed) - 8} more" if len(listed) > 8 else "")


def _value(value: str | None) -> str:
    if value is None:
        return "null"
    text = value if len(value) <= _WIDTH else value[: _WIDTH - 1] + "…"
    plain = text and text == text.strip() and text.lower() != "null" and text.isprintable()
    return text if plain else repr(text)

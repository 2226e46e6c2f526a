"""An assessment as people read it: a line for a table that fits, its columns and findings where one does not."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from flows.check.findings import Assessment, ColumnLine, Finding, Sample, TableAssessment, shortened
from flows.cli.terminal.rows import console
from flows.results.shares import counted
from transforms.mapping.ways_back import WayBack

_STYLES = {"refused": "bold red", "error": "red", "quarantine": "magenta", "note": "dim", "fits": "green"}
_BECOMES = {
    "refused": "would end the run",
    "error": "would be refused by the target",
    "quarantine": "would be set aside",
    "note": "taken as the spec says",
}
_ORIGIN = 44  # characters of an expression
_VALUE = 60
_NAMED = 12  # columns or tables of a list


def show_assessment(found: Assessment, out: Console | None = None) -> None:
    """All tables in load order, and in the last line how a run would end."""
    out = out or console()
    for place, table in enumerate(found.tables):
        if place and (_long(table) or _long(found.tables[place - 1])):
            out.print()
        _show_table(out, table)
    for warning in found.warnings:
        out.print(Text(f"warning: {warning}", style="yellow"))
    if found.unread:
        out.print(Text(f"\nSource tables that the spec does not read: {_some(found.unread)}.", style="dim"))
    if found.ways:
        out.print(Text("\nChanges can be followed:", style="dim"))
        out.print(Text("\n".join(f"  {each}." for each in found.ways), style="dim"))
    out.print()
    if found.differing is not None:
        name = found.migration.partition("@")[2]
        out.print(Text(f"{name} {'is ' if not found.differing.total else ''}{found.differing.text}.", style="bold"))
    out.print(Text(found.verdict, style="bold red" if found.status else "bold green"))


def _long(table: TableAssessment) -> bool:
    return bool(table.findings or table.unmapped)


def _show_table(out: Console, table: TableAssessment) -> None:
    head = Text(table.name, style="bold")
    rows = f"{counted(table.counts.source_rows, 'row')} of " if table.counts else ""
    created = ", to be created" if table.created else ""
    key = f"key {', '.join(table.key)}, {table.path}"
    head.append(f"  {rows}{table.source} -> {table.target}{created}; {key}", style="not bold")
    fits = table.counts and not table.findings
    head.append(
        f"; all {len(table.columns)} columns fit" if fits and len(table.columns) > 1 else "; fits" if fits else ""
    )
    out.print(head)
    if table.findings:
        out.print(Padding(_columns(table), (0, 0, 0, 2)) if out.is_terminal else Text("\n".join(_lines(table))))
    if back := [column.back for column in table.columns if column.back is not None]:
        _print(out, Text(f"Written back: {_some([_way(each) for each in back])}.", style="dim"), 2)
    if table.unmapped:
        _print(out, Text(f"Source columns that are not mapped: {_some(table.unmapped)}.", style="dim"), 2)
    if table.hooks:
        out.print(Text(f"  {table.hooked}.", style="yellow"))
    for finding in table.findings:
        out.print()
        _show_finding(out, finding)


def _way(back: WayBack) -> str:
    return f"{back.column} not" if back.why_not else f"{back.column} to {' and '.join(back.writes)}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:_NAMED])} and {more:,} more"


def _cells(table: TableAssessment, column: ColumnLine) -> tuple[str, str, str, str]:
    origin = shortened(column.origin, _ORIGIN) or ""
    kind = column.origin_type
    named = f"{kind} {origin}" if kind in ("expr", "const", "lookup", "python", "uuid") else f"{origin} {kind}".strip()
    return column.name, named, column.type, _result(table.of(column.name))


def _result(findings: Sequence[Finding]) -> str:
    """What came of a column in few words."""
    if not findings:
        return "fits"
    worst = findings[0]
    if worst.level == "note":
        if not any(finding.rows for finding in findings):
            return "fits, as told"
        return f"fits, {counted(sum(finding.rows for finding in findings), 'row')} as told"
    rows = sum(finding.rows for finding in findings if finding.level == worst.level)
    return f"{worst.level}: {counted(rows, 'row')}"


def _columns(table: TableAssessment) -> Table:
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("column", "from", "to", "result"):
        shown.add_column(name, overflow="fold")
    for column in table.columns:
        *cells, result = _cells(table, column)
        shown.add_row(
            *(Text(cell) for cell in cells), Text(result, style=_STYLES[result.partition(":")[0].partition(",")[0]])
        )
    return shown


def _lines(table: TableAssessment) -> list[str]:
    """The same as aligned plain text."""
    rows = [("column", "from", "to", "result"), *(_cells(table, column) for column in table.columns)]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return [
        "  " + "  ".join([*(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)), row[3]])
        for row in rows
    ]


def _show_finding(out: Console, finding: Finding) -> None:
    named = ", ".join(finding.columns)
    text = Text(f"{named}: " if named else "")
    text.append(f"{counted(finding.rows, 'row')} " if finding.rows else "")
    text.append(_BECOMES[finding.level], style=_STYLES[finding.level])
    text.append(f": {finding.reason}")
    _print(out, text, 2)
    for sample in finding.samples:
        _print(out, Text(_sample(sample), style="dim"), 4)
    if finding.fix:
        _print(out, Text(f"Fix: {finding.fix}."), 4)


def _print(out: Console, text: Text, indent: int) -> None:
    """Indented; wrapped only on a terminal."""
    if out.is_terminal:
        out.print(Padding(text, (0, 0, 0, indent)))
    else:
        out.print(Text(" " * indent) + text)


def _sample(sample: Sample) -> str:
    shown = f"{sample.key} {_value(sample.value)}".strip()
    return f"{shown} and {_sample(sample.other)}" if sample.other else shown


def _value(value: str | None) -> str:
    if value is None:
        return ""
    return repr(shortened(value, _VALUE))

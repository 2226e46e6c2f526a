"""The counts of a run, by table: what changes nothing and what nobody has is left out, and 500 tables are a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.results.shares import counted
from flows.results.tables import Report, TableReport

COUNTS: Final = (
    "source_rows",
    "target_rows",
    "insert",
    "update",
    "delete",
    "unchanged",
    "quarantined",
    "conflicts",
    "unproved",
)
ALWAYS: Final = ("source_rows",)
MOST_TABLES: Final = 30
WIDE: Final = 10_000  # what is measured as if the terminal had so many columns is as wide as it wants to be
COLORS: Final = {
    "insert": "green",
    "update": "yellow",
    "delete": "red",
    "quarantined": "magenta",
    "conflicts": "bold red",
    "unproved": "yellow",
}


def show_counts(out: Console, report: Report, *, every: bool) -> None:
    """A line for each table in which something is to be done or was found, and one for the others. `every`: for each of them,
    however many, with all columns."""
    busy = [table for table in report.tables if every or table.busy]
    shown = busy if every else busy[:MOST_TABLES]
    names = (
        COUNTS
        if every
        else tuple(name for name in COUNTS if name in ALWAYS or any(getattr(table.counts, name) for table in shown))
    )
    if shown:
        table = _drawn(shown, names)
        if not out.is_terminal:
            for line in _lines(shown, names):
                out.print(line, markup=False)
        elif out.measure(table, options=out.options.update(width=WIDE)).maximum <= out.width:
            out.print(table)
        else:
            for text in _told(shown, names):
                out.print(text)
    if len(busy) > len(shown):
        out.print(
            f"… and {counted(len(busy) - len(shown), 'table')} more: --all shows them.", markup=False, style="dim"
        )
    if idle := [table for table in report.tables if table not in busy]:
        rows = sum(max(table.counts.source_rows, table.counts.target_rows) for table in idle)
        which = idle[0].title if len(idle) == 1 else counted(len(idle), "table")
        also = " more" if shown and len(idle) > 1 else ""
        out.print(f"{which}{also} without changes: {counted(rows, 'row')}.", markup=False, style="dim")


def _lines(tables: Sequence[TableReport], names: Sequence[str]) -> Iterator[str]:
    """As aligned plain text."""
    rows = [[name.replace("_", " ") for name in ("table", *names)]]
    rows += [[table.title, *(f"{getattr(table.counts, name):,}" for name in names)] for table in tables]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        yield "  ".join(
            [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        )


def _drawn(tables: Sequence[TableReport], names: Sequence[str]) -> Table:
    shown = Table(box=None, header_style="bold", pad_edge=False)
    shown.add_column("table", no_wrap=True)
    for name in names:
        shown.add_column(name.replace("_", "\n"), justify="right", no_wrap=True)
    for table in tables:
        shown.add_row(Text(table.title, style="bold"), *(_cell(table, name) for name in names))
    return shown


def _told(tables: Sequence[TableReport], names: Sequence[str]) -> Iterator[Text]:
    """Where a terminal is too narrow for a table: a paragraph for each."""
    for table in tables:
        text = Text(table.title, style="bold")
        for name in names:
            if count := getattr(table.counts, name):
                text.append("  ").append_text(
                    Text(f"{name.replace('_', ' ')} {count:,}", style=COLORS.get(name, "not bold"))
                )
        yield text


def _cell(table: TableReport, name: str) -> Text:
    count = getattr(table.counts, name)
    return Text(f"{count:,}", style=COLORS.get(name, "") if count else "dim")

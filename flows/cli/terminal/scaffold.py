"""What people see of a draft: its tables, what was not translated, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from flows.cli.terminal.rows import show_rows
from flows.results.untranslated import TITLES, Untranslated, summary, text_of
from flows.results.visible import echo
from flows.scaffold.draft import Draft


def show_draft(draft: Draft, file: Path | None) -> None:
    """The draft itself where it has no file, and then all the rest on standard error."""
    if file is None:
        click.echo(draft.text, nl=False)
    else:
        rows = [
            (
                table.name,
                table.source,
                table.rows,
                ", ".join(table.key) if not table.blocked else "left out",
                len(table.columns),
                "is there" if table.existing else "to be created",
            )
            for table in draft.tables
        ]
        show_rows(f"Draft of {file}", ("table", "from", "rows", "key", "columns", "target"), rows, empty="no tables")
    for table in draft.tables:
        if table.blocked:
            echo(f"\n{table.name} is commented out: {table.blocked}", err=True)
    if draft.about_target:
        echo(f"\n{draft.about_target}", err=True)
    if draft.needs:
        echo("\nLeft to a person:", err=True)
    for need in draft.needs:
        echo(f"  {'.'.join(filter(None, (need['table'], need['column'])))}: {need['why']}", err=True)
    _show_untranslated(draft.untranslated)
    for name in draft.variables:
        echo(f"\nThe URL has a password, so the draft reads it from {name}. Fix: export {name}=… first.", err=True)
    if file is not None:
        echo(
            f"\nThe draft is in {file}, with {len(draft.decisions):,} comments. See what it does: syncline plan {file}"
        )


def _show_untranslated(found: Sequence[Untranslated]) -> None:
    """Worst first; noise in a line for all tables that have the same. Tables that are left out stand above."""
    listed = [each for each in found if each.feature.kind != "table"]
    for severity, lines in summary(listed):
        echo(f"\n{TITLES[severity]}:", err=True)
        if severity != "noise":
            lines = [_line(each) for each in listed if each.feature.severity == severity]
        for line in lines:
            echo(f"  {line}", err=True)


def _line(each: Untranslated) -> str:
    about = f"{each.table}: " if each.table else ""
    return f"{about}{' '.join(text_of(each.feature).split())}"

"""What people see of a draft: its tables, what was not translated, and what to do next."""

from __future__ import annotations

from pathlib import Path

import click

from flows.scaffold import Draft
from flows.terminal import show_rows
from flows.visible import echo


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
    if draft.untranslated:
        echo("\nNot translated:", err=True)
        for each in draft.untranslated:
            about = f"{each['table']}: " if each["table"] else ""
            echo(f"  {about}{' '.join(str(each['what']).split())}", err=True)
    for name in draft.variables:
        echo(f"\nThe URL has a password, so the draft reads it from {name}. Fix: export {name}=… first.", err=True)
    if file is not None:
        echo(
            f"\nThe draft is in {file}, with {len(draft.decisions):,} comments. See what it does: syncline plan {file}"
        )

"""Rows in quarantine as people see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from flows.cli.terminal.rows import console, show_rows
from flows.results.stands import from_dict, in_words


def show_list(rows: Sequence[Mapping[str, Any]], total: int) -> None:
    """A line for each key and reason, which several rows may share; how many rows there are, where more are than shown."""
    columns = ("table", "key", "column", "value", "reason", "first seen")
    listed = [(r["table_name"], _key(r), r["column_name"], r["value"], _reason(r), r["first_seen"]) for r in rows]
    show_rows("Quarantine", columns, listed, empty="Nothing is in quarantine.")
    there = sum(row["rows"] for row in rows)
    if total > there:
        console().print(f"{there:,} of {total:,} rows; --limit shows more.", markup=False)


def _key(row: Mapping[str, Any]) -> str:
    """The key, and what it stands for: of several rows that share it the first two."""
    rows = [in_words(from_dict(each)) for each in row.get("stands_for", ())]
    more = f" and {len(rows) - 2} more" if len(rows) > 2 else ""
    return " ".join(filter(None, (row["key"], "; ".join(rows[:2]) + more)))


def _reason(row: Mapping[str, Any]) -> str:
    return f"{row['reason']} ({row['rows']:,} rows)" if row["rows"] > 1 else str(row["reason"])


def show_rows_whole(rows: Sequence[Mapping[str, Any]]) -> None:
    """Each row with its reason, the source row, and what was mapped of it."""
    out = console()
    if not rows:
        out.print("Nothing of that is in quarantine.", markup=False)
    for row in rows:
        out.print(Text(f"{row['table_name']} {row['key']}", style="bold"))
        if "stands_for" in row:
            out.print(Text(f"  {in_words(from_dict(row['stands_for']))}"))
        about = f"{row['column_name']}: " if row["column_name"] else ""
        out.print(Text(f"  {about}{row['reason']}"))
        out.print(Text(f"  first seen {row['first_seen']}, last seen {row['last_seen']} by run {row['run_id']}"))
        for side in ("source", "mapped"):
            told = row[side]
            text = "not kept: its plan is gone" if told is None else ", ".join(f"{k}={v!r}" for k, v in told.items())
            out.print(Text(f"  {side}: {text}"))

"""Rows one by one, in any number, as JSON, JSON lines or CSV: written down as they come, and shown."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from shutil import copyfileobj
from typing import IO, Any, Final, Literal

import click

from flows.results import silence
from flows.results.visible import in_json, visible

Format = Literal["text", "json", "jsonl", "csv"]
FORMATS: Final[tuple[Format, ...]] = ("text", "json", "jsonl", "csv")
FOR_PROGRAMS: Final = ("json", "jsonl", "csv")
SOME: Final = 100  # rows that JSON names without being asked


def write_json(objects: Iterable[Mapping[str, Any]], out: IO[str]) -> int:
    """One array with an object a line; how many there were."""
    count = 0
    out.write("[")
    for each in objects:
        out.write(f"{',' if count else ''}\n    {json.dumps(each, ensure_ascii=False)}")
        count += 1
    out.write("\n  ]\n" if count else "]\n")
    return count


def write_json_lines(objects: Iterable[Mapping[str, Any]], out: IO[str]) -> int:
    """An object a line, and nothing else; how many there were."""
    count = 0
    for each in objects:
        out.write(f"{json.dumps(each, ensure_ascii=False)}\n")
        count += 1
    return count


def write_csv(header: Sequence[str], rows: Iterable[Iterable[Sequence[str | None]]], out: IO[str]) -> int:
    """Some lines for each row; null is nothing at all, and an empty text two quotes. How many rows there were."""
    out.write(",".join(header) + "\n")
    count = 0
    for lines in rows:
        out.writelines(",".join(map(_field, line)) + "\n" for line in lines)
        count += 1
    return count


def _field(value: str | None) -> str:
    return "" if value is None else '"' + value.replace('"', '""') + '"'


def copy_rows(spool: IO[str], form: str) -> None:
    """Rows that were written down, on standard output; what would steer a terminal is shown as escapes."""
    silence.over()
    spool.seek(0)
    if form == "csv" and not sys.stdout.isatty():
        copyfileobj(spool, sys.stdout)  # for a program, exactly
        return
    clean = in_json if form in ("json", "jsonl") else visible
    for line in spool:
        sys.stdout.write(clean(line))


def print_json_with_rows(told: Mapping[str, Any], spools: Mapping[str, IO[str]]) -> None:
    """One JSON object, and in it arrays that were written down, by their names."""
    text = in_json(json.dumps(told, indent=2, ensure_ascii=False, default=str))
    if not spools:
        click.echo(text)
        return
    click.echo(text[: text.rindex("\n}")], nl=False)
    for name, spool in spools.items():
        click.echo(f',\n  "{name}": ', nl=False)
        copy_rows(spool, "json")
    click.echo("}")

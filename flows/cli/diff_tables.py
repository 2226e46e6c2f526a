"""`syncline diff-tables`: two tables, views or queries held to each other, with no spec."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, Final

import click

from adapters import private
from flows.cli.options import common
from flows.cli.row_formats import (
    FOR_PROGRAMS,
    SOME,
    copy_rows,
    print_json_with_rows,
    write_csv,
    write_json,
    write_json_lines,
)
from flows.cli.rows import rows_options
from flows.results.shares import counted
from flows.results.visible import echo

if TYPE_CHECKING:
    from flows.compare.compare import Apart

FEW: Final = 10  # rows that are named without being asked
LONG_ROWS: Final = 200_000  # of tables of fewer rows nobody asks how far it is
_CSV: Final = ("kind", "key", "column", "left", "right")


@click.command("diff-tables")
@click.argument("left")
@click.argument("right")
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="C,…",
    help="The columns that rows are matched by, the primary key unless given; id=ID where it is ID on the right.",
)
@click.option("--columns", multiple=True, metavar="C,…", help="Compare only these columns.")
@click.option("--where", metavar="SQL", help="Only rows for which this holds, on both sides.")
@click.option(
    "--tolerance",
    "tolerances",
    multiple=True,
    metavar="C=N",
    help="How far numbers may be apart: price=0.01, or price=0.1%; repeatable.",
)
@click.option("--query", metavar="SQL", help="What is compared of a URL that names no table.")
@click.option("--time-zone", metavar="ZONE", help="Where times without a zone are, such as Europe/Vienna.")
@rows_options
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the rows that differ to this file."
)
@common
def diff_tables(
    left: str, right: str, keys: tuple[str, ...], columns: tuple[str, ...], where: str | None,
    tolerances: tuple[str, ...], query: str | None, time_zone: str | None, rows: bool, limit: int | None,
    form: str | None, output: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Compare two tables, views or queries row by row, by key and by value. Nothing is written.

    Each side is URL#table, URL#schema.table or 'URL#(SELECT …)'; a URL that has one table alone names it.
    """
    from flows.cli.terminal.progress import metered
    from flows.compare.compare import Asked, compare_tables
    from flows.compare.endpoint import endpoint
    from flows.compare.matching import Wanted, checked_zone, split_names
    from flows.compare.matching import tolerances as read

    wanted = Wanted(split_names(keys), split_names(columns), read(tolerances), checked_zone(time_zone))
    asked_for = bool(rows or limit or form or output)
    most = limit if asked_for else SOME if as_json else FEW
    asked = Asked(endpoint(left, query), endpoint(right, query), wanted, where, most)
    alone = asked_for and not as_json and output is None and form in FOR_PROGRAMS
    shape = "json" if as_json and output is None else form or "text"
    named = 0
    with _file(output) as spool:

        def seen(apart: Iterator[Apart]) -> None:
            nonlocal named
            named = write(apart, shape, spool, whole=asked_for)

        with metered(as_json=as_json, least=LONG_ROWS) as meter:
            result = compare_tables(asked, meter=meter, seen=seen)
        left_off = result.rows_apart - named
        if as_json:
            told = result.as_dict() | {"rows_left_off": left_off}
            print_json_with_rows(told, {} if output else {"rows": spool})
        elif alone:
            copy_rows(spool, shape)
        else:
            from flows.cli.terminal.compared import show_compared, show_spool

            show_compared(result)
            if output is None and named:
                echo()
                show_spool(spool) if shape == "text" else copy_rows(spool, shape)
    if not as_json:
        if asked_for or left_off:
            where_to = f" in {output}" if output else ""
            way = "--limit" if limit else "--rows names them all"
            more = f", {left_off:,} more were left off ({way})" if left_off else ""
            echo(f"{counted(named, 'row')} named{where_to}{more}.", err=alone)
        echo(f"\n{result.message}", err=alone)
    return 0 if result.equal else 2


def _file(output: Path | None) -> IO[str]:
    if output is None:
        return TemporaryFile("w+", encoding="utf-8", newline="")  # closed by `with`
    from transforms.vocabulary import SpecError

    try:
        private.make_file(output)  # rows are in it
        return output.open("w+", encoding="utf-8", newline="")
    except OSError as error:
        raise SpecError(f"{output} cannot be written: {error.strerror}.", fix="name another file.") from error


def write(rows: Iterable[Apart], form: str, out: IO[str], *, whole: bool) -> int:
    """Write the rows down as they come; how many there were. CSV has a line for each column."""
    from flows.cli.terminal.compared import write_apart

    if form == "text":
        return write_apart(rows, out, whole=whole)
    if form == "csv":
        return write_csv(_CSV, map(_csv_lines, rows), out)
    return (write_json if form == "json" else write_json_lines)(map(_object, rows), out)


def _object(row: Apart) -> dict[str, Any]:
    return {"kind": row.kind, "key": json.loads(row.key), "left": row.left, "right": row.right}


def _csv_lines(row: Apart) -> Iterator[tuple[str | None, ...]]:
    names = list(row.left if row.left is not None else row.right or {})
    for place, name in enumerate(names):
        sides = (None if side is None else list(side.values())[place] for side in (row.left, row.right))
        yield (row.kind, row.key, name, *sides)

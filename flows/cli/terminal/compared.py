"""What people see of a comparison of two tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Final

from rich.text import Text

from flows.cli.terminal.history import LONGEST, images
from flows.cli.terminal.rows import console
from flows.results.shares import counted, percent
from transforms.comparing.columns import WHERE

if TYPE_CHECKING:
    from flows.compare.compare import Apart
    from flows.compare.result import Result

SIGNS: Final = {"only_left": "<", "different": "~", "only_right": ">"}
MOST_COLUMNS: Final = 20  # which are listed


def show_compared(result: Result) -> None:
    """Counts of both sides, what is not compared, and in how many rows each column differs."""
    out, found = console(), result.found
    for side, shown in zip(WHERE, (result.left, result.right), strict=True):
        out.print(f"{side:<5}  {shown}", markup=False)
    key = ", ".join(c.name if c.left == c.right else f"{c.left}={c.right}" for c in result.key)
    out.print(f"key    {key}\n", markup=False)
    rows = [
        ("rows", found.left.rows, found.right.rows),
        ("same", found.same, found.same),
        ("different", found.different, found.different),
        ("only here", found.only_left, found.only_right),
    ]
    sides = (found.left, found.right)
    for name, counts in (
        ("keys of several rows", [each.double_keys for each in sides]),
        ("rows with these", [each.double_rows for each in sides]),
        ("rows with a null in the key", [each.null_keys for each in sides]),
        ("keys of another type", [each.foreign_keys for each in sides]),
        ("rows that cannot be read", [result.unread[side].rows for side in WHERE]),
    ):
        if any(counts):
            rows.append((name, counts[0], counts[1]))
    for name, *both in (("", *WHERE), *rows):
        line = f"{name:<28}" + "".join(f"{n:>13,}" if isinstance(n, int) else f"{n:>13}" for n in both)
        out.print(Text(line, style="" if name else "bold"))
    for side in WHERE:
        if names := result.only.get(side):
            out.print(f"\nOnly on the {side}: {_some(names)}", markup=False, style="yellow")
        for reason, count in result.unread[side].reasons.items():
            out.print(f"\n{side}: {counted(count, 'row')} cannot be read: {reason}", markup=False, style="yellow")
    for name, why in result.unlike.items():
        out.print(f"\nNot compared: {name}: {why}", markup=False, style="yellow")
    apart = {name: told for name, told in result.by_column.items() if told[0]}
    if apart:
        out.print(f"\n{counted(found.different, 'row')} different, by column")
        ordered = sorted(apart.items(), key=lambda item: -item[1][0])
        for name, (count, _) in ordered[:MOST_COLUMNS]:
            left, right = result.types[name]
            types = "" if left == right else f" ({left}, {right})"
            rate = percent(result.matched - count, result.matched)
            out.print(f"  {count:>9,}  {name}{types}: {rate} match", markup=False)
        if len(ordered) > MOST_COLUMNS:
            out.print(f"  … and {len(ordered) - MOST_COLUMNS:,} more columns: --json has them all.")


def _some(names: Iterable[str]) -> str:
    every = list(names)
    more = f", … {len(every) - MOST_COLUMNS} more" if len(every) > MOST_COLUMNS else ""
    return ", ".join(every[:MOST_COLUMNS]) + more


def write_apart(rows: Iterable[Apart], out: IO[str], *, whole: bool) -> int:
    """Rows that are not the same as text: what is left of the arrow is the left side's. How many there were."""
    count = 0
    for row in rows:
        out.writelines(f"{line}\n" for line in _lines(row, None if whole else LONGEST))
        count += 1
    return count


def _lines(row: Apart, longest: int | None) -> Iterator[str]:
    yield f"{SIGNS[row.kind]} {row.key}"
    left, right = row.left, row.right
    if longest is not None:
        left, right = (dict(list(side.items())[:MOST_COLUMNS]) if side else side for side in (left, right))
    if left is not None and right is not None:
        right = dict(zip(left, right.values(), strict=True))
    yield f"    {images(left, right, longest)}"


def show_spool(spool: IO[str]) -> None:
    """Rows that were written down as text, in colours on a terminal."""
    out = console()
    colors = {"<": "red", "~": "yellow", ">": "green"}
    spool.seek(0)
    for line in spool:
        out.print(Text(line.rstrip("\n"), style=colors.get(line[0], "")))

"""Columns that the target itself rewrites (triggers, rules), named in the very run whose rows it rewrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa

from flows.results.tables import Report
from transforms import expressions
from transforms.vocabulary import ChangeSet, Notice, TableShape
from transforms.vocabulary.arrow import contiguous
from transforms.vocabulary.features import Feature
from transforms.vocabulary.texts import as_text
from transforms.vocabulary.values import Tolerance, unequal

SHOWN: Final = 80  # characters of a value
REWRITING: Final = ("trigger", "rule")


@dataclass(frozen=True, slots=True)
class Unstable:
    """A column of some rows of a window that the target made something else of: how many, and one of them with its key as JSON.
    Values are texts, None for null."""

    column: str
    rows: int
    key: str
    written: str | None
    found: str | None

    def __add__(self, other: Unstable) -> Unstable:
        return replace(self, rows=self.rows + other.rows)


def unstable_columns(
    rewritten: pa.Table | None, changes: ChangeSet, shape: TableShape, tolerance: Mapping[str, Tolerance]
) -> tuple[Unstable, ...]:
    """The columns in which rows of `Applied.rewritten` differ from what was written, of those that are compared: others may."""
    if rewritten is None:
        return ()
    written, found = (pa.Table.from_struct_array(rewritten[name]) for name in ("after", "found"))
    told = []
    for name in changes.compared if rewritten.num_rows else ():
        column = shape.column(name)
        one, other = contiguous(written.column(name)), contiguous(found.column(name))
        differs = unequal(one, other, tolerance.get(name), column.meaning if column else "plain")
        if differs is not None and differs.any():
            first = int(differs.argmax())
            key = expressions.json_key(written, changes.key, at=first)
            was, now = (as_text(each.slice(first, 1))[0].as_py() for each in (one, other))
            told.append(Unstable(name, int(differs.sum()), key, _short(was), _short(now)))
    return tuple(told)


def noticed(
    report: Report, rewritten: Iterable[tuple[str, Unstable]], hooks: Callable[[str], Sequence[Feature]]
) -> Report:
    """The report with a line for each column that the target rewrote, in the place of what the plan guessed of it.

    In: `rewritten` are columns of windows with their table; `hooks` are what the target has at a table, asked where a column
    was rewritten.
    """
    found: dict[tuple[str, str], Unstable] = {}
    for table, each in rewritten:
        place = table, each.column
        found[place] = found[place] + each if place in found else each
    lines = list(_notices(found, hooks))
    known = (w for w in report.warnings if w.code != "unstable_column" or (w.table, w.facts.get("column")) not in found)
    return replace(report, warnings=(*known, *lines)) if lines else report


def columns_of(report: Report, table: str) -> set[str]:
    """The columns of a table that the report names as unstable."""
    return {str(w.facts["column"]) for w in report.warnings if w.code == "unstable_column" and w.table == table}


def _notices(found: Mapping[tuple[str, str], Unstable], hooks: Callable[[str], Sequence[Feature]]) -> Iterator[Notice]:
    by = {
        table: [f"{each.kind} {each.fact('name')}" for each in hooks(table) if each.kind in REWRITING]
        for table in dict.fromkeys(table for table, _ in found)
    }
    for (table, column), each in found.items():
        rows = "1 row is" if each.rows == 1 else f"{each.rows:,} rows are"
        text = (
            f"{table}.{column}: {rows} not as they were written, such as {each.key}: {each.written!r} was written, and "
            f"{each.found!r} is there. The target changes the column itself ({', '.join(by[table])}), and the next run will find it "
            f"different. Fix: map it to what the target makes of it, or list it under `ignore`."
        )
        facts = {"column": column, "rows": each.rows, "key": each.key, "written": each.written, "found": each.found}
        yield Notice("unstable_column", text, table, {**facts, "by": by[table]})


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= SHOWN else text[: SHOWN - 1] + "…"
